"""Measures of the finished picture against the reference picture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pipelines.artists.footage import unit
from pipelines.evaluation.agreement import Figure, mean_estimate
from pipelines.evaluation.perceptual import BATCH, Networks, frechet_distance
from pipelines.evaluation.process import Process, pictures_of
from renderers.painting import Image
from renderers.quality import psnr_db, ssim

Measure = Callable[[Image, Image], float]


def mse(painted: Image, target: Image) -> float:
    """Mean squared error of two images in [0, 1]."""
    return float(np.mean((painted.astype(np.float64) - target) ** 2))


def l1(painted: Image, target: Image) -> float:
    """Mean absolute error of two images in [0, 1]."""
    return float(np.mean(np.abs(painted.astype(np.float64) - target)))


MEASURES: Mapping[str, tuple[str, Measure]] = MappingProxyType(
    {"MSE": ("lower", mse), "L1": ("lower", l1), "PSNR, dB": ("higher", psnr_db), "SSIM": ("higher", ssim)}
)
"""Name -> the better direction ("lower" or "higher"), and the measure."""

Pairs = Sequence[tuple[Process, Sequence[Process]]]

_PERCEPTUAL = {"LPIPS": "lower", "CLIP-I": "higher", "CLIP-T": "higher", "DINO": "higher"}
_UNPAIRED = "no generated sequence shows a picture of the reference (by source, caption or name)"
_LEAST_FID = 8


@dataclass(frozen=True, kw_only=True)
class EndpointRow:
    """One endpoint measure of the generated set; `value` is None if it is missing, and `reason` says why.

    FID has no interval: resamples repeat pictures, so their FID is higher than that of the set.
    """

    name: str
    direction: str
    value: Figure | None
    reason: str | None = None


def endpoint_rows(
    generated: Sequence[Process], references: Sequence[Process], pairs: Pairs, networks: Networks,
    rng: np.random.Generator,
) -> list[EndpointRow]:  # fmt: skip
    """Every endpoint measure as a mean over processes; of several references of a picture, the mean is taken first.

    Args:
        generated, references: processes of the same size.
        pairs: generated processes and, for each, the references of the same picture.
        networks: networks of the measures that need them.
        rng: random numbers of the bootstrap.
    """
    rows = []
    pictures = pictures_of(pairs)
    for name, (direction, measure) in MEASURES.items():
        values = [
            np.mean([measure(unit(_last(process)), unit(_last(reference))) for reference in same_picture])
            for process, same_picture in pairs
        ]
        rows.append(_row(name, direction, np.array(values), pictures, None, rng))
    perceptual_values = _perceptual_values(pairs, networks)
    for name, direction in _PERCEPTUAL.items():
        lacking = f"needs {networks.lacking[name]}" if name in networks.lacking else None
        rows.append(_row(name, direction, perceptual_values.get(name, np.zeros(0)), pictures, lacking, rng))
    return [*rows, _fid_row(generated, references, networks)]


def _row(
    name: str, direction: str, values: NDArray[np.float64], pictures: Sequence[str], lacking: str | None,
    rng: np.random.Generator,
) -> EndpointRow:  # fmt: skip
    finite = np.flatnonzero(np.isfinite(values))
    if len(finite):
        value = mean_estimate(values[finite], [pictures[int(place)] for place in finite], rng)
        return EndpointRow(name=name, direction=direction, value=value)
    reason = lacking or ("no generated sequence has a caption" if len(values) else _UNPAIRED)
    return EndpointRow(name=name, direction=direction, value=None, reason=reason)


def _perceptual_values(pairs: Pairs, networks: Networks) -> dict[str, NDArray[np.float64]]:
    """Values of the measures that have weights; of several references of a picture, only the first is used."""
    values: dict[str, list[NDArray[np.float64]]] = {}
    for start in range(0, len(pairs), BATCH):
        batch = pairs[start : start + BATCH]
        finished = np.stack([_last(process) for process, _ in batch])
        targets = np.stack([_last(same_picture[0]) for _, same_picture in batch])
        for measure in networks.measures:
            for name, measured in measure(finished, targets, [process.caption for process, _ in batch]).items():
                values.setdefault(name, []).append(measured)
    return {name: np.concatenate(measured) for name, measured in values.items()}


def _fid_row(generated: Sequence[Process], references: Sequence[Process], networks: Networks) -> EndpointRow:
    if networks.inception is None:
        return EndpointRow(name="FID", direction="lower", value=None, reason=f"needs {networks.lacking['FID']}")
    if min(len(generated), len(references)) < _LEAST_FID:
        reason = f"needs {_LEAST_FID} sequences in each set at least, and says little below some thousand"
        return EndpointRow(name="FID", direction="lower", value=None, reason=reason)
    features = (
        networks.inception(np.stack([_last(process) for process in processes])) for processes in (generated, references)
    )
    value = Figure(value=frechet_distance(*features), count=len(generated))
    return EndpointRow(name="FID", direction="lower", value=value)


def _last(process: Process) -> NDArray[np.uint8]:
    finished: NDArray[np.uint8] = process.frames[-1]
    return finished
