"""Describes how a process proceeds, whatever it paints, by short vectors, and by single numbers derived from them.

Each function takes a `Process` of T frames. Definitions and sources: docs/metrics.md.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from pipelines.evaluation.process import BLOCKS, VISIBLE, Process, block_means
from renderers.quality import progress_violation as share_of_way
from renderers.quality import whole_way

Curve = NDArray[np.float64]

_OPACITIES = (VISIBLE, 10.0, 20.0, 40.0)  # ΔE from the ground: from a trace of paint to its full colour
_DETAIL_DIVISOR = 16  # detail is what the means of blocks with a 16th of the side do not show
_HALO_DIVISOR = 32  # pixels within a 32nd of the side of a change belong to it
_TINY = 1e-9


def distance_profile(process: Process) -> Curve:
    """(T,) mean ΔE from the finished picture, as a share of the largest, like Loomis Painter's PDP."""
    distances = process.to_end.mean((1, 2), dtype=np.float64)
    profile: Curve = distances / max(float(distances.max()), _TINY)
    return profile


def coverage(process: Process) -> Curve:
    """(4T,) share of pixels that differ from the ground visibly, and by more than 10, 20 and 40 ΔE.

    The thresholds tell thin paint from thick. A wash covers at once, as a cross-fade does, but it does not stay thin.
    """
    shares = [(process.from_blank > opacity).mean((1, 2), dtype=np.float64) for opacity in _OPACITIES]
    return np.concatenate(shares)


def covered_share(process: Process) -> float:
    """Mean over frames of the share of pixels that visibly differ from the ground."""
    return float((process.from_blank > VISIBLE).mean())


def progress_violation(process: Process) -> Curve:
    """(T - 1,) mean ΔE by which pixels recede from the finished picture, as a share of `whole_way`.

    Even if the canvas as a whole comes nearer, some pixels recede, for example at the edges of strokes.
    """
    receded = np.diff(process.to_end, axis=0).clip(min=0).mean((1, 2), dtype=np.float64)
    violations: Curve = receded / max(whole_way(process.to_end.mean((1, 2), dtype=np.float64).tolist()), _TINY)
    return violations


def canvas_violation(process: Process) -> float:
    """Progress violation of the whole canvas: distance gained where it should fall, as a share of the way."""
    return share_of_way(process.to_end.mean((1, 2), dtype=np.float64).tolist())


def commit_times(process: Process) -> Curve:
    """(T,) share of pixels that have visually their final colour from frame t on."""
    commits = _commits(process)
    return np.array([(commits <= t).mean() for t in range(len(process.frames))])


def commit_entropy(process: Process) -> float:
    """Entropy of the histogram of commit times, 0 (all at once) to 1 (equally many at every frame)."""
    shares = np.diff(commit_times(process), prepend=0.0)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum() / np.log(len(process.frames)))


def locality(process: Process) -> Curve:
    """(T - 1,) area of the largest connected change as a share of the step's whole change; 0 where nothing changes."""
    return np.array([_largest_part(mask) for mask in process.changed])


def order(process: Process) -> Curve:
    """(3,) whether salient parts come first, neighbouring parts are finished together, and detail is finished last.

    The first is `salient_first`. The second is Moran's I (Moran 1950) of commit times over neighbouring blocks: about 0
    for a random order, up to 1 for areas that are finished as a whole. The third is Spearman's ρ between a block's mean
    commit time and the variance of colours within it.
    """
    commits = block_means(_commits(process), BLOCKS)
    finished = process.lab[-1]
    detail = (block_means(finished**2, BLOCKS) - block_means(finished, BLOCKS) ** 2).clip(min=0).sum(-1)
    return np.array([salient_first(process), _neighbours_agree(commits), rank_correlation(commits, detail)])


