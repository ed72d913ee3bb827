"""The region adjacency graph: which regions touch, along how much of a border, across how strong an edge."""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int32]

_FLOOR = 0.3  # of the tolerance: regions that are more alike than this are merged, however few are left


def numbered(labels: NDArray[np.integer]) -> Labels:
    """The same partition with labels 0, 1, 2, ... without gaps, in the order of the old ones (none below 0)."""
    places = np.cumsum(np.bincount(labels.ravel()) > 0) - 1
    gapless: Labels = places[labels].astype(np.int32)
    return gapless


@dataclass(frozen=True)
class Borders:
    """Common borders of regions.

    Attributes:
        pairs: (E, 2) labels of two regions that touch, the lower first; sorted.
        lengths: (E,) pairs of pixels, side by side, that the border runs between.
        strengths: (E,) mean difference between such pixels, in the units of the colours.
    """

    pairs: NDArray[np.int64]
    lengths: NDArray[np.int64]
    strengths: NDArray[np.float64]


def borders(labels: Labels, colours: NDArray[np.float32]) -> Borders:
    """Borders between the regions of a (H, W) label map over (H, W, 3) colours."""
    count = int(labels.max()) + 1
    keys, steps = [], []
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        apart = labels[first] != labels[second]
        a, b = labels[first][apart].astype(np.int64), labels[second][apart].astype(np.int64)
        keys.append(np.minimum(a, b) * count + np.maximum(a, b))
        steps.append(np.linalg.norm(colours[first][apart] - colours[second][apart], axis=-1))
    pair_keys, place, lengths = np.unique(np.concatenate(keys), return_inverse=True, return_counts=True)
    total = np.bincount(place, np.concatenate(steps), len(pair_keys))
    return Borders(np.stack([pair_keys // count, pair_keys % count], 1), lengths, total / np.maximum(lengths, 1))


@dataclass(frozen=True, kw_only=True)
class Merging:
    """The rule by which regions are merged. Merging two regions costs

        (border_weight * strength of the border + colour difference) * (smaller area / all) ^ power

    where the colour difference counts at most colour_cap, and at most colour_per_border times the strength of the
    border: without a border, colours on both sides are ends of a gradient.

    Attributes:
        tolerance: regions are merged as long as that costs no more than this.
        min_regions: once at most so many are left, they are merged only at a fraction of that cost.
        max_regions: afterwards they are merged at any cost until at most so many are left.
        least_area: so are regions smaller than this share of the canvas, until none is left.
    """

    tolerance: float
    max_regions: int
    least_area: float
    min_regions: int = 1
    border_weight: float = 1.0
    colour_cap: float = 40.0
    colour_per_border: float = float("inf")
    power: float = 0.3


def merged(
    labels: Labels,
    colours: NDArray[np.float32],
    merging: Merging,
    groups: NDArray[np.integer] | None = None,
    leniency: NDArray[np.floating] | None = None,
    touching: Borders | None = None,
) -> Labels:
    """Merge the regions that are most alike, two by two, until the rest differ enough.

    Args:
        labels: (H, W) numbered without gaps.
        colours: (H, W, 3) Lab.
        groups: (R,) the group of each region; regions of two groups become one only if there are too many or one of
            them is too small.
        leniency: (R,) factor on the tolerance for each region, the same for all of a group; 1 if not given.
        touching: borders between the regions; those of `borders` if not given.

    Returns:
        (H, W) numbered without gaps; every region is a union of old ones that touch.
    """
    graph = _MergingGraph(labels, colours, merging, groups, leniency, touching or borders(labels, colours))
    parents = graph.run()
    return numbered(parents[labels])


class _MergingGraph:
    """Agglomeration with a heap of candidate pairs; entries of regions that have changed since are skipped."""

    def __init__(
        self,
        labels: Labels,
        colours: NDArray[np.float32],
        merging: Merging,
        groups: NDArray[np.integer] | None,
        leniency: NDArray[np.floating] | None,
        region_borders: Borders,
    ) -> None:
        flat = labels.ravel()
        self.count = int(labels.max()) + 1
        self.merging = merging
        self.groups = [0] * self.count if groups is None else groups.tolist()
        self.leniency = [1.0] * self.count if leniency is None else leniency.tolist()
        self.pixels = labels.size
        self.areas = np.bincount(flat, minlength=self.count).astype(float).tolist()
        sums = [np.bincount(flat, colours[..., c].ravel(), self.count) for c in range(3)]
        self.means = (np.stack(sums, 1) / np.array(self.areas)[:, None]).tolist()
        self.parents = np.arange(self.count, dtype=np.int32)
        self.versions = [0] * self.count
        self.touching: list[dict[int, tuple[float, float]]] = [{} for _ in range(self.count)]
        for (a, b), length, strength in zip(
            region_borders.pairs.tolist(),
            region_borders.lengths.tolist(),
            region_borders.strengths.tolist(),
            strict=True,
        ):
            self.touching[a][b] = self.touching[b][a] = (length, strength)

    def run(self) -> NDArray[np.int32]:
        """The label that every old label has become."""
        left = self.count
        for forced in (False, True):
            heap = [
                self._candidate(a, b, forced)
                for a in range(self.count)
                for b in self.touching[a]
                if a < b and (forced or self.groups[a] == self.groups[b])
            ]
            heapq.heapify(heap)
            while heap and left > 1:
                cost, a, b, version_a, version_b = heapq.heappop(heap)
                if (self.versions[a], self.versions[b]) != (version_a, version_b):
                    continue
                if not forced and cost > self._tolerance(left):
                    break
                tiny = min(self.areas[a], self.areas[b]) < self.merging.least_area * self.pixels
                if forced and left <= self.merging.max_regions and not tiny:
                    continue
                self._unite(a, b)
                left -= 1
                for neighbour in self.touching[a]:
                    if forced or self.groups[a] == self.groups[neighbour]:
                        heapq.heappush(heap, self._candidate(a, neighbour, forced))
        return self._roots()

    def _tolerance(self, left: int) -> float:
        return self.merging.tolerance * (1.0 if left > self.merging.min_regions else _FLOOR)

    def _candidate(self, a: int, b: int, forced: bool) -> tuple[float, int, int, int, int]:
        merging = self.merging
        (la, aa, ba), (lb, ab, bb) = self.means[a], self.means[b]
        difference = ((la - lb) ** 2 + (aa - ab) ** 2 + (ba - bb) ** 2) ** 0.5
        smaller = min(self.areas[a], self.areas[b]) / self.pixels
        strength = self.touching[a][b][1]
        difference = min(difference, merging.colour_cap, merging.colour_per_border * strength)
        cost = (merging.border_weight * strength + difference) * smaller**merging.power
        if not forced:
            cost /= self.leniency[a]
        return (cost, a, b, self.versions[a], self.versions[b])

    def _unite(self, a: int, b: int) -> None:
        """Make b a part of a."""
        area = self.areas[a] + self.areas[b]
        self.means[a] = [
            (p * self.areas[a] + q * self.areas[b]) / area for p, q in zip(self.means[a], self.means[b], strict=True)
        ]
        self.areas[a] = area
        self.parents[b] = a
        self.versions[a] += 1
        self.versions[b] += 1
        del self.touching[a][b], self.touching[b][a]
        for other, (length, strength) in self.touching[b].items():
            del self.touching[other][b]
            old_length, old_strength = self.touching[a].get(other, (0.0, 0.0))
            total = length + old_length
            joined = (total, (length * strength + old_length * old_strength) / total)
            self.touching[a][other] = self.touching[other][a] = joined
        self.touching[b] = {}

    def _roots(self) -> NDArray[np.int32]:
        """Follow parents to the end; a parent may have been merged later."""
        roots = self.parents
        while not np.array_equal(roots, roots[roots]):
            roots = roots[roots]
        return roots
