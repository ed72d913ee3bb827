"""Flow matching as Wan has it: levels by (seed, position), sampling as its own schedulers, and back again."""

from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from diffusers.training_utils import compute_density_for_timestep_sampling

from tests.training.host_talk import HostTalk
from training.data.text import Text
from training.diffusion import Denoiser, begin_between, draw, invert, sample
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


@pytest.mark.parametrize("solver", ["euler", "unipc"])
def test_noise_that_pictures_invert_to_leads_back_to_them(solver: Any) -> None:
    flow, text = Flow(shift=3.0, solver=solver), Text({"text": torch.zeros(2, 1)})

    def denoise(latents: torch.Tensor, timesteps: torch.Tensor, text: Text) -> torch.Tensor:
        return 0.5 * latents + 0.2 * timesteps[:, None] / 1000

    pictures = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    noise = invert(denoise, flow, pictures, text, num_steps=30)
    back = sample(denoise, flow, noise, text, text, num_steps=30, guidance=1.0)
    assert torch.allclose(back, pictures, atol=1e-4) and not torch.allclose(noise, pictures, atol=0.1)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_unipc_takes_the_steps_of_diffusers_scheduler() -> None:
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0)
    scheduler.set_timesteps(sigmas=torch.linspace(1, 0, 8)[:-1].double().numpy())
    steps, ours = Flow(shift=5.0, solver="unipc").sampler(7), drawn(2, 3, 4, 2, 2)
    theirs = ours
    for number, timestep in enumerate(scheduler.timesteps):
        ours = steps.step(ours.sin(), number, ours)
        theirs = scheduler.step(theirs.sin(), timestep, theirs).prev_sample
    assert torch.allclose(ours, theirs, atol=1e-4)


def of_normal_data(flow: Flow, deviation: float) -> Denoiser:
    """The prediction of a perfect network for normal latents; sampling with it multiplies noise by `deviation`."""

    def denoise(latents: torch.Tensor, timesteps: torch.Tensor, text: Text) -> torch.Tensor:
        share = flow.shares(timesteps, latents)
        return latents * (share - (1 - share) * deviation**2) / (((1 - share) * deviation) ** 2 + share**2)

    return denoise


@pytest.mark.parametrize("lead", [1.0, 16.0])
def test_unipc_comes_nearer_in_the_same_number_of_steps(lead: float) -> None:
    noise, text, distances = drawn(2, 3, 4, 2, 2), Text({"text": torch.zeros(2, 1)}), {}
    for solver in ("euler", "unipc"):
        flow = Flow(shift=3.0, lead=lead, solver=solver)
        made = sample(of_normal_data(flow, 1.0), flow, noise, text, text, num_steps=40, guidance=1.0)
        distances[solver] = float((made - noise).square().mean())
    assert distances["unipc"] < distances["euler"] / 4


@pytest.mark.parametrize("solver", ["euler", "unipc"])
def test_sampling_begins_at_any_step(solver: Any) -> None:
    flow, clean, noise = Flow(lead=4.0, solver=solver), drawn(1, 5, 4, 2, 2), drawn(1, 5, 4, 2, 2, seed=1)
    begun, text = begin_between(flow, clean, noise, num_steps=6, skipped=2), Text({"text": torch.zeros(1, 1)})
    made = sample(lambda *_: noise - clean, flow, begun, text, text, num_steps=6, skipped=2, guidance=1.0)
    assert torch.allclose(made, clean, atol=1e-4)


def test_with_a_lead_the_finished_picture_is_ahead_and_all_begin_and_end_together() -> None:
    flow = Flow(lead=16.0)
    shares = flow.of_frames(torch.tensor([0.0, 250.0, 500.0, 750.0, 1000.0]), 5) / 1000
    assert not shares[0].any() and bool((shares[-1] == 1).all())
    assert bool((shares[1:-1].diff(dim=1) < 0).all())
    assert torch.allclose(shares[2], torch.tensor([0.8, 2 / 3, 0.5, 1 / 3, 0.2]))  # shifts 4, 2, 1, 1/2, 1/4
    assert torch.equal(flow.of_frames(torch.tensor([300.0]), 1), torch.tensor([[300.0]]))  # a lone frame leads none


@pytest.mark.parametrize("shape", [(2, 5, 3, 2, 2), (2, 3, 2, 2)])
def test_noise_predictions_and_clean_latents_follow_from_each_other(shape: tuple[int, ...]) -> None:
    flow, clean, noise, timesteps = Flow(lead=9.0), drawn(*shape), drawn(*shape, seed=1), torch.tensor([200.0, 900.0])
    noisy, target = flow.add_noise(clean, noise, timesteps), flow.target(clean, noise, timesteps)
    assert torch.allclose(flow.clean(noisy, target, timesteps), clean, atol=1e-5)
    assert torch.allclose(flow.prediction_of(noisy, clean, timesteps), target, atol=1e-4)


@pytest.mark.parametrize("num_frames", [1, 4])
def test_levels_of_frames_are_made_where_timesteps_are(num_frames: int) -> None:
    timesteps = torch.ones(2, device="meta")
    with HostTalk() as talk:
        levels = Flow(lead=4.0).of_frames(timesteps, num_frames)
    assert not talk.operations and levels.device.type == "meta" and levels.shape == (2, num_frames)
