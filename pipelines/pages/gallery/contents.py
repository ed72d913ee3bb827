"""What the gallery shows of a data set: its totals, a fair choice of sequences, and their frames as small sheets."""

import base64
import errno
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from PIL import Image
from pydantic import Field
from typing_extensions import TypedDict

from conf.errors import UserError
from conf.progress import Progress
from pipelines.pages.gallery.region_map import order_map
from pipelines.synthesis.regions import read_label_map
from renderers.stored_picture import decoded
from training.data.dataset import DatasetCard, dataset_totals, read_card, read_manifests
from training.data.encoded import encoding_of
from training.data.layout import ARTIST
from training.data.manifest import ShardManifest, read_checked_manifest, tar_path
from training.data.plain import OPEN, Count, Number, shaped
from training.data.sequence import StoredSequence, read_span

MAX_PX = 512  # a sheet of 8 such frames a row is 4096 px wide, which every browser decodes
_MAX_FRAMES = 32
_COLUMNS = 8
_WEBP_QUALITY = 80
_BLOCK_PX, _MARGIN_PX = 16, 2
_MAX_BINS = 24
_MAX_REASONS, _MAX_SOURCES = 100, 5


class _Region(TypedDict):
    """A row of `regions` in a sequence's json."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    label: Annotated[int, Field(strict=True, ge=0, lt=2**16)]
    saliency: Number
    area_px: Count


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
        """As containers that JSON knows."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a sequence is: its number in the data set as committed, its shard, its key."""

    number: int
    shard: str
    key: str


@dataclass
class _Survey:
    """What one pass over the manifests gathers; of a million sequences, only places and one number each are kept."""

    places: dict[str, list[Place]] = field(default_factory=dict)
    psnr_db: dict[str, list[float]] = field(default_factory=dict)
    refused: dict[str, list[str]] = field(default_factory=dict)

    def noting(self, manifests: Iterable[ShardManifest]) -> Iterator[ShardManifest]:
        """The same manifests, noted as they pass."""
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


def gather(root: Path, max_sequences: int, thumbnail_px: int) -> Contents:
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
        for made in _cards(root, places, thumbnail_px):
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


