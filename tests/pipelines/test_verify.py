"""`pipelines.verify` proved: for each of its checks a damage that this check alone names, and bits flipped anywhere."""

import errno
import json
import os
import random
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conf.errors import UserError
from conf.recipe import recipe_hash
from pipelines.hub.dataset_page import SHEET
from pipelines.synthesis.sequence import encode_frame, record_of
from pipelines.verify import VerifyConfig, run
from renderers.painting import StrokeProgram
from tests.pipelines.runs import PAINT_FAST, save_picture, synth
from training.data import retries
from training.data.dataset import DatasetCard, read_card
from training.data.layout import shard_name
from training.data.manifest import (
    ShardManifest,
    manifest_path,
    read_checked_manifest,
    read_manifest,
    tar_path,
    to_json,
    write_atomically,
)
from training.data.own_page import README
from training.data.seal import sealed
from training.data.sequence import StoredSequence, read_sequences
from training.data.shard import ShardWriter
from training.data.split import open_split
from training.data.survey import surveyed
from training.data.tables import write_tables

FIRST, SECOND = (shard_name("train", number, 3) for number in range(2))
Change = Callable[[dict[str, Any], dict[str, bytes]], None]
"""Of the facts and members of a sequence."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures painted and two refused, in three shards to train on and one to validate."""
    root = tmp_path_factory.mktemp("verify")
    (root / "pictures").mkdir()
    for number in range(6):
        save_picture(root / "pictures" / f"{number}.png", number)
    for name in ("empty.png", "torn.png"):
        (root / "pictures" / name).write_bytes(b"\x89PNG"[: len(name) - 5])
    overrides = (*PAINT_FAST, "shard_size=2", "cluster=inline", "source=folder", "val_fraction=0.3", "gallery=false")
    assert synth(*overrides, f"source.path={root / 'pictures'}", f"out={root / 'data'}") == 3
    return root / "data"


