"""Readers of layered documents, tables, archives and drawings."""

import io
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyora
from hypothesis import strategies as st
from krita4python import KraDocument, KraLayer, write_kra
from PIL import Image
from psd_tools import PSDImage

from conf.errors import UserError
from pipelines.artists.drawings import strokes_of
from pipelines.artists.footage import Footage
from pipelines.artists.hdf5 import read_archive
from pipelines.artists.layers.krita import tiles
from pipelines.artists.layers.reading import read_layers
from pipelines.sources.framing import Framing
from pipelines.sources.parquet import ParquetSource
from pipelines.sources.source import RefusedPicture
from tests.fuzz.mutations import mutated
from tests.fuzz.pictures import pictures
from tests.fuzz.target import Target

_RGBA = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 24, 4), np.uint8))


def _written(name: str, write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(path := Path(folder) / name)
        return path.read_bytes()


@cache
def _openraster() -> bytes:
    project = pyora.Project.new(24, 20)
    for name in ("below", "above"):
        project.add_layer(_RGBA, name)
    return _written("a.ora", lambda path: project.save(str(path)))


@cache
def _krita() -> bytes:
    layers = [KraLayer(name=name, image=_RGBA) for name in ("below", "above")]
    return _written("a.kra", lambda path: write_kra(path, KraDocument(width=24, height=20, layers=layers)))


@cache
def _krita_layer() -> bytes:
    tile = b"\1" + b"\xe0\x00\x00" * 40 + b"\x1f" + bytes(32)
    return b"VERSION 2\nTILEWIDTH 64\nTILEHEIGHT 64\nPIXELSIZE 4\nDATA 1\n0,0,LZF,%d\n" % len(tile) + tile


@cache
def _photoshop() -> bytes:
    document = PSDImage.frompil(_RGBA)
    document.create_pixel_layer(_RGBA, name="above")
    document.create_group(name="group").create_pixel_layer(_RGBA, name="inside")
    return _written("a.psd", document.save)


@cache
def _archive() -> bytes:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.attrs["reference_frame_tags"] = '[{"tag": "a boat"}]'
            frames = file.create_dataset(
                "frames", (3,), h5py.vlen_dtype(np.dtype("uint8")), chunks=(1,), maxshape=(None,)
            )
            for number in range(3):
                frames[number] = np.frombuffer(pictures()["jpeg"], np.uint8)

    return _written("a.h5", write)


@cache
def _table() -> bytes:
    rows = [{"bytes": pictures()["png"], "path": "a.png"}, {"bytes": pictures()["jpeg"], "path": None}]
    pq.write_table(pa.table({"image": rows, "text": ["a", None], "license": ["CC0", ""]}), out := io.BytesIO())
    return out.getvalue()


def _read_footage(ending: str, read: Callable[[str, int, range], Footage]) -> Callable[[bytes, Path], object]:
    def read_file(data: bytes, folder: Path) -> None:
        (path := folder / f"a{ending}").write_bytes(data)
        assert 1 <= len(read(str(path), 32, range(2, 9))) <= 9

    return read_file


def _read_archive(data: bytes, folder: Path) -> None:
    (path := folder / "a.h5").write_bytes(data)
    with mock.patch("pipelines.artists.hdf5._MOST_CPU_S", 1):
        read_archive(str(path), 32, range(2, 9))


def _read_table(data: bytes, folder: Path) -> None:
    (folder / "a.parquet").write_bytes(data)
    source = ParquetSource(path=str(folder), max_pixels=1_000_000)
    for entry in source.index(100):
        source.load(entry, Framing(height_px=64, width_px=64))


def _of(make: Callable[[], bytes]) -> "Callable[[], st.SearchStrategy[bytes]]":
    return lambda: mutated([make()])


_REFUSED: Any = (RefusedPicture,)
TARGETS = {
    "openraster": Target(files=_of(_openraster), read=_read_footage(".ora", read_layers), refusals=_REFUSED),
    "krita": Target(files=_of(_krita), read=_read_footage(".kra", read_layers), refusals=_REFUSED),
    "krita-layer": Target(files=_of(_krita_layer), read=lambda data, _: list(tiles(data, 4)), refusals=_REFUSED),
    "photoshop": Target(files=_of(_photoshop), read=_read_footage(".psd", read_layers), refusals=_REFUSED),
    "hdf5": Target(files=_of(_archive), read=_read_archive, refusals=_REFUSED),
    "parquet": Target(files=_of(_table), read=_read_table, refusals=(UserError, RefusedPicture)),
    "drawing": Target(
        files=lambda: mutated([b'{"word": "cat", "drawing": [[[0, 255], [0, 9]], [[3.5], [1e3]]]}']),
        read=lambda data, _: strokes_of(data),
        refusals=_REFUSED,
    ),
}
