"""Intervals of losses on held-out sequences, which resample the pictures that were painted, not the sequences."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.agreement import Estimate, estimate, mean_estimate, resampled
from training.data.split import open_split

_SEED = 0


def pictures_of(data: Path, keys: Sequence[str]) -> list[str]:
    """Hash of the picture that each sequence of the val split was painted from; a picture may be painted several times.

    Args:
        data: folder of the data set.
        keys: `<folder name>/<sequence key>`, as in batches.
    """
    split = open_split(str(data), "val")
    hashes = {f"{split.name}/{record['key']}": str(record["source_sha256"]) for record in split.records()}
    return [hashes[key] for key in keys]


def mean_of(values: NDArray[np.float64], pictures: Sequence[str]) -> Estimate:
    """Mean of (N,) values, with its 95 % interval over pictures."""
    return mean_estimate(values, pictures, np.random.default_rng(_SEED))


def share_lower(before: NDArray[np.float64], after: NDArray[np.float64], pictures: Sequence[str]) -> Estimate:
    """The share by which the mean of (N,) paired losses has fallen, with its 95 % interval over pictures."""
    weights = resampled(pictures, np.random.default_rng(_SEED))
    shares = 1 - (weights @ after) / (weights @ before)
    return estimate(float(1 - after.mean() / before.mean()), shares, len(before))
