"""Makes docs/images/brush-*.webp, the swatches of docs/brushes.md: python -m docs.make_swatches"""

from pathlib import Path

import numpy as np
from PIL import Image

from conf.compose import choices, compose
from pipelines.synthesis.config import synth_config
from renderers import brush
from renderers.brush.ink import DENSITY, INK, TONES
from renderers.brush.stroke import FAR_RED, MARK, NUM_BRUSH_COLUMNS, THICKNESS
from renderers.brush.texture import BrushTexture, make_brush
from renderers.painting import Image as Picture
from renderers.painting import StrokeProgram, to_uint8
from renderers.raster.ribbon import RED

# Each row is x0 y0 x1 y1 x2 y2 and two radii, in heights of the strip: a broad pull, a curve, two strokes that cross,
# a fine line and a dab.
_PULLS = (
    (0.45, 0.5, 1.2, 0.46, 1.95, 0.5, 0.3, 0.3),
    (2.55, 0.75, 3.1, -0.15, 3.7, 0.75, 0.15, 0.15),
    (4.15, 0.25, 4.5, 0.5, 4.95, 0.75, 0.16, 0.16),
    (4.15, 0.75, 4.6, 0.55, 4.95, 0.25, 0.16, 0.16),
    (5.35, 0.68, 5.9, 0.3, 6.55, 0.36, 0.05, 0.05),
    (5.55, 0.8, 5.9, 0.84, 6.3, 0.74, 0.09, 0.07),
)
_PAINTS = (
    (0.16, 0.27, 0.45),
    (0.72, 0.26, 0.16),
    (0.86, 0.66, 0.18),
    (0.2, 0.4, 0.3),
    (0.5, 0.13, 0.12),
    (0.93, 0.9, 0.83),
)
_TONES = (TONES[3], TONES[4], TONES[2], TONES[2], TONES[4], TONES[1])
_HEIGHT_PX, _WIDTH_PX = 120, 828


def main() -> None:
    """Paint a strip with every brush of conf/brush/: in oil if the brush has relief, else in ink."""
    folder = Path(__file__).parent / "images"
    for name in choices("brush"):
        (choice,) = synth_config(compose("synth", ["renderer=oil", f"brush@renderer.brush={name}"])).renderers
        texture = make_brush(choice.config.brush)
        strip = Image.fromarray(to_uint8(_swatch(texture, ink=not np.ptp(texture.relief))))
        strip.save(folder / f"brush-{name}.webp", quality=86, method=6)


def _swatch(texture: BrushTexture, *, ink: bool) -> Picture:
    strokes = np.zeros((len(_PULLS), NUM_BRUSH_COLUMNS), np.float32)
    strokes[:, :8] = _PULLS
    strokes[:, 8:10] = 1.0
    colours = np.outer(_TONES, INK) if ink else np.array(_PAINTS)
    strokes[:, RED : RED + 3] = strokes[:, FAR_RED : FAR_RED + 3] = colours
    strokes[:, MARK] = np.arange(len(strokes))
    strokes[:, THICKNESS] = 1.0
    config = brush.Config(medium="ink", canvas=(0.955, 0.935, 0.885)) if ink else brush.Config()
    program = StrokeProgram(
        family="brush", strokes=strokes, canvas=config.canvas, height_px=_HEIGHT_PX, width_px=_WIDTH_PX,
        arrays={
            **texture.to_arrays(),
            "density": np.array(DENSITY if ink else 0.0),
            "relief": np.array(0.0 if ink else 0.6),
        },
    )  # fmt: skip
    (canvas,) = brush.RENDERER.replay(program, [len(strokes)])
    return canvas


if __name__ == "__main__":
    main()
