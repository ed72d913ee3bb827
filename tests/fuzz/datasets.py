"""Readers of data sets: programs, sequences, and forged data sets in which all hashes are correct."""

import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from numpy.typing import NDArray

from conf.errors import UserError
from pipelines.evaluation.importers import _painted
from pipelines.gallery import GalleryConfig
from pipelines.gallery import run as show
from pipelines.inference.own_files import own_files
from pipelines.sources.source import RefusedPicture
from pipelines.status import StatusConfig
from pipelines.status import run as tell_status
from pipelines.synthesis.regions import read_label_map
from pipelines.synthesis.table_faults import samples_fault
from pipelines.verify import VerifyConfig
from pipelines.verify import run as verify
from renderers import families, renderer
from renderers.painting import StrokeProgram
from tests.fuzz.mutations import mutated, mutated_document, mutated_value, npz, odd_arrays
from tests.fuzz.pictures import pictures
from tests.fuzz.target import Target
from tests.pipelines.small_dataset import small_dataset
from training.data.dataset import parse_card, read_card, read_manifests
from training.data.manifest import parse_manifest
from training.data.seal import sealed
from training.data.sequence import parse_sequence
from training.data.source import open_source
from training.data.tables import write_samples
from training.run.run_folder import RunFolder

_SIDES = (20, 24)
_COLUMNS = {"bezier": 13, "brush": 18, "agent": 16, "region": 2, "studio": 18}
_REPORT = {"note": "n", "files": ["frames/00.png"], "prompt": "p", "source": None, "conditions": [], "request": "r"}
_CARD_KEYS = ("recipe", "config_hash", "code_version", "shards", "num_planned", "totals", "schema_version")


def program_arrays(family: str) -> dict[str, NDArray[Any]]:
    """The arrays of a sound program, by their names in the file."""
    rng = np.random.default_rng(1)
    labels, columns = pictures()["grey16"], _COLUMNS[family]
    strokes = rng.uniform(0.1, 0.9, (6, columns)).astype("<f4")
    if family == "agent":
        strokes[:, 13:] = (0, 0, 1)
    mark = rng.integers(0, 256, (2, 6, 8), np.uint8)
    family_arrays = {"brush_cover": mark, "brush_relief": mark, "density": np.float32(0), "relief": np.float32(0.2)}
    if family == "region":
        strokes = np.array([(0, 0.5), (0, 1.0)], "<f4")
        blank = cv2.imencode(".png", np.zeros(_SIDES, np.uint8))[1].ravel()
        family_arrays = {"labels": blank, "picture": blank, "fill": np.array("wash")}
    elif family not in ("brush", "studio"):
        family_arrays = {"labels": np.frombuffer(labels, np.uint8)}
    return {
        "family": np.array(family), "strokes": strokes, "canvas": np.ones(3, "<f4"), "size_px": np.array(_SIDES, "<i4"),
        **{f"family_{name}": np.asarray(array) for name, array in family_arrays.items()},
    }  # fmt: skip


@st.composite
def _programs(draw: DrawFn) -> bytes:
    arrays = program_arrays(draw(st.sampled_from(sorted(_COLUMNS))))
    for name in draw(st.lists(st.sampled_from(sorted(arrays)), max_size=2)):
        arrays[name] = draw(odd_arrays())
    if draw(st.booleans()):
        strokes = arrays["strokes"] = np.array(arrays["strokes"])
        if strokes.size and strokes.dtype.kind == "f":
            numbers = st.sampled_from((0, -1, 1, 1e4, -1e4, 1e9, 3e38, 1e-30, np.nan, np.inf, 70_000, 0.5))
            with np.errstate(all="ignore"):
                strokes.flat[draw(st.integers(0, strokes.size - 1))] = draw(numbers)
    data = npz(arrays)
    return draw(mutated([data])) if draw(st.integers(0, 3)) == 0 else data


def _compile() -> None:
    """Compile the kernels, by replaying a sound program of each family."""
    for family in _COLUMNS:
        _replay(npz(program_arrays(family)), Path())


def _replay(data: bytes, _: Path) -> None:
    program = StrokeProgram.from_bytes(data)
    if program.family not in families():
        return
    with np.errstate(all="ignore"):
        for canvas in renderer(program.family).replay(program, [0, len(program.strokes)], _SIDES):
            assert canvas.shape == (*_SIDES, 3)


