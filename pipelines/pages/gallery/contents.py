"""Gathers what the gallery shows of a data set: its totals, and a balanced choice of its sequences."""

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from conf.errors import UserError
from conf.progress import Progress
from pipelines.pages.gallery.cards import make_cards
from pipelines.pages.gallery.choice import choose
from training.data.dataset import DatasetCard, read_card, read_manifests
from training.data.encoded import encoding_of
from training.data.manifest import ShardManifest
from training.data.remote import AnyPath
from training.data.survey import Survey

_MAX_BINS = 24
_MAX_REASONS, _MAX_SOURCES = 100, 5


@dataclass(kw_only=True)
class Contents:
    """The contents of the page. The page's script reads `to_plain`; nothing here is HTML.

    Attributes:
        psnr_db: a summary of the whole data set, not only of the shown sequences: `edges` and `counts` of a histogram,
            `low`, `median`, `high` (10th, 50th, 90th percentile), `medians` by renderer; None without sequences.
        refused: the most frequent reasons for which inputs were refused: `reason`, `count`, some `sources`.
        cards: a card for each shown sequence, in the order of the data set.
    """

    num_sequences: int
    num_planned: int
    num_shards: int
    num_shards_planned: int
    num_bytes: int
    num_quarantined: int
    complete: bool
    splits: dict[str, int]
    renderers: dict[str, int]
    licences: dict[str, int]
    config_hash: str
    code_version: str
    source_kind: str
    spacing: str
    psnr_db: dict[str, Any] | None
    refused: list[dict[str, Any]]
    cards: list[dict[str, Any]]

    def to_plain(self) -> dict[str, Any]:
        """As plain containers for JSON."""
        return asdict(self)


@dataclass(kw_only=True)
class Refused:
    """The number of inputs that were refused for a reason, and the names of some of them."""

    count: int = 0
    sources: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Collection:
    """Facts about all sequences, from one pass over the manifests; two numbers are kept for each sequence.

    Attributes:
        shards, firsts: names of shards, and the number of the first sequence in each.
        numbers, psnr_db: renderer -> numbers of its sequences, and their PSNR.
        refused: reason -> refused inputs.
    """

    shards: list[str] = field(default_factory=list)
    firsts: list[int] = field(default_factory=list)
    numbers: dict[str, "array[int]"] = field(default_factory=dict)
    psnr_db: dict[str, "array[float]"] = field(default_factory=dict)
    refused: dict[str, Refused] = field(default_factory=dict)

    def noting(self, manifests: Iterable[ShardManifest]) -> Iterator[ShardManifest]:
        """The same manifests; each is noted as it passes."""
        number = 0
        for manifest in manifests:
            self.shards.append(manifest.name)
            self.firsts.append(number)
            for record in manifest.records:
                self.numbers.setdefault(record["renderer"], array("L")).append(number)
                if record["psnr_db"] is not None:
                    self.psnr_db.setdefault(record["renderer"], array("d")).append(record["psnr_db"])
                number += 1
            for row in manifest.quarantined:
                refused = self.refused.setdefault(str(row["reason"]), Refused())
                refused.count += 1
                refused.sources = sorted([*refused.sources, str(row["source"])])[:_MAX_SOURCES]
            yield manifest

    def place(self, number: int) -> tuple[str, int]:
        """The name of a sequence's shard, and its index in that shard."""
        shard = bisect_right(self.firsts, number) - 1
        return self.shards[shard], number - self.firsts[shard]


def gather(root: AnyPath, max_sequences: int, thumbnail_px: int) -> Contents:
    """Everything the page of a data set shows.

    Raises:
        UserError: if this is no data set, or a shard is damaged (named).
    """
    card = read_card(root)
    if encoding_of(card) is not None:
        raise UserError(f"dataset={root}: holds latents; look at the data set of frames that they were made of")
    survey, collection = Survey(), Collection()
    try:
        for _ in collection.noting(survey.noting(read_manifests(root, card.shards))):
            pass
    except (ValueError, KeyError) as error:
        raise UserError(f"{error}; run python -m pipelines.verify dataset={root}") from error
    places = [collection.place(number) for number in choose(collection.numbers, max_sequences)]
    with Progress("gallery", len(places)) as progress:
        cards = []
        for sequence_card in make_cards(root, places, thumbnail_px):
            cards.append(sequence_card)
            progress.advance(1)
    return Contents(
        num_sequences=survey.num_sequences,
        num_shards=survey.num_shards,
        num_bytes=survey.num_bytes,
        num_quarantined=survey.num_quarantined,
        splits=dict(sorted(survey.splits.items())),
        renderers=dict(sorted(survey.renderers.items())),
        licences=dict(sorted(survey.licences.items())),
        num_planned=card.num_planned,
        num_shards_planned=len(card.shards),
        complete=survey.num_shards == len(card.shards),
        config_hash=card.config_hash,
        code_version=card.code_version,
        source_kind=_recipe_word(card, "source", "kind"),
        spacing=_recipe_word(card, "schedule", "spacing"),
        psnr_db=summarise_psnr(collection.psnr_db),
        refused=_reasons(collection.refused),
        cards=cards,
    )


def summarise_psnr(by_renderer: Mapping[str, Sequence[float]]) -> dict[str, Any] | None:
    """Histogram, percentiles and medians by renderer of the PSNR in dB; bins are 0.5, 1, 2, 5 or 10 dB wide."""
    values = np.concatenate([np.empty(0), *map(np.asarray, by_renderer.values())])
    if not len(values):
        return None
    for width in (0.5, 1.0, 2.0, 5.0, 10.0):
        first, last = math.floor(values.min() / width), math.floor(values.max() / width)
        if last - first < _MAX_BINS:
            break
    counts = np.bincount(np.floor(values / width).astype(int) - first, minlength=last - first + 1)
    low, median, high = (round(float(value), 2) for value in np.percentile(values, [10, 50, 90]))
    return {
        "edges": [(first + step) * width for step in range(len(counts) + 1)],
        "counts": counts.tolist(),
        "low": low,
        "median": median,
        "high": high,
        "medians": {name: round(float(np.median(by_renderer[name])), 2) for name in sorted(by_renderer)},
    }


def _reasons(refused: Mapping[str, Refused]) -> list[dict[str, Any]]:
    ranked = sorted(refused.items(), key=lambda pair: (-pair[1].count, pair[0]))[:_MAX_REASONS]
    return [{"reason": reason, **asdict(each)} for reason, each in ranked]


def _recipe_word(card: DatasetCard, group: str, key: str) -> str:
    return str(card.recipe.get(group, {}).get(key, "unknown"))
