"""What stage `replication` promises beyond what all stages do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.models.small_base import pictures, small_base
from tests.training.stages.made import model_of, replication_stage, unet_of
from tests.training.stages.parents import stir
from training.data.batch import CachedLatents, SequenceBatch
from training.models.conditions import Conditions
from training.models.sd15.base import BaseModel
from training.models.sd15.motion import adapter_of, add_motion
from training.models.tiny.shape import TinyShape
from training.noise_schedule import NoiseSchedule
from training.stages.condition_draw import ConditionDraw
from training.stages.denoising import DenoisingConfig
from training.stages.replication import ReplicationStage

_SEQUENCES, _FRAMES, _SIDE_PX = 8, 4, 16


def stage_of(shown: SequenceBatch | None = None, *, carried: bool = True, weight: float = 1.0) -> ReplicationStage:
    shape = TinyShape(channels=(32,), plain_levels=0, patch_px=8, text_width=16, latent_channels=8)
    model = small_base(NoiseSchedule(prediction="v"), shape=shape)
    adapter = adapter_of(add_motion(model.unet, None))
    config = DenoisingConfig(objective=model.schedule, caption_dropout=0.0)
    torch.manual_seed(0)
    draw = ConditionDraw(carried=carried, weight=weight)
    return replication_stage(model, adapter, config, draw, _FRAMES, (_SIDE_PX, _SIDE_PX), shown)


def batch_of(step: int = 0) -> SequenceBatch:
    frames = pictures(_SEQUENCES * _FRAMES, _SIDE_PX, seed=1)
    return SequenceBatch(
        keys=("a",) * _SEQUENCES,
        positions=torch.arange(_SEQUENCES) + _SEQUENCES * step,
        captions=("",) * _SEQUENCES,
        frames=frames.reshape(_SEQUENCES, _FRAMES, 3, _SIDE_PX, _SIDE_PX),
    )


def clean_latents(stage: ReplicationStage, batch: SequenceBatch) -> Tensor:
    assert batch.frames is not None
    return stage.base.scaled(stage.base.encode_sequences(batch.frames)[0])


@contextmanager
def watched(stage: ReplicationStage) -> Iterator[list[Conditions]]:
    """What the network is shown, step by step."""
    seen: list[Conditions] = []
    denoiser = stage.network.get_submodule("denoiser")
    handle = denoiser.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[-1]))
    yield seen
    handle.remove()


def seen_by(stage: ReplicationStage, batch: SequenceBatch) -> Conditions:
    with watched(stage) as seen:
        stage.network(batch)
    return seen[0]


def test_conditions_are_clean_frames_in_their_own_places() -> None:
    stage, batch = stage_of(), batch_of()
    seen, clean = seen_by(stage, batch), clean_latents(stage, batch)
    drawn = ConditionDraw().strengths(0, batch.positions, _FRAMES)
    assert drawn.any()
    for row, strengths in enumerate(drawn):
        for frame in range(_FRAMES):
            assert seen.mask[row, frame] == strengths[frame]
            expected = clean[row, frame] if strengths[frame] else torch.zeros_like(clean[row, frame])
            assert torch.allclose(seen.latents[row, frame], expected, atol=1e-6)


def test_a_condition_is_the_mean_of_the_posterior_and_no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseModel, "exact", False)
    stage, batch = stage_of(), batch_of()
    clean = clean_latents(stage, batch)
    mean, text = clean / model_of(stage).scaling, stage.base.embed(batch.captions)
    cached = CachedLatents(mean=mean, logvar=torch.full_like(clean, 3.0), text=text)
    blurred = SequenceBatch(keys=batch.keys, positions=batch.positions, captions=batch.captions, latents=cached)
    seen = seen_by(stage, blurred)
    assert torch.allclose(seen.latents, clean * seen.mask[:, :, None, None, None], atol=1e-6)


def test_samples_are_painted_under_the_last_frames_of_what_is_shown() -> None:
    shown = batch_of()
    stage = stage_of(shown)
    with watched(stage) as seen:
        stage.samples(("", "", ""), seed=0)
    assert seen[0].mask.tolist() == [[0, 0, 0, 1]] * 3
    assert torch.allclose(seen[0].latents[:, -1], clean_latents(stage, shown)[:3, -1], atol=1e-6)
    assert not seen[0].latents[:, :-1].any()


@torch.no_grad()
def condition_losses(stage: ReplicationStage, *, slots_moved: int = 0, strength: float = 1.0) -> float:
    """Mean loss at one condition frame, each in turn, when it is shown in its own slot or in another."""
    clean = clean_latents(stage, batch_of())
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(7))
    timesteps, schedule = torch.full((_SEQUENCES,), 800), stage.base.objective
    text, total = stage.base.embed(("",) * _SEQUENCES), 0.0
    for frame in range(_FRAMES):
        strengths = torch.zeros(_SEQUENCES, _FRAMES)
        strengths[:, frame] = strength
        right = Conditions.among(clean, strengths)
        moved = Conditions(latents=right.latents.roll(slots_moved, 1), mask=right.mask.roll(slots_moved, 1))
        denoise = stage.network.get_submodule("denoiser")
        predicted = denoise(schedule.add_noise(clean, noise, timesteps), timesteps, text, moved)
        errors = (predicted - schedule.target(clean, noise, timesteps)).square()
        total += float(errors[:, frame].mean())
    return total / _FRAMES


@pytest.mark.parametrize(("carried", "lost"), [(False, 0.95), (True, 0.8)])
def test_a_condition_helps_its_own_frame_more_than_from_another_slot(carried: bool, lost: float) -> None:
    """Carried, it is seen at the frame that it is missing from: as something that lies beside it."""
    stage, num_steps = stage_of(carried=carried), 150
    trained = [parameter for parameter in stage.network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=3e-3)
    for step in range(num_steps):
        stage.network(batch_of(step)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    without, right = condition_losses(stage, strength=0.0), condition_losses(stage)
    assert right < 0.75 * without
    for slots in range(1, _FRAMES):
        assert condition_losses(stage, slots_moved=slots) > lost * without


def test_checkpointing_activations_changes_no_gradient() -> None:
    found = []
    for checkpointing in (False, True):
        stage = stage_of()
        replication: Any = stage.network.get_submodule("denoiser.replication")
        stir(replication)
        if checkpointing:
            unet_of(stage).enable_gradient_checkpointing()
            replication.enable_gradient_checkpointing()
        stage.network.train()
        stage.network(batch_of()).loss.backward()
        found.append([parameter.grad for parameter in replication.parameters()])
    for one, two in zip(*found, strict=True):
        assert one is not None and two is not None and torch.allclose(one, two, atol=1e-6)


def test_shown_frames_count_as_often_in_the_loss_as_is_said() -> None:
    stage, batch = stage_of(weight=4.0), batch_of()
    strengths = ConditionDraw().strengths(0, batch.positions, _FRAMES)
    squares = torch.rand(_SEQUENCES, _FRAMES, 8, 2, 2, generator=torch.Generator().manual_seed(3))
    errors = stage.network.weighted(squares, batch.positions)  # type: ignore[operator]
    for row, shown in enumerate(strengths):
        counts = [4.0 if one else 1.0 for one in shown]
        expected = sum(count * float(frame.mean()) for count, frame in zip(counts, squares[row], strict=True))
        assert float(errors[row]) == pytest.approx(expected / sum(counts), rel=1e-5)
    assert strengths.any() and not strengths.all(1).any()


def test_held_out_losses_of_runs_with_other_weights_compare() -> None:
    losses = []
    for weight in (1.0, 4.0):
        torch.manual_seed(1)
        stage = stage_of(weight=weight)
        stir(stage.network.get_submodule("denoiser"))
        losses.append([stage.network.train(mode)(batch_of()).loss.item() for mode in (True, False)])
    (trained_on, held_out), (weighted, held_out_weighted) = losses
    assert held_out == held_out_weighted and trained_on != weighted