def choose(places: Mapping[str, Sequence[Place]], count: int) -> list[Place]:
    """At most `count` places, as equally many of each renderer as there are, evenly spread over each one's.

    The first and the last of a renderer are among them, so that the validation split, which comes last, is too.
    """
    left, chosen = count, []
    for at, name in enumerate(ranked := sorted(places, key=lambda name: (len(places[name]), name))):
        share = min(len(places[name]), left // (len(ranked) - at))  # what a rare renderer leaves, the others get
        chosen += [places[name][where] for where in spread(len(places[name]), share)]
        left -= share
    return sorted(chosen, key=lambda place: place.number)


def spread(count: int, num_chosen: int) -> list[int]:
    """`num_chosen` of range(count) at even distances, the first and the last included; the last alone when only one."""
    if num_chosen >= count:
        return list(range(count))
    if num_chosen < 2:
        return [count - 1] * num_chosen
    return [round(step * (count - 1) / (num_chosen - 1)) for step in range(num_chosen)]


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


def make_sheet(frames: Sequence[Image.Image], thumbnail_px: int) -> dict[str, Any]:
    """Frames side by side in one lossy WebP, 8 a row, each at most `thumbnail_px` a side.

    One file for all frames of a sequence compresses better than one each, and is one thing to decode. WebP codes
    blocks of 16 px and smooths colour across them, so each frame has blocks of its own (`pitch`) that it does not
    quite fill (`inset`), and its edges go on around it: no frame shows a fringe of its neighbour.
    """
    scale = min(1.0, thumbnail_px / max(frames[0].size))
    width, height = (max(1, round(side * scale)) for side in frames[0].size)
    columns = min(_COLUMNS, len(frames))
    pitch_x, pitch_y = (math.ceil((side + 2 * _MARGIN_PX) / _BLOCK_PX) * _BLOCK_PX for side in (width, height))
    inset_x, inset_y = (pitch_x - width) // 2, (pitch_y - height) // 2
    beyond = ((inset_y, pitch_y - height - inset_y), (inset_x, pitch_x - width - inset_x), (0, 0))
    sheet = Image.new("RGB", (columns * pitch_x, math.ceil(len(frames) / columns) * pitch_y))
    for number, frame in enumerate(frames):
        small = frame.resize((width, height), Image.Resampling.LANCZOS) if scale < 1 else frame
        cell = Image.fromarray(np.pad(np.asarray(small), beyond, "edge"))
        sheet.paste(cell, (number % columns * pitch_x, number // columns * pitch_y))
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", quality=_WEBP_QUALITY, method=4)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return {
        "width": width,
        "height": height,
        "pitch": [pitch_x, pitch_y],
        "inset": [inset_x, inset_y],
        "columns": columns,
        "webp": encoded,
    }


def _cards(root: Path, places: Sequence[Place], thumbnail_px: int) -> Iterator[dict[str, Any]]:
    by_shard: dict[str, list[Place]] = {}
    for place in places:
        by_shard.setdefault(place.shard, []).append(place)
    for name, shard_places in by_shard.items():
        path = tar_path(root, name)
        try:
            manifest = read_checked_manifest(root, name)
            if manifest is None or path.stat().st_size != manifest.num_bytes:
                raise ValueError("not the bytes that were committed")
            spans = {span.key: span for span in manifest.samples}
            records = {record["key"]: record for record in manifest.records}
            with path.open("rb") as file:
                for place in shard_places:
                    file.seek(spans[place.key].offset)
                    sequence = read_span(spans[place.key], file.read(spans[place.key].length))
                    yield _card(sequence, records[place.key], thumbnail_px)
        except (OSError, ValueError, KeyError) as error:
            by_machine = isinstance(error, OSError) and error.errno not in (None, errno.ENOENT, errno.EISDIR)
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            fault = "cannot be read" if by_machine else "damaged or missing"
            raise UserError(f"{path}: {fault}: {reason}; run python -m pipelines.verify") from error


def _card(sequence: StoredSequence, record: Mapping[str, Any], thumbnail_px: int) -> dict[str, Any]:
    stored = sequence.facts["frames"]
    numbers = spread(len(stored), _MAX_FRAMES)
    from_artist = record["renderer"] == ARTIST  # whose first frame is frame 1, where strokes begin with none
    frames = []
    for number in numbers:
        frame = _picture(sequence, stored[number]["member"])
        frames.append(_beside(_picture(sequence, stored[number]["before"]), frame) if from_artist else frame)
    height, width = sequence.facts["size_px"]
    return {
        **{key: record[key] for key in ("key", "split", "shard", "renderer", "source", "licence", "psnr_db", "ssim")},
        "caption": sequence.caption,
        "step_word": "source frame" if from_artist else "step" if "regions" in sequence.facts else "stroke",
        "num_steps": record["num_steps"] + from_artist,
        "violation": record["progress_violation"],
        "size": [width, height],
        "num_frames": len(stored),
        "frames": [
            [number, stored[number]["step"] + from_artist, stored[number]["distance"], stored[number].get("doing", "")]
            for number in numbers
        ],
        "sheet": make_sheet(frames, min(MAX_PX, 2 * thumbnail_px) if from_artist else thumbnail_px),
        "regions": _regions(sequence, thumbnail_px),
    }


def _regions(sequence: StoredSequence, thumbnail_px: int) -> dict[str, Any] | None:
    """How a picture was cut, and in which order its regions were painted; None where it was not cut."""
    if "regions.png" not in sequence.members:
        return None
    rows = shaped(sequence.facts.get("regions"), list[_Region])
    labels, order = read_label_map(sequence.members["regions.png"]), [row["label"] for row in rows]
    if not np.isin(labels, order).all():
        raise ValueError(f"sequence {sequence.key}: regions.png has other regions than its json")
    return {
        "map": order_map(labels, order, thumbnail_px),
        "rows": [[row["label"], row["saliency"], row["area_px"]] for row in rows],
    }


def _picture(sequence: StoredSequence, member: str) -> Image.Image:
    data = sequence.members[str(member)]
    pixels = decoded(data, cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise ValueError(f"sequence {sequence.key}: {member} is not a picture that was stored here")
    return Image.fromarray(pixels)


def _beside(before: Image.Image, after: Image.Image) -> Image.Image:
    """What an artist left on the left, the frame made from it on the right."""
    gap = max(2, after.width // 32)
    both = Image.new("RGB", (before.width + gap + after.width, after.height), "white")
    both.paste(before, (0, 0))
    both.paste(after, (before.width + gap, 0))
    return both


def _reasons(refused: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    ranked = sorted(refused.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:_MAX_REASONS]
    return [
        {"reason": reason, "count": len(sources), "sources": sorted(sources)[:_MAX_SOURCES]}
        for reason, sources in ranked
    ]


def _recipe_word(card: DatasetCard, group: str, key: str) -> str:
    return str(card.recipe.get(group, {}).get(key, "unknown"))
