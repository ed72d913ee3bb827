"""A pinned frame is tokens without noise at timestep 0: nothing is learned there, and sampling ends at the picture."""

from typing import Any

import pytest
import torch
from diffusers import WanImageToVideoPipeline
from torch import Tensor

from tests.training.models.wan22.small_wan import small_wan
from training.data.text import Text
from training.diffusion import sample
from training.models.conditions import Conditions
from training.models.wan22.denoiser import WanDenoiser
from training.models.wan22.flow import Flow

SHAPE = (2, 5, 6, 8, 4)  # sequences, latents, channels, cells down, cells across


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*(shape or SHAPE), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def base() -> Any:
    return small_wan()


@pytest.fixture(scope="module")
def text(base: Any) -> Text:
    with torch.no_grad():
        embedded: Text = base.embed(["a red house", "a tree"])
    return embedded


def pinned(clean: Tensor, *frames: int, strength: float = 1.0) -> Conditions:
    strengths = torch.zeros(clean.shape[:2])
    strengths[:, list(frames)] = strength
    return Conditions.among(clean, strengths)


@torch.no_grad()
def test_pinned_frames_add_no_loss_and_change_what_is_said_of_the_others(base: Any, text: Text) -> None:
    flow, clean, noise = base.objective, drawn(0), drawn(1)
    denoiser, timesteps = WanDenoiser(base.transformer, flow), torch.tensor([300.0, 900.0])
    noisy, target = flow.add_noise(clean, noise, timesteps), noise - clean
    shown = denoiser(noisy, timesteps, text, pinned(clean, 1, 4))
    errors = (shown - target).square().mean((2, 3, 4))
    assert float(errors[:, [1, 4]].max()) < 1e-9 and float(errors[:, [0, 2, 3]].min()) > 0.1
    plain = denoiser(noisy, timesteps, text)
    assert not torch.allclose(shown[:, [0, 2, 3]], plain[:, [0, 2, 3]], atol=1e-3)


@torch.no_grad()
def test_the_transformer_sees_pinned_frames_clean_and_at_timestep_0(
    base: Any, text: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Tensor] = {}
    forward = base.transformer.forward

    def recorded(latents: Tensor, timesteps: Tensor, *others: Any, **options: Any) -> Any:
        seen.update(latents=latents, timesteps=timesteps)
        return forward(latents, timesteps, *others, **options)

    monkeypatch.setattr(base.transformer, "forward", recorded)
    clean, noisy = drawn(0), drawn(1)
    conditions = pinned(clean, 3)
    WanDenoiser(base.transformer, base.objective)(noisy, torch.tensor([400.0, 400.0]), text, conditions)
    assert torch.allclose(seen["latents"][:, :, 3], clean[:, 3]) and torch.equal(seen["latents"][:, :, 2], noisy[:, 2])
    of_frames = seen["timesteps"].reshape(2, 5, 8)  # 4 x 2 tokens a frame
    assert torch.equal(of_frames[0, :, 0], torch.tensor([400.0, 400.0, 400.0, 0.0, 400.0]))


@torch.no_grad()
def test_strength_0_is_no_condition_and_half_lies_between(base: Any, text: Text) -> None:
    flow, clean, noise = base.objective, drawn(0), drawn(1)
    denoiser, timesteps = WanDenoiser(base.transformer, flow), torch.tensor([600.0, 600.0])
    none = denoiser(noise, timesteps, text)
    assert torch.allclose(denoiser(noise, timesteps, text, pinned(clean, 2, strength=0.0)), none, atol=1e-5)
    distances = []
    for strength in (0.0, 0.5, 1.0):
        predicted = denoiser(noise, timesteps, text, pinned(clean, 2, strength=strength))
        reached = flow.clean(noise, predicted, timesteps)
        distances.append(float((reached - clean)[:, 2].square().mean()))
    assert distances[0] > distances[1] > distances[2] and distances[2] < 1e-9