@pytest.fixture
def data(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # nothing here outlives the power
    return Path(shutil.copytree(made, tmp_path / "data"))


def verified(root: Path, *, replay: bool = True) -> tuple[int, list[str]]:
    """Exit code and faults."""
    summary = run(VerifyConfig(dataset=root, replay=replay))
    assert all("\n" not in line for line in summary.lines)
    return summary.exit_code, [line for line in summary.lines if line.startswith("fault: ")]


def test_what_synth_made_is_sound(data: Path) -> None:
    assert verified(data) == (0, [])


# What forgers do: change something, and make all hashes fit again.


def manifests_of(root: Path) -> list[ShardManifest]:
    card = read_card(root)
    return [manifest for name in card.shards if (manifest := read_manifest(root, name)) is not None]


def resum(root: Path, **fields: Any) -> None:
    """Write card and tables so that all their hashes fit what stands there now."""
    card = replace(read_card(root), **fields)
    manifests = manifests_of(root)
    write_tables(root, manifests)
    card.completed(root, surveyed(manifests).totals()).write(root)


def remanifest(root: Path, name: str = FIRST, **fields: Any) -> None:
    write_manifest(root, name, **fields)
    resum(root)


def write_manifest(root: Path, name: str = FIRST, **fields: Any) -> None:
    """Change a manifest, which fits its own hash and no other."""
    manifest = read_manifest(root, name)
    assert manifest is not None
    write_atomically(manifest_path(root, name), sealed(replace(manifest, **fields).to_json()))


def rerecord(root: Path, **fields: Any) -> None:
    """Change the record of the first sequence."""
    manifest = read_manifest(root, FIRST)
    assert manifest is not None
    remanifest(root, records=({**manifest.records[0], **fields}, *manifest.records[1:]))


def forge(root: Path, change: Change, *, raw: bool = False) -> None:
    """Write the first shard again with a changed first sequence; all hashes and records fit.

    Args:
        raw: the json is what `change` leaves in the members, and the record stays.
    """
    manifest = read_manifest(root, FIRST)
    assert manifest is not None
    sequences = list(read_sequences(root, manifest))
    records = list(manifest.records)
    with ShardWriter(root, FIRST) as writer:
        for number, sequence in enumerate(sequences):
            facts, members = sequence.facts, dict(sequence.members)
            if number == 0:
                change(facts, members)
                if not raw:
                    members["json"] = to_json(facts).encode()
                    caption = members["txt"].decode()
                    records[0] = {**record_of(facts, caption), "split": manifest.split, "shard": manifest.name}
            writer.add(sequence.key, members)
        names = ("split", "first_index", "num_planned", "config_hash", "code_version", "quarantined")
        writer.commit(records=tuple(records), **{name: getattr(manifest, name) for name in names})
    resum(root)


def member(name: str, content: bytes) -> Change:
    return lambda facts, members: members.update({name: content})


def reprogram(change: Callable[[StrokeProgram], StrokeProgram]) -> Change:
    def apply(facts: dict[str, Any], members: dict[str, bytes]) -> None:
        members["strokes.npz"] = change(StrokeProgram.from_bytes(members["strokes.npz"])).to_bytes()

    return apply


def repaint(change: Callable[[list[np.ndarray[Any, Any]]], list[np.ndarray[Any, Any]]]) -> Change:
    """Frames replaced by others of the same names."""

    def apply(facts: dict[str, Any], members: dict[str, bytes]) -> None:
        sequence = StoredSequence(key="", members=members)
        for number, frame in enumerate(change(list(sequence.frames()))):
            members[facts["frames"][number]["member"]] = encode_frame(frame, "webp")

    return apply


def refact(**fields: Any) -> Change:
    return lambda facts, members: facts.update(fields)


def flip(path: Path, place: int = -40, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def rewrite_json(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def swap(one: Path, two: Path) -> None:
    contents = one.read_bytes(), two.read_bytes()
    two.write_bytes(contents[0])
    one.write_bytes(contents[1])


def spans(root: Path, **fields: Any) -> None:
    manifest = read_manifest(root, FIRST)
    assert manifest is not None
    write_manifest(root, samples=(replace(manifest.samples[0], **fields), *manifest.samples[1:]))


def first_version(root: Path) -> None:
    """The same data set as the first version wrote it: without hashes of what describes it."""
    replace(read_card(root), manifests=None).write(root)
    for name in read_card(root).shards:
        manifest = read_manifest(root, name)
        assert manifest is not None
        write_atomically(manifest_path(root, name), manifest.to_json().encode())


def rewritten_by_others(root: Path) -> None:
    replace(read_card(root), manifests=None).write(root)
    rewrite_json(manifest_path(root, FIRST))


def stands_twice(root: Path) -> None:
    """The sequences of the first shard, under its keys, in the second as well."""
    one, two = read_manifest(root, FIRST), read_manifest(root, SECOND)
    assert one is not None and two is not None
    shutil.copy(tar_path(root, FIRST), tar_path(root, SECOND))
    records = tuple({**record, "shard": SECOND} for record in one.records)
    copied = replace(one, name=SECOND, records=records, first_index=two.first_index)
    write_atomically(manifest_path(root, SECOND), sealed(copied.to_json()))
    resum(root)


def in_both_splits(root: Path) -> None:
    other = next(record for name in read_card(root).shards if name.startswith("val") for record in records(root, name))
    rerecord(root, source_sha256=other["source_sha256"])


def records(root: Path, name: str) -> tuple[Mapping[str, Any], ...]:
    manifest = read_manifest(root, name)
    assert manifest is not None
    return manifest.records


def wrong_split(root: Path) -> None:
    """A picture whose hash says that it is for validation."""
    forge(root, lambda facts, members: facts["source"].update(sha256="0" * 64))


def retotal(root: Path) -> None:
    card = read_card(root)
    assert card.totals is not None
    replace(card, totals={**card.totals, "num_bytes": 1}).write(root)


def rerecipe(root: Path, **fields: Any) -> None:
    """A recipe that was changed and hashed again, in the card and in all manifests."""
    recipe = {**read_card(root).recipe, **fields}
    for name in read_card(root).shards:
        remanifest(root, name, config_hash=recipe_hash(recipe))
    resum(root, recipe=recipe, config_hash=recipe_hash(recipe))


def blank_first(frames: list[Any]) -> list[Any]:
    return [frames[0] ^ 1, *frames[1:]]


def swap_middle(frames: list[Any]) -> list[Any]:
    return [*frames[:3], frames[4], frames[3], *frames[5:]]


def touch_middle(frames: list[Any]) -> list[Any]:
    frames[4][0, 0, 0] ^= 1
    return frames


def fewer_frames(facts: dict[str, Any], members: dict[str, bytes]) -> None:
    del facts["frames"][3]


def disordered(facts: dict[str, Any], members: dict[str, bytes]) -> None:
    facts["frames"][3]["step"], facts["frames"][4]["step"] = 15, 14


def unfinished(facts: dict[str, Any], members: dict[str, bytes]) -> None:
    facts["frames"][-1]["step"] -= 1


def one_stroke_less(program: StrokeProgram) -> StrokeProgram:
    return replace(program, strokes=program.strokes[:-1])


OTHER: dict[str, Any] = {
    "index": 77, "source": "x", "source_sha256": "e" * 64, "licence": "x", "caption": "x", "renderer": "oil",
    "renderer_config_hash": "x", "seed": 7, "num_steps": 7, "frame_steps": [0], "psnr_db": 7.0, "ssim": 0.7,
    "coverage": [0.0], "distance": [0.0], "progress_violation": 0.7, "beauty": 1.0,
}  # fmt: skip
DEEP = b"[" * 100_000
CARD = "dataset.json"

DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    # the card
    "card flipped": (lambda root: flip(root / CARD), "dataset.json: not a data set card"),
    "card cut": (lambda root: (root / CARD).write_bytes(b""), "dataset.json: not a data set card"),
    "card a list": (lambda root: (root / CARD).write_text("[]"), "dataset.json: not a data set card"),
    "card no text": (lambda root: (root / CARD).write_bytes(b"\xff"), "dataset.json: not a data set card"),
    "card deep": (lambda root: (root / CARD).write_bytes(DEEP), "dataset.json: not a data set card"),
    "card written by others": (lambda root: rewrite_json(root / CARD), "its checksum is missing"),
    "card gone": (lambda root: (root / CARD).unlink(), "dataset.json: missing"),
    "card a folder": (lambda root: folder_instead(root / CARD), "dataset.json: a folder where a file should be"),
    "recipe changed": (
        lambda root: resum(root, recipe={**read_card(root).recipe, "seed": 9}),
        "its recipe is not the one that its config_hash is of",
    ),
    "totals": (retotal, "the totals of dataset.json are not those of its shards"),
    # manifests
    "manifest flipped": (lambda root: flip(manifest_path(root, FIRST)), f"{FIRST}.json: not the bytes"),
    "manifest empty": (lambda root: manifest_path(root, FIRST).write_bytes(b""), f"{FIRST}.json: not a shard manifest"),
    "manifest deep": (lambda root: manifest_path(root, FIRST).write_bytes(DEEP), f"{FIRST}.json: not a shard"),
    "manifest gone": (lambda root: manifest_path(root, FIRST).unlink(), f"{FIRST}.json: missing"),
    "manifest a folder": (lambda root: folder_instead(manifest_path(root, FIRST)), "a folder where a file should be"),
    "manifests swapped": (
        lambda root: swap(manifest_path(root, FIRST), manifest_path(root, SECOND)),
        f"{FIRST}.json: the manifest of {SECOND}",
    ),
    "manifest changed and summed": (
        lambda root: write_manifest(root, records=[{**record, "caption": "x"} for record in records(root, FIRST)]),
        f"{FIRST}.json: not the manifest that the data set was completed with",
    ),
    "manifest written by others": (rewritten_by_others, f"{FIRST}.json: written again by another program"),
    "another configuration": (lambda root: remanifest(root, config_hash="d" * 64), "made with another configuration"),
    "another version": (lambda root: remanifest(root, code_version="9"), "made by version 9"),
    "another split": (lambda root: remanifest(root, split="val"), "is no shard of split 'val'"),
    "a record less": (lambda root: remanifest(root, records=records(root, FIRST)[1:]), "its counts disagree"),
    "planned": (lambda root: remanifest(root, num_planned=3), "3 planned, 2 made, 0 refused"),
    "records swapped": (lambda root: remanifest(root, records=records(root, FIRST)[::-1]), "its record is of"),
    "record of another shard": (lambda root: rerecord(root, shard=SECOND), f"its record is of shard {SECOND}"),
    "record of another type": (
        lambda root: write_manifest(
            root, records=({**records(root, FIRST)[0], "seed": "0"}, *records(root, FIRST)[1:])
        ),
        "its record: seed",
    ),
    "record out of range": (lambda root: rerecord(root, frame_steps=[-1]), "its record: frame_steps.0"),
    "a negative offset": (lambda root: spans(root, offset=-512), "samples.0.offset"),
    "a huge length": (lambda root: spans(root, length=2**60), "samples.0.length"),
    "a length of nothing": (
        lambda root: spans(root, length=0),
        "begins at byte 0, 0 bytes, but 0 is next",
    ),
    "a length of too much": (lambda root: spans(root, length=2**40), "bytes, but 1099511627776 is next"),
    "a tar that is longer": (lambda root: write_manifest(root, num_bytes=2**40), "its sequences end at"),
    "refused for no reason": (lambda root: remanifest(root, quarantined=({"source": "x"},), num_planned=3), "reason"),
    # shards
    "tar gone": (lambda root: tar_path(root, FIRST).unlink(), f"{FIRST}.tar: missing, but it has a manifest"),
    "tar a folder": (lambda root: folder_instead(tar_path(root, FIRST)), f"{FIRST}.tar: missing"),
    "tar flipped": (lambda root: flip(tar_path(root, FIRST)), f"{FIRST}.tar: not the bytes that were committed"),
    "tar grown": (
        lambda root: tar_path(root, FIRST).write_bytes(tar_path(root, FIRST).read_bytes() + b"\0"),
        f"{FIRST}.tar: not the bytes that were committed",
    ),
    "a crc": (lambda root: spans(root, crc32=0), "not the bytes that were committed"),
    "tars swapped": (lambda root: swap(tar_path(root, FIRST), tar_path(root, SECOND)), f"{SECOND}.tar: not the bytes"),
    "a foreign tar": (
        lambda root: shutil.copy(tar_path(root, FIRST), root / "shards" / "train-00007-of-00009.tar"),
        "train-00007-of-00009.tar: a shard that nobody planned",
    ),
    "a foreign manifest": (
        lambda root: (root / "shards" / "val-00007-of-00009.json").touch(),
        "val-00007-of-00009.json: a shard that nobody planned",
    ),
    "a shard less": (
        lambda root: resum(root, shards=read_card(root).shards[1:]),
        f"{FIRST}.tar: a shard that nobody planned",
    ),
    "a sequence twice": (stands_twice, f"stands in {FIRST} and in {SECOND}"),
    "a picture in both splits": (in_both_splits, "stands in both splits"),
    # tables
    "quarantine gone": (lambda root: (root / "quarantine.jsonl").unlink(), "quarantine.jsonl: not the rows"),
    "quarantine flipped": (lambda root: flip(root / "quarantine.jsonl"), "quarantine.jsonl: not the rows"),
    "quarantine grown": (
        lambda root: (root / "quarantine.jsonl").write_bytes((root / "quarantine.jsonl").read_bytes() * 2),
        "quarantine.jsonl: not the rows",
    ),
    "samples gone": (lambda root: (root / "samples.parquet").unlink(), "samples.parquet: missing"),
    "samples cut": (lambda root: (root / "samples.parquet").write_bytes(b"PAR1"), "samples.parquet: damaged"),
    "samples of other sequences": (
        lambda root: write_tables(root, [*manifests_of(root)[1:], manifests_of(root)[0]]),
        "samples.parquet: not the rows of the manifests",
    ),
    "samples flipped in the footer": (lambda root: flip_statistics(root / "samples.parquet"), "samples.parquet: "),
    # what sequences say, and what manifests say of them
    **{
        f"record: {name}": (partial(rerecord, **{name: value}), f"manifest's {name} is")
        for name, value in OTHER.items()
    },
    "json empty": (lambda root: forge(root, member("json", b""), raw=True), "json: not JSON"),
    "json a list": (lambda root: forge(root, member("json", b"[]"), raw=True), "json: Input should be"),
    "json deep": (lambda root: forge(root, member("json", DEEP), raw=True), "json: not JSON"),
    "json no text": (lambda root: forge(root, member("json", b"\xff"), raw=True), "json: not JSON"),
    "json of nothing": (lambda root: forge(root, member("json", b"{}"), raw=True), "json: size_px: Field required"),
    "a huge size": (lambda root: forge(root, refact(size_px=[2**40, 1])), "json: size_px.0"),
    "a negative step": (lambda root: forge(root, refact(num_steps=-1)), "num_steps: Input should be"),
    "no source": (
        lambda root: forge(
            root, lambda facts, members: members.update(json=to_json(without(facts, "source")).encode()), raw=True
        ),
        "cannot be checked .KeyError: 'source'",
    ),
    "caption no text": (lambda root: forge(root, member("txt", b"\xff"), raw=True), "txt: not UTF-8"),
    "no strokes": (lambda root: forge(root, lambda facts, members: drop(members, "strokes.npz")), "no strokes.npz"),
    "strokes of noise": (lambda root: forge(root, member("strokes.npz", b"PK")), "not a stroke program"),
    "a frame gone": (lambda root: forge(root, lambda facts, members: drop(members, "03.webp")), "03.webp is not a"),
    "a frame of noise": (lambda root: forge(root, member("03.webp", b"RIFF")), "03.webp is not a picture"),
    "frames of another size": (
        lambda root: forge(root, repaint(lambda frames: [frame[::2] for frame in frames])),
        "00.webp is not a picture of 64x64 px",
    ),
    "wrong split": (wrong_split, "stands in the wrong split"),
    "a frame less": (lambda root: forge(root, fewer_frames), "7 frames, 8 planned"),
    "not finished": (lambda root: forge(root, unfinished), "the last frame is not the finished painting"),
    "another family": (lambda root: forge(root, reprogram(lambda one: replace(one, family="x"))), "no renderer 'x'"),
    "a family that did not paint it": (
        lambda root: forge(root, reprogram(lambda one: replace(one, family="brush"))),
        "but its program is of brush",
    ),
    "a huge canvas": (
        lambda root: forge(root, reprogram(lambda one: replace(one, height_px=60_000))),
        "its program is of 60000 x 64",
    ),
    "a stroke less": (lambda root: forge(root, reprogram(one_stroke_less)), "its program has 19 steps, its json 20"),
    "steps in disorder": (lambda root: forge(root, disordered), "not in the order of their steps"),
    "not blank": (lambda root: forge(root, repaint(blank_first)), "the first frame is not the blank canvas"),
    "distance rises": (
        lambda root: forge(root, repaint(swap_middle)),
        "the distance to the finished canvas rises at frame 4",
    ),
    "another stroke": (lambda root: forge(root, repaint(touch_middle)), "frame 4 is not what its program paints"),
    "a schedule of other frames": (
        lambda root: rerecipe(root, schedule={"num_frames": 9, "spacing": "distance"}),
        "8 frames, 9 planned",
    ),
}


def without(facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key != name}


def drop(members: dict[str, bytes], name: str) -> None:
    del members[name]


def flip_statistics(path: Path) -> None:
    """A bit in the footer that readers of rows do not look at: of the name of the program that wrote it."""
    content = path.read_bytes()
    path.write_bytes(content.replace(b"parquet-cpp-arrow", b"parquet-cpp-arrnw"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_named(damage: str, data: Path) -> None:
    harm, reason = DAMAGES[damage]
    harm(data)
    code, faults = verified(data)
    assert code == 1
    assert any(re.search(reason, fault) for fault in faults), faults


def test_without_replay_strokes_are_not_painted_again(data: Path) -> None:
    forge(data, repaint(touch_middle))
    assert verified(data, replay=False) == (0, [])


def test_a_data_set_of_the_first_version_is_sound_and_said_to_carry_no_hashes(data: Path) -> None:
    first_version(data)
    summary = run(VerifyConfig(dataset=data))
    assert summary.exit_code == 0 and any("carry no hashes" in line for line in summary.lines)
    assert len(open_split(str(data), "train")) > 0


def test_a_table_that_another_pyarrow_wrote_is_sound(data: Path) -> None:
    path = data / "samples.parquet"
    written = path.read_bytes()
    program = re.findall(rb"parquet-cpp-arrow version [0-9.]+", written)[-1]
    path.write_bytes(written.replace(program, program[:-1] + (b"8" if program.endswith(b"9") else b"9")))
    assert path.read_bytes() != written
    assert verified(data) == (0, [])


def test_a_manifest_that_was_written_again_is_refused_by_training(data: Path) -> None:
    write_manifest(data, code_version="0.0.1")
    with pytest.raises(UserError, match=FIRST):
        open_split(str(data), "train")


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match="no"):
            run(VerifyConfig(dataset=folder))


def test_a_disk_that_fails_is_no_fault_of_the_data(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def fails(suffix: str, self: Path, mode: str = "r", *given: Any, **options: Any) -> Any:
        if self.suffix == suffix and "r" in mode:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(self))
        return opened(self, mode, *given, **options)

    monkeypatch.setattr(retries, "WAITS_S", (0.0,))
    for suffix in (".json", ".tar", ".parquet", ".jsonl"):
        with monkeypatch.context() as patched, pytest.raises(UserError, match=rf"\{suffix}: cannot be read \(Input/"):
            patched.setattr(Path, "open", partialmethod(partial(fails, suffix)))
            run(VerifyConfig(dataset=data))


FLIPS = 200


def test_a_bit_flipped_anywhere_is_named(data: Path) -> None:
    """In every kind of file, described and describing; timings and pages for people alone may be flipped unseen."""
    rng = random.Random(37)
    kinds: dict[str, list[Path]] = {}
    for path in sorted(path for path in data.rglob("*") if path.is_file() and path.parent.name != "timings"):
        if path.name in (README, SHEET):
            continue
        kinds.setdefault(path.suffix if path.name != CARD else CARD, []).append(path)
    assert set(kinds) == {CARD, ".json", ".tar", ".parquet", ".jsonl"}
    unnamed = []
    for number in range(FLIPS):
        path = rng.choice(kinds[sorted(kinds)[number % len(kinds)]])
        sound = path.read_bytes()
        place, bit = rng.randrange(len(sound)), rng.randrange(8)
        flip(path, place, bit)
        try:
            code, _ = verified(data, replay=False)
            if code != 1:
                unnamed.append((path.name, place, bit))
        finally:
            path.write_bytes(sound)
    assert unnamed == []


def test_training_refuses_flipped_descriptions(data: Path) -> None:
    rng = random.Random(38)
    paths = [data / CARD, manifest_path(data, FIRST), manifest_path(data, SECOND)]
    for number in range(90):
        path = paths[number % len(paths)]
        sound = path.read_bytes()
        flip(path, rng.randrange(len(sound)), rng.randrange(8))
        try:
            with pytest.raises(UserError) as told:
                open_split(str(data), "train")
            assert "\n" not in str(told.value)
        finally:
            path.write_bytes(sound)


def test_a_flipped_manifest_is_made_again_by_the_same_command(made: Path, data: Path) -> None:
    flip(manifest_path(data, FIRST))
    overrides = (*PAINT_FAST, "shard_size=2", "cluster=inline", "source=folder", "val_fraction=0.3", "gallery=false")
    assert synth(*overrides, f"source.path={made.parent / 'pictures'}", f"out={data}") == 3
    assert verified(data) == (0, [])
    for name in read_card(made).shards:
        assert manifest_path(data, name).read_bytes() == manifest_path(made, name).read_bytes()
    assert (data / CARD).read_bytes() == (made / CARD).read_bytes()


def test_the_root_is_written_when_all_is_there_and_not_before(data: Path) -> None:
    card = read_card(data)
    assert card.manifests is not None and set(card.manifests) == set(card.shards)
    half = card.completed(data, surveyed(manifests_of(data)[1:]).totals())
    assert half.manifests is None and half.totals is None
    half.write(data)
    manifest_path(data, FIRST).unlink()
    write_tables(data, manifests_of(data))
    code, faults = verified(data)
    assert (code, faults) == (3, [])
    assert isinstance(read_card(data), DatasetCard) and read_checked_manifest(data, SECOND) is not None


def test_what_verify_prints_is_what_there_is_how_good_it_is_and_the_verdict(data: Path) -> None:
    records = [record for manifest in manifests_of(data) for record in manifest.records]
    size_mb = sum(path.stat().st_size for path in data.glob("shards/*.tar")) / 1e6
    psnr_db, ssim, violation = (
        sum(record[metric] for record in records) / 6 for metric in ("psnr_db", "ssim", "progress_violation")
    )
    lines = (
        f"{data}: 6 sequences in 5 of 5 shards, {size_mb:.1f} MB, 2 inputs refused",
        f"  bezier: 6 sequences, PSNR {psnr_db:.2f} dB, SSIM {ssim:.3f}, progress violation {violation:.4f}",
    )
    assert run(VerifyConfig(dataset=data)).lines == (*lines, "sound, complete")
    (data / "samples.parquet").unlink()
    named = (f"fault: {data / 'samples.parquet'}: missing", "1 faults, complete")
    assert run(VerifyConfig(dataset=data)).lines == (*lines, *named)


def test_an_unfinished_data_set_is_said_to_be_so_and_of_many_faults_twenty_are_listed(data: Path) -> None:
    card = read_card(data)
    replace(card, totals=None, manifests=None).write(data)
    summary = run(VerifyConfig(dataset=data))
    assert (summary.exit_code, summary.lines[-1]) == (3, "sound, not complete")
    assert not any("carry no hashes" in line for line in summary.lines)
    for number in range(25):
        (data / "shards" / f"foreign-{number:02d}").touch()
        if number + 1 in (20, 25):
            *_, before_verdict, verdict = run(VerifyConfig(dataset=data)).lines
            assert verdict == f"{number + 1} faults, not complete"
            assert before_verdict.startswith("fault: ") if number < 20 else before_verdict == "and 5 more"
