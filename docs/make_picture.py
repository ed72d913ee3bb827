"""Makes docs/images/processes.webp, the picture of the renderers in docs/pictures.md: python -m docs.make_picture"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipelines.sources.framing import Framing
from pipelines.sources.scenes import ScenesSource
from renderers import bezier, brush, region
from renderers.family import Renderer
from renderers.painting import FrameSchedule, to_uint8

_ROWS: tuple[tuple[int, Renderer, Any], ...] = (
    (38, bezier.RENDERER, bezier.Config()),
    (21, brush.RENDERER, brush.Config(medium="oil")),
    (26, brush.RENDERER, brush.Config(medium="oil")),
    (5, brush.RENDERER, brush.Config(medium="ink", canvas=(0.955, 0.935, 0.885))),
    (38, region.RENDERER, region.Config(fill="wash")),
)
_GAP_PX = 6


def main() -> None:
    """Paint a few scenes, a row each: in strokes, in oil, in ink, and region by region."""
    source, rows = ScenesSource(), []
    for number, renderer, config in _ROWS:
        picture = source.load(source.index(number + 1)[number], Framing()).image
        painting = renderer.paint(picture, config, np.random.SeedSequence(number))
        frames = list(renderer.replay(painting.program, FrameSchedule().steps(painting.left)))[1:]
        rows.append(np.hstack([_framed(to_uint8(frame)) for frame in frames]))
    sheet = Image.fromarray(np.vstack(rows))
    sheet.resize((sheet.width // 2, sheet.height // 2), Image.Resampling.LANCZOS).save(
        Path(__file__).parent / "images" / "processes.webp", quality=88, method=6
    )


def _framed(frame: np.ndarray) -> np.ndarray:
    return np.pad(frame, ((_GAP_PX, _GAP_PX), (_GAP_PX, _GAP_PX), (0, 0)), constant_values=255)


if __name__ == "__main__":
    main()
