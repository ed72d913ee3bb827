"""The base: frames to latents and back as pictures or video, its files, and what is refused by configuration alone."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler, WanPipeline

from conf.errors import UserError
from tests.training.models.small_base import pictures
from tests.training.models.wan22.small_wan import SHAPE, small_wan, video_wan
from training.models.codec import fit_codec
from training.models.registry import architecture_of_base
from training.models.wan22.flow import Flow
from training.models.wan22.loading import load_base
from training.models.wan22.registration import WanConfig

MODEL = WanConfig(name="wan22", dtype="fp32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wan") / "base"
    place.mkdir()
    small_wan().save(place)
    return place


@torch.no_grad()
def test_the_tiny_vae_holds_a_linear_codec_in_the_class_of_wan() -> None:
    base, shown = small_wan(), pictures(8, seed=1)
    assert isinstance(base.vae, AutoencoderKLWan)
    mean, _ = base.encode_sequences(shown[:, None])
    linear = fit_codec(pictures(64), patch_px=SHAPE.patch_px, latent_channels=SHAPE.latent_channels)
    assert torch.allclose(mean[:, 0], linear.encode(shown).latent_dist.mean, atol=1e-3)
    error = (base.decode_sequences(base.scaled(mean))[:, 0] * 2 - 1 - shown).square().mean()
    assert float(error) < 0.02 * float(shown.var())


@torch.no_grad()
def test_as_pictures_no_frame_depends_on_another() -> None:
    base = video_wan("pictures")
    frames = pictures(10).reshape(2, 5, 3, 64, 64)
    mean, logvar = base.encode_sequences(frames)
    assert mean.shape == logvar.shape == (2, *base.latent_shape(5, (64, 64))) == (2, 5, SHAPE.latent_channels, 4, 4)
    assert torch.allclose(base.encode_sequences(frames[:, 3:4], at_once=1)[0][:, 0], mean[:, 3], atol=1e-5)
    decoded = base.decode_sequences(base.scaled(mean))
    assert decoded.shape == frames.shape
    assert torch.allclose(base.decode_sequences(base.scaled(mean[:, 2:3]))[:, 0], decoded[:, 2], atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(
    ("order", "slots"), [("forward", (0, 1, 1, 1, 1, 2, 2, 2, 2)), ("reversed", (0, 0, 0, 0, 1, 1, 1, 1, 2))]
)
def test_as_video_each_frame_is_shown_by_its_latent(order: Any, slots: tuple[int, ...]) -> None:
    base = video_wan("video", order)
    assert base.latent_shape(9, (64, 64))[0] == 3
    assert tuple(base.latent_slot(frame, 9) for frame in range(9)) == slots
    frames = pictures(9)[None]
    mean, _ = base.encode_sequences(frames)
    first = slots.index(2) if order == "reversed" else 0  # the one that the VAE sees first, and encodes alone
    alone, _ = base.encode_sequences(frames[:, first : first + 1])
    assert torch.allclose(mean[:, slots[first]], alone[:, 0], atol=1e-4)
    assert base.decode_sequences(base.scaled(mean)).shape == frames.shape


def test_latents_are_scaled_channel_by_channel() -> None:
    base, mean = video_wan(), torch.full((1, 2, SHAPE.latent_channels, 3, 3), 0.6)
    assert torch.allclose(base.scaled(mean), torch.ones(()))  # mean 0.1, deviation 0.5
    assert torch.allclose(base.deviation(torch.zeros_like(mean)), torch.tensor(2.0))


def test_frames_that_no_video_has_are_refused() -> None:
    with pytest.raises(UserError, match=r"model\.frames=video: sequences of 8 frames; allowed: 9, 13 or another"):
        video_wan().latent_shape(8, (64, 64))


@torch.no_grad()
def test_captions_end_in_zeros_and_depend_on_themselves_alone() -> None:
    base = small_wan()
    both = base.embed(["a red house", "a red house by a lake, painted in oil"])["text"]
    assert torch.allclose(base.embed(["a red  house "])["text"][0], both[0], atol=1e-6)
    assert not both[0, 4:].any() and both[1, 4:9].any()  # three words and the end
    assert base.unknown_words("a red zebra") == ["zebra"]


@torch.no_grad()
def test_a_text_encoder_that_stays_on_the_cpu_remembers_the_empty_caption(monkeypatch: pytest.MonkeyPatch) -> None:
    base = small_wan()
    object.__setattr__(base, "text_encoder_place", "cpu")
    assert set(base.encoders) == {"vae"}
    expected = base.embed([""])["text"]
    monkeypatch.setattr(base.text_encoder, "forward", None)
    assert torch.equal(base.embed([""])["text"], expected)


@torch.no_grad()
def test_a_base_is_the_same_after_it_was_saved(folder: Path) -> None:
    made, loaded = small_wan(), load_base(folder, MODEL)
    assert loaded.fingerprint() == made.fingerprint() and loaded.objective.shift == 3.0
    assert architecture_of_base(folder) == "wan22"
    for name, tensor in made.transformer.state_dict().items():
        assert torch.equal(loaded.transformer.state_dict()[name], tensor)


def test_stock_wan_pipeline_loads_the_tiny_base_and_paints_with_it(folder: Path) -> None:
    pipe = WanPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    frames = pipe("a red house", height=32, width=32, num_frames=5, num_inference_steps=2, output_type="pt").frames
    assert frames.shape[2:] == (3, 32, 32) and torch.isfinite(frames).all()


@pytest.mark.parametrize("solver", ["euler", "unipc"])
def test_a_base_goes_on_sampling_as_it_came(tmp_path: Path, solver: Any) -> None:
    base = small_wan()
    replace(base, objective=replace(base.objective, solver=solver)).save(tmp_path)
    assert load_base(tmp_path, MODEL).objective == Flow(shift=3.0, solver=solver)
    assert load_base(tmp_path, replace(MODEL, solver="euler")).objective.solver == "euler"
    scheduler = WanPipeline.from_pretrained(tmp_path).scheduler
    assert type(scheduler) is {"euler": FlowMatchEulerDiscreteScheduler, "unipc": UniPCMultistepScheduler}[solver]


def test_constants_of_latents_are_copied_to_a_device_once_and_are_those_of_their_own_base() -> None:
    base = small_wan()
    channels = int(base.configs["vae"]["z_dim"])
    latents = torch.zeros(1, 1, channels, 2, 2)
    with torch.inference_mode():
        base.scaled(latents)
    with mock.patch.object(torch, "tensor", side_effect=AssertionError("a constant is copied again")):
        # Constants that were made while something was painted do not disturb training.
        torch.autograd.grad(base.scaled(latents.requires_grad_()).square().sum(), latents)
    other = replace(base, configs={**base.configs, "vae": {**base.configs["vae"], "latents_mean": [7.0] * channels}})
    assert not torch.equal(other.scaled(latents), base.scaled(latents))
    assert base.scaled(latents.detach().double()).dtype == torch.float64


def changed(name: str, **values: Any) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        config = json.loads((place / name).read_text())
        (place / name).write_text(json.dumps({**config, **values}))

    return change


def without(part: str) -> Callable[[Path], object]:
    return lambda place: (place / part).rename(place.parent / "elsewhere")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (
            changed("model_index.json", expand_timesteps=False),
            "a Wan that takes one timestep for all frames, as Wan 2.1",
        ),
        (changed("model_index.json", transformer_2=["diffusers", "WanTransformer3DModel"]), "two transformers"),
        (changed("model_index.json", _class_name="FluxPipeline"), "a FluxPipeline; allowed: a WanPipeline"),
        (without("text_encoder"), "it lacks text_encoder"),
        (without("model_index.json"), "it lacks model_index.json"),
        (changed("vae/config.json", z_dim=16), "its transformer reads 6 channels and gives 6, its VAE makes 16"),
        (changed("vae/config.json", _class_name="AutoencoderKL"), "its vae is a AutoencoderKL, not"),
        (changed("text_encoder/config.json", d_model=32), "gives 32 numbers a word, its transformer reads 16"),
        (changed("transformer/config.json", image_dim=8), "asks for more than words"),
        (changed("transformer/config.json", patch_size=[2, 2, 2]), "joins 2 latents in time"),
        (changed("transformer/config.json", patch_size=[]), "transformer/config.json cannot be loaded: patch_size: "),
        (changed("transformer/config.json", num_attention_heads=0), "transformer/config.json .*by zero"),
        (changed("text_encoder/config.json", num_heads="x"), "text_encoder/config.json .*'num_heads'"),
        (changed("vae/config.json", latents_std=[0.0] * SHAPE.latent_channels), "vae/config.json .* latents_std.0: "),
        (changed("vae/config.json", latents_mean=[0.0]), "its latents_mean has 1 numbers"),
        (changed("vae/config.json", patch_size="x"), "vae/config.json cannot be loaded: "),
        (changed("scheduler/scheduler_config.json", shift="x"), "scheduler_config.json: shift=x: .* above 0"),
        (changed("scheduler/scheduler_config.json", flow_shift=-1), "scheduler_config.json: flow_shift=-1: .* above 0"),
    ],
)
def test_another_wan_is_refused_in_one_line_before_any_weight_is_read(
    folder: Path, tmp_path: Path, change: Callable[[Path], object], error: str
) -> None:
    copy = tmp_path / "base"
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".safetensors":  # no weights
            (copy / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (copy / path.relative_to(folder)).write_bytes(path.read_bytes())
    load_base(copy, MODEL)
    with pytest.raises(UserError, match=f"base={tmp_path / 'nowhere'}: no such folder"):
        load_base(tmp_path / "nowhere", MODEL)
    with pytest.raises(UserError, match="base=~nobody-of-that-name/base: no such folder"):
        load_base(Path("~nobody-of-that-name/base"), MODEL)
    change(copy)
    with pytest.raises(UserError, match=error) as refusal:
        load_base(copy, MODEL)
    assert "\n" not in str(refusal.value) and str(refusal.value).startswith(f"base={copy}")


def test_a_base_that_lacks_a_tensor_is_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(folder, tmp_path / "base")
    weights = copy / "transformer" / "diffusion_pytorch_model.safetensors"
    state = load_file(weights)
    del state["blocks.1.ffn.net.2.bias"]
    save_file(state, weights)
    with pytest.raises(UserError, match="its transformer lacks 1 tensors of a WanTransformer3DModel, such as blocks"):
        _ = load_base(copy, MODEL).transformer
