"""Hostile bytes: sound files with a few changes, so that they pass the first check of a reader."""

import copy
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from numpy.typing import NDArray

_BOUNDARY_NUMBERS = tuple(
    struct.pack(order + kind, value)
    for order in "<>"
    for kind, values in {"I": (0, 1, 2**31 - 1, 2**31, 2**32 - 1), "Q": (0, 2**40, 2**63, 2**64 - 1)}.items()
    for value in values
)
_LONGEST = 1 << 16
_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 255, 65536, 2**31, 2**53, 2**53 + 1, 2**63, 2**70, -(2**63) - 1, 0.5, -0.0, 1e308,
    float("nan"), float("inf"), "", "0", "../../etc/passwd", "/dev/zero", "\x00", "\x1b]0;x\x07", "\u202egnp", "\ud800",
    "<script>alert(1)</script>", "${oc.env:HOME}", "a" * 5000, "9" * 5000, [], {}, [[]], {"": {}}, [0] * 5000,
)  # fmt: skip


@st.composite
def mutated(draw: DrawFn, corpus: Sequence[bytes]) -> bytes:
    """One file of a corpus, changed, cut, doubled or mixed with another file in up to six places."""
    data = bytearray(draw(st.sampled_from(list(corpus))))
    for _ in range(draw(st.integers(0, 6))):
        at, length = draw(st.integers(0, max(0, len(data) - 1))), draw(st.sampled_from((1, 2, 4, 16, 100, 1000)))
        change = draw(st.sampled_from(("bit", "number", "noise", "drop", "double", "cut", "mix")))
        if change == "bit" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "number":
            number = draw(st.sampled_from(_BOUNDARY_NUMBERS))
            data[at : at + len(number)] = number
        elif change == "noise":
            data[at:at] = draw(st.binary(max_size=16))
        elif change == "drop":
            del data[at : at + length]
        elif change == "double":
            data[at:at] = data[at : at + length]
        elif change == "cut":
            del data[at:]
        else:
            other = draw(st.sampled_from(list(corpus)))
            data[at:] = other[draw(st.integers(0, max(0, len(other) - 1))) :]
    return bytes(data[:_LONGEST])


@st.composite
def mutated_png(draw: DrawFn, corpus: Sequence[bytes]) -> bytes:
    """The same for PNGs, with corrected checksums, because decoders stop at a wrong one."""
    data = draw(mutated(corpus))
    repaired, at = bytearray(data), 8
    while at + 12 <= len(repaired):
        end = at + 8 + struct.unpack_from(">I", repaired, at)[0]
        if end + 4 > len(repaired):
            break
        struct.pack_into(">I", repaired, end, zlib.crc32(repaired[at + 4 : end]))
        at = end + 4
    return bytes(repaired)


@st.composite
def mutated_value(draw: DrawFn, value: Any) -> Any:
    """A JSON value in which one to three parts, at any depth, are replaced, removed or nested in a list."""
    root = {"": json.loads(json.dumps(value))}
    for _ in range(draw(st.integers(1, 3))):
        holder: Any = root
        key: Any = ""
        while isinstance(holder[key], dict | list) and holder[key] and draw(st.integers(0, 5)):
            holder = holder[key]
            key = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        change = draw(st.sampled_from(("odd", "odd", "number", "nested", "gone")))
        if change == "gone" and holder is not root:
            del holder[key]
        elif change == "nested":
            holder[key] = [holder[key]]
        else:
            odd = st.sampled_from(_ODD_VALUES).map(copy.deepcopy)
            holder[key] = draw(st.integers() | st.floats() if change == "number" else odd)
    return root[""]


def document(value: Any) -> bytes:
    """JSON as Python writes it, which may have NaN, lone surrogates and numbers of any length."""
    return json.dumps(value).encode()


@st.composite
def mutated_document(draw: DrawFn, value: Any) -> bytes:
    """A JSON document with changed parts, with changed bytes, or so deep that parsers may overflow."""
    changed = document(draw(mutated_value(value)))
    how = draw(st.sampled_from(("value", "value", "value", "bytes", "deep")))
    if how == "bytes":
        return draw(mutated([changed]))
    depth = draw(st.sampled_from((10, 1000, 100_000)))
    return b'{"a":' * depth + changed + b"}" * depth if how == "deep" else changed


def odd_arrays() -> SearchStrategy[NDArray[Any]]:
    """Arrays of all dtypes and shapes that a `.npy` can hold, whatever the reader expects; none larger than 100 kB."""
    shapes = st.lists(st.sampled_from((0, 1, 2, 3, 13, 18, 48)), max_size=3).map(tuple)
    kinds = st.sampled_from(
        ("<f4", ">f4", "<f8", "<f2", "<i4", "<i8", "|u1", "|b1", "<c8", "<U4", "|S3", "|V2", "<M8[s]")
    )
    numbers = st.sampled_from((0.0, 1.0, 0.5, -1.0, 1e4, 1e9, 3e38, -3e38, np.nan, np.inf, 65535.0))

    def made(shape: tuple[int, ...], kind: str, number: float, fortran: bool) -> NDArray[Any]:
        array = np.zeros(shape, kind)
        if array.dtype.kind in "fc" or (array.dtype.kind in "iu" and np.isfinite(number)):
            with np.errstate(all="ignore"):
                array = np.full(shape, number).astype(kind)
        return np.asfortranarray(array) if fortran else array

    return st.builds(made, shapes, kinds, numbers, st.booleans())


def npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes that `numpy.savez` writes."""
    buffer = io.BytesIO()
    named: dict[str, Any] = dict(arrays)
    np.savez(buffer, **named)
    return buffer.getvalue()


def tar(members: Sequence[tuple[str, bytes]], changes: Mapping[int, tuple[slice, bytes]] | None = None) -> bytes:
    """A tar, in which `changes` overwrites header fields of members, by number; the checksums are corrected."""
    blocks = []
    for number, (name, data) in enumerate(members):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        header = bytearray(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
        if changes and number in changes:
            field, value = changes[number]
            header[field] = value[: field.stop - field.start].ljust(field.stop - field.start, b"\0")
            header[148:156] = b" " * 8
            header[148:156] = b"%06o\0 " % sum(header[:512])
        blocks += [bytes(header), data, bytes(-len(data) % 512)]
    return b"".join(blocks) + bytes(1024)


def safetensors(header: Any, data: bytes) -> bytes:
    """A safetensors file with any header."""
    text = header if isinstance(header, bytes) else document(header)
    return struct.pack("<Q", len(text)) + text + data
