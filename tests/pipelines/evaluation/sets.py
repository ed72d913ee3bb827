"""Sets of described processes whose distances are known."""

from collections.abc import Sequence

import numpy as np

from pipelines.evaluation.agreement import Matrix, WeightedSet


def weighted(vectors: Matrix, pictures: Sequence[str], weights: Matrix | None = None) -> WeightedSet:
    """A set of (N, D) vectors of paintings of (N,) pictures, each of which counts once if no weights are given."""
    given = np.ones((1, len(vectors))) if weights is None else weights
    return WeightedSet(vectors=vectors, pictures=pictures, weights=given)
