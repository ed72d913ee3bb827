"""The columns of a data set as the `datasets` library has them.

It asks for the same members in every sequence, unless a card names all there are. In a mix, only some renderers store
a map of regions, and each has arrays of its own.
"""

import io
from typing import Any

import numpy as np

from training.data.layout import FRAME_FORMATS
from training.data.remote import AnyPath
from training.data.sequence import read_sequence
from training.data.survey import Survey

Feature = dict[str, Any]
"""A column in the head of a card: `{"name": "00.webp", "dtype": "image"}`."""
_TEXTS, _JSON = ("txt",), ("json",)
_MOST_AXES = (
    2  # that the library's lists of lists can have; what has more, as the marks of brushes, is in the tars alone
)
_OF_THE_LIBRARY = ("__key__", "__url__")


def dataset_features(root: AnyPath, survey: Survey) -> list[Feature]:
    """All columns, in the order in which members stand in a sequence.

    They are those of the first sequence of each renderer in each split. Columns that a sequence lacks are empty there.

    Raises:
        ValueError: if one of these sequences is damaged.
    """
    columns: dict[str, Feature] = {}
    for shard, span in survey.firsts.values():
        sequence = read_sequence(root, shard, span)
        for name, data in sequence.members.items():
            feature = _feature(name, data)
            columns[name] = _joined(columns[name], feature) if name in columns else feature
    return [columns[name] for name in sorted(columns)] + [_named(name, "string") for name in _OF_THE_LIBRARY]


def _feature(name: str, data: bytes) -> Feature:
    kind = name.rpartition(".")[2]
    if kind in FRAME_FORMATS:
        return _named(name, "image")
    if kind in _JSON:
        return _named(name, "json")
    if kind in _TEXTS:
        return _named(name, "string")
    if kind == "npz":
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            by_name = {each: arrays[each] for each in arrays.files}
        return {"name": name, "struct": [_array(*each) for each in by_name.items() if each[1].ndim <= _MOST_AXES]}
    return _named(name, "binary")


def _named(name: str, dtype: str) -> Feature:
    return {"name": name, "dtype": dtype}


def _array(name: str, array: "np.ndarray[Any, Any]") -> Feature:
    """An array of any rank: lists of lists of numbers, as sizes differ from sequence to sequence."""
    dtype: Any = "string" if array.dtype.kind == "U" else array.dtype.name
    if array.ndim == 0:
        return _named(name, dtype)
    for _ in range(array.ndim - 1):
        dtype = {"list": dtype}
    return {"name": name, "list": dtype}


def _joined(one: Feature, other: Feature) -> Feature:
    """A column that holds what either holds; fields of the same name that differ in kind are those of the first."""
    if "struct" not in one or "struct" not in other:
        return one
    fields = {field["name"]: field for field in [*other["struct"], *one["struct"]]}
    return {"name": one["name"], "struct": [fields[name] for name in sorted(fields)]}
