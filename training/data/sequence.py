"""Reading sequences back: any one of a shard, at the offset its manifest gives."""

import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import IO, Annotated, Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import TypedDict

from renderers.stored_picture import MOST_PIXELS, decoded
from training.data.layout import caption_member
from training.data.manifest import SampleSpan, ShardManifest, tar_path
from training.data.plain import OPEN, Count, Number, Side, parse_object
from training.data.remote import AnyPath
from training.data.retries import retried

_MOST_FRAMES = 1000
_BLOCK = tarfile.BLOCKSIZE
_NAME, _SIZE, _SUM, _KIND = slice(0, 100), slice(124, 136), slice(148, 156), slice(156, 157)  # fields of a header


class _Frame(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]

    member: str
    step: Count
    distance: Number


class _Facts(TypedDict):
    """What every reader of a sequence relies on; `pipelines.verify` checks the rest."""

    __pydantic_config__ = OPEN  # type: ignore[misc]

    size_px: Annotated[list[Side], Field(min_length=2, max_length=2)]
    num_steps: Count
    frames: Annotated[list[_Frame], Field(min_length=1, max_length=_MOST_FRAMES)]


@dataclass(frozen=True, kw_only=True)
class StoredSequence:
    """One sequence as stored in a shard.

    Attributes:
        key: its WebDataset key.
        members: name without the key -> bytes.
    """

    key: str
    members: dict[str, bytes]

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The sequence's json member.

        Raises:
            ValueError: if it lacks what every sequence has.
        """
        try:
            facts = parse_object(self.members["json"], _Facts)
            if facts["size_px"][0] * facts["size_px"][1] > MOST_PIXELS:
                raise ValueError(f"size_px: more than {MOST_PIXELS} pixels a frame")
            return dict(facts)
        except ValueError as error:
            raise ValueError(f"sequence {self.key}: json: {error}") from error

    @property
    def caption(self) -> str:
        """The caption; empty when the source had none."""
        return self.members["txt"].decode()

    @property
    def num_frames(self) -> int:
        """T, the number of frames."""
        return len(self.facts["frames"])

    def step_caption(self, number: int) -> str:
        """The caption of one frame, which says what is being done; the sequence's caption if the frame has none."""
        text = self.members.get(caption_member(number % self.num_frames, self.num_frames))
        return self.caption if text is None else text.decode()

    def frame(self, number: int) -> NDArray[np.uint8]:
        """One frame (H, W, 3) uint8 RGB; -1 is the finished picture.

        Raises:
            ValueError: if it is missing, or is not a picture of the size that the json says.
        """
        member = self.facts["frames"][number]["member"]
        height_px, width_px = self.facts["size_px"]
        # OpenCV decodes WebP straight to three channels, in two thirds of Pillow's time.
        frame = decoded(self.members.get(member, b""), cv2.IMREAD_COLOR_RGB, (height_px, width_px))
        if frame is None:
            raise ValueError(f"sequence {self.key}: {member} is not a picture of {width_px}x{height_px} px")
        return cast(NDArray[np.uint8], frame)

    def frames(self) -> NDArray[np.uint8]:
        """(T, H, W, 3) uint8 RGB.

        Raises:
            ValueError: if one is missing or is not a picture, or sizes differ.
        """
        return np.stack([self.frame(number) for number in range(self.num_frames)])


def read_sequences(root: AnyPath, manifest: ShardManifest) -> Iterator[StoredSequence]:
    """The sequences of a shard, in order, read by offset.

    Raises:
        ValueError: if the bytes at an offset are not the sequence the manifest names.
    """
    path = tar_path(root, manifest.name)
    with retried(path, lambda: path.open("rb")) as file:
        for span in manifest.samples:
            yield read_span(span, retried(path, partial(_read_at, file, span.offset, span.length)))


def read_sequence(root: AnyPath, shard: str, span: SampleSpan) -> StoredSequence:
    """One sequence of a shard.

    Raises:
        ValueError: if the bytes at its offset are not the sequence that its span names.
    """
    path = tar_path(root, shard)
    with retried(path, lambda: path.open("rb")) as file:
        return read_span(span, retried(path, partial(_read_at, file, span.offset, span.length)))


def _read_at(file: IO[bytes], offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def read_span(span: SampleSpan, data: bytes) -> StoredSequence:
    """The sequence in the bytes that were read at its span.

    Raises:
        ValueError: if they are not the bytes that were written.
    """
    if len(data) != span.length:
        raise ValueError(f"sequence {span.key}: cut short")
    if zlib.crc32(data) != span.crc32:
        raise ValueError(f"sequence {span.key}: not the bytes that were committed")
    return parse_sequence(span.key, data)


def parse_sequence(key: str, data: bytes) -> StoredSequence:
    """The sequence in a byte range of a tar.

    The standard library reads tars too, five times slower, and takes a damaged header for the end of the archive.

    Raises:
        ValueError: if the bytes are damaged or belong to another sequence.
    """
    members: dict[str, bytes] = {}
    position = 0
    try:
        while position < len(data):
            name, size = _read_header(data[position : position + _BLOCK])
            stem, _, member = name.partition(".")
            if stem != key:
                raise ValueError(f"found {name} where {key} should be")
            members[member] = data[position + _BLOCK : position + _BLOCK + size]
            position += _BLOCK + -(-size // _BLOCK) * _BLOCK
    except ValueError as error:
        raise ValueError(f"sequence {key}: {error}") from error
    if position != len(data):
        raise ValueError(f"sequence {key}: {len(data)} bytes but its members end at {position}")
    for name in ("json", "txt"):
        if name not in members:
            raise ValueError(f"sequence {key}: no {name} member")
    try:
        members["txt"].decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"sequence {key}: txt: not UTF-8") from error
    return StoredSequence(key=key, members=members)


def _read_header(header: bytes) -> tuple[str, int]:
    """Name and size of a regular file from its USTAR header (POSIX.1-1988): octal numbers, and a sum of all bytes.

    Raises:
        ValueError: if it is damaged, or of something else than a file.
    """
    if len(header) != _BLOCK or sum(header) - sum(header[_SUM]) + 8 * ord(" ") != int(header[_SUM].strip(b"\0 "), 8):
        raise ValueError("a header is damaged")
    if header[_KIND] != tarfile.REGTYPE:
        raise ValueError("a member is not a file")
    return header[_NAME].rstrip(b"\0").decode(), int(header[_SIZE].strip(b"\0 "), 8)