def test_sampling_ends_at_pinned_pictures(base: Any, text: Text) -> None:
    clean = drawn(0)
    denoiser, conditions = WanDenoiser(base.transformer, base.objective), pinned(clean, 0, 3)

    def denoise(latents: Tensor, timesteps: Tensor, words: Text) -> Tensor:
        predicted: Tensor = denoiser(latents, timesteps, words, conditions)
        return predicted

    made = sample(denoise, base.objective, drawn(1), text, text, num_steps=4, guidance=3.0)
    assert torch.allclose(made[:, [0, 3]], clean[:, [0, 3]], atol=1e-5)
    assert float((made - clean)[:, [1, 2, 4]].square().mean()) > 0.1


@torch.no_grad()
def test_reversed_order_is_the_same_transformer_on_the_sequence_turned_round(base: Any, text: Text) -> None:
    noisy, clean, timesteps = drawn(1), drawn(0), torch.tensor([500.0, 700.0])
    turned = WanDenoiser(base.transformer, base.objective, "reversed")
    forward = WanDenoiser(base.transformer, base.objective)
    there = turned(noisy, timesteps, text, pinned(clean, 4))
    back = forward(noisy.flip(1), timesteps, text, pinned(clean.flip(1), 0)).flip(1)
    assert torch.equal(there, back)
    assert not torch.allclose(there, forward(noisy, timesteps, text, pinned(clean, 4)), atol=1e-3)


def test_a_pinned_first_frame_is_what_diffusers_gives_wan22(base: Any, text: Text) -> None:
    """Its pipeline writes the picture's latents over the first frame and zero over that frame's timesteps."""
    pipe = WanImageToVideoPipeline(
        tokenizer=base.tokenizer, text_encoder=base.text_encoder, vae=base.vae, scheduler=None,
        transformer=base.transformer, expand_timesteps=True,
    )  # fmt: skip
    assert pipe.config.expand_timesteps
    noisy, clean, timestep = drawn(1), drawn(0), 650.0
    mask = torch.ones(1, 1, 5, 8, 4)
    mask[:, :, 0] = 0
    mixed = (1 - mask) * clean.transpose(1, 2) + mask * noisy.transpose(1, 2)
    timesteps = (mask[0][0][:, ::2, ::2] * timestep).flatten()[None].expand(2, -1)
    with torch.no_grad():
        theirs = base.transformer(mixed, timesteps, text["text"], return_dict=False)[0].transpose(1, 2)
        denoiser = WanDenoiser(base.transformer, base.objective)
        ours = denoiser(noisy, torch.full((2,), timestep), text, pinned(clean, 0))
    assert torch.allclose(ours[:, 1:], theirs[:, 1:], atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("order", ["forward", "reversed"])
def test_each_frame_tells_how_noisy_it_is(base: Any, text: Text, monkeypatch: pytest.MonkeyPatch, order: Any) -> None:
    seen: list[Tensor] = []
    forward = base.transformer.forward

    def recorded(latents: Tensor, timesteps: Tensor, *others: Any, **options: Any) -> Any:
        of_frames = timesteps.reshape(2, 5, 8)[0, :, 0]  # 4 x 2 tokens a frame
        seen.append(of_frames if order == "forward" else of_frames.flip(0))
        return forward(latents, timesteps, *others, **options)

    monkeypatch.setattr(base.transformer, "forward", recorded)
    clean, timesteps = drawn(0), torch.tensor([500.0, 500.0])
    denoiser = WanDenoiser(base.transformer, Flow(lead=16.0), order)
    denoiser(drawn(1), timesteps, text)
    shown = denoiser(drawn(1), timesteps, text, pinned(clean, 4))
    expected = torch.tensor([800.0, 2000 / 3, 500.0, 1000 / 3, 200.0])
    assert torch.allclose(seen[0], expected) and torch.allclose(seen[1][:4], expected[:4]) and not seen[1][4]
    assert torch.allclose(shown[:, 4], (drawn(1) - clean)[:, 4] / 0.2, atol=1e-4)  # leads to the picture
