"""What stage `base` promises."""

from pathlib import Path

import pytest
import torch

from conf.errors import ConfigError, UserError
from tests.pipelines.small_dataset import small_dataset
from tests.training.models.small_base import CAPTIONS, pictures, small_base
from tests.training.stages.made import base_stage
from tests.training.stages.runs import train
from tests.training.toy_runs import config, losses
from training.data.batch import SequenceBatch
from training.models.sd15.base import load_base
from training.models.tiny.shape import TinyShape
from training.models.weights import module_hash
from training.noise_schedule import NoiseSchedule
from training.stages.denoising import DenoisingConfig


def test_its_weights_are_a_base_that_other_stages_load(base: Path) -> None:
    loaded = load_base(base / "weights")
    assert loaded.latent_channels == 8
    assert loaded.schedule == NoiseSchedule(prediction="v")
    assert loaded.tokenizer.tokenize("picture") == ["picture</w>"]


def test_it_is_killed_and_resumed_to_the_same_weights(sequences: Path, base: Path, tmp_path: Path) -> None:
    train(sequences, tmp_path / "run", stage="base", base="null", max_steps=1)
    train(sequences, tmp_path / "run", stage="base", base="null", max_steps=3, resume="must")
    assert losses(tmp_path / "run") == losses(base)
    one, two = load_base(tmp_path / "run" / "weights"), load_base(base / "weights")
    for part in ("vae", "text_encoder", "unet"):
        assert module_hash(getattr(one, part)) == module_hash(getattr(two, part))


def test_saving_an_average_leaves_training_where_it_was(tmp_path: Path) -> None:
    model = small_base()
    stage = base_stage(model, DenoisingConfig(objective=model.schedule), (64, 64), trains_text=True)
    before = module_hash(stage.network)
    averages = {
        name: torch.zeros_like(parameter)
        for name, parameter in stage.network.named_parameters()
        if parameter.requires_grad
    }
    stage.save(tmp_path, averages)
    assert module_hash(stage.network) == before
    saved = load_base(tmp_path)
    assert not any(parameter.any() for parameter in saved.unet.parameters())
    assert module_hash(saved.vae) == module_hash(model.vae)


def test_it_samples_one_picture_a_prompt() -> None:
    model = small_base(shape=TinyShape(channels=(16,), plain_levels=0, patch_px=8, text_width=16, latent_channels=8))
    made = base_stage(model, DenoisingConfig(objective=model.schedule), (16, 24), trains_text=True).samples(
        ["a", "b"], seed=1
    )
    assert made.shape == (2, 1, 3, 16, 24)
    assert float(made.min()) >= 0 and float(made.max()) <= 1


def test_frames_that_do_not_fit_the_grid_are_refused(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "odd", captions=["a"] * 9, size_px=(24, 16))
    with pytest.raises(UserError, match=r"frames of 24 x 16 px; sides must be multiples of 16"):
        train(data, tmp_path / "run", stage="base", base="null", **{"model.shape.channels": "[16,16]"})
    assert not (tmp_path / "run").exists()


def test_stable_diffusion_needs_no_base(sequences: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="model=sd15"):
        config(sequences, tmp_path / "run", stage="base", model="sd15")


@pytest.mark.nightly
def test_it_learns_four_pictures_by_heart() -> None:
    schedule = NoiseSchedule(prediction="v")
    model = small_base(
        schedule, TinyShape(channels=(64,), plain_levels=0, patch_px=8, text_width=32, latent_channels=8)
    )
    stage = base_stage(model, DenoisingConfig(objective=schedule, caption_dropout=0.0), (16, 16), trains_text=True)
    frames = pictures(4, 16, seed=5)[:, None]
    assert overfit(stage.network, frames) < 0.1


def overfit(network: torch.nn.Module, frames: torch.Tensor, num_steps: int = 700) -> float:
    """What is left of the loss after learning four sequences (4, T, 3, H, W)."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=3e-3)
    found: list[float] = []
    for step in range(num_steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, 2 * (num_steps - step) / num_steps)
        batch = SequenceBatch(
            keys=("a",) * 16,
            positions=torch.arange(16 * step, 16 * step + 16),
            captions=tuple(f"{CAPTIONS[number % 3]} {number}" for number in range(4)) * 4,
            frames=frames.repeat(4, 1, 1, 1, 1),
        )
        loss = network(batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.item())
    return sum(found[-25:]) / 25 / found[0]
