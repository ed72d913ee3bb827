"""All brushes of `conf/brush/`."""

import yaml

from conf import CONF_FOLDER
from conf.compose import choices, typed
from renderers.brush.kinds import BristleBrush, Brush, RoundBrush, WashBrush

_KINDS: dict[str, type[Brush]] = {"bristle": BristleBrush, "round": RoundBrush, "wash": WashBrush}


def _read(name: str) -> Brush:
    plain = yaml.safe_load((CONF_FOLDER / "brush" / f"{name}.yaml").read_text())
    return typed(_KINDS[plain["kind"]], plain, f"brush={name}")


BRUSHES = {name: _read(name) for name in choices("brush")}
