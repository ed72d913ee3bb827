"""The columns of a data set as the `datasets` library defines them.

The library requires the same members in every sequence, unless a card lists all columns. In a mix, only some renderers
store a map of regions, and each renderer has arrays of its own.
"""

import io
from typing import Any

import numpy as np

from training.data.layout import FRAME_FORMATS
from training.data.remote import AnyPath
from training.data.sequence import read_sequence
from training.data.survey import Survey

Feature = dict[str, Any]
"""A column in the header of a card: `{"name": "00.webp", "dtype": "image"}`."""
_TEXTS, _JSON = ("txt",), ("json",)
# The library's lists of lists have at most two axes. Arrays with more, such as marks of brushes, are in the tars only.
_MOST_AXES = 2
_LIBRARY_COLUMNS = ("__key__", "__url__")


def dataset_features(root: AnyPath, survey: Survey) -> list[Feature]:
    """All columns, in the order of the members of a sequence.

    They are those of the first sequence of each renderer in each split. Columns that a sequence lacks are empty in it.

    Raises:
        ValueError: if one of these sequences is damaged.
    """
    columns: dict[str, Feature] = {}
    for shard, span in survey.firsts.values():
        sequence = read_sequence(root, shard, span)
        for name, data in sequence.members.items():
            feature = _feature(name, data)
            columns[name] = _joined(columns[name], feature) if name in columns else feature
    return [columns[name] for name in sorted(columns)] + [_named(name, "string") for name in _LIBRARY_COLUMNS]


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
    """An array as lists of lists of numbers, since its size differs from sequence to sequence."""
    dtype: Any = "string" if array.dtype.kind == "U" else array.dtype.name
    if array.ndim == 0:
        return _named(name, dtype)
    for _ in range(array.ndim - 1):
        dtype = {"list": dtype}
    return {"name": name, "list": dtype}


def _joined(one: Feature, other: Feature) -> Feature:
    """A column that has the fields of both; of two fields of the same name, that of the first column is used."""
    if "struct" not in one or "struct" not in other:
        return one
    fields = {field["name"]: field for field in [*other["struct"], *one["struct"]]}
    return {"name": one["name"], "struct": [fields[name] for name in sorted(fields)]}