def salient_first(process: Process) -> float:
    """Spearman's ρ between the time at which a block is first changed and its negative saliency; 1 for salient first.

    The saliency of a block is its ΔE from the border's mean colour (boundary prior, Wei et al. 2012).
    """
    touched = np.concatenate([process.changed, np.ones_like(process.changed[:1])])
    first = block_means(touched.argmax(0), BLOCKS)
    colours = block_means(process.lab[-1], BLOCKS)
    border = np.ones((BLOCKS, BLOCKS), bool)
    border[1:-1, 1:-1] = False
    saliency = np.linalg.norm(colours - colours[border].mean(0), axis=-1)
    return rank_correlation(first, -saliency)


def fine_shares(process: Process) -> Curve:
    """(T - 1,) share of each step's energy in CIELAB that blocks of a 16th of the side do not show."""
    changes = np.diff(process.lab, axis=0)
    height, width = changes.shape[1:3]
    blocks = min(_DETAIL_DIVISOR, height, width)
    shares = []
    for change in changes:
        coarse = cv2.resize(block_means(change, blocks), (width, height), interpolation=cv2.INTER_NEAREST)
        energy = float((change**2).sum())
        shares.append(float(((change - coarse) ** 2).sum()) / energy if energy > _TINY else 0.0)
    return np.array(shares)


def coarse_to_fine(process: Process) -> float:
    """Spearman's ρ between time and the share of fine detail: 1 when every step is finer than the one before."""
    shares = fine_shares(process)
    return rank_correlation(np.arange(len(shares), dtype=np.float64), shares)


def flicker(process: Process) -> Curve:
    """(T - 1,) mean ΔE of pixels far from where a step paints."""
    reach = max(1, min(process.changed.shape[1:]) // _HALO_DIVISOR)
    brush = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    values = []
    for mask, step in zip(process.changed, process.steps, strict=True):
        unpainted = cv2.dilate(mask.astype(np.uint8), brush) == 0
        values.append(float(step[unpainted].mean()) if unpainted.any() else 0.0)
    return np.array(values)


def revisions(process: Process) -> Curve:
    """(T - 1,) share of pixels that a step changes again, after at least one step that did not change them."""
    changed = process.changed
    changed_before = np.zeros_like(changed[0])
    shares = []
    for t, mask in enumerate(changed):
        revised = mask & changed_before & ~changed[t - 1] if t else np.zeros_like(mask)
        shares.append(float(revised.mean()))
        changed_before |= mask
    return np.array(shares)


def revised_share(process: Process) -> float:
    """Share of pixels that are changed in at least two separate runs of steps."""
    changed = process.changed
    starts = changed & ~np.concatenate([np.zeros_like(changed[:1]), changed[:-1]])
    return float((starts.sum(0) >= 2).mean())


def _commits(process: Process) -> NDArray[np.int_]:
    """(H, W) frame from which on a pixel has its final colour."""
    settled = np.logical_and.accumulate((process.to_end < VISIBLE)[::-1])[::-1]
    first: NDArray[np.int_] = settled.argmax(0)
    return first


def _neighbours_agree(values: NDArray[np.floating]) -> float:
    """Moran's I with the four neighbours; 0 if values do not vary."""
    deviation = values - values.mean()
    variance = float((deviation**2).mean())
    if variance < _TINY:
        return 0.0
    vertical, horizontal = deviation[1:] * deviation[:-1], deviation[:, 1:] * deviation[:, :-1]
    return float((vertical.mean() + horizontal.mean()) / (2 * variance))


def _largest_part(mask: NDArray[np.bool_]) -> float:
    if not mask.any():
        return 0.0
    areas = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)[2][1:, cv2.CC_STAT_AREA]
    return float(areas.max() / areas.sum())


def rank_correlation(one: NDArray[np.floating], two: NDArray[np.floating]) -> float:
    """Spearman's ρ; 0 if one of the two does not vary."""
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        return 0.0
    return float(spearmanr(one.ravel(), two.ravel()).statistic)
