"""Reading sequences back: any one of a shard, at the offset its manifest gives."""

import io
import json
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.manifest import SampleSpan, ShardManifest, tar_path


@dataclass(frozen=True, kw_only=True)
class StoredSequence:
    """One sequence as it stands in a shard.

    Attributes:
        key: its WebDataset key.
        members: name without the key -> bytes.
    """

    key: str
    members: dict[str, bytes]

    @property
    def facts(self) -> dict[str, Any]:
        """The sequence's json member."""
        loaded: dict[str, Any] = json.loads(self.members["json"])
        return loaded

    @property
    def caption(self) -> str:
        """The caption; empty when the source had none."""
        return self.members["txt"].decode()

    def frames(self, *, last_only: bool = False) -> NDArray[np.uint8]:
        """(T, H, W, 3) uint8 RGB, or (1, H, W, 3): the finished picture.

        Raises:
            ValueError: if a frame is missing, is not a picture, or has another size than the first.
        """
        listed = self.facts["frames"]
        return np.stack([self._frame(entry["member"]) for entry in (listed[-1:] if last_only else listed)])

    def _frame(self, member: str) -> NDArray[np.uint8]:
        if member not in self.members:
            raise ValueError(f"sequence {self.key}: no {member} member")
        # OpenCV decodes WebP straight to three channels, in two thirds of Pillow's time.
        data = np.frombuffer(self.members[member], np.uint8)
        frame = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
        if frame is None:
            raise ValueError(f"sequence {self.key}: {member} is not a picture")
        return cast(NDArray[np.uint8], frame)


def read_sequences(root: Path, manifest: ShardManifest) -> Iterator[StoredSequence]:
    """The sequences of a shard, in order, read by offset.

    Raises:
        ValueError: if the bytes at an offset are not the sequence the manifest names.
    """
    with tar_path(root, manifest.name).open("rb") as file:
        for span in manifest.samples:
            file.seek(span.offset)
            yield read_span(span, file.read(span.length))


def read_span(span: SampleSpan, data: bytes) -> StoredSequence:
    """The sequence in the bytes that were read where it stands.

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

    Raises:
        ValueError: if the bytes are damaged or belong to another sequence.
    """
    members: dict[str, bytes] = {}
    end = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for entry in tar:
                stem, _, name = entry.name.partition(".")
                content = tar.extractfile(entry) if entry.isreg() else None  # a link would be followed
                if stem != key or content is None:
                    raise ValueError(f"found {entry.name} where {key} should be")
                members[name] = content.read()
                end = entry.offset_data + -(-entry.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    except tarfile.TarError as error:
        raise ValueError(f"sequence {key}: {error}") from error
    # tarfile takes a damaged header for the end of the archive, and an end between two members for the end of all.
    if end != len(data):
        raise ValueError(f"sequence {key}: {len(data)} bytes where its members take {end}")
    for name in ("json", "txt"):
        if name not in members:
            raise ValueError(f"sequence {key}: no {name} member")
    return StoredSequence(key=key, members=members)
