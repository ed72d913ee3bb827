"""Reads a data set of this project with the `datasets` library, and compares it with what was stored."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.dataset import read_card, read_manifests
from training.data.sequence import StoredSequence, read_sequences

Row = dict[str, Any]


def loaded(folder: Path, cache: Path, *, streaming: bool = False) -> dict[str, list[Row]]:
    """All rows of a data set, by split."""
    splits = datasets.load_dataset(str(folder), cache_dir=str(cache), streaming=streaming)
    return {name: list(rows) for name, rows in splits.items()}


def stored(folder: Path) -> dict[str, list[StoredSequence]]:
    """All sequences by split, as this project reads them."""
    by_split: dict[str, list[StoredSequence]] = {}
    for manifest in read_manifests(folder, read_card(folder).shards):
        by_split.setdefault(manifest.split, []).extend(read_sequences(folder, manifest))
    return by_split


def assert_rows_are_sequences(rows: dict[str, list[Row]], sequences: dict[str, list[StoredSequence]]) -> None:
    """Check that rows have the frames, captions and facts of the sequences, and a column for every member."""
    assert {split: len(some) for split, some in rows.items()} == {
        split: len(some) for split, some in sequences.items() if some
    }
    for split, some in rows.items():
        for row, sequence in zip(some, sequences[split], strict=True):
            assert row["__key__"] == sequence.key and row["txt"] == sequence.caption
            assert rounded(row["json"]) == rounded(sequence.facts)
            assert {name for name, value in row.items() if value is not None} == {
                *sequence.members, "__key__", "__url__"
            }  # fmt: skip
            for number, frame in enumerate(sequence.facts["frames"]):
                assert np.array_equal(pixels(row[frame["member"]]), sequence.frame(number))


def pixels(picture: Image.Image) -> NDArray[np.uint8]:
    """(H, W, 3) RGB."""
    return np.asarray(picture.convert("RGB"))


def rounded(value: Any) -> Any:
    """JSON with numbers rounded to nine places, because the library's JSON changes the last digit of some."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 9) if isinstance(value, float) else value
