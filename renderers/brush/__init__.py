"""Textured strokes: oil, Chinese ink, and brushes and styles of the user's own.

Strokes are planned as smooth ribbons with the machinery of the Bézier renderer; then the marks of a brush are laid
through them, and their colours solved again for what those marks really leave.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from conf.errors import ConfigError
from renderers.begun import begun_arrays
from renderers.bezier.fit import aspect_of, worth_px
from renderers.brush.canvas import program_arrays, replay, step_distances
from renderers.brush.config import BrushConfig as Config
from renderers.brush.custom import brush_from_picture, coverage_of
from renderers.brush.ink import DENSITY, MOST, along, ink_brushes, plan_ink
from renderers.brush.oil import plan_oil, plan_oil_along
from renderers.brush.stroke import Marks, marks_of
from renderers.brush.style import StrokeCharacter, stroke_character, transfer_colours
from renderers.brush.texture import BrushTexture, make_brush
from renderers.family import AssetFile, Renderer
from renderers.pace import by_logarithm, pace_along
from renderers.painting import NO_ASSETS, NOTHING_KNOWN, Assets, Image, Knowledge, Painting, StrokeProgram
from renderers.raster.ribbon import Floats
from renderers.shrink import shrink
from renderers.time_line import TimeLine

__all__ = ["RENDERER", "Config"]

_STYLE_PX = 1024  # longer side of a style: more pixels tell no more about its colours and strokes


class BrushRenderer(Renderer):
    """The family `brush`."""

    config_type = Config

    def paint(
        self, image: Image, config: Config, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS,
        known: Knowledge = NOTHING_KNOWN,
    ) -> Painting:  # fmt: skip
        """Paint a (H, W, 3) float32 RGB image in [0, 1].

        Args:
            assets: what was read from `asset_files`: `brush` (h, w, 4), `brush_height` (h, w) and `style` (h, w, 3) in
                [0, 1], and the tensors `weights`.

        Raises:
            ConfigError: if the brush picture is not usable, or the weights are of another network.
        """
        program = self.plan(image, config, seed, assets)
        distances = step_distances(program)
        return Painting(program=program, distances=distances, pace=by_logarithm(distances))

    def plan(
        self, image: Image, config: Config, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS,
        known: Knowledge = NOTHING_KNOWN,
    ) -> StrokeProgram:  # fmt: skip
        """The strokes alone, for callers that do not need the distance after each of them; as `paint` otherwise."""
        setup = _set_up(image, config, seed, assets)
        if config.medium == "ink":
            strokes = plan_ink(setup.image, config, setup.marks, setup.rng)
        else:
            strokes = plan_oil(setup.image, config, setup.character, setup.marks, setup.rng)
        return _program(strokes, setup, config)

    def follows(self, config: Config, *, begun: bool = False) -> bool:
        """Always."""
        return True

    def follow(
        self, image: Image, time_line: TimeLine, config: Config, seed: np.random.SeedSequence,
        assets: Assets = NO_ASSETS,
    ) -> Painting:  # fmt: skip
        """Paint an image in a painter's order: oil as in `renderers.bezier.along`, ink as in `renderers.brush.ink`."""
        setup = _set_up(image, config, seed, assets)
        if config.medium == "ink":
            planned = plan_ink(setup.image, config, setup.marks, setup.rng)
            strokes = along(planned, time_line)
        else:
            short_px = round(worth_px(config.num_strokes, aspect_of(image)))
            begun = None if time_line.begun is None else shrink(time_line.begun, short_px)
            strokes = plan_oil_along(
                shrink(setup.image, short_px), replace(time_line, begun=begun), config, setup.character,
                setup.marks, setup.rng,
            )  # fmt: skip
        program = _program(strokes, setup, config, time_line.begun)
        distances = step_distances(program)
        return Painting(program=program, distances=distances, pace=pace_along(time_line, distances))

    def replay(
        self, program: StrokeProgram, steps: Sequence[int], size_px: tuple[int, int] | None = None
    ) -> Iterator[Image]:
        """The canvas after each of the given steps; see `renderers.brush.canvas.replay`."""
        return replay(program, steps, size_px)

    def reads_depth(self, config: Config) -> bool:
        """Never."""
        return False

    def ground(self, config: Config) -> tuple[float, float, float]:
        """The toned canvas, or the paper."""
        return config.canvas

    def asset_files(self, config: Config) -> Mapping[str, AssetFile]:
        """The pictures `brush`, `brush_height` (its height map) and `style`, and the `weights` of VGG."""
        files: dict[str, AssetFile] = {}
        if (path := config.brush.path) is not None:
            files["brush"] = AssetFile(key="brush.path", path=path, kind="rgba", what="a picture of a brush mark")
        if (path := config.brush.height_path) is not None:
            files["brush_height"] = AssetFile(
                key="brush.height_path", path=path, kind="grey", what="a picture of heights in grey"
            )
        if (path := config.style.path) is not None:
            files["style"] = AssetFile(
                key="style.path", path=path, kind="picture", what="a picture", largest_px=_STYLE_PX
            )
        if (path := config.style.weights) is not None:
            files["weights"] = AssetFile(key="style.weights", path=path, kind="tensors", what="weights of VGG")
        return files

    def check_assets(self, config: Config, assets: Assets) -> None:
        """Check before the first painting whether the pictures make a brush, and the weights a network.

        Raises:
            ConfigError: if not; it names the key of the file that is not usable.
        """
        if "weights" in assets:
            from renderers.brush.gram import vgg_layers

            try:
                vgg_layers(assets["weights"])
            except ConfigError as error:
                allowed = f"{error.allowed} (it has {error.value})"
                raise ConfigError("style.weights", config.style.weights, allowed) from None
        if "brush" not in assets:
            return
        try:
            brush_from_picture(coverage_of(assets["brush"]), assets.get("brush_height"))
        except ConfigError as error:
            name = "height_path" if error.key == "height_path" else "path"
            path = config.brush.height_path if name == "height_path" else config.brush.path
            raise ConfigError(f"brush.{name}", path, error.allowed) from None


