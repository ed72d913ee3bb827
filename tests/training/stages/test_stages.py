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
from pipelines.painters import painter_folder
from tests.pipelines.small_dataset import small_dataset
from tests.training.stages.outcomes import mean_gradients, moved_by, prepared
from tests.training.stages.parents import STAGES, config, said_of, stir, train
from tests.training.toy_runs import ROOT, kill_at, log, losses, words
from training.models.lora import LORA_FILE
from training.models.sd15.base import load_base
from training.models.sd15.replication import add_replication, is_carried, load_replication, save_replication
from training.models.weights import weights_hash

Folders = dict[str, Path]


@pytest.mark.parametrize("stage", STAGES)
def test_only_what_a_stage_names_is_moved(larger: Path, folders: Folders, tmp_path: Path, stage: str) -> None:
    found = moved_by(config(stage, larger, folders, tmp_path / "run", max_steps=3))
    assert found.frozen_after == found.frozen_before
    before, after = found.trained_before, found.trained_after
    moved = [name for name in after if not torch.equal(after[name].cpu(), before[name])]
    assert len(moved) > len(after) / 3  # of a network whose outputs start at zero, some see no gradient yet
    named = {id(value) for module in found.stage.frozen.values() for value in module.parameters()}
    everything = {id(value) for value in found.stage.network.parameters()}
    assert everything == named | {id(value) for value in after.values()}


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_was_interrupted_is_the_run_that_was_not(
    larger: Path, folders: Folders, tmp_path: Path, stage: str
) -> None:
    whole = train(stage, larger, folders, tmp_path / "whole", max_steps=5, validate_every=5, val_sequences=2)
    train(stage, larger, folders, tmp_path / "parts", max_steps=2)
    parts = train(stage, larger, folders, tmp_path / "parts", max_steps=5, validate_every=5, val_sequences=2)
    assert losses(parts) == losses(whole) and losses(parts, "val/") == losses(whole, "val/")
    assert weights_hash(parts / "weights") == weights_hash(whole / "weights")


