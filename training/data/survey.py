"""Facts about a whole data set, from one pass over its manifests.

A data set of ten million sequences has manifests of ten gigabytes. They are read one by one, and what is kept of them
grows with the number of kinds of sequences, not with the number of sequences.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from training.data.layout import SPLITS
from training.data.manifest import SampleSpan, ShardManifest


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Sequences of one renderer in one split."""

    split: str
    renderer: str


@dataclass(kw_only=True)
class Survey:
    """Counts of a data set, and its first sequences.

    Attributes:
        num_shards, num_bytes, num_quarantined: totals.
        splits: number of sequences, or texts, in each split.
        kinds, licences: number of sequences of each.
        first_shard: name of the first shard that holds sequences, and the records of these.
        firsts: the shard and the place of the first sequence of each kind.
        num_without_caption: number of sequences that cannot be trained on.
        num_repeating: number of sequences that show a state of the canvas twice.
        first_refusal: first row of `quarantine.jsonl`.
    """

    num_shards: int = 0
    num_bytes: int = 0
    num_quarantined: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    kinds: dict[Kind, int] = field(default_factory=dict)
    licences: dict[str, int] = field(default_factory=dict)
    first_shard: tuple[str, tuple[Mapping[str, Any], ...]] | None = None
    firsts: dict[Kind, tuple[str, SampleSpan]] = field(default_factory=dict)
    num_without_caption: int = 0
    num_repeating: int = 0
    first_refusal: Mapping[str, Any] | None = None

    def noting(self, manifests: Iterable[ShardManifest]) -> Iterator[ShardManifest]:
        """Pass the manifests on, and count each."""
        for manifest in manifests:
            self.count(manifest)
            yield manifest

    def count(self, manifest: ShardManifest) -> None:
        """Count one shard."""
        self.num_shards += 1
        self.num_bytes += manifest.num_bytes
        self.num_quarantined += len(manifest.quarantined)
        self.splits[manifest.split] = self.splits.get(manifest.split, 0) + manifest.num_samples
        if self.first_refusal is None and manifest.quarantined:
            self.first_refusal = manifest.quarantined[0]
        if self.first_shard is None and manifest.split in SPLITS and manifest.samples:
            self.first_shard = manifest.name, manifest.records
        for number, record in enumerate(manifest.records):
            kind = Kind(split=manifest.split, renderer=record["renderer"])
            if kind not in self.kinds and number < len(manifest.samples):
                self.firsts[kind] = manifest.name, manifest.samples[number]
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            licence = record["licence"] or "unknown"
            self.licences[licence] = self.licences.get(licence, 0) + 1
            self.num_without_caption += not record.get("caption")
            self.num_repeating += len(set(record["frame_steps"])) < len(record["frame_steps"])

    @property
    def num_sequences(self) -> int:
        """Number of all sequences."""
        return sum(self.splits.get(split, 0) for split in SPLITS)

    @property
    def renderers(self) -> dict[str, int]:
        """Sequences of each renderer."""
        counts = Counter[str]()
        for kind, count in self.kinds.items():
            counts[kind.renderer] += count
        return dict(counts)

    def totals(self) -> dict[str, Any]:
        """The totals as `dataset.json` has them."""
        return {
            "num_sequences": self.num_sequences,
            "num_shards": self.num_shards,
            "num_bytes": self.num_bytes,
            "num_quarantined": self.num_quarantined,
            "splits": self.splits,
            "renderers": self.renderers,
            "licences": self.licences,
        }


def surveyed(manifests: Iterable[ShardManifest]) -> Survey:
    """The survey of these manifests."""
    survey = Survey()
    for _ in survey.noting(manifests):
        pass
    return survey
