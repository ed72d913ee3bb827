"""Makes docs/images/processes.webp, the picture in the README: python -m docs.make_picture"""

from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.sources.framing import Framing
from pipelines.sources.scenes import ScenesSource
from renderers import bezier
from renderers.painting import FrameSchedule, to_uint8

_SCENES = (38, 21, 18, 26)
_GAP_PX = 6


def main() -> None:
    """Paint a few scenes, a row each, seven frames and the scene itself."""
    source, rows = ScenesSource(), []
    for number in _SCENES:
        picture = source.load(source.index(number + 1)[number], Framing()).image
        painting = bezier.paint(picture, bezier.Config(), np.random.SeedSequence(number))
        frames = list(bezier.replay(painting.program, FrameSchedule(num_frames=8).steps(painting.distances)))[1:]
        rows.append(np.hstack([_framed(to_uint8(frame)) for frame in frames]))
    sheet = Image.fromarray(np.vstack(rows))
    sheet.resize((sheet.width // 2, sheet.height // 2), Image.Resampling.LANCZOS).save(
        Path(__file__).parent / "images" / "processes.webp", quality=88, method=6
    )


def _framed(frame: np.ndarray) -> np.ndarray:
    return np.pad(frame, ((_GAP_PX, _GAP_PX), (_GAP_PX, _GAP_PX), (0, 0)), constant_values=255)


if __name__ == "__main__":
    main()
