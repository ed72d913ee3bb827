"""For each of the checks of `pipelines.verify` a damage that this check alone names."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conf.recipe import recipe_hash
from renderers.painting import StrokeProgram
from tests.pipelines.verify.forgery import (
    CARD,
    FIRST,
    SECOND,
    drop,
    flip,
    folder_instead,
    forge,
    manifests_of,
    member,
    records,
    refact,
    remanifest,
    repaint,
    reprogram,
    rerecord,
    resum,
    rewrite_json,
    swap,
    verified,
    without,
    write_manifest,
)
from training.data.dataset import read_card
from training.data.manifest import (
    manifest_path,
    read_manifest,
    tar_path,
    to_json,
    write_atomically,
)
from training.data.seal import sealed
from training.data.tables import write_tables


def spans(root: Path, **fields: Any) -> None:
    manifest = read_manifest(root, FIRST)
    assert manifest is not None
    write_manifest(root, samples=(replace(manifest.samples[0], **fields), *manifest.samples[1:]))


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


def repeated(facts: dict[str, Any], members: dict[str, bytes]) -> None:
    """Another step of the program than the schedule chose, which its json tells as if it went on."""
    steps = [frame["step"] for frame in facts["frames"]]
    facts["frames"][3]["step"] = steps[2]
    members[facts["frames"][3]["member"]] = members[facts["frames"][2]["member"]]


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
    "another distance": (lambda root: forge(root, repeated), "not as far from the finished painting as its json says"),
    "another stroke": (lambda root: forge(root, repaint(touch_middle)), "frame 4 is not what its program paints"),
    "a schedule of other frames": (
        lambda root: rerecipe(root, schedule={"num_frames": 9, "spacing": "distance"}),
        "8 frames, 9 planned",
    ),
}


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
