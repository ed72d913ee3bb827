"""Painting processes to judge: drawn ones, and a data set in which every scene is painted four times."""

from pathlib import Path

import cv2
import numpy as np

from pipelines.artists.grid import GridConfig
from pipelines.evaluation.importers import Wanted, read_set
from pipelines.evaluation.process import Process
from tests.pipelines.runs import synth

WANTED = Wanted(grid=GridConfig(), max_sequences=256, num_frames=8, size_px=64)


def drawn(number: int, num_frames: int = 8, *, picture: int | None = None, size_px: int = 64) -> Process:
    """A picture of coloured fields, painted on white with square brushes, broad ones first, each in one colour.

    Args:
        number: seed of the places of the brushes.
        num_frames: frames, with the blank canvas.
        picture: seed of the picture; None for that of `number`.
        size_px: side of the frames.
    """
    fields = np.random.default_rng(number if picture is None else picture).integers(0, 256, (5, 6, 3), np.uint8)
    target = cv2.resize(fields, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng(number)
    frames = [np.full((size_px, size_px, 3), 255, np.uint8)]
    for share in np.linspace(0.0, 1.0, num_frames - 1):
        canvas = frames[-1].copy()
        side = max(2, round(size_px / 2 * (1 - share) ** 2))
        for _ in range(round(0.8 * (size_px / side) ** 1.5)):
            y, x = rng.integers(-side // 2, size_px - side // 2, 2).clip(0)
            canvas[y : y + side, x : x + side] = target[y : y + side, x : x + side].mean((0, 1))
        frames.append(canvas)
    source = None if picture is None else f"picture {picture}"
    return Process(name=f"drawn {number}", frames=np.stack(frames), caption=f"fields {source or number}", source=source)


def drawn_set(num_pictures: int, first: int = 0, paintings: int = 4) -> list[Process]:
    """Several paintings of each picture."""
    return [
        drawn(first + paintings * picture + number, picture=picture)
        for picture in range(num_pictures)
        for number in range(paintings)
    ]


def paint_scenes(folder: Path, num_scenes: int, paintings: int = 4) -> Path:
    """Paint the same scenes several times with other seeds; returns a folder of one data set for each time."""
    for seed in range(paintings):
        overrides = ("renderer=small", "size=64", "source.seed=11", "val_fraction=0", "gallery=false", "cluster=inline")
        assert synth(*overrides, f"seed={seed + 1}", f"num_sequences={num_scenes}", f"out={folder / f'by_{seed}'}") == 0
    return folder


def read(folder: Path) -> list[Process]:
    """All processes of a folder."""
    return read_set("reference", folder, "auto", WANTED).processes
