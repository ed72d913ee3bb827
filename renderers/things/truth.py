"""Things of a picture whose objects are known."""

import numpy as np

from renderers.painting import Knowledge
from renderers.things.graph import Labels, borders, numbered

_LARGE, _ON_BORDER = 0.25, 0.05  # shares of the canvas and of its border from which an object is ground, without parts
_SHARED = 0.1  # least share of a part's border that lies against what it is a part of


def known_wholes(known: Knowledge) -> Labels:
    """(H, W) the known objects, each with its parts: a house with its roof, a boat with its sails.

    A part is drawn right after what it belongs to, so it is the next in depth, and much of its border lies against it.
    What is large or runs along the border of the canvas is ground, and has no parts. Without depth all stay single.
    """
    assert known.labels is not None
    labels = numbered(known.labels)
    if known.depth is None:
        return labels
    count = int(labels.max()) + 1
    areas = np.bincount(labels.ravel(), minlength=count)
    far = np.bincount(labels.ravel(), known.depth.ravel(), count) / areas
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    is_ground = (areas > _LARGE * labels.size) | (np.bincount(edge, minlength=count) > _ON_BORDER * len(edge))
    touching = borders(labels, np.zeros((*labels.shape, 3), np.float32))
    common_border = np.zeros((count, count))
    a, b = touching.pairs.T
    common_border[a, b] = common_border[b, a] = touching.lengths
    perimeters = common_border.sum(1)
    wholes = np.arange(count)
    for behind, part in zip(*_neighbours_in_depth(far), strict=True):
        against = common_border[part, wholes == wholes[behind]].sum()
        if not is_ground[[behind, part]].any() and against >= _SHARED * perimeters[part]:
            wholes[part] = wholes[behind]
    return numbered(wholes[labels])


def _neighbours_in_depth(far: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of labels next to each other in depth: the farther ones, and the nearer ones."""
    order = np.argsort(-far, kind="stable")
    return order[:-1], order[1:]
