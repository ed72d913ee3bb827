"""What noise, losses and DDIM promise."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from hypothesis import given
from hypothesis import strategies as st

from conf.errors import ConfigError
from training.data.order import rank_positions
from training.data.text import Text
from training.diffusion import begin_between, draw, invert, num_steps_of, sample
from training.models.registration import Prediction
from training.noise_schedule import NoiseSchedule, load_schedule, save_schedule, schedule_of_recipe
from training.random.streams import DRAWS

SCHEDULES = (
    NoiseSchedule(),
    NoiseSchedule(prediction="v"),
    NoiseSchedule(spacing="scaled_linear"),
    NoiseSchedule(prediction="v", zero_terminal_snr=True),
)

SCHEDULE = SCHEDULES[0]


def sharing(shared: float) -> NoiseSchedule:
    return NoiseSchedule(shared=shared)


def texts(count: int, value: float = 0.0) -> Text:
    return Text({"text": torch.full((count, 1, 1), value)})


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_noise_and_targets_are_those_of_diffusers(schedule: NoiseSchedule) -> None:
    theirs = DDPMScheduler(
        beta_start=schedule.beta_start,
        beta_end=schedule.beta_end,
        beta_schedule=schedule.spacing,
        rescale_betas_zero_snr=schedule.zero_terminal_snr,
    )
    latents, noise = torch.randn(3, 2, 4, 8, 8), torch.randn(3, 2, 4, 8, 8)
    timesteps = torch.tensor([0, 500, 999])
    assert torch.allclose(
        schedule.add_noise(latents, noise, timesteps), theirs.add_noise(latents, noise, timesteps), atol=1e-6
    )
    expected = theirs.get_velocity(latents, noise, timesteps) if schedule.prediction == "v" else noise
    assert torch.allclose(schedule.target(latents, noise, timesteps), expected, atol=1e-6)


def test_the_schedule_is_the_papers() -> None:
    betas = np.linspace(0.00085, 0.012, 1000)
    assert np.allclose(NoiseSchedule().signal.numpy(), np.cumprod(1 - betas), rtol=1e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_min_snr_weights_are_the_published_ones(prediction: Prediction) -> None:
    schedule, timesteps = NoiseSchedule(prediction=prediction), torch.arange(0, 1000, 37)
    snr = compute_snr(DDPMScheduler(beta_start=0.00085, beta_end=0.012), timesteps)
    expected = torch.minimum(snr, torch.tensor(5.0)) / (snr if prediction == "epsilon" else snr + 1)
    assert torch.allclose(schedule.loss_weights(timesteps, 5.0), expected, rtol=1e-3)


def test_min_snr_is_finite_where_no_signal_is_left() -> None:
    schedule = NoiseSchedule(prediction="v", zero_terminal_snr=True)
    assert float(schedule.signal[-1]) == 0
    assert torch.isfinite(schedule.loss_weights(torch.tensor([999]), 5.0)).all()


@given(st.integers(0, 2**40), st.integers(1, 4))
def test_a_sample_draws_the_same_in_any_company(position: int, company: int) -> None:
    alone = draw(7, [position], (2, 3), sharing(0.3), 0.5)
    others = range(position - company + 1 if position >= company else position, position + 2)
    among = draw(7, others, (2, 3), sharing(0.3), 0.5)
    at = company - 1 if position >= company else 0
    assert torch.equal(among.noise[at], alone.noise[0])
    assert among.timesteps[at] == alone.timesteps[0]
    assert among.keeps_caption[at] == alone.keeps_caption[0]


def test_ranks_draw_together_what_one_would_draw() -> None:
    """The ranks' shares of a step, and the shares in another order, make up the draws of the whole step."""
    shape = (2, 4, 5, 5)
    whole = draw(3, range(64, 76), shape, SCHEDULE, 0.3)
    shares = [
        draw(3, rank_positions(64, 0, batch_size=4, rank=r, world_size=3), shape, SCHEDULE, 0.3) for r in range(3)
    ]
    assert torch.equal(torch.cat([share.noise for share in shares]), whole.noise)
    assert torch.equal(torch.cat([share.timesteps for share in shares]), whole.timesteps)
    assert torch.equal(torch.cat([share.keeps_caption for share in shares]), whole.keeps_caption)
    assert torch.equal(draw(3, range(75, 63, -1), shape, SCHEDULE, 0.3).noise, whole.noise.flip(0))


