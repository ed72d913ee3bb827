"""Compares two processes: their distance with or without time warping, and the agreement of their order."""

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.curves import rank_correlation
from pipelines.evaluation.process import BLOCKS, Process, block_means, colour_difference


def dtw(one: Process, two: Process) -> float:
    """Dynamic time warping distance (Sakoe & Chiba 1978) over mean ΔE of frames, per frame of the longer process.

    C(i, j) = d(i, j)² + min(C(i-1, j), C(i, j-1), C(i-1, j-1)). The result is sqrt(C(n, m) / max(n, m)), in ΔE.

    Raises:
        ValueError: if their pictures differ in size.
    """
    if one.frames.shape[1:] != two.frames.shape[1:]:
        raise ValueError(f"pictures of {one.frames.shape[1:3]} and of {two.frames.shape[1:3]}")
    return warped(np.stack([colour_difference(two.lab, frame).mean((1, 2), dtype=np.float64) for frame in one.lab]))


def warped(distances: NDArray[np.float64]) -> float:
    """Dynamic time warping distance, as `dtw`, of an (n, m) matrix of distances."""
    n, m = distances.shape
    cost = np.full((n + 1, m + 1), np.inf)
    cost[0, 0] = 0.0
    for i in range(n):
        for j in range(m):
            before = min(cost[i, j + 1], cost[i + 1, j], cost[i, j])
            cost[i + 1, j + 1] = distances[i, j] ** 2 + before
    return float(np.sqrt(cost[n, m] / max(n, m)))


def region_iou(one: Process, two: Process) -> float:
    """Mean over steps of the overlap of what both change visibly; 1 for a step in which neither changes anything.

    The changes are the masks of Inverse Painting, with ΔE in place of LPIPS. They are taken as shares of 8 x 8 blocks,
    so that two painters who work on the same part with different strokes agree. The overlap is the sum of the smaller
    shares divided by the sum of the larger ones (Ruzicka).
    """
    shares = [block_means(process.changed.transpose(1, 2, 0), BLOCKS).astype(np.float64) for process in (one, two)]
    overlap, union = np.minimum(*shares).sum((0, 1)), np.maximum(*shares).sum((0, 1))
    return float(np.where(union > 0, overlap / np.where(union > 0, union, 1.0), 1.0).mean())


def order_agreement(one: Process, two: Process) -> float:
    """Spearman's ρ between the moments at which two processes work on each of 8 x 8 blocks.

    1 if they paint the parts of the picture in the same order, -1 in the opposite order. If one of them works on all
    parts at once, it is 0; if both do, it is 1.
    """
    moments = [_moments_of_work(process) for process in (one, two)]
    at_once = [float(np.ptp(each)) == 0.0 for each in moments]
    return 1.0 if all(at_once) else rank_correlation(*moments)


def _moments_of_work(process: Process) -> NDArray[np.float64]:
    """(8, 8) mean step of each block, weighted by the colour difference that the step makes there."""
    work = np.stack([block_means(step, BLOCKS) for step in process.steps]).astype(np.float64)
    steps = np.arange(len(work), dtype=np.float64).reshape(-1, 1, 1)
    total_work = work.sum(0)
    moments: NDArray[np.float64] = np.where(
        total_work > 0, (work * steps).sum(0) / np.where(total_work > 0, total_work, 1.0), 0.0
    )
    return moments


def diversity_profile(process: Process, siblings: list[Process]) -> NDArray[np.float64]:
    """(T,) mean ΔE at each frame between a process and others of the same picture, T the same for all."""
    profiles = [colour_difference(process.lab, other.lab).mean((1, 2), dtype=np.float64) for other in siblings]
    mean: NDArray[np.float64] = np.mean(profiles, axis=0)
    return mean
