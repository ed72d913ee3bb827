"""Bits flipped anywhere in a data set: named by `pipelines.verify`, refused by training, made good by `synth`."""

import random
from pathlib import Path

import pytest

from conf.errors import UserError
from pipelines.hub.dataset_page import SHEET
from tests.pipelines.runs import PAINT_FAST, synth
from tests.pipelines.verify.forgery import CARD, FIRST, SECOND, flip, verified
from training.data.dataset import read_card
from training.data.manifest import (
    manifest_path,
)
from training.data.own_page import README
from training.data.split import open_split

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
