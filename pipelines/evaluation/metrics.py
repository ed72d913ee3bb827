"""Every process metric: its value for one process, and the gap of a set of processes to the reference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation import beginnings, curves
from pipelines.evaluation.agreement import LEAST_OF_A_SET, Matrix, WeightedSet, energy_distances
from pipelines.evaluation.pairs import diversity_profile, dtw, order_agreement, region_iou
from pipelines.evaluation.process import Process, mates, pictures_of

Described = tuple[NDArray[np.float64], float]
Describe = Callable[[Process, Sequence[Process], Sequence[Process]], Described | None]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One process metric.

    Attributes:
        name: name in reports; docs/metrics.md defines the metric.
        unit: unit of its value, in words.
        direction: which values are better; of gaps to the reference, smaller ones always are.
        describe: (process, paintings of the same picture in the reference, other paintings of it in the process's own
            set) -> vector and value; None if the process lacks the paintings that the metric needs.
        paired: if true, the vector is a single distance to the reference's paintings of the same picture, and the gap
            is its mean. Otherwise a vector describes a process, and the gap is the energy distance of the two sets.
        lacks: reason to report if a set cannot be described.
        lacks_in_trial: the same for the trial, in which each process of the reference is compared with the others.
    """

    name: str
    unit: str
    direction: str
    describe: Describe
    paired: bool = False
    lacks: str = ""
    lacks_in_trial: str = ""

    def gaps(
        self, generated: "Description", reference: "Description", generated_weights: Matrix, reference_weights: Matrix
    ) -> NDArray[np.float64]:
        """(R,) gaps of N processes to a reference of M, for weights (R, N) and (R, M); NaN where there is none."""
        if not self.paired:
            return energy_distances(generated.weighted(generated_weights), reference.weighted(reference_weights))
        means: NDArray[np.float64] = generated_weights @ generated.vectors[:, 0] / generated_weights.sum(1)
        return means

    def too_small(self, described: "Description") -> bool:
        """Whether a set has too few processes for a mean over pairs, or too few pictures for an energy distance."""
        return (len(described) if self.paired else described.num_pictures) < LEAST_OF_A_SET


def _described_alone(
    describe: Callable[[Process], curves.Curve], value: Callable[[Process, curves.Curve], float]
) -> Describe:
    def described(process: Process, references: Sequence[Process], siblings: Sequence[Process]) -> Described:
        vector = describe(process)
        return vector, value(process, vector)

    return described


def _paired_with_references(compare: Callable[[Process, Process], float], *, similarity: bool) -> Describe:
    def described(process: Process, references: Sequence[Process], siblings: Sequence[Process]) -> Described | None:
        if not references:
            return None
        value = float(np.mean([compare(process, reference) for reference in references]))
        return np.array([1.0 - value if similarity else value]), value

    return described


def _diversity(process: Process, references: Sequence[Process], siblings: Sequence[Process]) -> Described | None:
    if not siblings:
        return None
    value = float(np.mean([dtw(process, other) for other in siblings]))
    return diversity_profile(process, list(siblings)), value


def _mean(process: Process, vector: curves.Curve) -> float:
    return float(vector.mean())


_NEAR = "nearer"

