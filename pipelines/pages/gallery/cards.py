"""The gallery's card of one sequence: its facts, its regions, and its frames as a small sheet."""

import base64
import errno
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import cv2
import numpy as np
from PIL import Image
from pydantic import Field
from typing_extensions import TypedDict

from conf.errors import UserError
from pipelines.pages.gallery.choice import spread
from pipelines.pages.gallery.order_map import order_map
from pipelines.synthesis.regions import read_label_map
from renderers.stored_picture import decoded
from training.data.layout import ARTIST
from training.data.manifest import read_checked_manifest, tar_path
from training.data.plain import OPEN, Count, Number, shaped
from training.data.remote import AnyPath
from training.data.sequence import StoredSequence, read_span

MAX_PX = 512  # a sheet with 8 such frames in a row is 4096 px wide, which every browser decodes
_MAX_FRAMES = 32
_COLUMNS = 8
_WEBP_QUALITY = 80
_BLOCK_PX, _MARGIN_PX = 16, 2


class _Region(TypedDict):
    """A row of `regions` in a sequence's json."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    label: Annotated[int, Field(strict=True, ge=0, lt=2**16)]
    saliency: Number
    area_px: Count


def make_cards(root: AnyPath, places: Sequence[tuple[str, int]], thumbnail_px: int) -> Iterator[dict[str, Any]]:
    """A card for each sequence, by (name of its shard, index in that shard); cards are grouped by shard.

    Raises:
        UserError: naming a shard that is damaged or missing.
    """
    by_shard: dict[str, list[int]] = {}
    for shard, place in places:
        by_shard.setdefault(shard, []).append(place)
    for name, shard_places in by_shard.items():
        path = tar_path(root, name)
        try:
            manifest = read_checked_manifest(root, name)
            if manifest is None or path.stat().st_size != manifest.num_bytes:
                raise ValueError("not the bytes that were committed")
            with path.open("rb") as file:
                for place in shard_places:
                    span = manifest.samples[place]
                    file.seek(span.offset)
                    yield _card(read_span(span, file.read(span.length)), manifest.records[place], thumbnail_px)
        except (OSError, ValueError, KeyError, IndexError) as error:
            is_io_error = isinstance(error, OSError) and error.errno not in (None, errno.ENOENT, errno.EISDIR)
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            fault = "cannot be read" if is_io_error else "damaged or missing"
            raise UserError(f"{path}: {fault}: {reason}; run python -m pipelines.verify") from error


def _card(sequence: StoredSequence, record: Mapping[str, Any], thumbnail_px: int) -> dict[str, Any]:
    stored = sequence.facts["frames"]
    numbers = spread(len(stored), _MAX_FRAMES)
    from_artist = record["renderer"] == ARTIST  # its frames are counted from 1, while strokes are counted from 0
    frames = []
    for number in numbers:
        frame = _picture(sequence, stored[number]["member"])
        frames.append(_side_by_side(_picture(sequence, stored[number]["before"]), frame) if from_artist else frame)
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
    """The regions of a picture, and the order in which they were painted; None if it has no regions."""
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


def _side_by_side(before: Image.Image, after: Image.Image) -> Image.Image:
    """The recorded frame on the left, the frame made from it on the right."""
    gap = max(2, after.width // 32)
    both = Image.new("RGB", (before.width + gap + after.width, after.height), "white")
    both.paste(before, (0, 0))
    both.paste(after, (before.width + gap, 0))
    return both


def make_sheet(frames: Sequence[Image.Image], thumbnail_px: int) -> dict[str, Any]:
    """Frames side by side in one lossy WebP, 8 a row, each at most `thumbnail_px` a side.

    One file for all frames of a sequence compresses better than a file for each, and is decoded at once. WebP codes
    blocks of 16 px and smooths colour across them. So each frame has blocks of its own (`pitch`), which it does not
    fill completely (`inset`), and its edge pixels are repeated around it: no frame shows a fringe of its neighbour.
    """
    scale = min(1.0, thumbnail_px / max(frames[0].size))
    width, height = (max(1, round(side * scale)) for side in frames[0].size)
    columns = min(_COLUMNS, len(frames))
    pitch_x, pitch_y = (math.ceil((side + 2 * _MARGIN_PX) / _BLOCK_PX) * _BLOCK_PX for side in (width, height))
    inset_x, inset_y = (pitch_x - width) // 2, (pitch_y - height) // 2
    padding = ((inset_y, pitch_y - height - inset_y), (inset_x, pitch_x - width - inset_x), (0, 0))
    sheet = Image.new("RGB", (columns * pitch_x, math.ceil(len(frames) / columns) * pitch_y))
    for number, frame in enumerate(frames):
        small = frame.resize((width, height), Image.Resampling.LANCZOS) if scale < 1 else frame
        cell = Image.fromarray(np.pad(np.asarray(small), padding, "edge"))
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
