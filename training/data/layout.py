"""Names of everything in a data set folder, and of the members of a sequence."""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from training.data.remote import Place, below

SCHEMA_VERSION = 2
SPLITS = ("train", "val")
TEXT_SPLIT = "text"
"""The split of an encoded data set that holds the embeddings of its captions."""
FrameFormat = Literal["webp", "png", "jpg"]
FRAME_FORMATS = ("webp", "png", "jpg")
MOST_SEQUENCES = 100_000_000
"""The most sequences of one data set: more would not sort by their eight-digit keys."""

DATASET_CARD = "dataset.json"
"""Name of the file that makes a folder a data set."""

ARTIST = "artist"
"""Family and renderer name of sequences that people painted: they have frames, but no stroke program."""

MOST_SHARDS_TOGETHER = 5_000
"""The most shards in one folder, each of which is a tar and a manifest.

File systems and object stores are slow with more than 10,000 entries.
"""
_SHARDS_A_FOLDER = 1_000  # of each split
_KEY = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")
_FOLDER_NAME = re.compile(r"[0-9]{5,6}")
_SHARD_NAME = re.compile(r"(?:[0-9]{5,6}/)?(train|val|text)-([0-9]{5,9})-of-([0-9]{5,9})")


def dataset_file(root: Place) -> Place:
    """The card of a data set: configuration, totals, licences."""
    return below(root, DATASET_CARD)


def samples_file(root: Place) -> Place:
    """The table with one row per sequence, with its metrics."""
    return below(root, "samples.parquet")


def quarantine_file(root: Place) -> Place:
    """The table with one row per refused input."""
    return below(root, "quarantine.jsonl")


def shards_folder(root: Place) -> Place:
    """The folder of tars and manifests."""
    return below(root, "shards")


def timings_folder(root: Place) -> Place:
    """The folder of the seconds spent on each shard; kept apart because they alone differ from run to run."""
    return below(root, "timings")


def tar_name(shard: str) -> str:
    """Where the tar of a shard is, below the data set's folder."""
    return f"shards/{shard}.tar"


def manifest_name(shard: str) -> str:
    """Where the manifest of a shard is, below the data set's folder."""
    return f"shards/{shard}.json"


def shard_name(split: str, number: int, count: int, *, in_folder: bool = False) -> str:
    """`train-00003-of-00016`; `00012/train-12003-of-39063` if there are too many for one folder."""
    folder = f"{number // _SHARDS_A_FOLDER:05d}/" if in_folder else ""
    return f"{folder}{split}-{number:05d}-of-{count:05d}"


def shard_names(counts: Mapping[str, int]) -> Iterator[str]:
    """Names of all shards of a data set, given how many each split has."""
    in_folder = sum(counts.values()) > MOST_SHARDS_TOGETHER
    for split, count in counts.items():
        for number in range(count):
            yield shard_name(split, number, count, in_folder=in_folder)


def is_shard_name(name: str) -> bool:
    """Whether `shard_name` could have made the name."""
    return _SHARD_NAME.fullmatch(name) is not None


def split_of(shard: str) -> str:
    """`train` of `train-00003-of-00016`, wherever that is."""
    return shard.rpartition("/")[2].partition("-")[0]


def number_of(shard: str) -> int:
    """3 of `train-00003-of-00016`."""
    return int(shard.rpartition("/")[2].split("-")[1])


def is_folder_of_shards(name: str) -> bool:
    """Whether a name is that of a folder in the names of shards."""
    return _FOLDER_NAME.fullmatch(name) is not None


def sequence_key(index: int) -> str:
    """WebDataset key of a sequence: eight digits without a dot, because WebDataset would cut the key there."""
    return f"{index:08d}"


def is_key(key: str) -> bool:
    """Whether a text may be a key: letters, digits, _ and -, nothing that a path or a shell treats specially."""
    return _KEY.fullmatch(key) is not None


def frame_member(frame: int, num_frames: int, frame_format: str) -> str:
    """`03.webp`; three digits throughout in a sequence of more than 100 frames, so that names sort like frames."""
    digits = 2 if num_frames <= 100 else 3
    return f"{frame:0{digits}d}.{frame_format}"


def caption_member(frame: int, num_frames: int) -> str:
    """`03.txt`: the caption of one frame, with what is being done."""
    return frame_member(frame, num_frames, "txt")


def before_member(frame: int, num_frames: int) -> str:
    """`before.03.jpg`: what an artist's frame was made from, for comparison."""
    return f"before.{frame_member(frame, num_frames, 'jpg')}"
