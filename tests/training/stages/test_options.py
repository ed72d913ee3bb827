"""Options of training that change no shape and raise no error when they are forgotten: each must do what it says."""

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.training.models.small_base import small_base
from tests.training.stages.made import base_stage, spatial_lora_stage
from tests.training.stages.outcomes import prepared
from tests.training.stages.parents import config
from tests.training.stages.runs import SMALL
from tests.training.stages.test_motion_stage import batch_of, stage_of
from training.noise_schedule import NoiseSchedule
from training.stages.denoising import DenoisingConfig, DenoisingNetwork


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_the_loss_is_weighted_by_min_snr(prediction: str) -> None:
    """Hang et al. 2023: errors at steps of little noise, where the SNR is above gamma, count less."""
    stage = stage_of()
    network = stage.network
    assert isinstance(network, DenoisingNetwork)
    schedule = NoiseSchedule(prediction=prediction)  # type: ignore[arg-type]
    losses = {}
    for gamma in (None, 0.01):
        network._config = dataclasses.replace(network._config, objective=schedule, min_snr=gamma)
        losses[gamma] = network.eval()(batch_of())
    weighted, plain = losses[0.01], losses[None]
    assert torch.equal(weighted.per_sample, plain.per_sample)
    weights = schedule.loss_weights(weighted.timesteps, 0.01)
    assert float(weights.max()) < 1
    assert float(weighted.loss.detach()) == pytest.approx(float((weights * weighted.per_sample).mean()), rel=1e-5)
    assert float(plain.loss.detach()) == pytest.approx(float(plain.per_sample.mean()), rel=1e-5)


@pytest.mark.parametrize("stage", ["base", "motion", "replication", "spatial_lora", "motion_lora"])
def test_what_the_command_is_told_reaches_the_stage(stage: str, larger: Path, folders: dict[str, Path]) -> None:
    for checkpointing in (False, True):
        options = {
            "gradient_checkpointing": str(checkpointing).lower(),
            "noise.min_snr": 4.0 if checkpointing else "null",
        }
        made = prepared(config(stage, larger, folders, larger / "none", **options))
        marks = [
            module.gradient_checkpointing
            for module in made.network.modules()
            if isinstance(getattr(module, "gradient_checkpointing", None), bool)
        ]
        assert any(marks) == checkpointing
        assert isinstance(made.network, DenoisingNetwork)
        assert made.network._config.min_snr == (4.0 if checkpointing else None)


@pytest.mark.parametrize(
    ("zero_terminal_snr", "min_snr", "warned"), [("true", 5, True), ("false", 5, False), ("true", "null", False)]
)
def test_weights_that_leave_out_the_step_where_painting_begins_are_warned_of(
    larger: Path, folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    zero_terminal_snr: str, min_snr: float | str, warned: bool,
) -> None:  # fmt: skip
    options = {"base": "null", "noise.zero_terminal_snr": zero_terminal_snr, "noise.min_snr": min_snr, **SMALL}
    stage = prepared(config("base", larger, folders, tmp_path, **options))
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: noise.min_snr=5.0")]
    assert len(warnings) == warned
    assert isinstance(stage.network, DenoisingNetwork)
    schedule, gamma = stage.network._config.objective, stage.network._config.min_snr
    assert isinstance(schedule, NoiseSchedule)
    begins = schedule.sampler(10).timesteps[:1]
    assert (float(schedule.loss_weights(begins, gamma)) == 0) == warned


@pytest.mark.parametrize("kind", ["base", "spatial_lora"])
def test_checkpointing_activations_changes_no_gradient_and_keeps_fewer(kind: str) -> None:
    grads, kept = [], []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = small_base()
        denoising, size_px = DenoisingConfig(objective=model.schedule), (64, 64)
        if kind == "base":
            stage = base_stage(model, denoising, size_px, trains_text=False, checkpointing=checkpointing)
        else:
            stage = spatial_lora_stage(model, denoising, size_px, checkpointing=checkpointing)
        stage.network.train()
        frames = torch.linspace(-1, 1, 2 * 3 * 64 * 64).reshape(2, 1, 3, 64, 64)
        batch = dataclasses.replace(batch_of(), frames=frames)
        saved: list[int] = []

        def noting(tensor: torch.Tensor, saved: list[int] = saved) -> torch.Tensor:
            saved.append(tensor.nbytes)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(noting, lambda tensor: tensor):
            loss = stage.network(batch).loss
        kept.append(sum(saved))
        loss.backward()
        parameters = stage.network.named_parameters()
        grads.append({name: value.grad for name, value in parameters if value.grad is not None})
    assert kept[1] < kept[0]
    assert grads[0].keys() == grads[1].keys() and grads[0]
    assert all(torch.allclose(grads[0][name], grads[1][name], atol=1e-6) for name in grads[0])