@pytest.mark.nightly
@pytest.mark.parametrize("stage", ["replication", "motion_lora"])
def test_a_run_that_was_killed_is_the_run_that_was_not(
    larger: Path, folders: Folders, tmp_path: Path, stage: str
) -> None:
    said = said_of(stage, folders, max_steps=12, checkpoint_every=2)
    process = subprocess.Popen(
        [sys.executable, "-m", "training.train", *words(larger, tmp_path / "killed", **said)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    kill_at(process, tmp_path / "killed", 5)
    killed = train(stage, larger, folders, tmp_path / "killed", **said, resume="must")
    whole = train(stage, larger, folders, tmp_path / "whole", **said)
    assert losses(killed) == losses(whole)
    assert weights_hash(killed / "weights") == weights_hash(whole / "weights")


@pytest.mark.nightly
@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_are_one_with_twice_the_batch(larger: Path, folders: Folders, tmp_path: Path, stage: str) -> None:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    said = said_of(stage, folders, max_steps=1)
    if stage == "replication":  # a new one, all zeros at both ends, first gets gradients that are mere rounding
        unet = load_base(folders["base"]).unet
        network = add_replication(unet)
        stir(network)
        save_replication(network, tmp_path / "network")
        said["replication"] = tmp_path / "network"
    arguments = words(larger, tmp_path / "two", **{**said, "batch_size": 1})
    subprocess.run(
        [sys.executable, *torchrun, "-m", "training.train", *arguments],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}, check=True,
        capture_output=True, timeout=250,
    )  # fmt: skip
    train(stage, larger, folders, tmp_path / "one", **said)
    for two, one in zip(losses(tmp_path / "two"), losses(tmp_path / "one"), strict=True):
        assert two["train/loss"] == pytest.approx(one["train/loss"], rel=1e-5)
    # Not the weights, and one step only: Adam takes a whole step wherever a gradient is mere rounding.
    for ours, theirs in zip(mean_gradients(tmp_path / "two"), mean_gradients(tmp_path / "one"), strict=True):
        assert (ours - theirs).abs().max() < 1e-5


@pytest.mark.parametrize("stage", ["replication", "motion_lora"])
def test_the_card_names_parents_and_what_was_frozen(larger: Path, folders: Folders, tmp_path: Path, stage: str) -> None:
    train(stage, larger, folders, tmp_path / "run", max_steps=1)
    card = json.loads((tmp_path / "run" / "run.json").read_text())
    assert card["stage"] == stage and card["trained"]["parameters"] > 0
    assert card["recipe"]["parents"] == {key: weights_hash(folders[key]) for key in ("base", "motion")}
    assert {"vae", "text_encoder"} < card["frozen"].keys()


@pytest.mark.parametrize("stage", STAGES[1:])
def test_samples_are_sequences_or_pictures(larger: Path, folders: Folders, tmp_path: Path, stage: str) -> None:
    ready = prepared(config(stage, larger, folders, tmp_path, validate_every=1))
    with torch.no_grad():
        painted = ready.samples(["a red house", "a lake"], seed=0)
    assert painted.shape == (2, 1 if stage == "spatial_lora" else 8, 3, 32, 32)
    assert painted.min() >= 0 and painted.max() <= 1


@pytest.mark.parametrize("stage", STAGES[1:])
def test_stable_diffusion_is_trained_from_a_local_folder(
    larger: Path, folders: Folders, tmp_path: Path, stage: str
) -> None:
    options = {"model": "sd15", "model.path": folders["base"], "base": "null", "noise.prediction": "v", "max_steps": 1}
    out = train(stage, larger, folders, tmp_path / "run", **options)
    card = json.loads((out / "run.json").read_text())
    assert card["recipe"]["parents"]["model"] == weights_hash(folders["base"])
    if stage == "replication":
        again = train(stage, larger, folders, tmp_path / "again", **options, replication=out)
        card = json.loads((again / "run.json").read_text())
        assert card["recipe"]["parents"]["replication"] == weights_hash(out / "weights")


def test_a_motion_lora_is_trained_beside_its_spatial_lora(larger: Path, folders: Folders, tmp_path: Path) -> None:
    spatial, out = train("spatial_lora", larger, folders, tmp_path / "spatial", max_steps=2), tmp_path / "motion"
    found = moved_by(config("motion_lora", larger, folders, out, max_steps=2, spatial_lora=spatial))
    assert {"unet", "motion", "spatial_lora"} < found.frozen_before.keys()
    assert found.frozen_after == found.frozen_before
    card = json.loads((out / "run.json").read_text())
    assert card["recipe"]["parents"]["spatial_lora"] == weights_hash(spatial / "weights")
    assert card["frozen"]["spatial_lora"]["parameters"] == sum(
        tensor.numel() for tensor in load_file(spatial / "weights" / LORA_FILE).values()
    )
    assert all(".motion_modules." in name for name in load_file(out / "weights" / LORA_FILE))


def test_a_spatial_lora_is_trained_on_finished_pictures_unless_told_otherwise(
    larger: Path, folders: Folders, tmp_path: Path
) -> None:
    assert config("spatial_lora", larger, folders, tmp_path).stage.frames == "last"
    options = {"stage.pictures": "all", "max_steps": 1}
    out = train("spatial_lora", larger, folders, tmp_path / "run", **options)
    # Eight frames a sequence, in the same time.
    (line,) = (line for line in log(out) if "perf/frames_per_s" in line)
    assert line["perf/frames_per_s"] == pytest.approx(8 * line["perf/samples_per_s"], rel=1e-3)


@pytest.mark.parametrize(
    ("stage", "options", "error"),
    [
        ("replication", {"motion": "null"}, "motion is required with stage=replication"),
        ("motion_lora", {"motion": "null"}, "motion is required with stage=motion_lora"),
        ("spatial_lora", {"base": "null"}, "base is required with stage=spatial_lora"),
        ("motion", {"replication": "x"}, "replication=x: not allowed; allowed: null, or stage=replication"),
        ("spatial_lora", {"spatial_lora": "x"}, "spatial_lora=x: not allowed; allowed: null, or stage=motion_lora"),
        ("replication", {"stage.conditions": "null"}, "stage.conditions=null: not allowed"),
        ("replication", {"stage.conditions.most": 0}, "stage.conditions.most=0"),
        ("spatial_lora", {"stage.lora.rank": 0}, "stage.lora.rank=0: not allowed; allowed: 1 to 1024"),
        ("spatial_lora", {"stage.lora.targets": "[to_x]"}, "stage.lora.targets=.*allowed: some of to_q"),
    ],
)
def test_impossible_configurations_are_refused(
    larger: Path, folders: Folders, tmp_path: Path, stage: str, options: dict[str, Any], error: str
) -> None:
    with pytest.raises(UserError, match=error):
        config(stage, larger, folders, tmp_path, **options)


@pytest.mark.parametrize(
    ("stage", "key"), [("replication", "motion"), ("replication", "replication"), ("motion_lora", "spatial_lora")]
)
def test_a_parent_of_another_kind_is_refused_and_nothing_is_left(
    larger: Path, folders: Folders, tmp_path: Path, stage: str, key: str
) -> None:
    with pytest.raises(UserError, match=f"{key}=") as caught:
        train(stage, larger, folders, tmp_path / "run", **{key: folders["base"] / "unet"})
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_a_network_goes_on_seeing_what_it_was_trained_to_see(larger: Path, folders: Folders, tmp_path: Path) -> None:
    key = "stage.conditions.carried"
    published = train("replication", larger, folders, tmp_path / "one", max_steps=1, **{key: "false"})
    with pytest.raises(UserError, match=rf"{key}=true: not allowed; allowed: false, as .*one was trained"):
        train("replication", larger, folders, tmp_path / "two", replication=published)
    options = {"max_steps": 1, "replication": published, key: "false"}
    again = train("replication", larger, folders, tmp_path / "two", **options)
    assert not is_carried(load_replication(again / "weights", load_base(folders["base"]).unet))


def test_fewer_than_three_sequences_make_no_lora(folders: Folders, tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", captions=("a", "b", "c"), size_px=(32, 32))
    with pytest.raises(UserError, match="2 sequences to train on; a LoRA needs at least 3"):
        train("spatial_lora", data, folders, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_longer_sequences_than_the_motion_model_knows_are_refused(folders: Folders, tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", captions=("a", "b", "c", "d", "e", "f"), size_px=(32, 32), num_frames=33)
    with pytest.raises(UserError, match=r"motion=.*: has 32 positions; .* have 33 frames"):
        train("replication", data, folders, tmp_path / "run")


@pytest.mark.parametrize(
    ("stage", "dtype"), [*((stage, torch.float16) for stage in STAGES), ("spatial_lora", torch.bfloat16)]
)
def test_a_base_in_half_precision_is_trained_on_as_the_same_numbers_in_float32(
    larger: Path, folders: Folders, tmp_path: Path, stage: str, dtype: torch.dtype
) -> None:
    base = load_base(folders["base"]).to("cpu", dtype)
    base.save(tmp_path / "half")
    base.to("cpu", torch.float32).save(tmp_path / "whole")
    runs = [
        train(stage, larger, {**folders, "base": tmp_path / name}, tmp_path / f"run_{name}", max_steps=1)
        for name in ("half", "whole")
    ]
    assert losses(runs[0]) == losses(runs[1])


def test_the_shipped_painter_is_a_base_to_train_on(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", captions=[f"picture {n}" for n in range(9)], size_px=(64, 64))
    shipped = {"base": painter_folder(Path("tiny"))}
    options = {"noise.zero_terminal_snr": "true", "max_steps": 1}
    assert losses(train("spatial_lora", data, shipped, tmp_path / "run", **options))


@pytest.mark.parametrize(("side_px", "far"), [(64, True), (96, False), (128, False), (256, True)])
def test_parts_that_learned_from_pictures_of_far_other_size_are_warned_of(
    larger: Path, folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str], side_px: int, far: bool
) -> None:
    data = small_dataset(tmp_path / "data", captions=[f"{n}" for n in range(9)], size_px=(side_px, side_px))
    shipped = {"base": painter_folder(Path("tiny"))}  # paints pictures of 128 px
    prepared(config("spatial_lora", data, shipped, tmp_path / "run", **{"noise.zero_terminal_snr": "true"}))
    warning = f"warning: base={shipped['base']}: was trained on 128x128 px, and this data has {side_px}x{side_px} px"
    assert (warning in capsys.readouterr().err) == far


def test_every_part_that_a_run_trained_is_warned_of_and_none_of_whose_size_nothing_is_known(
    larger: Path, folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    motion = train("motion", larger, folders, tmp_path / "motion", max_steps=1)
    data = small_dataset(tmp_path / "data", captions=[f"{n}" for n in range(9)], size_px=(64, 64))
    capsys.readouterr()
    prepared(config("motion_lora", data, {**folders, "motion": motion}, tmp_path / "run"))
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1  # the base has no card
    assert warnings[0].startswith(f"warning: motion={motion}: was trained on 32x32 px, and this data has 64x64 px")
