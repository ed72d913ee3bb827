"""The sheet of docs/studio.md: ten scenes in the media of the studio.

python -m docs.make_studio
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pipelines.sources.framing import Framing
from pipelines.sources.scenes.source import ScenesSource
from renderers.painting import FrameSchedule, to_uint8
from renderers.studio import RENDERER, Config
from renderers.studio.config import Medium

OUT = Path(__file__).parent / "images" / "studio.webp"
SHEETS: tuple[tuple[int, Medium], ...] = (
    (0, "oil"), (3, "oil"), (7, "oil"), (1, "ink"), (4, "ink"), (2, "watercolour"), (6, "watercolour"), (5, "digital"),
    (9, "digital"), (8, "pencil"),
)  # fmt: skip
"""Number of the scene and medium of each row."""

_SEED, _SIZE_PX, _CELL_PX = 11, 256, 128
_HATCHING = 800


def sheet(index: int, medium: Medium, seed: int) -> np.ndarray:
    """(128, 8 x 128, 3) uint8 row of the sheet: seven frames after the blank one, and the picture."""
    source = ScenesSource(seed=_SEED)
    picture = source.load(source.entry(index), Framing(height_px=_SIZE_PX, width_px=_SIZE_PX))
    config = Config(medium=medium, num_strokes=_HATCHING if medium == "pencil" else 500)
    painting = RENDERER.paint(picture.image, config, np.random.SeedSequence(seed), known=picture.knowledge())
    steps = FrameSchedule(num_frames=8).steps(painting.left)
    canvases = [*RENDERER.replay(painting.program, steps)][1:]
    cells = [
        cv2.resize(to_uint8(canvas), (_CELL_PX, _CELL_PX), interpolation=cv2.INTER_AREA)
        for canvas in (*canvases, picture.image)
    ]
    return np.concatenate(cells, axis=1)


if __name__ == "__main__":
    rows = [sheet(index, medium, seed) for seed, (index, medium) in enumerate(SHEETS)]
    Image.fromarray(np.concatenate(rows)).save(OUT, "WEBP", quality=72, method=6)
