"""What LoRAs and the files that hold them promise."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AnimateDiffPipeline, AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNetMotionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from conf.errors import UserError
from tests.training.models.sd15.test_motion import moved
from tests.training.models.small_base import SHAPE, small_base
from training.models.lora import LORA_FILE, apply_lora, is_lora, lora_of
from training.models.sd15.base import BaseModel
from training.models.sd15.lora import LoraKind, add_lora, load_lora, save_lora
from training.models.sd15.motion import adapter_of, is_temporal, predict
from training.models.shape import LoraShape
from training.models.tiny.shape import TinyShape

_KINDS: tuple[LoraKind, ...] = ("spatial", "motion")
_LORA = LoraShape(rank=2, alpha=0.5)
_OTHERS = {"spatial": "kohya.safetensors", "motion": "animatediff.safetensors"}


@pytest.fixture
def base() -> BaseModel:
    return small_base()


def inputs(base: BaseModel) -> tuple[Tensor, Tensor, Tensor]:
    latents = torch.randn(1, 3, base.latent_channels, 2, 2, generator=torch.Generator().manual_seed(0))
    return latents, torch.tensor([500]), base.embed(["a red house"])["text"]


def motion_unet(base: BaseModel) -> UNetMotionModel:
    """Always the same one, frozen: torch multiplies by weights with a gradient in another order."""
    torch.manual_seed(0)
    return moved(base).requires_grad_(False)


def with_lora(base: BaseModel, kind: LoraKind) -> tuple[Any, dict[str, Tensor]]:
    """A motion UNet with a LoRA that is not zero, and the LoRA."""
    unet = motion_unet(base)
    add_lora(unet, kind, _LORA)
    torch.manual_seed(3)
    weights = {name: value for name, value in unet.named_parameters() if value.requires_grad}
    with torch.no_grad():
        for value in weights.values():
            value.add_(0.5 * torch.randn_like(value))
    return unet, lora_of({name: value.detach() for name, value in weights.items()}, kind, _LORA)


def parts(base: BaseModel) -> dict[str, Any]:
    """Of a stock pipeline, which wants to know the levels of its VAE."""
    return {
        "vae": AutoencoderKL(block_out_channels=(32,)),
        "text_encoder": base.text_encoder,
        "tokenizer": base.tokenizer,
        "scheduler": DDIMScheduler(**base.schedule.scheduler_config()),
    }


@pytest.mark.parametrize("kind", _KINDS)
def test_a_lora_changes_the_attentions_of_its_kind_and_nothing_else_is_trained(base: BaseModel, kind: LoraKind) -> None:
    unet = motion_unet(base)
    attentions = {
        name
        for name, _ in unet.named_modules()
        if name.endswith((".attn1", ".attn2")) and is_temporal(name) == (kind == "motion")
    }
    add_lora(unet, kind, LoraShape(rank=4))
    trained = {name for name, parameter in unet.named_parameters() if parameter.requires_grad}
    assert all(is_lora(name) for name in trained) and attentions
    assert {name.split(".to_")[0] for name in trained} == attentions
    assert len(trained) == len(attentions) * 4 * 2


@torch.no_grad()
@pytest.mark.parametrize("kind", _KINDS)
def test_a_new_lora_and_one_at_scale_0_equal_the_base_exactly(base: BaseModel, kind: LoraKind) -> None:
    before = predict(motion_unet(base), *inputs(base))
    new = motion_unet(base)
    add_lora(new, kind, _LORA)
    assert torch.equal(predict(new, *inputs(base)), before)
    unet, _ = with_lora(base, kind)
    assert (predict(unet, *inputs(base)) - before).abs().max() > 1e-4
    unet.set_adapters(kind, 0.0)
    assert torch.equal(predict(unet, *inputs(base)), before)


@torch.no_grad()
@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("kind", _KINDS)
def test_a_saved_lora_comes_back_from_either_layout(
    base: BaseModel, tmp_path: Path, kind: LoraKind, other: bool
) -> None:
    trained, state = with_lora(base, kind)
    save_lora(state, kind, tmp_path, {})
    fresh = motion_unet(base)
    loaded = load_lora("lora", tmp_path / _OTHERS[kind] if other else tmp_path, fresh, {})
    assert loaded.keys() == state.keys() and all(torch.equal(loaded[name], state[name]) for name in state)
    apply_lora(fresh, kind, loaded)
    assert (predict(fresh, *inputs(base)) - predict(trained, *inputs(base))).abs().max() < 1e-5


@torch.no_grad()
def test_both_loras_act_together_and_are_frozen_when_applied(base: BaseModel) -> None:
    states = {kind: with_lora(base, kind)[1] for kind in _KINDS}
    unet = motion_unet(base)
    for kind, state in states.items():
        apply_lora(unet, kind, state)
    assert not any(parameter.requires_grad for name, parameter in unet.named_parameters() if is_lora(name))
    both = predict(unet, *inputs(base))
    for kind in _KINDS:
        unet.set_adapters(kind)
        assert (predict(unet, *inputs(base)) - both).abs().max() > 1e-4


def test_names_are_those_of_the_published_files(base: BaseModel, tmp_path: Path) -> None:
    for kind in _KINDS:
        save_lora(with_lora(base, kind)[1], kind, tmp_path, {})
    kohya = load_file(tmp_path / "kohya.safetensors")
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_out_0"
    assert {f"{layer}.lora_down.weight", f"{layer}.lora_up.weight", f"{layer}.alpha"} <= kohya.keys()
    animatediff = load_file(tmp_path / "animatediff.safetensors")
    block = "up_blocks.1.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.1.processor"
    assert {f"{block}.to_out_lora.down.weight", f"{block}.to_q_lora.up.weight"} <= animatediff.keys()


@torch.no_grad()
@pytest.mark.parametrize("name", [LORA_FILE, "kohya.safetensors"])
def test_stock_pipelines_load_a_spatial_lora(base: BaseModel, tmp_path: Path, name: str) -> None:
    _, state = with_lora(base, "spatial")
    save_lora(state, "spatial", tmp_path, {"base": "some hash"})
    latents, timesteps, text = inputs(base)
    pipeline = StableDiffusionPipeline(
        **parts(base), unet=base.unet, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    pipeline.load_lora_weights(tmp_path, weight_name=name)
    ours = small_base().unet
    apply_lora(ours, "spatial", state)
    pictures = latents[0], timesteps, text.expand(len(latents[0]), -1, -1)
    theirs = pipeline.unet(*pictures).sample
    assert (theirs - ours(*pictures).sample).abs().max() < 1e-5
    assert (theirs - small_base().unet(*pictures).sample).abs().max() > 1e-4


@torch.no_grad()
def test_stock_animatediff_loads_a_motion_lora(base: BaseModel, tmp_path: Path) -> None:
    trained, state = with_lora(base, "motion")
    save_lora(state, "motion", tmp_path, {})
    unet = motion_unet(base)
    pipeline = AnimateDiffPipeline(**parts(base), unet=unet, motion_adapter=adapter_of(unet))
    pipeline.load_lora_weights(tmp_path, weight_name=LORA_FILE)
    assert (predict(unet, *inputs(base)) - predict(trained, *inputs(base))).abs().max() < 1e-5


@torch.no_grad()
def test_animatediffs_own_rule_gives_the_same_weights(base: BaseModel, tmp_path: Path) -> None:
    """Its loader adds up @ down to the weight of the layer that the name spells; there is no alpha."""
    trained, state = with_lora(base, "motion")
    save_lora(state, "motion", tmp_path, {})
    weights = motion_unet(base).double().state_dict()  # where rounding hides nothing
    for name, down in load_file(tmp_path / "animatediff.safetensors").items():
        if ".down." not in name:
            continue
        layer = name.replace(".temporal_transformer", "").replace("attention_blocks.0", "attn1")
        layer = layer.replace("attention_blocks.1", "attn2").replace("processor.", "").replace("_lora.down", "")
        up = load_file(tmp_path / "animatediff.safetensors")[name.replace(".down.", ".up.")]
        weights[layer.replace("to_out.", "to_out.0.")] += up.double() @ down.double()
    unet = motion_unet(base).double()
    unet.load_state_dict(weights)
    latents, timesteps, text = inputs(base)
    merged, beside = (predict(each.double(), latents.double(), timesteps, text.double()) for each in (unet, trained))
    assert (merged - beside).abs().max() < 1e-10


def test_a_lora_of_another_base_is_refused(base: BaseModel, tmp_path: Path) -> None:
    wide = small_base(
        shape=TinyShape(
            channels=(32, 32), plain_levels=0, patch_px=8, text_width=16, latent_channels=SHAPE.latent_channels
        )
    )
    save_lora(with_lora(wide, "spatial")[1], "spatial", tmp_path, {"base": "theirs"})
    with pytest.raises(UserError, match="made for another base; down_blocks") as caught:
        load_lora("spatial_lora", tmp_path, base.unet, {})
    assert str(caught.value).startswith(f"spatial_lora={tmp_path}") and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="it was trained on another base"):
        load_lora("spatial_lora", tmp_path, wide.unet, {"base": "ours"})
    assert load_lora("spatial_lora", tmp_path, wide.unet, {"base": "theirs"})


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"conv.weight": torch.zeros(1)}, "not a LoRA in the layout of"),
        ({"text_encoder.a.lora_A.weight": torch.zeros(1)}, "changes the text encoder alone"),
        ({"lora_unet_nowhere.lora_down.weight": torch.zeros(1)}, "belongs to no layer"),
    ],
)
def test_other_files_are_refused(base: BaseModel, tmp_path: Path, tensors: dict[str, Tensor], message: str) -> None:
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match=message):
        load_lora("lora", tmp_path / "x.safetensors", base.unet, {})


def test_a_folder_without_a_lora_is_refused(base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no LoRA"):
        load_lora("lora", tmp_path, base.unet, {})
