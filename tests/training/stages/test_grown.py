"""What a painter that is grown from one of half the size promises: it begins with all that the smaller one knows."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from conf.errors import UserError
from tests.pipelines.small_dataset import small_dataset
from tests.training.models.sd15.test_replication import trained as stirred_replication
from tests.training.models.small_base import SHAPE, pictures, small_base
from tests.training.stages.parents import stir
from tests.training.toy_runs import config, losses
from training.models.codec import PatchCodec
from training.models.conditions import Conditions
from training.models.sd15.base import BaseModel, load_base
from training.models.sd15.growth import grown_codec, grown_unet
from training.models.sd15.motion import adapter_of, add_motion, save_motion
from training.models.sd15.replication import grown_replication, residuals, save_replication
from training.models.weights import module_hash, weights_hash
from training.noise_schedule import NoiseSchedule
from training.train import run

_CHANNELS = 12
_LARGER = {"model.shape.patch_px": 16, "model.shape.latent_channels": _CHANNELS}


@pytest.fixture(scope="module")
def base() -> BaseModel:
    made = small_base()
    stir(made.unet)
    return made


@pytest.fixture(scope="module")
def large_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 sequences to train on, 3 to validate with; 8 frames of 32 px."""
    captions = [f"picture {number}" for number in range(9)]
    return small_dataset(tmp_path_factory.mktemp("data") / "large", captions=captions, size_px=(32, 32))


