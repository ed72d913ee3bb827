"""The batch interface of the Bézier renderer on a GPU: images in, programs out, and programs in, canvases out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from renderers.bezier.config import BezierConfig
from renderers.bezier.gpu.fit import fit_batch
from renderers.painting import Image, StrokeProgram
from renderers.raster.gpu.rasteriser import paint

_MOST_VALUES = 1 << 28  # floats of all canvases painted at once


def device_of(name: str) -> torch.device:
    """The torch device of the configuration's `device`."""
    return torch.device(name)


def plan_batch(
    images: Sequence[Image], config: BezierConfig, seeds: Sequence[np.random.SeedSequence]
) -> list[StrokeProgram]:
    """Programs that paint (H, W, 3) images of one size.

    Raises:
        MemoryError: if the device has too little.
    """
    with _memory_errors():
        fitted = fit_batch(images, config, seeds, device_of(config.device))
    return [
        StrokeProgram(
            family="bezier", strokes=strokes, canvas=config.canvas, height_px=len(image), width_px=image.shape[1]
        )
        for strokes, image in zip(fitted, images, strict=True)
    ]


def canvases_of(programs: Sequence[StrokeProgram], steps: Sequence[Sequence[int]], device: str) -> list[list[Image]]:
    """The (H, W, 3) canvases of each program after each of its steps.

    Args:
        programs: all of one size and one number of strokes.
        steps: equally many for each program, ascending; 0 is the blank canvas.

    Raises:
        MemoryError: if the device has too little.
        ValueError: if programs differ in size or number of strokes, or in how many steps are asked of them.
    """
    shapes = {(program.height_px, program.width_px, len(program.strokes)) for program in programs}
    if len(shapes) > 1 or len({len(chosen) for chosen in steps}) > 1:
        raise ValueError("the programs of a batch differ in size, number of strokes or number of steps")
    canvases: list[list[Image]] = []
    torch_device = device_of(device)
    for part in _parts(programs, steps):
        batch = programs[part]
        strokes = torch.from_numpy(np.stack([program.strokes for program in batch])).to(torch_device)
        blank = torch.tensor([program.canvas for program in batch], device=torch_device)
        ground = blank[:, None, None].expand(-1, batch[0].height_px, batch[0].width_px, -1)
        with _memory_errors(), torch.no_grad():
            painted = paint(
                strokes, ground, torch.tensor([list(chosen) for chosen in steps[part]], device=torch_device)
            )
            canvases += [list(frames) for frames in painted.cpu().numpy()]
    return canvases


def _parts(programs: Sequence[StrokeProgram], steps: Sequence[Sequence[int]]) -> Iterator[slice]:
    """Slices of as many programs as have canvases that fit into memory together."""
    if programs:
        count = max(1, _MOST_VALUES // (3 * programs[0].height_px * programs[0].width_px * max(1, len(steps[0]))))
        yield from (slice(first, first + count) for first in range(0, len(programs), count))


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Report a GPU that runs out of memory as a MemoryError, as on the CPU: it is not the fault of a picture."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error