@cache
def _sequence() -> bytes:
    """The bytes of one sequence in a tar."""
    with tempfile.TemporaryDirectory() as folder:
        root = small_dataset(Path(folder) / "data", num_frames=2, size_px=(24, 20))
        (manifest, *_) = read_manifests(root, read_card(root).shards)
        span = manifest.samples[0]
        return (root / "shards" / f"{manifest.name}.tar").read_bytes()[span.offset : span.offset + span.length]


def _read_sequence(data: bytes, _: Path) -> None:
    sequence = parse_sequence("00000000", data)
    sequence.frames()
    assert isinstance(sequence.caption, str)


@cache
def _small_files() -> Mapping[str, bytes]:
    """All files of a small data set, by name."""
    with tempfile.TemporaryDirectory() as folder:
        root = small_dataset(Path(folder) / "data", num_frames=2, size_px=(24, 20))
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _plain(data: bytes) -> dict[str, Any]:
    return {key: value for key, value in json.loads(data).items() if key != "checksum"}


@st.composite
def _forged(draw: DrawFn) -> bytes:
    """A document with all JSON files of a data set, of which one or two are changed; the reader seals them again."""
    documents = {name: _plain(data) for name, data in _small_files().items() if name.endswith(".json")}
    for name in draw(st.lists(st.sampled_from(sorted(documents)), min_size=1, max_size=2, unique=True)):
        changed = draw(mutated_value(documents[name]))
        documents[name] = changed if isinstance(changed, dict) else documents[name]
    return json.dumps(documents).encode()


def _read_dataset(data: bytes, folder: Path) -> None:
    """Write the data set, and run every command that reads one."""
    root = folder / "data"
    for name, content in _small_files().items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    documents = json.loads(data)
    card = documents.pop("dataset.json")
    hashes = {}
    for name, fields in documents.items():
        written = sealed(json.dumps(fields, indent=1, sort_keys=True) + "\n")
        (root / name).write_bytes(written)
        hashes[Path(name).stem] = hashlib.sha256(written).hexdigest()
    text = json.dumps({**card, "manifests": hashes}, indent=1, sort_keys=True) + "\n"
    (root / "dataset.json").write_bytes(sealed(text))
    refusals = []
    for read in (
        lambda: verify(VerifyConfig(dataset=root)),
        lambda: tell_status(StatusConfig(dataset=root)),
        lambda: show(GalleryConfig(dataset=root, max_sequences=4, thumbnail_px=64)),
        lambda: open_source(str(root), "train", captions_required=False, base_fingerprint=None),
    ):
        try:
            read()
        except UserError as refusal:
            refusals.append(refusal)
    shutil.rmtree(root)
    if refusals:
        raise refusals[0]


def _read_manifest(data: bytes, _: Path) -> None:
    manifest = parse_manifest(data, "train-00000-of-00002")
    manifest.check()


def _read_log(data: bytes, folder: Path) -> None:
    run = RunFolder(folder)
    run.log.write_bytes(data + b"\n" + data.replace(b"\n", b" "))
    run.card.write_bytes(data)
    run.cut_log(10)
    run.report()


def _read_report(data: bytes, folder: Path) -> None:
    (folder / "report.json").write_bytes(data)
    (folder / "frames").mkdir()
    own_files(folder)
    _painted(folder)


def _read_table(data: bytes, folder: Path) -> None:
    path = folder / "samples.parquet"
    path.write_bytes(data)
    samples_fault(path, [], exact=True)


def _table() -> bytes:
    file = io.BytesIO()
    write_samples(file, [])
    return file.getvalue()


TARGETS = {
    "program": Target(files=_programs, read=_replay, refusals=(ValueError,), prepare=_compile),
    "sequence": Target(files=lambda: mutated([_sequence()]), read=_read_sequence, refusals=(ValueError,)),
    "manifest": Target(
        files=lambda: mutated_document(_plain(_small_files()["shards/train-00000-of-00002.json"])),
        read=_read_manifest,
        refusals=(ValueError,),
    ),
    "card": Target(
        files=lambda: mutated_document(_plain(_small_files()["dataset.json"])),
        read=lambda data, _: parse_card(data, "dataset.json"),
    ),
    "dataset": Target(files=_forged, read=_read_dataset),
    "table": Target(files=lambda: mutated([_table()]), read=_read_table),
    "label-map": Target(
        files=lambda: mutated([pictures()["grey16"], pictures()["png"]]),
        read=lambda data, _: read_label_map(data),
        refusals=(ValueError,),
    ),
    "log": Target(files=lambda: mutated_document({"step": 3, "train/loss": 0.5}), read=_read_log),
    "report": Target(files=lambda: mutated_document(_REPORT), read=_read_report, refusals=(UserError, RefusedPicture)),
}
