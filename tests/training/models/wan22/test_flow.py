"""Flow matching as Wan has it: levels by (seed, position), sampling as its own scheduler, and back again."""

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import compute_density_for_timestep_sampling

from training.data.text import Text
from training.diffusion import draw, invert, sample
from training.models.wan22.flow import Flow


@pytest.mark.parametrize("levels", ["logit_normal", "uniform"])
def test_levels_are_drawn_as_diffusers_draws_them(levels: str) -> None:
    count = 20_000
    flow = Flow(shift=1.0, levels=levels)  # type: ignore[arg-type]
    ours = draw(0, range(count), (1,), flow, 0.0).timesteps.sort().values / flow.num_steps
    scheme = levels if levels == "logit_normal" else "none"
    torch.manual_seed(0)
    theirs = compute_density_for_timestep_sampling(scheme, count, logit_mean=0.0, logit_std=1.0).sort().values
    assert (ours - theirs).abs().max() < 0.02
    shifted = draw(0, range(count), (1,), Flow(shift=5.0, levels=levels), 0.0).timesteps.sort().values / 1000  # type: ignore[arg-type]
    assert torch.allclose(shifted, 5 * ours / (1 + 4 * ours), atol=1e-3)


def test_a_sample_gets_the_same_level_whatever_stands_beside_it() -> None:
    flow = Flow()
    together, alone = draw(3, [5, 6, 7], (2,), flow, 0.0), draw(3, [6], (2,), flow, 0.0)
    assert together.timesteps[1] == alone.timesteps[0] and torch.equal(together.noise[1], alone.noise[0])
    assert float(together.timesteps.min()) > 0 and float(together.timesteps.max()) < flow.num_steps


def test_sampling_takes_the_steps_of_diffusers_scheduler() -> None:
    flow, latents = Flow(shift=5.0), torch.randn(1, 4, generator=torch.Generator().manual_seed(0))
    scheduler, steps = FlowMatchEulerDiscreteScheduler(shift=5.0), flow.sampler(7)
    scheduler.set_timesteps(sigmas=torch.linspace(1, 0, 8)[:-1].tolist())
    assert torch.allclose(scheduler.timesteps, steps.timesteps, atol=1e-3)
    ours = theirs = latents
    for number, timestep in enumerate(scheduler.timesteps):
        ours = steps.step(ours.sin(), number, ours)
        theirs = scheduler.step(theirs.sin(), timestep, theirs).prev_sample
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_noise_that_pictures_invert_to_leads_back_to_them() -> None:
    flow, text = Flow(shift=3.0), Text({"text": torch.zeros(2, 1)})

    def denoise(latents: torch.Tensor, timesteps: torch.Tensor, text: Text) -> torch.Tensor:
        return 0.5 * latents + 0.2 * timesteps[:, None] / 1000

    pictures = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    noise = invert(denoise, flow, pictures, text, num_steps=30)
    back = sample(denoise, flow, noise, text, text, num_steps=30, guidance=1.0)
    assert torch.allclose(back, pictures, atol=1e-4) and not torch.allclose(noise, pictures, atol=0.1)
