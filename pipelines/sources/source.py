"""The interface of all sources of pictures."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from conf.printable import counted, without_secrets
from pipelines.sources.framing import WHITE, Framing, Ground
from renderers.painting import Knowledge

_MOST_LISTED = 5


class RefusedPicture(Exception):
    """A picture that cannot be painted. The run continues; the reason goes to `quarantine.jsonl`."""


class StorageFault(Exception):
    """The storage fails, and not a picture. The run stops, so that the same command can resume it later."""


@dataclass(frozen=True, kw_only=True)
class SourceEntry:
    """One picture of a source, without its pixels: what it is and where it is, small enough to send with a task.

    Attributes:
        id: name that is unique in the source and says where the picture came from.
        sha256: hash of the picture's bytes (of its recipe, if it is generated). It decides the split.
        locator: what the source needs to read it again (a path, a tar and a byte range, a number).
        caption: the caption, or None if the source has none.
        licence: licence of the picture, or None if unknown.
        depth: locator of its depth map, or None if it has none.
        depth_sha256: hash of the depth map's bytes.
        fault: why it is refused when it is loaded, if that is known by now: the file that should hold its caption or
            licence cannot be read. None if nothing is known against it.
    """

    id: str
    sha256: str
    locator: str
    caption: str | None = None
    licence: str | None = None
    depth: str | None = None
    depth_sha256: str | None = None
    fault: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", without_secrets(self.id))  # ids are stored in data sets; locators are not

    def check(self) -> None:
        """Raise RefusedPicture if it has a fault."""
        if self.fault is not None:
            raise RefusedPicture(self.fault)

    @property
    def lacks_caption(self) -> bool:
        """Whether its source has no caption for it; one that cannot be read is a fault instead."""
        return self.caption is None and self.fault is None


class ComputedPictures(Sequence[SourceEntry], ABC):
    """The pictures of a source that computes each entry when it is asked for, and keeps none of them."""

    @property
    @abstractmethod
    def formula(self) -> str:
        """A text that determines all pictures, apart from their number; it is hashed."""

    @abstractmethod
    def hashes(self) -> Iterator[str]:
        """`sha256` of each picture, in order, at less cost than its whole entry."""


class Listing(list[SourceEntry]):
    """The pictures of a source, and the names of files beside them that are passed over."""

    def __init__(self, entries: Iterable[SourceEntry], passed_over: Iterable[str] = ()) -> None:
        super().__init__(entries)
        self.passed_over = tuple(passed_over)

    def beside(self, names: Iterable[str]) -> "Listing":
        """The same pictures, with more names that are passed over."""
        return Listing(self, (*self.passed_over, *names))

    def note(self, whole: str) -> list[str]:
        """A line about what is passed over, or none.

        Args:
            whole: what the files are of, such as `the source`.
        """
        names = self.passed_over
        more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
        first = ", ".join(names[:_MOST_LISTED])
        return [f"passed over {counted(len(names), 'file')} of {whole}: {first}{more}"] if names else []


@dataclass(frozen=True, kw_only=True)
class GroundTruth:
    """The ground truth of a generated picture; all maps are (H, W) and framed like the picture.

    Attributes:
        labels: uint16 object label of each pixel; 0 is the background.
        names: name of each label, `names[0]` being the background's.
        depth_order: labels from the farthest to the nearest.
        saliency_order: labels from the most to the least salient.
    """

    labels: NDArray[np.uint16]
    names: tuple[str, ...]
    depth_order: tuple[int, ...]
    saliency_order: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded source image, (H, W, 3) float32 RGB in [0, 1], and what else its source knows about it.

    `depth` is (H, W) float32, larger where farther; it is given by sources that have depth but no complete truth.
    """

    image: NDArray[np.float32]
    truth: GroundTruth | None = None
    depth: NDArray[np.float32] | None = None

    def knowledge(self) -> Knowledge:
        """The knowledge about the picture that renderers may use."""
        if self.truth is None:
            return Knowledge(depth=self.depth)
        far_first = np.zeros(len(self.truth.names), np.float32)
        far_first[list(self.truth.depth_order)] = np.linspace(1.0, 0.0, len(self.truth.depth_order))
        return Knowledge(labels=self.truth.labels, depth=far_first[self.truth.labels], names=self.truth.names)


class Source(Protocol):
    """Where pictures come from. Sources are frozen dataclasses: their fields are their configuration."""

    @property
    def brings_labels(self) -> bool:
        """Whether its pictures come with their ground truth."""

    def index(self, limit: int | None) -> Sequence[SourceEntry]:
        """The first `limit` pictures, in the source's sorted order; None for all, or for the source's own number.

        Raises:
            UserError: if the source is missing or empty, or lacks what its configuration requires.
        """

    def load(self, entry: SourceEntry, framing: Framing, ground: Ground = WHITE) -> Picture:
        """Decode one picture and frame it; the ground shows where there is no picture.

        Raises:
            RefusedPicture: if it cannot be read or is not a picture worth painting; the message says why.
            StorageFault: if the storage fails, which is not the picture's fault; the message names the picture.
        """
