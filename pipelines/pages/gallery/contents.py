"""What the gallery shows of a data set: its totals, and a fair choice of its sequences."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from conf.errors import UserError
from conf.progress import Progress
from pipelines.pages.gallery.cards import make_cards
from pipelines.pages.gallery.choice import Place, choose
from training.data.dataset import DatasetCard, dataset_totals, read_card, read_manifests
from training.data.encoded import encoding_of
from training.data.manifest import ShardManifest
from training.data.remote import AnyPath

_MAX_BINS = 24
_MAX_REASONS, _MAX_SOURCES = 100, 5


@dataclass(kw_only=True)
class Contents:
    """All that the page says. `to_plain` is what the page's script reads; nothing here is HTML.

    Attributes:
        psnr_db: a summary of the whole data set, not only of what is shown: `edges` and `counts` of a histogram,
            `low`, `median`, `high` (10th, 50th, 90th percentile), `medians` by renderer; None without sequences.
        refused: the most frequent reasons for which inputs were refused: `reason`, `count`, some `sources`.
        cards: a sequence each, in the order of the data set.
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


@dataclass
class _Survey:
    """What one pass over the manifests collects: of each sequence, its place and one number."""

    places: dict[str, list[Place]] = field(default_factory=dict)
    psnr_db: dict[str, list[float]] = field(default_factory=dict)
    refused: dict[str, list[str]] = field(default_factory=dict)

    def noting(self, manifests: Iterable[ShardManifest]) -> Iterator[ShardManifest]:
        """Yield the manifests unchanged, and collect from each."""
        number = 0
        for manifest in manifests:
            for record in manifest.records:
                place = Place(number=number, shard=manifest.name, key=record["key"])
                self.places.setdefault(record["renderer"], []).append(place)
                if record["psnr_db"] is not None:
                    self.psnr_db.setdefault(record["renderer"], []).append(record["psnr_db"])
                number += 1
            for row in manifest.quarantined:
                self.refused.setdefault(str(row["reason"]), []).append(str(row["source"]))
            yield manifest


def gather(root: AnyPath, max_sequences: int, thumbnail_px: int) -> Contents:
    """Everything the page of a data set shows.

    Raises:
        UserError: if this is no data set, or a shard is damaged (named).
    """
    card = read_card(root)
    if encoding_of(card) is not None:
        raise UserError(f"dataset={root}: holds latents; look at the data set of frames that they were made of")
    survey = _Survey()
    try:
        totals = dataset_totals(survey.noting(read_manifests(root, card.shards)))
    except (ValueError, KeyError) as error:
        raise UserError(f"{error}; run python -m pipelines.verify dataset={root}") from error
    places = choose(survey.places, max_sequences)
    with Progress("gallery", len(places)) as progress:
        cards = []
        for made in make_cards(root, places, thumbnail_px):
            cards.append(made)
            progress.advance(1)
    return Contents(
        num_sequences=totals["num_sequences"],
        num_shards=totals["num_shards"],
        num_bytes=totals["num_bytes"],
        num_quarantined=totals["num_quarantined"],
        splits=dict(sorted(totals["splits"].items())),
        renderers=dict(sorted(totals["renderers"].items())),
        licences=dict(sorted(totals["licences"].items())),
        num_planned=card.num_planned,
        num_shards_planned=len(card.shards),
        complete=totals["num_shards"] == len(card.shards),
        config_hash=card.config_hash,
        code_version=card.code_version,
        source_kind=_recipe_word(card, "source", "kind"),
        spacing=_recipe_word(card, "schedule", "spacing"),
        psnr_db=summarise_psnr(survey.psnr_db),
        refused=_reasons(survey.refused),
        cards=cards,
    )


def summarise_psnr(by_renderer: Mapping[str, Sequence[float]]) -> dict[str, Any] | None:
    """Histogram, percentiles and medians by renderer of the PSNR in dB; bins are 0.5, 1, 2, 5 or 10 dB wide."""
    values = np.array([value for renderer_values in by_renderer.values() for value in renderer_values], np.float64)
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


def _reasons(refused: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    ranked = sorted(refused.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:_MAX_REASONS]
    return [
        {"reason": reason, "count": len(sources), "sources": sorted(sources)[:_MAX_SOURCES]}
        for reason, sources in ranked
    ]


def _recipe_word(card: DatasetCard, group: str, key: str) -> str:
    return str(card.recipe.get(group, {}).get(key, "unknown"))
