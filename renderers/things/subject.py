"""Which cells are the subject: the cheapest cut between what stands out and the rest."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from renderers.things.background import Scores
from renderers.things.cells import Cells

_MIDDLE, _REACH, _CENTRE_WEIGHT = (0.52, 0.5), 0.33, 0.5
_LOWEST, _HIGHEST, _STEEPNESS = 0.2, 0.6, 8.0  # of the level from which a cell is taken for the subject
_ROUNDS = 3
_LIKE_LAB, _LIKE_NEAR = 9.0, 0.35  # deviations, in colour and in place, within which cells count as alike
_TRUST = 0.7
_BORDER_COST = 1.0
_SMOOTHNESS = 2.0
_LEAST_STEP_LAB = 2.5  # across an outline: smaller steps are noise, or a gradient
_UNIT = 1000  # flows are whole numbers


def subject_cells(cells: Cells, saliency: Scores) -> NDArray[np.bool_]:
    """(N,) whether each cell belongs to what draws the eye; in a uniform picture, none does.

    A cut of the graph of cells (Boykov and Jolly, ICCV 2001) by saliency, by likeness in colour to what is already
    taken for subject or background nearby (as in GrabCut: Rother et al., SIGGRAPH 2004), along strong borders.

    Args:
        saliency: (N,) in [0, 1].
    """
    if saliency.max() <= 0:
        return np.zeros(len(saliency), bool)
    height, width = cells.size
    y, x = cells.centres[:, 0] / height, cells.centres[:, 1] / width
    centre = np.exp(-((y - _MIDDLE[0]) ** 2 + (x - _MIDDLE[1]) ** 2) / (2 * _REACH**2))
    pull = saliency * (1 - _CENTRE_WEIGHT + _CENTRE_WEIGHT * centre)
    pull /= pull.max()
    level = np.clip(_otsu(pull, cells.areas), _LOWEST, _HIGHEST)
    salient = 1 / (1 + np.exp(-_STEEPNESS * (pull - level)))
    likeness = _likeness(cells) * cells.areas
    mean_px = cells.labels.size / len(saliency)
    links = _SMOOTHNESS * cells.touching.lengths / np.sqrt(mean_px)
    links = links * np.exp(-((cells.touching.strengths / max(cells.touching.strengths.mean(), 1e-6)) ** 2) / 2)
    on_border = np.minimum(1.0, cells.on_border / np.sqrt(cells.areas * cells.labels.size))
    belief = salient
    for _ in range(_ROUNDS):
        front = likeness @ belief / max(float(cells.areas @ belief), 1e-9)
        back = likeness @ (1 - belief) / max(float(cells.areas @ (1 - belief)), 1e-9)
        alike = (front + 1e-9) / (front + back + 2e-9)
        odds = _TRUST * (_log_odds(salient, 0.02) + _log_odds(alike, 0.03)) - _BORDER_COST * on_border
        subject = _cut(odds * cells.areas * len(saliency), cells.touching.pairs, links)
        belief = (salient + subject) / 2
    a, b = cells.touching.pairs.T
    outline = subject[a] != subject[b]
    if not outline.any() or np.average(cells.steps[outline], weights=cells.touching.lengths[outline]) < _LEAST_STEP_LAB:
        return np.zeros(len(saliency), bool)
    return subject


def _likeness(cells: Cells) -> NDArray[np.float64]:
    colours_apart = ((cells.means[:, None] - cells.means) ** 2).sum(-1) / _LIKE_LAB**2
    places_apart = ((cells.centres[:, None] - cells.centres) ** 2).sum(-1) / _LIKE_NEAR**2
    likeness: NDArray[np.float64] = np.exp(-(colours_apart + places_apart) / 2)
    return likeness


def _log_odds(probability: Scores, margin: float) -> Scores:
    clipped = np.clip(probability, margin, 1 - margin)
    odds: Scores = np.log(clipped / (1 - clipped))
    return odds


def _cut(gain: Scores, pairs: NDArray[np.int64], links: Scores) -> NDArray[np.bool_]:
    """The set of nodes with the largest sum of gains less the links that it cuts."""
    count = len(gain)
    source, sink = count, count + 1
    nodes, (a, b) = np.arange(count), pairs.T
    starts = np.concatenate([np.full(count, source), nodes, a, b])
    ends = np.concatenate([nodes, np.full(count, sink), b, a])
    capacities = np.concatenate([np.maximum(gain, 0), np.maximum(-gain, 0), links, links])
    integers = np.rint(capacities * _UNIT).astype(np.int32)
    graph = csr_matrix((integers, (starts, ends)), shape=(count + 2, count + 2))
    residual = graph - maximum_flow(graph, source, sink).flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    inside = np.zeros(count + 2, bool)
    inside[breadth_first_order(residual, source, return_predecessors=False)] = True
    return inside[:count]


def _otsu(values: Scores, weights: Scores, num_bins: int = 64) -> float:
    """The level that parts values in [0, 1] into two classes that differ most (Otsu, 1979)."""
    histogram, edges = np.histogram(values, num_bins, (0, 1), weights=weights)
    middles = (edges[:-1] + edges[1:]) / 2
    below, mass = np.cumsum(histogram), np.cumsum(histogram * middles)
    between = (mass[-1] * below - mass * below[-1]) ** 2 / np.maximum(below * (below[-1] - below), 1e-9)
    return float(middles[np.argmax(between)])
