"""Paintings of the studio through the whole command: what is stored, told and verified."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from conf.compose import compose
from conf.errors import UserError
from conf.recipe import recipe_hash
from pipelines import synth, verify
from pipelines.pages.gallery.contents import gather
from pipelines.synthesis.config import SynthConfig, synth_config
from pipelines.synthesis.promises import sequence_faults
from tests.pipelines.real_runs import num_committed, real_runs
from tests.pipelines.runs import assert_same, contents
from tests.pipelines.runs import synth as synth_command
from tests.pipelines.synthesis.test_synth_kill import Killings
from training.data.dataset import read_card
from training.data.manifest import ShardManifest, read_manifest
from training.data.sequence import StoredSequence, read_sequences

KEYS = ("renderer.num_strokes=60", "renderer.num_lines=40", "renderer.preset=fast", "size=64")
STUDIO = ("renderer=studio", *KEYS, "num_frames=4", "cluster=inline", "gallery=false", "val_fraction=0")
SHARD = "train-00000-of-00001"


def configured(out: Path, *overrides: str) -> SynthConfig:
    return synth_config(compose("synth", [*STUDIO, f"out={out}", *overrides]))


def manifest_of(out: Path) -> ShardManifest:
    manifest = read_manifest(out, SHARD)
    assert manifest is not None
    return manifest


def sequences_of(out: Path) -> list[StoredSequence]:
    return list(read_sequences(out, manifest_of(out)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("studio") / "out"
    assert synth.run(configured(out, "num_sequences=3", "caption.steps=true")).exit_code == 0
    return out


def faults(out: Path, sequence: StoredSequence, **members: bytes) -> list[str]:
    changed = StoredSequence(key=sequence.key, members={**sequence.members, **members})
    return list(sequence_faults(changed, manifest_of(out), read_card(out), replay=False))


def test_what_is_made_is_verified_and_made_again_to_the_byte(made: Path, tmp_path: Path) -> None:
    assert verify.run(verify.VerifyConfig(dataset=made)).exit_code == 0
    assert synth.run(configured(tmp_path / "out", "num_sequences=3", "caption.steps=true")).exit_code == 0
    assert_same(contents(made), contents(tmp_path / "out"))


@pytest.mark.parametrize("medium", ["ink", "pencil", "watercolour", "digital"])
def test_every_medium_is_verified(tmp_path: Path, medium: str) -> None:
    overrides = [f"renderer.medium={medium}", "num_sequences=2"]
    assert synth.run(configured(tmp_path / "out", *overrides)).exit_code == 0
    assert verify.run(verify.VerifyConfig(dataset=tmp_path / "out")).exit_code == 0


def test_frames_tell_phase_and_object_and_have_a_text_each(made: Path) -> None:
    for sequence in sequences_of(made):
        frames = sequence.facts["frames"]
        assert frames[0]["phase"] == "blank"
        assert frames[-1]["phase"] == "accents"
        assert sequence.caption.endswith(", drawn and painted in oil")
        for number, frame in enumerate(frames):
            assert sequence.step_caption(number) == f"{sequence.caption}, {frame['doing']}"
        assert sequence.step_caption(-1) == sequence.step_caption(len(frames) - 1)


def test_without_the_key_there_are_no_texts_of_frames_and_the_recipe_is_as_before(tmp_path: Path) -> None:
    config = configured(tmp_path / "out", "num_sequences=1")
    assert "step_captions" not in config.recipe()
    told = configured(tmp_path / "out", "num_sequences=1", "caption.steps=true")
    assert recipe_hash(told.recipe()) != recipe_hash(config.recipe())
    assert synth.run(config).exit_code == 0
    (sequence,) = sequences_of(tmp_path / "out")
    assert not [name for name in sequence.members if name.endswith(".txt")]
    assert sequence.step_caption(2) == sequence.caption


def test_renderers_without_phases_give_every_frame_the_caption(tmp_path: Path) -> None:
    overrides = ["renderer=bezier", "renderer.num_strokes=20", "size=64", "num_sequences=1", "caption.steps=true"]
    overrides += ["cluster=inline", "gallery=false", "val_fraction=0", f"out={tmp_path / 'out'}"]
    assert synth.run(synth_config(compose("synth", overrides))).exit_code == 0
    (sequence,) = sequences_of(tmp_path / "out")
    assert {sequence.step_caption(number) for number in range(8)} == {sequence.caption}
    assert "phase" not in sequence.facts["frames"][0]
    assert verify.run(verify.VerifyConfig(dataset=tmp_path / "out")).exit_code == 0


def test_verify_finds_phases_and_texts_that_the_program_does_not_paint(made: Path) -> None:
    (sequence, *_) = sequences_of(made)
    assert faults(made, sequence) == []
    for key, value in (("phase", "varnish"), ("object", "the moon"), ("doing", "resting"), ("receding", 1)):
        facts: dict[str, Any] = json.loads(sequence.members["json"])
        facts["frames"][2][key] = value if key != "receding" else not facts["frames"][2][key]
        assert "phase or the object" in " ".join(faults(made, sequence, json=json.dumps(facts).encode()))
    del facts["frames"][2]["phase"]
    assert "phase or the object" in " ".join(faults(made, sequence, json=json.dumps(facts).encode()))
    told = faults(made, sequence, **{"02.txt": b"something else"})
    assert told == ["the captions of its frames do not tell what its program does"]


def test_verify_finds_a_setback_that_is_not_marked(made: Path) -> None:
    (sequence, *_) = sequences_of(made)
    frames = sequence.facts["frames"]
    finished = sequence.members[frames[-1]["member"]]
    for number in range(2, len(frames) - 1):
        early = {frames[number - 1]["member"]: finished}  # after which frame `number` is a step back
        rises = any(f"rises at frame {number}" in fault for fault in faults(made, sequence, **early))
        assert rises != frames[number]["receding"]


def test_the_gallery_tells_what_is_being_done(made: Path) -> None:
    for card, sequence in zip(gather(made, 9, 96).cards, sequences_of(made), strict=True):
        assert [frame[3] for frame in card["frames"]] == [frame["doing"] for frame in sequence.facts["frames"]]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("renderer.medium=fresco", "renderer.medium=fresco"),
        ("renderer.order=random", "renderer.order=random"),
        ("renderer.phases=[varnish]", "renderer.phases="),
        ("renderer.phases=[form,drawing]", "in this order"),
        ("renderer.order=user", "renderer.user_order="),
        ("renderer.corrections=2", "0 to 1"),
        ("renderer.things.max_things=0", "renderer.things.max_things=0"),
        ("renderer.thing.method=graph", "renderer.thing"),
        ("caption.steps=maybe", "caption.steps"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(tmp_path: Path, word: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        configured(tmp_path / "out", word)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_atelier_deals_all_media_with_their_phrases(tmp_path: Path) -> None:
    config = synth_config(compose("synth", ["renderer=atelier", f"out={tmp_path / 'out'}"]))
    assert len({choice.config.medium for choice in config.renderers}) == 5
    assert len({choice.phrase for choice in config.renderers}) == 5
    assert all(choice.name == f"studio_{choice.config.medium}" for choice in config.renderers)


def test_a_phrase_of_ones_own_counts_and_so_does_none(tmp_path: Path) -> None:
    for word, expected in (("renderer.phrase=mine", "mine"), ("renderer.phrase=''", "")):
        (choice,) = configured(tmp_path / "out", word).renderers
        assert choice.phrase == expected


def test_a_mix_gains_the_studio_and_a_mix_begun_without_it_goes_on_without(tmp_path: Path) -> None:
    few = [f"renderer.members.{name}.num_strokes=50" for name in ("bezier", "oil", "ink", "studio")]
    overrides = [
        "renderer=mix",
        "size=64",
        "num_sequences=5",
        "cluster=inline",
        "gallery=false",
        "val_fraction=0",
        *few,
    ]
    begun = tmp_path / "begun"
    assert synth_command(*overrides, f"out={begun}", "renderer.weights.studio=0") == 0
    before = contents(begun)
    assert synth_command(*overrides, f"out={begun}") == 0
    assert_same(before, contents(begun))
    fresh = synth_config(compose("synth", [*overrides, f"out={tmp_path / 'fresh'}"]))
    assert "studio" in {choice.name for choice in fresh.renderers}


@pytest.mark.nightly
def test_killed_again_and_again_it_ends_in_the_same_data_set(tmp_path: Path) -> None:
    overrides = ("renderer=studio", *KEYS, "num_sequences=24", "shard_size=2", "num_frames=4", "cluster=inline")
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert synth_command(*overrides, f"out={whole}") == 0
    killings = Killings(out, len(read_card(whole).shards), random.Random(6))
    with real_runs(tmp_path / "log") as runs:
        for _ in range(2):
            run = runs.start(out, overrides)
            assert killings.wait_for_a_moment(run, num_committed(out), most=3)
            run.kill_driver()
            killings.note()
        assert runs.start(out, overrides).finish() == 0
    assert_same(contents(out), contents(whole))