@pytest.fixture(scope="module")
def parents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of a smaller painter: key -> folder."""
    root = tmp_path_factory.mktemp("smaller")
    smaller = small_base(NoiseSchedule(prediction="v"))
    smaller.save(root / "base")
    save_replication(stirred_replication(smaller), root / "replication")
    (root / "motion").mkdir()
    save_motion(adapter_of(add_motion(smaller.unet, None)), root / "motion")
    return {key: root / key for key in ("base", "motion", "replication")}


def train(data: Path, out: Path, /, **options: Any) -> Path:
    run(config(data, out, **{"max_steps": 4, "batch_size": 2, **_LARGER, **options}))
    return out


def test_the_first_numbers_of_a_cell_are_those_of_the_picture_at_half_its_size(base: BaseModel) -> None:
    assert isinstance(base.vae, PatchCodec)
    shown = pictures(40, size_px=128)
    grown = grown_codec(base.vae, shown, _CHANNELS)
    codes = grown.encode(shown).latent_dist.mean
    coarse = base.vae.encode(functional.avg_pool2d(shown, 2)).latent_dist.mean
    assert torch.allclose(codes[:, : SHAPE.latent_channels], coarse, atol=1e-5)
    details = codes[:, SHAPE.latent_channels :]
    assert torch.allclose(details.mean((0, 2, 3)), torch.zeros(4), atol=1e-3)
    assert torch.allclose(details.std((0, 2, 3)), torch.full((4,), 0.35), rtol=0.01)


def test_more_numbers_of_a_cell_show_more_details(base: BaseModel) -> None:
    assert isinstance(base.vae, PatchCodec)
    shown = pictures(40, size_px=128) + 0.1 * torch.randn(40, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    errors = [
        float((grown_codec(base.vae, shown, channels).autoencode(shown) - shown).square().mean())
        for channels in (9, 16, 64)
    ]
    assert errors[0] > errors[1] > errors[2]


@torch.no_grad()
def test_a_grown_unet_predicts_for_the_first_numbers_what_the_smaller_one_did(base: BaseModel) -> None:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, _CHANNELS, 8, 8, generator=generator)
    text = base.embed(["a red house", "a lake"])["text"]
    steps = torch.tensor([10, 900])
    grown = grown_unet(base.unet, _CHANNELS).eval()
    predicted = grown(latents, steps, text).sample
    coarse = base.unet(latents[:, : SHAPE.latent_channels], steps, text).sample
    assert torch.allclose(predicted[:, : SHAPE.latent_channels], coarse, atol=1e-6)
    assert not predicted[:, SHAPE.latent_channels :].any()


@torch.no_grad()
@pytest.mark.parametrize("carried", [True, False])
def test_a_grown_replication_network_says_of_conditions_what_the_smaller_one_did(
    base: BaseModel, carried: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    latents, shown = torch.randn(2, 4, _CHANNELS, 4, 4, generator=generator), torch.tensor([[0.0, 1, 0, 1]] * 2)
    text, steps = base.embed(["a red house", "a lake"])["text"], torch.tensor([10, 900])
    network = stirred_replication(base, carried=carried).eval()
    grown = grown_replication(network, _CHANNELS).eval()
    coarse = residuals(network, Conditions.among(latents[:, :, : SHAPE.latent_channels], shown), steps, text)
    larger = residuals(grown, Conditions.among(latents, shown), steps, text)
    for one, other in zip((*coarse[0], coarse[1]), (*larger[0], larger[1]), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_training_goes_on_from_a_smaller_painter_and_resumes_exactly(
    large_data: Path, parents: dict[str, Path], tmp_path: Path
) -> None:
    options = {"stage": "base", "base": parents["base"], "stage.grown": "true", "stage.text_encoder": "true"}
    whole = train(large_data, tmp_path / "whole", **options)
    train(large_data, tmp_path / "parts", **options, max_steps=2)
    parts = train(large_data, tmp_path / "parts", **options)
    assert losses(parts) == losses(whole)
    assert weights_hash(parts / "weights") == weights_hash(whole / "weights")
    grown, smaller = load_base(whole / "weights"), load_base(parents["base"])
    assert (grown.patch_px, grown.latent_channels) == (16, _CHANNELS)
    assert module_hash(grown.text_encoder) != module_hash(smaller.text_encoder)

    later = {"base": whole, "motion": parents["motion"]}
    train(large_data, tmp_path / "motion", stage="motion", max_steps=1, **later)
    options = {**later, "replication": parents["replication"], "stage.grown": "true"}
    train(large_data, tmp_path / "replication", stage="replication", max_steps=1, **options)


def test_the_text_encoder_of_a_base_stays_frozen_unless_that_is_asked_for(
    large_data: Path, parents: dict[str, Path], tmp_path: Path
) -> None:
    grown = train(large_data, tmp_path / "run", stage="base", base=parents["base"], **{"stage.grown": "true"})
    before = load_base(parents["base"]).text_encoder
    assert module_hash(load_base(grown / "weights").text_encoder) == module_hash(before)


@pytest.mark.parametrize(
    ("options", "words_of_error"),
    [
        ({"model.shape.patch_px": 8}, "model.shape.patch_px=8: not allowed; allowed: 16, twice that of base="),
        ({"model.shape.latent_channels": 7}, "latent_channels=7: not allowed; allowed: at least 8, as base="),
        ({"base": "null"}, "base is required with stage.grown=true"),
        ({"model": "sd15", "stage": "replication"}, "stage.grown=true: not allowed; allowed: null with model=sd15"),
        ({"stage": "motion", "stage.grown": "", "+stage.grown": "true"}, "grown=true: not allowed; allowed: set only"),
        ({"stage": "motion", "stage.grown": "", "+stage.text_encoder": "true"}, "text_encoder=true: not allowed"),
        ({"stage": "replication", "replication": "SMALL"}, "reads 8 numbers a cell, its base 8; stage.grown=true"),
    ],
)
def test_what_cannot_grow_is_refused_in_one_line(
    large_data: Path, parents: dict[str, Path], tmp_path: Path, options: dict[str, Any], words_of_error: str
) -> None:
    options = {"stage": "base", "base": parents["base"], "stage.grown": "true", **_LARGER, **options}
    if options["stage"] != "base":
        options["motion"] = parents["motion"]
    if options.get("model") == "sd15":
        options = {key: value for key, value in options.items() if not key.startswith("model.")}
    if options.get("replication") == "SMALL":
        options["replication"] = parents["replication"]
    with pytest.raises(UserError, match=words_of_error):
        toy_out = tmp_path / "run"
        run(config(large_data, toy_out, **{key: value for key, value in options.items() if value != ""}))
    assert not (tmp_path / "run").exists()
