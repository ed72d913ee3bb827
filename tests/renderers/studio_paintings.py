"""Pictures of awkward kinds, and paintings of scenes by the studio renderer."""

from functools import cache
from typing import Any

import cv2
import numpy as np

from renderers.painting import Image, Painting
from renderers.studio import RENDERER, Config
from renderers.studio.media import MEDIA
from renderers.studio.phases import PHASES, Turns
from tests.renderers.pictures import landscape, plain
from tests.renderers.region_scenes import scene

paint = RENDERER.paint

PAINTED = tuple(name for name, medium in MEDIA.items() if medium.paints)
FEW: dict[str, Any] = {"num_strokes": 120, "num_lines": 60, "preset": "fast"}


@cache
def painted(index: int = 1, seed: int = 0, **keys: Any) -> Painting:
    """A scene painted with few strokes, with its objects known."""
    image, known = scene(index)
    return paint(image, Config(**(FEW | keys)), np.random.SeedSequence(seed), known=known)


def turns_of(painting: Painting) -> Turns:
    """Phase and object of each of its steps."""
    return Turns.from_arrays(painting.program.arrays, len(painting.program.strokes))


def phase_names(turns: Turns) -> list[str]:
    """The name of the phase of each step."""
    return [PHASES[number] for number in turns.phases]


def awkward_pictures() -> dict[str, Image]:
    """Pictures by what is awkward about them, float32 RGB in [0, 1]."""
    specks = plain(80, 80, (0.9, 0.9, 0.85))
    rng = np.random.default_rng(3)
    for y, x in rng.integers(2, 78, (300, 2)):
        specks[y - 1 : y + 1, x - 1 : x + 1] = rng.uniform(0, 1, 3)
    portrait = plain(96, 72, (0.3, 0.4, 0.6))
    cv2.ellipse(portrait, (36, 70), (34, 60), 0, 0, 360, (0.8, 0.6, 0.5), -1)
    line_art = plain(72, 96, (1.0, 1.0, 1.0))
    for radius in (8, 16, 30):
        cv2.circle(line_art, (48, 36), radius, (0.0, 0.0, 0.0), 1)
    letters = np.full((64, 160, 3), 255, np.uint8)
    cv2.putText(letters, "Studio 17", (4, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (20, 20, 20), 2)
    text: Image = (letters / np.float32(255)).astype(np.float32)
    whole = plain(64, 64, (0.2, 0.5, 0.3))
    whole[:, :, 0] += np.linspace(0, 0.2, 64, dtype=np.float32)
    return {
        "uniform": plain(64, 64, (0.5, 0.5, 0.5)),
        "white": plain(64, 64, (1.0, 1.0, 1.0)),
        "black": plain(64, 64, (0.0, 0.0, 0.0)),
        "one object fills all": whole,
        "hundreds of specks": specks,
        "portrait cut by the frame": portrait,
        "line art": line_art,
        "text": text,
        "64 px": landscape(64, 64),
        "panorama": landscape(64, 320),
        "tall": landscape(320, 64),
        "noise": rng.uniform(0, 1, (64, 64, 3)).astype(np.float32),
    }
