"""A guess at what lies in front of what, where no depth is known.

Of two things that touch, the one in front is more often the smaller and the lower (Fowlkes, Martin and Malik: Local
figure-ground cues are valid for natural images, Journal of Vision 7(8), 2007), and the one that has less of the
canvas's border, of its upper part above all. On bundled scenes (series 77, by length of border) these cues are right
for 82, 57, 83 and 91 % of pairs. Which one bulges is right for 67 %, T-junctions for 56 %: both add nothing to the
rest.
"""

import numpy as np
from numpy.typing import NDArray

from renderers.things.contours import resized_labels
from renderers.things.graph import Labels, borders

_WORKING_PX = 128
_SMALLER, _LOWER, _UPPER_BORDER, _SIDE_BORDERS = 2.5, 2.5, 2.5, 1.5
_PRIOR_WEIGHT = 0.1
_UNDECIDED = 1e-3


def guessed_distances(labels: Labels, rng: np.random.Generator) -> NDArray[np.float64]:
    """(K,) how far away each thing seems, larger where farther, on an arbitrary scale.

    Args:
        labels: (H, W) numbered without gaps.
        rng: decides between things that nothing else distinguishes.
    """
    height, width = labels.shape
    scale = min(1.0, _WORKING_PX / min(height, width))
    small = resized_labels(labels, max(1, round(scale * height)), max(1, round(scale * width)))
    count = int(labels.max()) + 1
    pixels = np.maximum(np.bincount(small.ravel(), minlength=count), 1)
    rows = (np.arange(small.shape[0]) + 0.5) / small.shape[0]
    heights = np.bincount(small.ravel(), np.repeat(rows, small.shape[1]), count) / pixels
    upper = np.bincount(small[0], minlength=count) / small.shape[1]
    sides = np.bincount(small[:, [0, -1]].ravel(), minlength=count) / (2 * small.shape[0])
    on_border = _UPPER_BORDER * upper + _SIDE_BORDERS * sides
    above = np.zeros((count, count))
    np.add.at(above, (small[:-1].ravel(), small[1:].ravel()), 1)
    lengths = np.zeros((count, count))
    touching = borders(small, np.zeros((*small.shape, 3), np.float32))
    a, b = touching.pairs.T
    lengths[a, b] = lengths[b, a] = touching.lengths
    votes = (
        _LOWER * (above - above.T) / np.maximum(lengths, 1)
        + _SMALLER * np.tanh(np.log(pixels)[:, None] - np.log(pixels))
        + (on_border[:, None] - on_border)
    )
    # These distances minimise the sum over pairs of weight * (own - other's - vote)^2, near a prior: higher is farther.
    weights = np.sqrt(lengths / max(1.0, float(lengths.max())))
    prior = on_border - _LOWER * heights + _UNDECIDED * rng.random(count)
    system = np.diag(weights.sum(1) + _PRIOR_WEIGHT) - weights
    distances: NDArray[np.float64] = np.linalg.solve(system, (weights * votes).sum(1) + _PRIOR_WEIGHT * prior)
    return distances
