"""What the loss of denoising draws, and what it does not."""

import dataclasses

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from tests.training.models.small_base import CAPTIONS, small_base
from training.data.batch import CachedLatents, SequenceBatch
from training.data.text import Text
from training.diffusion import draw
from training.models.sd15.base import BaseModel
from training.models.sd15.denoisers import FrameDenoiser
from training.models.tiny.shape import TinyShape
from training.noise_schedule import NoiseSchedule
from training.random.philox import normals
from training.random.streams import Stream
from training.stages import denoising
from training.stages.denoising import DenoisingConfig, DenoisingNetwork, sample_sequences

_SHAPE = (2, 8, 2, 2)  # of the latents of a sequence
_POSITIONS = torch.tensor([3, 9])


def uncertain_base() -> BaseModel:
    """A base whose codec gives distributions, as that of Stable Diffusion does."""
    base = small_base(shape=TinyShape(channels=(16,), plain_levels=0, patch_px=8, text_width=16, latent_channels=8))
    vae = AutoencoderKL(
        block_out_channels=(4, 4, 4, 4), latent_channels=8, norm_num_groups=2,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    return dataclasses.replace(base, vae=vae)


def noisy_latents(base: BaseModel, mean: Tensor, logvar: float, *, training: bool = True) -> Tensor:
    """What the UNet is shown of a batch of cached latents."""
    network = DenoisingNetwork(base, FrameDenoiser(base.unet), DenoisingConfig(objective=base.schedule, seed=5))
    network.train(training)
    seen: list[Tensor] = []
    network.denoiser.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    text = base.embed(CAPTIONS[:2])
    latents = CachedLatents(mean=mean, logvar=torch.full_like(mean, logvar), text=text)
    network(SequenceBatch(keys=("a", "b"), positions=_POSITIONS, captions=CAPTIONS[:2], latents=latents))
    return seen[0]


def test_latents_are_drawn_from_the_posterior_of_each_sample() -> None:
    base, mean = uncertain_base(), torch.linspace(-1, 1, 128).reshape(2, *_SHAPE)
    draws = draw(5, _POSITIONS, _SHAPE, base.schedule, 0.1)
    clean = (mean + torch.e * normals(5, Stream.POSTERIOR, _POSITIONS, _SHAPE)) * base.scaling
    expected = base.schedule.add_noise(clean, draws.noise, draws.timesteps)
    assert torch.allclose(noisy_latents(base, mean, 2.0), expected, atol=1e-5)


def test_nothing_is_drawn_from_the_posterior_of_an_exact_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denoising, "normals", lambda *_: pytest.fail("drawn, and not used"))
    base, mean = small_base(), torch.linspace(-1, 1, 128).reshape(2, *_SHAPE)
    draws = draw(5, _POSITIONS, _SHAPE, base.schedule, 0.1)
    expected = base.schedule.add_noise(mean * base.scaling, draws.noise, draws.timesteps)
    assert torch.allclose(noisy_latents(base, mean, -30.0), expected, atol=1e-5)


@pytest.mark.parametrize(("num_steps", "expected"), [(1000, 30), (50, 25), (2, 1)])
def test_samples_are_painted_whatever_the_number_of_steps_of_the_noise(num_steps: int, expected: int) -> None:
    base, calls = small_base(NoiseSchedule(num_steps=num_steps)), list[int]()

    def denoise(latents: Tensor, timesteps: Tensor, text: Text) -> Tensor:
        calls.append(int(timesteps[0]))
        return torch.zeros_like(latents)

    config = DenoisingConfig(objective=base.schedule, guidance=1.0)
    assert sample_sequences(base, denoise, config, ["a boat"], 0, (1, 8, 2, 2)).shape == (1, 1, 3, 16, 16)
    assert len(calls) == expected


def test_held_out_samples_have_noise_that_no_sample_was_trained_with() -> None:
    base, nothing = small_base(), torch.zeros(2, *_SHAPE)
    training, held_out = (noisy_latents(base, nothing, -30.0, training=mode) for mode in (True, False))
    assert abs(float(torch.corrcoef(torch.stack([training.flatten(), held_out.flatten()]))[0, 1])) < 0.4
    assert torch.equal(held_out, noisy_latents(base, nothing, -30.0, training=False))
