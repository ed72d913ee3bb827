"""Forgeries of a data set, which change something and correct all hashes; and the faults that `verify` reports."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.synthesis.sequence import encode_frame, record_of
from pipelines.verify import VerifyConfig, run
from renderers.painting import StrokeProgram
from training.data.dataset import read_card
from training.data.layout import shard_name
from training.data.manifest import (
    ShardManifest,
    manifest_path,
    read_manifest,
    to_json,
    write_atomically,
)
from training.data.seal import sealed
from training.data.sequence import StoredSequence, read_sequences
from training.data.shard import ShardWriter
from training.data.survey import surveyed
from training.data.tables import write_tables

FIRST, SECOND = (shard_name("train", number, 3) for number in range(2))
Change = Callable[[dict[str, Any], dict[str, bytes]], None]
"""A function that changes the facts and members of a sequence in place."""


def verified(root: Path, *, replay: bool = True) -> tuple[int, list[str]]:
    """Exit code of `verify`, and the faults that it reports."""
    summary = run(VerifyConfig(dataset=root, replay=replay))
    assert all("\n" not in line for line in summary.lines)
    return summary.exit_code, [line for line in summary.lines if line.startswith("fault: ")]


def manifests_of(root: Path) -> list[ShardManifest]:
    card = read_card(root)
    return [manifest for name in card.shards if (manifest := read_manifest(root, name)) is not None]


def resum(root: Path, **fields: Any) -> None:
    """Write card and tables again, so that all hashes are correct for the present manifests."""
    card = replace(read_card(root), **fields)
    manifests = manifests_of(root)
    write_tables(root, manifests)
    card.completed(root, surveyed(manifests).totals()).write(root)


def remanifest(root: Path, name: str = FIRST, **fields: Any) -> None:
    write_manifest(root, name, **fields)
    resum(root)


def write_manifest(root: Path, name: str = FIRST, **fields: Any) -> None:
    """Change a manifest and its own hash, but not the hashes of it elsewhere."""
    manifest = read_manifest(root, name)
    assert manifest is not None
    write_atomically(manifest_path(root, name), sealed(replace(manifest, **fields).to_json()))


def rerecord(root: Path, **fields: Any) -> None:
    """Change the record of the first sequence."""
    manifest = read_manifest(root, FIRST)
    assert manifest is not None
    remanifest(root, records=({**manifest.records[0], **fields}, *manifest.records[1:]))


def forge(root: Path, change: Change, *, raw: bool = False, name: str = FIRST) -> None:
    """Write a shard again with a changed first sequence, and correct all hashes and records.

    Args:
        root: the folder of the data set.
        change: the change of the first sequence.
        raw: whether the JSON member stays as `change` leaves it, and the record stays unchanged.
        name: the shard.
    """
    manifest = read_manifest(root, name)
    assert manifest is not None
    sequences = list(read_sequences(root, manifest))
    records = list(manifest.records)
    with ShardWriter(root, name) as writer:
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
        writer.commit(records=tuple(records), **{field: getattr(manifest, field) for field in names})
    resum(root)


def member(name: str, content: bytes) -> Change:
    return lambda facts, members: members.update({name: content})


def reprogram(change: Callable[[StrokeProgram], StrokeProgram]) -> Change:
    def apply(facts: dict[str, Any], members: dict[str, bytes]) -> None:
        members["strokes.npz"] = change(StrokeProgram.from_bytes(members["strokes.npz"])).to_bytes()

    return apply


def repaint(change: Callable[[list[np.ndarray[Any, Any]]], list[np.ndarray[Any, Any]]]) -> Change:
    """Replace frames by others under the same names."""

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


def records(root: Path, name: str) -> tuple[Mapping[str, Any], ...]:
    manifest = read_manifest(root, name)
    assert manifest is not None
    return manifest.records


CARD = "dataset.json"


def without(facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key != name}


def drop(members: dict[str, bytes], name: str) -> None:
    del members[name]
