"""Of a Wan only what a stage names moves, and two processes are one with twice the batch."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.models.wan22.small_wan import small_wan
from tests.training.models.wan22.wan_runs import arguments, config, small_scenes, train
from tests.training.stages.outcomes import mean_gradients, moved_by
from tests.training.toy_runs import ROOT, losses

_WHOLE = {"+stage.lora": "null"}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_scenes(tmp_path_factory.mktemp("wan"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wan") / "base"
    folder.mkdir()
    small_wan().save(folder)
    return folder


@pytest.fixture(scope="module")
def motion(scenes: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(scenes, tmp_path_factory.mktemp("wan") / "motion", "motion", base=base)


@pytest.mark.parametrize(
    ("stage", "options"), [("motion", {}), ("motion", _WHOLE), ("spatial_lora", {}), ("motion_lora", {})]
)
def test_only_what_a_stage_names_is_moved(
    scenes: Path, base: Path, motion: Path, tmp_path: Path, stage: str, options: dict[str, Any]
) -> None:
    parents = {"base": base, "motion": motion} if stage == "motion_lora" else {"base": base}
    run = moved_by(config(scenes, tmp_path / "run", stage, **parents, **options))
    assert run.frozen_after == run.frozen_before
    before, after = run.trained_before, run.trained_after
    moved = [name for name in after if not torch.equal(after[name], before[name])]
    assert len(moved) > 0.9 * len(after)
    assert all(".lora_" in name for name in after) != bool(options)
    named = {id(value) for module in run.stage.frozen.values() for value in module.parameters()}
    assert {id(value) for value in run.stage.network.parameters()} == named | {id(value) for value in after.values()}


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("distributed", "options"),
    [("ddp", {}), ("fsdp2", _WHOLE)],
    ids=["a LoRA", "the whole transformer in shards"],
)
def test_two_processes_are_one_with_twice_the_batch(
    scenes: Path, base: Path, tmp_path: Path, distributed: str, options: dict[str, Any]
) -> None:
    options = {"base": base, "max_steps": 1, "noise.shared": 0.5, **options}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    typed = arguments(scenes, tmp_path / "two", "motion", **options, batch_size=1, distributed=distributed)
    done = subprocess.run(
        [sys.executable, *torchrun, "-m", "training.train", *typed],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}, check=False,
        capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    train(scenes, tmp_path / "one", "motion", **options)
    (two,), (one,) = losses(tmp_path / "two"), losses(tmp_path / "one")
    assert two["train/loss"] == pytest.approx(one["train/loss"], rel=1e-5)
    # Not the weights: Adam takes a whole step wherever a gradient is mere rounding.
    gradients = mean_gradients(tmp_path / "one")
    assert max(float(each.abs().max()) for each in gradients) > 1e-3
    for ours, theirs in zip(mean_gradients(tmp_path / "two"), gradients, strict=True):
        assert (ours - theirs).abs().max() < 1e-5