METRICS: tuple[Metric, ...] = (
    Metric(
        name="distance profile",
        unit="mean share of the way left",
        direction=_NEAR,
        describe=_described_alone(curves.distance_profile, _mean),
    ),
    Metric(
        name="progress violation",
        unit="share of the way",
        direction=_NEAR,
        describe=_described_alone(curves.progress_violation, lambda process, _: curves.canvas_violation(process)),
    ),
    Metric(
        name="coverage",
        unit="mean share of canvas",
        direction=_NEAR,
        describe=_described_alone(curves.coverage, lambda process, _: curves.covered_share(process)),
    ),
    Metric(
        name="commit time",
        unit="entropy, 0 to 1",
        direction=_NEAR,
        describe=_described_alone(curves.commit_times, lambda process, _: curves.commit_entropy(process)),
    ),
    Metric(
        name="locality",
        unit="mean share of a change",
        direction=_NEAR,
        describe=_described_alone(curves.locality, _mean),
    ),
    Metric(
        name="order",
        unit="Spearman's rho",
        direction=_NEAR,
        describe=_described_alone(curves.order, lambda _, vector: float(vector[0])),
    ),
    Metric(
        name="coarse to fine",
        unit="Spearman's rho",
        direction=_NEAR,
        describe=_described_alone(curves.fine_shares, lambda process, _: curves.coarse_to_fine(process)),
    ),
    Metric(name="flicker", unit="mean ΔE", direction=_NEAR, describe=_described_alone(curves.flicker, _mean)),
    Metric(
        name="revision",
        unit="share of canvas",
        direction=_NEAR,
        describe=_described_alone(curves.revisions, lambda process, _: curves.revised_share(process)),
    ),
    Metric(
        name="bare canvas",
        unit="mean share of canvas",
        direction=_NEAR,
        describe=_described_alone(beginnings.bare_shares, _mean),
    ),
    Metric(
        name="kept edges",
        unit="share, less chance",
        direction=_NEAR,
        describe=_described_alone(lambda process: np.array([beginnings.kept_edges(process)]), _mean),
    ),
    Metric(
        name="diversity",
        unit="ΔE, DTW",
        direction=_NEAR,
        describe=_diversity,
        lacks="no picture is painted twice",
        lacks_in_trial="no picture is painted twice in the reference",
    ),
    Metric(
        name="order agreement",
        unit="Spearman's rho",
        direction="higher",
        describe=_paired_with_references(order_agreement, similarity=True),
        paired=True,
        lacks="no picture is one of the reference",
        lacks_in_trial="no picture is painted twice in the reference",
    ),
    Metric(
        name="region IoU",
        unit="IoU",
        direction="higher",
        describe=_paired_with_references(region_iou, similarity=True),
        paired=True,
        lacks="no picture is one of the reference",
        lacks_in_trial="no picture is painted twice in the reference",
    ),
    Metric(
        name="DTW",
        unit="ΔE",
        direction="lower",
        describe=_paired_with_references(dtw, similarity=False),
        paired=True,
        lacks="no picture is one of the reference",
        lacks_in_trial="no picture is painted twice in the reference",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Description:
    """The values of one metric for a set.

    Attributes:
        vectors: (N, D) a row for each process that the metric can describe.
        values: (N,) the readable figure of each process.
        pictures: (N,) identifier of the picture that each process paints, the same in every set; see `pictures_of`.
    """

    vectors: Matrix
    values: NDArray[np.float64]
    pictures: Sequence[str]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def num_pictures(self) -> int:
        """Number of different pictures."""
        return len(set(self.pictures))

    def weighted(self, weights: Matrix) -> WeightedSet:
        """The set under (R, N) weights."""
        return WeightedSet(vectors=self.vectors, pictures=self.pictures, weights=weights)


def describe(
    processes: Sequence[Process], references: Sequence[Process], *, made_from: Sequence[Process] | None = None
) -> dict[str, Description]:
    """The values of every metric for a set, by name; empty for metrics that cannot describe the set.

    Args:
        processes: processes of the same length and size.
        references: references of the same length and size. A process among them is not its own reference.
        made_from: the reference that each process was made from; it does not count as its reference either.
    """
    described_processes: dict[str, list[tuple[str, Described]]] = {metric.name: [] for metric in METRICS}
    pairs = [(process, mates(process, references)) for process in processes]
    origins = made_from or processes
    for (process, same_picture), origin, picture in zip(pairs, origins, pictures_of(pairs), strict=True):
        paired = [other for other in same_picture if other is not process and other is not origin]
        siblings = [other for other in mates(process, processes) if other is not process]
        for metric in METRICS:
            described = metric.describe(process, paired, siblings)
            if described is not None:
                described_processes[metric.name].append((picture, described))
    return {name: _stack(rows) for name, rows in described_processes.items()}


def _stack(rows: list[tuple[str, Described]]) -> Description:
    if not rows:
        return Description(vectors=np.zeros((0, 1)), values=np.zeros(0), pictures=())
    return Description(
        vectors=np.stack([vector for _, (vector, _) in rows]),
        values=np.array([value for _, (_, value) in rows]),
        pictures=[name for name, _ in rows],
    )
