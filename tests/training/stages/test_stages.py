"""What every stage promises: only what it names moves, runs go on exactly, processes add up, the card says it all."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from conf.errors import UserError
from tests.training.stages.real_runs import STAGES, config, train, words
from tests.training.toy_runs import ROOT, log, losses
from training.checkpoint import newest_sound
from training.config import TrainConfig
from training.data.stream import SequenceStream
from training.stages import Stage
from training.stages.make import make_stage
from training.train import run
from training.weights import module_hash, trained_parameters, weights_hash

Folders = dict[str, Path]


def prepared(config: TrainConfig) -> Stage:
    return make_stage(config, SequenceStream.open(config.data, split="train", frames=config.stage.frames))


@pytest.mark.parametrize("stage", STAGES)
def test_only_what_a_stage_names_is_moved(pictures: Path, folders: Folders, tmp_path: Path, stage: str) -> None:
    made: list[Stage] = []
    before: list[dict[str, Any]] = []

    def remembered(config: TrainConfig, stream: SequenceStream) -> Stage:
        made.append(make_stage(config, stream))
        before.append({name: module_hash(module) for name, module in made[0].frozen.items()})
        before.append({name: value.detach().clone() for name, value in trained_parameters(made[0].network).items()})
        return made[0]

    run(config(stage, pictures, folders, tmp_path / "run", max_steps=3), remembered)
    assert {name: module_hash(module) for name, module in made[0].frozen.items()} == before[0]
    after = trained_parameters(made[0].network)
    moved = [name for name, value in after.items() if not torch.equal(value, before[1][name])]
    assert len(moved) > len(after) / 3  # of a network whose outputs start at zero, some see no gradient yet
    named = {id(value) for module in made[0].frozen.values() for value in module.parameters()}
    everything = {id(value) for value in made[0].network.parameters()}
    assert everything == named | {id(value) for value in after.values()}


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_was_interrupted_is_the_run_that_was_not(
    pictures: Path, folders: Folders, tmp_path: Path, stage: str
) -> None:
    whole = train(stage, pictures, folders, tmp_path / "whole", max_steps=5, validate_every=5, val_sequences=2)
    train(stage, pictures, folders, tmp_path / "parts", max_steps=2)
    parts = train(stage, pictures, folders, tmp_path / "parts", max_steps=5, validate_every=5, val_sequences=2)
    assert losses(parts) == losses(whole) and losses(parts, "val/") == losses(whole, "val/")
    assert weights_hash(parts / "weights") == weights_hash(whole / "weights")


@pytest.mark.nightly
@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_are_one_with_twice_the_batch(
    pictures: Path, folders: Folders, tmp_path: Path, stage: str
) -> None:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    arguments = words(stage, pictures, folders, tmp_path / "two", max_steps=3, batch_size=1)
    subprocess.run(
        [sys.executable, *torchrun, "-m", "training.train", *arguments],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, capture_output=True, timeout=250,
    )  # fmt: skip
    train(stage, pictures, folders, tmp_path / "one", max_steps=3, batch_size=2)
    two, one = (newest_sound(tmp_path / name / "checkpoints", print) for name in ("two", "one"))
    assert two is not None and one is not None
    for name, value in one.tensors("trained").items():
        assert (two.tensors("trained")[name] - value).abs().max() < 1e-5, name


@pytest.mark.parametrize("stage", ["replication", "motion_lora"])
def test_the_card_names_parents_and_what_was_frozen(
    pictures: Path, folders: Folders, tmp_path: Path, stage: str
) -> None:
    train(stage, pictures, folders, tmp_path / "run", max_steps=1)
    card = json.loads((tmp_path / "run" / "run.json").read_text())
    assert card["stage"] == stage and card["trained"]["parameters"] > 0
    assert card["recipe"]["parents"] == {key: weights_hash(folders[key]) for key in ("base", "motion")}
    assert {"vae", "text_encoder"} < card["frozen"].keys()


@pytest.mark.parametrize("stage", STAGES[1:])
def test_samples_are_sequences_or_pictures(pictures: Path, folders: Folders, tmp_path: Path, stage: str) -> None:
    ready = prepared(config(stage, pictures, folders, tmp_path, validate_every=1))
    with torch.no_grad():
        painted = ready.samples(["a red house", "a lake"], seed=0)
    assert painted.shape == (2, 1 if stage == "spatial_lora" else 8, 3, 32, 32)
    assert painted.min() >= 0 and painted.max() <= 1


def test_a_motion_lora_is_trained_beside_its_spatial_lora(pictures: Path, folders: Folders, tmp_path: Path) -> None:
    spatial = train("spatial_lora", pictures, folders, tmp_path / "spatial", max_steps=2)
    ready = prepared(config("motion_lora", pictures, folders, tmp_path / "motion", spatial_lora=spatial))
    before = module_hash(ready.frozen["spatial_lora"])
    out = train("motion_lora", pictures, folders, tmp_path / "motion", max_steps=2, spatial_lora=spatial)
    card = json.loads((out / "run.json").read_text())
    assert card["recipe"]["parents"]["spatial_lora"] == weights_hash(spatial / "weights")
    assert card["frozen"]["spatial_lora"]["parameters"] == sum(
        tensor.numel() for tensor in load_file(spatial / "weights" / "pytorch_lora_weights.safetensors").values()
    )
    assert module_hash(ready.frozen["spatial_lora"]) == before
    assert all(".motion_modules." in name for name in load_file(out / "weights" / "pytorch_lora_weights.safetensors"))


def test_a_spatial_lora_is_trained_on_finished_pictures_unless_told_otherwise(
    pictures: Path, folders: Folders, tmp_path: Path
) -> None:
    assert config("spatial_lora", pictures, folders, tmp_path).stage.frames == "last"
    said = {"stage.pictures": "all", "max_steps": 1}
    out = train("spatial_lora", pictures, folders, tmp_path / "run", **said)
    # Eight frames a sequence, in the same time.
    (line,) = (line for line in log(out) if "perf/frames_per_s" in line)
    assert line["perf/frames_per_s"] == pytest.approx(8 * line["perf/samples_per_s"], rel=1e-3)


@pytest.mark.parametrize(
    ("stage", "said", "error"),
    [
        ("replication", {"motion": "null"}, "motion is needed with stage=replication"),
        ("motion_lora", {"motion": "null"}, "motion is needed with stage=motion_lora"),
        ("spatial_lora", {"base": "null"}, "base is needed with stage=spatial_lora"),
        ("motion", {"replication": "x"}, "replication=x: not allowed; allowed: null, or stage=replication"),
        ("spatial_lora", {"spatial_lora": "x"}, "spatial_lora=x: not allowed; allowed: null, or stage=motion_lora"),
        ("replication", {"stage.conditions": "null"}, "stage.conditions=None: not allowed"),
        ("replication", {"stage.conditions.most": 0}, "stage.conditions.most=0"),
        ("spatial_lora", {"stage.lora.rank": 0}, "stage.lora.rank=0: not allowed; allowed: 1 to 1024"),
        ("spatial_lora", {"stage.lora.targets": "[to_x]"}, "stage.lora.targets=.*allowed: some of to_q"),
    ],
)
def test_impossible_configurations_are_refused(
    pictures: Path, folders: Folders, tmp_path: Path, stage: str, said: dict[str, Any], error: str
) -> None:
    with pytest.raises(UserError, match=error):
        config(stage, pictures, folders, tmp_path, **said)


@pytest.mark.parametrize(
    ("stage", "key"), [("replication", "motion"), ("replication", "replication"), ("motion_lora", "spatial_lora")]
)
def test_a_parent_of_another_kind_is_refused_and_nothing_is_left(
    pictures: Path, folders: Folders, tmp_path: Path, stage: str, key: str
) -> None:
    with pytest.raises(UserError, match=f"{key}=") as caught:
        train(stage, pictures, folders, tmp_path / "run", **{key: folders["base"] / "unet"})
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_fewer_than_three_sequences_make_no_lora(folders: Folders, tmp_path: Path) -> None:
    from tests.pipelines.small_dataset import small_dataset

    data = small_dataset(tmp_path / "data", captions=("a", "b", "c"), size_px=(32, 32))
    with pytest.raises(UserError, match="2 sequences to train on; a LoRA needs at least 3"):
        train("spatial_lora", data, folders, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_longer_sequences_than_the_motion_model_knows_are_refused(folders: Folders, tmp_path: Path) -> None:
    from tests.pipelines.small_dataset import small_dataset

    data = small_dataset(tmp_path / "data", captions=("a", "b", "c", "d", "e", "f"), size_px=(32, 32), num_frames=33)
    with pytest.raises(UserError, match=r"motion=.*: knows 32 positions; .* have 33 frames"):
        train("replication", data, folders, tmp_path / "run")
