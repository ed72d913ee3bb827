"""The things of a picture, which a painter paints one after the other. Used by renderers; not one itself."""

from renderers.things.assets import asset_paths, check_assets
from renderers.things.config import SaliencyChoice, SamChoice, ThingsConfig
from renderers.things.find import find_things
from renderers.things.things import Things

__all__ = ["SaliencyChoice", "SamChoice", "Things", "ThingsConfig", "asset_paths", "check_assets", "find_things"]
