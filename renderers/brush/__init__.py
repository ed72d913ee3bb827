"""Textured strokes: oil, Chinese ink, and brushes and styles of the user's own.

Strokes are planned as smooth ribbons with the machinery of the Bézier renderer; then the marks of a brush are laid
through them, and their colours solved again for what those marks really leave.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from conf.errors import ConfigError
from renderers.brush.config import BrushConfig as Config
from renderers.brush.custom import brush_from_picture, coverage_of
from renderers.brush.ground import plain, xuan
from renderers.brush.ink import DENSITY, ink_brushes, plan_ink
from renderers.brush.oil import plan_oil
from renderers.brush.stroke import NUM_BRUSH_COLUMNS, Marks, lay_all, marks_of, new_brush_scratch, trace
from renderers.brush.style import stroke_character, transfer_colours
from renderers.brush.texture import BrushTexture, make_brush
from renderers.distance import new_ledger
from renderers.family import AssetFile, Renderer
from renderers.painting import NO_ASSETS, NOTHING_KNOWN, Assets, Image, Knowledge, Painting, StrokeProgram
from renderers.raster.ribbon import R0, R2, X0, grid

_STRONGEST = 100

__all__ = ["RENDERER", "Config", "asset_files", "check_assets", "paint", "plan", "replay"]

_STYLE_PX = 1024  # a style is colours and strokes: more pixels say nothing more


def asset_files(config: Config) -> Mapping[str, AssetFile]:
    """Files that a configuration names: pictures `brush`, its height map `brush_height`, and `style`; and `weights`."""
    files: dict[str, AssetFile] = {}
    if (path := config.brush.path) is not None:
        files["brush"] = AssetFile(key="brush.path", path=path, kind="rgba", what="a picture of a brush mark")
    if (path := config.brush.height_path) is not None:
        files["brush_height"] = AssetFile(
            key="brush.height_path", path=path, kind="grey", what="a picture of heights in grey"
        )
    if (path := config.style.path) is not None:
        files["style"] = AssetFile(key="style.path", path=path, kind="picture", what="a picture", largest_px=_STYLE_PX)
    if (path := config.style.weights) is not None:
        files["weights"] = AssetFile(key="style.weights", path=path, kind="tensors")
    return files


def check_assets(config: Config, assets: Assets) -> None:
    """Find out before the first painting whether the pictures make a brush.

    Raises:
        ConfigError: naming the key of the picture that does not.
    """
    if "brush" not in assets:
        return
    try:
        brush_from_picture(coverage_of(assets["brush"]), assets.get("brush_height"))
    except ConfigError as error:
        name = "height_path" if error.key == "height_path" else "path"
        path = config.brush.height_path if name == "height_path" else config.brush.path
        raise ConfigError(f"brush.{name}", path, error.allowed) from None


def paint(image: Image, config: Config, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS) -> Painting:
    """Paint a (H, W, 3) float32 RGB image in [0, 1].

    Args:
        assets: what `asset_files` names, read: `brush` (h, w, 4), `brush_height` (h, w) and `style` (h, w, 3) in
            [0, 1], `weights` tensors.

    Raises:
        ConfigError: if the brush picture will not do, or the weights are of another network.
    """
    program = plan(image, config, seed, assets)
    return Painting(program=program, distances=_distances(program))


def plan(image: Image, config: Config, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS) -> StrokeProgram:
    """The strokes alone, for whoever does not ask how far each of them gets; as `paint` otherwise."""
    rng = np.random.Generator(np.random.PCG64(seed))
    height, width = image.shape[:2]
    texture = _texture(config, assets)
    character = None
    if "style" in assets:
        image = _styled(image, config, assets, rng)
        character = stroke_character(assets["style"])
    ink = config.medium == "ink"
    marks = marks_of(texture, 0.0 if ink else config.relief)
    strokes = plan_ink(image, config, marks, rng) if ink else plan_oil(image, config, character, marks, rng)
    return StrokeProgram(
        family="brush",
        strokes=strokes,
        canvas=config.canvas,
        height_px=height,
        width_px=width,
        arrays={
            **texture.to_arrays(),
            "density": np.array(DENSITY if ink else 0.0, np.float32),
            "relief": np.array(0.0 if ink else config.relief, np.float32),
        },
    )


def replay(program: StrokeProgram, steps: Sequence[int], size_px: tuple[int, int] | None = None) -> Iterator[Image]:
    """The (height, width, 3) canvas after each of the given steps (ascending; 0 is the bare canvas or paper)."""
    height, width = size_px or (program.height_px, program.width_px)
    strokes = program.rows(NUM_BRUSH_COLUMNS, lengths=slice(X0, R2 + 1), radii=slice(R0, R2 + 1))
    marks, density = _marks(program), _density(program)
    pixels = grid(height, width, covers=float(density == 0.0))
    ground, layer = _ground(program, height, width), _bare(program, height, width)
    scratch, done = new_brush_scratch(pixels), 0
    for step in steps:
        lay_all(strokes[done:step], pixels, marks, layer, scratch)
        done = step
        yield _shown(layer, ground, density).reshape(height, width, 3)


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


def _marks(program: StrokeProgram) -> Marks:
    return marks_of(BrushTexture.from_arrays(dict(program.arrays)), _strength(program, "relief"))


def _density(program: StrokeProgram) -> float:
    """What full ink absorbs; 0 for paint that covers."""
    return _strength(program, "density")


def _strength(program: StrokeProgram, name: str) -> float:
    """A number beside a program.

    Raises:
        ValueError: if it is not there, or none that was ever written.
    """
    stored = program.arrays.get(name)
    if stored is None or stored.shape != () or not 0 <= (value := float(stored)) <= _STRONGEST:
        raise ValueError(f"the program's {name} is missing, or not from 0 to {_STRONGEST}")
    return value


def _ground(program: StrokeProgram, height: int, width: int) -> NDArray[np.float32]:
    """What is seen before the first stroke, (3n,)."""
    make = xuan if _density(program) > 0 else plain
    return make(program.canvas, height, width).reshape(-1)


def _bare(program: StrokeProgram, height: int, width: int) -> NDArray[np.float32]:
    """What strokes are laid on: no ink yet, or the canvas itself, (3n,)."""
    if _density(program) > 0:
        return np.zeros(3 * height * width, np.float32)
    return _ground(program, height, width)


def _shown(layer: NDArray[np.float32], ground: NDArray[np.float32], density: float) -> NDArray[np.float32]:
    if density == 0.0:
        return layer.copy()
    seen: NDArray[np.float32] = ground * np.exp(np.float32(-density) * layer)
    return seen


def _distances(program: StrokeProgram) -> NDArray[np.float64]:
    height, width = program.height_px, program.width_px
    density = np.float32(_density(program))
    (finished,) = replay(program, [len(program.strokes)])
    pixels = grid(height, width, covers=float(density == 0))
    ground = _ground(program, height, width)
    ledger = new_ledger(ground, finished.reshape(-1), pixels, len(program.strokes))
    trace(
        program.strokes, pixels, _marks(program), _bare(program, height, width), ground, density, ground.copy(),
        finished.reshape(-1), new_brush_scratch(pixels), ledger,
    )  # fmt: skip
    return ledger.distances(height * width)


class BrushRenderer(Renderer):
    """The family `brush`."""

    config_type = Config

    def paint(
        self, image: Image, config: Config, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS,
        known: Knowledge = NOTHING_KNOWN,
    ) -> Painting:  # fmt: skip
        """Paint an image; see `renderers.brush.paint`."""
        return paint(image, config, seed, assets)

    def plan(
        self, image: Image, config: Config, seed: np.random.SeedSequence, assets: Assets = NO_ASSETS,
        known: Knowledge = NOTHING_KNOWN,
    ) -> StrokeProgram:  # fmt: skip
        """The strokes alone."""
        return plan(image, config, seed, assets)

    def replay(
        self, program: StrokeProgram, steps: Sequence[int], size_px: tuple[int, int] | None = None
    ) -> Iterator[Image]:
        """The canvas after each of the given steps."""
        return replay(program, steps, size_px)

    def ground(self, config: Config) -> tuple[float, float, float]:
        """The toned canvas, or the paper."""
        return config.canvas

    def asset_files(self, config: Config) -> Mapping[str, AssetFile]:
        """Pictures of a brush and of a style, and the network of a style."""
        return asset_files(config)

    def check_assets(self, config: Config, assets: Assets) -> None:
        """Refuse pictures that make no brush."""
        check_assets(config, assets)


RENDERER = BrushRenderer()