def test_draws_are_what_they_should_be_on_the_whole() -> None:
    draws = draw(0, range(4000), (4,), SCHEDULE, 0.1)
    assert abs(float(draws.noise.mean())) < 0.05
    assert float(draws.noise.std()) == pytest.approx(1, abs=0.05)
    assert float(draws.keeps_caption.float().mean()) == pytest.approx(0.9, abs=0.02)
    counts = np.bincount(draws.timesteps.numpy() // 100, minlength=10)
    assert counts.sum() == 4000 and counts.min() > 390 and counts.max() < 410


def test_a_batch_covers_the_noise_levels() -> None:
    """Far closer to even than independent draws, of which a batch of 8 misses a third of eight bands."""
    for start in range(0, 800, 8):
        timesteps = draw(3, range(start, start + 8), (1,), SCHEDULE, 0.0).timesteps
        assert len(set((timesteps // 200).tolist())) == 5


def test_timesteps_are_spread_as_evenly_after_years_of_training() -> None:
    for start in (0, 2**40, 2**62):
        timesteps = draw(3, range(start, start + 1000), (1,), SCHEDULE, 0.0).timesteps
        assert len(set(timesteps.tolist())) > 750 and int(timesteps.min()) < 3 and int(timesteps.max()) > 996


def test_every_caption_is_kept_or_dropped_when_that_is_certain() -> None:
    assert draw(0, range(10000), (1,), SCHEDULE, 0.0).keeps_caption.all()
    assert not draw(0, range(10000), (1,), SCHEDULE, 1.0).keeps_caption.any()


def test_another_seed_draws_otherwise() -> None:
    one, other = (draw(seed, range(64), (8,), SCHEDULE, 0.5) for seed in (0, 1))
    assert not torch.equal(one.noise, other.noise)
    assert not torch.equal(one.timesteps, other.timesteps)
    assert not torch.equal(one.keeps_caption, other.keeps_caption)


def test_the_draws_of_a_seed_never_change() -> None:
    """A run that was begun with one version goes on with the next; other draws are another `DRAWS`."""
    draws = draw(5, range(8), (2, 2), sharing(0.5), 0.5)
    assert draws.timesteps.tolist() == [251, 869, 487, 105, 723, 341, 959, 577]
    assert draws.keeps_caption.tolist() == [True, False, False, False, False, True, True, True]
    expected = torch.tensor([[-1.1334417, 0.8707110], [-0.1979026, 0.2405611]])
    torch.testing.assert_close(draws.noise[3], expected, atol=4e-6, rtol=1e-5)
    assert DRAWS == 2


def test_frames_share_as_much_noise_as_they_are_told() -> None:
    alone, mixed = draw(0, range(2000), (3, 4), SCHEDULE, 0.1), draw(0, range(2000), (3, 4), sharing(0.7), 0.1)
    frames = mixed.noise.movedim(1, 0).flatten(1)
    assert torch.allclose(torch.corrcoef(frames), 0.49 + 0.51 * torch.eye(3), atol=0.03)
    assert float(frames.std()) == pytest.approx(1, abs=0.02)
    assert torch.equal(mixed.timesteps, alone.timesteps) and torch.equal(mixed.keeps_caption, alone.keeps_caption)
    whole = draw(0, range(4), (3, 4), sharing(1.0), 0.1).noise
    assert torch.equal(whole, whole[:, :1].expand_as(whole))


class Gaussian:
    """The perfect denoiser of data that are N(mean, variance) in every number; its flow is known exactly."""

    def __init__(self, schedule: NoiseSchedule, mean: float, variance: float) -> None:
        self.schedule, self.mean, self.variance = schedule, mean, variance
        self.seen: list[Text] = []

    def __call__(self, latents: torch.Tensor, timesteps: torch.Tensor, text: Text) -> torch.Tensor:
        self.seen.append(text)
        signal = self.schedule.signal[timesteps].reshape(-1, *[1] * (latents.ndim - 1))
        total = signal * self.variance + 1 - signal
        noise = (1 - signal).sqrt() * (latents - signal.sqrt() * self.mean) / total
        clean = self.mean + signal.sqrt() * self.variance * (latents - signal.sqrt() * self.mean) / total
        return noise if self.schedule.prediction == "epsilon" else signal.sqrt() * noise - (1 - signal).sqrt() * clean


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_sampling_makes_noise_into_the_distribution(schedule: NoiseSchedule) -> None:
    noise = torch.randn(8, 4096, generator=torch.Generator().manual_seed(0))
    text = texts(8)
    made = sample(Gaussian(schedule, 0.7, 0.25), schedule, noise, text, text, num_steps=100, guidance=1.0)
    assert float(made.mean()) == pytest.approx(0.7, abs=0.05)
    assert float(made.std()) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_inversion_then_sampling_returns_the_picture(schedule: NoiseSchedule) -> None:
    latents = 0.7 + 0.5 * torch.randn(2, 512, generator=torch.Generator().manual_seed(0))
    text = texts(2)
    denoiser = Gaussian(schedule, 0.7, 0.25)
    for num_steps, error in ((10, 0.01), (50, 1e-4)):
        noise = invert(denoiser, schedule, latents, text, num_steps=num_steps)
        assert float(noise.std()) == pytest.approx(1, abs=5 / num_steps)
        again = sample(denoiser, schedule, noise, text, text, num_steps=num_steps, guidance=1.0)
        assert float((again - latents).square().mean()) < error * float(latents.var())


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_begins_on_the_way_ends_in_the_distribution_too(schedule: NoiseSchedule) -> None:
    generator = torch.Generator().manual_seed(0)
    latents = 0.7 + 0.5 * torch.randn(8, 4096, generator=generator)
    noise = torch.randn(8, 4096, generator=generator)
    text, denoiser = texts(8), Gaussian(schedule, 0.7, 0.25)
    ends = []
    for skipped in (30, 90):
        begun = begin_between(schedule, latents, noise, num_steps=100, skipped=skipped)
        ends.append(sample(denoiser, schedule, begun, text, text, num_steps=100, skipped=skipped, guidance=1.0))
        assert float(ends[-1].mean()) == pytest.approx(0.7, abs=0.05)
        assert float(ends[-1].std()) == pytest.approx(0.5, abs=0.05)
    assert len(denoiser.seen) == 70 + 10
    assert float((ends[1] - latents).abs().mean()) < 0.5 * float((ends[0] - latents).abs().mean())


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_is_predicted_can_be_corrected(schedule: NoiseSchedule) -> None:
    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(3, 5, generator=generator) for _ in range(2))
    timesteps = torch.tensor([0, 500, 990])
    latents, target = schedule.add_noise(clean, noise, timesteps), schedule.target(clean, noise, timesteps)
    assert torch.allclose(schedule.clean(latents, target, timesteps), clean, atol=1e-3)
    assert torch.allclose(schedule.prediction_of(latents, clean, timesteps), target, atol=1e-3)
    text, denoiser, wanted = texts(3), Gaussian(schedule, 0.7, 0.25), torch.randn(3, 5)

    def corrected(predicted: torch.Tensor) -> torch.Tensor:
        return torch.cat([wanted[:1], predicted[1:]])

    plain, made = (
        sample(denoiser, schedule, noise, text, text, num_steps=50, guidance=1.0, correct=correct)
        for correct in (None, corrected)
    )
    assert torch.allclose(made[0], wanted[0], atol=0.05) and not torch.allclose(plain[0], wanted[0], atol=0.2)
    assert torch.allclose(made[1:], plain[1:], atol=1e-3)


def test_guidance_goes_past_the_text_and_1_does_not_ask_without() -> None:
    schedule = NoiseSchedule()
    noise, text, no_text = torch.randn(3, 16), texts(3, 1.0), texts(3)

    def denoise(latents: torch.Tensor, timesteps: torch.Tensor, text: Text) -> torch.Tensor:
        return text["text"][:, 0].expand(-1, latents.shape[1]) * 0.1

    plain = sample(denoise, schedule, noise, text, no_text, num_steps=1, guidance=1.0)
    empty = sample(denoise, schedule, noise, no_text, text, num_steps=1, guidance=1.0)
    far = sample(denoise, schedule, noise, text, no_text, num_steps=1, guidance=3.0)
    assert torch.allclose(far - empty, 3 * (plain - empty), atol=1e-4)
    asked = Gaussian(schedule, 0.0, 1.0)
    sample(asked, schedule, noise, text, no_text, num_steps=2, guidance=1.0)
    assert all(torch.equal(seen["text"], text["text"]) for seen in asked.seen)


@pytest.mark.parametrize("share", [0.0, 0.7, 1.0])
def test_guidance_keeps_the_contrast_that_it_is_told_to_keep(share: float) -> None:
    noise, text, no_text = torch.randn(3, 2, 4, 8), texts(3, 1.0), texts(3)

    def denoise(latents: torch.Tensor, timesteps: torch.Tensor, text: Text) -> torch.Tensor:
        return latents * (1 + text["text"][:, :, :, None]) + 1

    with_text, guided = 2 * noise + 1, 4 * noise + 1  # 1 without text; guidance 3
    contrast = with_text.std((1, 2, 3), keepdim=True) / guided.std((1, 2, 3), keepdim=True)
    kept = share * contrast * guided + (1 - share) * guided
    options = {"num_steps": 1, "guidance": 3.0, "guidance_rescale": share}
    made = sample(denoise, SCHEDULE, noise, text, no_text, **options)  # type: ignore[arg-type]
    assert torch.allclose(made, SCHEDULE.sampler(1).step(kept, 0, noise), atol=1e-5)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_contrast_is_kept_where_the_last_step_is_pure_noise_or_as_said(schedule: NoiseSchedule) -> None:
    noise, text, no_text = torch.randn(3, 16), texts(3, 1.0), texts(3)

    def denoise(latents: torch.Tensor, timesteps: torch.Tensor, text: Text) -> torch.Tensor:
        return latents * (1 + text["text"][:, 0])

    default, untouched, as_published = (
        sample(denoise, schedule, noise, text, no_text, num_steps=2, guidance=3.0, guidance_rescale=share)
        for share in (None, 0.0, 0.7)
    )
    assert torch.equal(default, as_published if schedule.zero_terminal_snr else untouched)
    assert not torch.allclose(untouched, as_published, rtol=1e-2)


def test_a_share_of_the_steps_is_one_at_least() -> None:
    assert [num_steps_of(share, 10) for share in (0.0, 0.04, 0.26, 1.0)] == [1, 1, 3, 10]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_comes_back_from_disk(schedule: NoiseSchedule, tmp_path: Path) -> None:
    save_schedule(schedule, tmp_path / "scheduler")
    assert load_schedule(str(tmp_path)) == schedule


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"beta_end": -1.0}, r"^noise\.beta_end=-1\.0: not allowed; allowed: from beta_start="),
        ({"beta_start": "x"}, r"^noise\.beta_start=x: not allowed; allowed: a number"),
        ({"num_steps": 1}, r"^noise\.num_steps=1: not allowed; allowed: 2 to 100000"),
        ({"shared": 2}, r"^noise\.shared=2\.0: not allowed; allowed: 0 to 1"),
    ],
)
def test_no_schedule_is_made_of_values_that_training_refuses(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        schedule_of_recipe(values)


@pytest.mark.parametrize("zero_terminal_snr", [False, True])
def test_sampling_begins_in_the_noisiest_eighth_or_is_refused(zero_terminal_snr: bool) -> None:
    schedule = NoiseSchedule(prediction="v", zero_terminal_snr=zero_terminal_snr)
    refused = []
    for num_steps in range(1, 1002):
        try:
            timesteps = schedule.sampler(num_steps).timesteps
        except ConfigError:
            refused.append(num_steps)
        else:
            assert len(timesteps) == num_steps and timesteps[-1] >= 0
            assert 875 - 1000 // num_steps <= timesteps[0] < 1000  # leading steps begin at the end of their share
    assert {600, 999, 1001} & set(refused) == {600, 1001} and (1000 in refused) is not zero_terminal_snr
    assert not set(range(1, 126)) & set(refused)


@pytest.mark.parametrize("zero_terminal_snr", [False, True])
def test_samples_of_training_take_as_many_steps_as_suit_any_schedule(zero_terminal_snr: bool) -> None:
    for num_steps in (2, 3, 10, 29, 30, 31, 45, 50, 1000):
        schedule = NoiseSchedule(num_steps=num_steps, prediction="v", zero_terminal_snr=zero_terminal_snr)
        steps = schedule.fewer_steps(30)
        assert 1 <= steps <= 30 and len(schedule.sampler(steps).timesteps) == steps
        if steps < min(30, num_steps):
            with pytest.raises(ConfigError, match=f"allowed: {steps}"):
                schedule.sampler(min(30, num_steps))


def test_the_nearest_numbers_of_steps_are_named() -> None:
    with pytest.raises(ConfigError, match=r"steps=600: not allowed; allowed: 500 or 875, which divide"):
        NoiseSchedule().sampler(600)
