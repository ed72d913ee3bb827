"""Promises of training and painting that only a GPU can check; run by `make test-gpu`."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from conf.command import command
from pipelines.inference.config import paint_config
from pipelines.paint import run as paint
from tests.training.stages.parents import STAGES, train, untrained_parents
from training.models.sd15.frame_attention import fused, sums

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]


def losses(run: Path) -> list[float]:
    return [json.loads(line)["train/loss"] for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_went_on_has_the_losses_of_one_that_was_not_stopped(
    sequences: Path, tmp_path: Path, stage: str
) -> None:
    folders = untrained_parents(tmp_path / "parents")
    options = {"log_every": 1, "checkpoint_every": 2}
    whole = train(stage, sequences, folders, tmp_path / "whole", **options)
    train(stage, sequences, folders, tmp_path / "parts", **options, max_steps=2)
    parts = train(stage, sequences, folders, tmp_path / "parts", **options)
    assert np.allclose(losses(whole), losses(parts), rtol=1e-4)


def test_compiled_blocks_have_the_losses_of_others(sequences: Path, tmp_path: Path) -> None:
    folders = untrained_parents(tmp_path / "parents")
    eager, compiled = (
        losses(train("motion", sequences, folders, tmp_path / f"compile-{way}", log_every=1, compile=way))
        for way in ("false", "true")
    )
    assert np.allclose(eager, compiled, rtol=2e-2)


@pytest.mark.parametrize("stage", ["base", *STAGES])
def test_recorded_steps_have_the_losses_of_others(sequences: Path, tmp_path: Path, stage: str) -> None:
    folders = untrained_parents(tmp_path / "parents")
    options = {"log_every": 1, "max_steps": 6, "accumulate": 2}
    queued, recorded = (
        losses(train(stage, sequences, folders, tmp_path / f"graphs-{way}", cuda_graphs=way, **options))
        for way in ("false", "true")
    )
    assert np.allclose(queued, recorded, rtol=1e-4)


def test_temporal_attention_takes_more_places_than_a_kernel() -> None:
    query = torch.randn(70_000, 8, 8, 16, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    mixed = fused(query, query, query)
    (gradient,) = torch.autograd.grad(mixed.square().sum(), query)
    torch.testing.assert_close(mixed[-9:], sums(query[-9:], query[-9:], query[-9:]), atol=2e-2, rtol=2e-2)
    assert bool(gradient.isfinite().all())


def test_a_gpu_paints_what_the_cpu_paints(tmp_path: Path) -> None:
    finished = []
    for device in ("cpu", "cuda"):
        overrides = ["prompt=a red house by a lake", "steps=4", f"device={device}", f"out={tmp_path / device}"]
        assert command("paint", paint_config, paint, "A test.", overrides) == 0
        finished.append(np.asarray(Image.open(tmp_path / device / "frames" / "07.png"), np.float32))
    assert np.abs(finished[0] - finished[1]).mean() < 2