RENDERER = BrushRenderer()


@dataclass(frozen=True, kw_only=True)
class _Setup:
    """What is prepared before the first stroke is planned: the picture in the wanted colours, and the brush."""

    image: Image
    texture: BrushTexture
    marks: Marks
    character: StrokeCharacter | None
    rng: np.random.Generator


def _set_up(image: Image, config: Config, seed: np.random.SeedSequence, assets: Assets) -> _Setup:
    rng = np.random.Generator(np.random.PCG64(seed))
    texture = _texture(config, assets)
    character = None
    if "style" in assets:
        image = _styled(image, config, assets, rng)
        character = stroke_character(assets["style"])
    marks = marks_of(texture, 0.0 if config.medium == "ink" else config.relief)
    return _Setup(image=image, texture=texture, marks=marks, character=character, rng=rng)


def _program(strokes: Floats, setup: _Setup, config: Config, begun: Image | None = None) -> StrokeProgram:
    height, width = setup.image.shape[:2]
    ink = config.medium == "ink"
    arrays = program_arrays(setup.texture, MOST * DENSITY if ink else 0.0, 0.0 if ink else config.relief)
    return StrokeProgram(
        family="brush", strokes=strokes, canvas=config.canvas, height_px=height, width_px=width,
        arrays={**arrays, **begun_arrays(begun)},
    )  # fmt: skip


def _styled(image: Image, config: Config, assets: Assets, rng: np.random.Generator) -> Image:
    styled = transfer_colours(image, assets["style"], rng, strength=config.style.strength)
    if config.style.features == "vgg":
        from renderers.brush.gram import stylise

        styled = stylise(styled, assets["style"], assets["weights"], seed=int(rng.integers(2**31)))
    return styled


def _texture(config: Config, assets: Assets) -> BrushTexture:
    if "brush" in assets:
        return brush_from_picture(coverage_of(assets["brush"]), assets.get("brush_height"))
    return ink_brushes(config) if config.medium == "ink" else make_brush(config.brush)
