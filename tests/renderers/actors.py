"""Actors for tests: random weights of the released layout, and a function that needs none."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from renderers.agent import Actor
from renderers.raster.ribbon import Floats
from training.models.actor import Actor as ReleasedActor
from training.models.proposing import ProposingActor

RELEASED_PARAMETERS = 11_209_857
"""ResNet-18 (11,689,512) with a 3 x 3 stem of nine channels, one more shortcut, and 65 outputs."""


def save_released_actor(path: Path) -> Path:
    """Save random weights as the authors save theirs: a bare state dict, in a file called .pkl."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(ReleasedActor().state_dict(), path)
    return path


def save_small_actor(path: Path) -> Path:
    """Save an untrained actor of stage `agent`, of a few kilobytes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = ProposingActor(4).state_dict()
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


class SquareOfColour:
    """An actor that puts five discs of the picture's mean colour on the diagonal, smaller from step to step."""

    def load(self) -> Actor:
        """The actor itself, as from a handle."""
        return self

    def __call__(self, canvases: Floats, pictures: Floats, done: float) -> Floats:
        """(B, 5, 13) strokes."""
        places = np.linspace(0.1, 0.9, 5, dtype=np.float32)
        strokes = np.zeros((len(pictures), 5, 13), np.float32)
        strokes[..., :6] = places[:, None]
        strokes[..., 2:4] = 0.5
        strokes[..., 6:8] = 0.3 * (1 - done)
        strokes[..., 8:10] = 0.9
        strokes[..., 10:] = pictures.mean((2, 3))[:, None]
        return strokes
