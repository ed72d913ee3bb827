"""LoRA files of Wan's world change the transformer alike in every layout, and are read by stock diffusers."""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers import WanPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from conf.errors import UserError
from tests.training.models.wan22.released import random_lora, released_transformer
from tests.training.models.wan22.small_wan import SHAPE, small_wan
from training.models.architecture import StageRequest
from training.models.lora import LORA_FILE, apply_lora
from training.models.shape import LoraShape
from training.models.wan22 import stages
from training.models.wan22.lora import add_lora, kohya_from_lora, load_lora, save_lora, wan_name
from training.models.wan22.shape import LORA_LAYERS
from training.stages.condition_draw import ConditionDraw

State = dict[str, Tensor]


def diffusers_layout(state: State) -> State:
    return {f"transformer.{name}": tensor for name, tensor in state.items()}


def own_layout(state: State, prefix: str = "diffusion_model.", end: str = ".weight") -> State:
    """As Wan's own code calls its layers; DiffSynth, with which Loomis Painter was trained, writes so."""
    named = {name.rpartition(".lora_"): tensor for name, tensor in state.items()}
    return {
        f"{prefix}{wan_name(layer)}{sign}{last.removesuffix('.weight')}{end}": tensor
        for (layer, sign, last), tensor in named.items()
    }


LAYOUTS: dict[str, Callable[[State], State]] = {
    "diffusers": diffusers_layout,
    "PEFT without a prefix": dict,
    "Wan's own names": own_layout,
    "Wan's own names without a prefix": lambda state: own_layout(state, "", ".default.weight"),
    "kohya": kohya_from_lora,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_as_the_same_lora(layout: str, tmp_path: Path) -> None:
    transformer = small_wan().transformer
    state = random_lora(transformer)
    assert len(state) == 2 * 10 * 2  # two blocks
    save_file(LAYOUTS[layout](state), tmp_path / "lora.safetensors")
    loaded = load_lora("motion", tmp_path / "lora.safetensors", transformer, {})
    assert loaded.keys() == state.keys()
    for name, tensor in state.items():
        assert torch.equal(loaded[name], tensor), name


def test_alpha_of_kohyas_layout_counts(tmp_path: Path) -> None:
    transformer = small_wan().transformer
    state = random_lora(transformer, rank=4)
    kohya = kohya_from_lora(state)
    assert "lora_unet_blocks_0_self_attn_q.lora_down.weight" in kohya
    save_file({**kohya, "lora_unet_blocks_0_ffn_2.alpha": torch.tensor(1.0)}, tmp_path / "lora.safetensors")
    loaded = load_lora("motion", tmp_path / "lora.safetensors", transformer, {})
    assert torch.allclose(loaded["blocks.0.ffn.net.2.lora_B.weight"], state["blocks.0.ffn.net.2.lora_B.weight"] / 4)
    assert torch.equal(loaded["blocks.1.ffn.net.2.lora_B.weight"], state["blocks.1.ffn.net.2.lora_B.weight"])


def test_the_published_layout_of_loomis_painter_fits_the_released_transformer(tmp_path: Path) -> None:
    """300 targets: ten layers of each of 30 blocks. The file is made here, of rank 1 with random numbers."""
    transformer = released_transformer()
    state = random_lora(transformer, rank=1)
    assert len(state) == 2 * 300
    save_file(own_layout(state, "", ".default.weight"), tmp_path / "loomis.safetensors")
    loaded = load_lora("motion", tmp_path / "loomis.safetensors", transformer, {})
    assert loaded.keys() == state.keys()
    with pytest.raises(UserError, match="made for another base"):
        load_lora("motion", tmp_path / "loomis.safetensors", small_wan().transformer, {})


@torch.no_grad()
def test_stock_wan_pipeline_loads_the_lora_and_predicts_the_same(tmp_path: Path) -> None:
    base = small_wan()
    state = {name: 0.1 * tensor for name, tensor in random_lora(base.transformer).items()}
    save_lora(state, tmp_path)
    for file in (LORA_FILE, "kohya.safetensors"):
        stock = WanPipeline(
            tokenizer=base.tokenizer, text_encoder=base.text_encoder, vae=base.vae, scheduler=None,
            transformer=deepcopy(base.transformer), expand_timesteps=True,
        )  # fmt: skip
        stock.load_lora_weights(tmp_path, weight_name=file)
        ours = deepcopy(base.transformer)
        apply_lora(ours, "motion", load_lora("motion", tmp_path / file, base.transformer, {}))
        latents, text = torch.randn(1, 6, 3, 4, 4), torch.randn(1, 5, 16)
        one, other, plain = (
            network(latents, torch.tensor([500.0]), text, return_dict=False)[0]
            for network in (stock.transformer, ours, base.transformer)
        )
        assert torch.allclose(one, other, atol=1e-5) and not torch.allclose(one, plain, atol=1e-2)


def test_a_new_lora_is_float32_and_changes_nothing_yet() -> None:
    transformer = deepcopy(small_wan().transformer)
    latents, text = torch.randn(1, 6, 2, 4, 4), torch.randn(1, 5, 16)
    with torch.no_grad():
        before = transformer(latents, torch.tensor([500.0]), text, return_dict=False)[0]
        add_lora(transformer, "motion", LoraShape(rank=2, targets=LORA_LAYERS))
        assert torch.equal(transformer(latents, torch.tensor([500.0]), text, return_dict=False)[0], before)
    trained = {name: each for name, each in transformer.named_parameters() if each.requires_grad}
    assert len(trained) == 40 and all(each.dtype == torch.float32 for each in trained.values())


def test_a_lora_of_other_layers_is_refused_before_weights_are_read(tmp_path: Path) -> None:
    save_lora(random_lora(small_wan(replace(SHAPE, width=64)).transformer), tmp_path)
    base = replace(small_wan(), load=lambda part: pytest.fail(f"weights of its {part} were read"))
    for stage, key, error in (
        ("motion_lora", "motion", "made for another base"),
        ("motion_lora", "spatial_lora", "made for another base"),
        ("motion", "motion", "a LoRA, which stage=motion does not go on with"),
    ):
        request = StageRequest(stage=cast(Any, stage), num_frames=8, parents={key: tmp_path})
        with pytest.raises(UserError, match=f"{key}={tmp_path}.*{error}"):
            stages.trainable(base, request)


def test_what_stage_motion_does_not_go_on_with_is_called_what_it_is(tmp_path: Path) -> None:
    temporal, pictures = tmp_path / "animatediff.safetensors", tmp_path / "pictures"
    save_file({"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": torch.zeros(3)}, temporal)
    pictures.mkdir()
    (pictures / "grey.png").write_bytes(b"")
    for place, kind in ((temporal, "temporal modules (AnimateDiff)"), (pictures, "something else")):
        request = StageRequest(stage="motion", num_frames=8, parents={"motion": place})
        message = f"motion={place}: {kind}, which stage=motion does not go on with; allowed: a whole transformer"
        with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
            stages.trainable(small_wan(), request)


def test_given_frames_that_are_not_carried_are_refused_as_there_is_no_other_way() -> None:
    request = StageRequest(stage="motion", num_frames=8, conditions=ConditionDraw(carried=False))
    with pytest.raises(UserError, match=r"^stage\.conditions\.carried=false: not allowed; allowed: true: "):
        stages.trainable(small_wan(), request)


def test_foreign_files_are_refused_in_one_line(tmp_path: Path) -> None:
    transformer, file = small_wan().transformer, tmp_path / "lora.safetensors"
    state = random_lora(transformer)
    for tensors, error in (
        (
            {"lora_unet_blocks_7_self_attn_q.lora_down.weight": torch.zeros(2, 32)},
            "belongs to no layer of the base's transformer",
        ),
        ({"unet.down_blocks.0.lora_A.weight": torch.zeros(2, 32)}, "made for another base"),
        (
            {name: tensor[:, :8] if ".lora_A." in name else tensor for name, tensor in state.items()},
            "made for another base",
        ),
        ({"weight": torch.zeros(3)}, "not a LoRA in the layout"),
    ):
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
        with pytest.raises(UserError, match=error) as refusal:
            load_lora("motion", file, transformer, {})
        assert "\n" not in str(refusal.value)
    save_lora(state, tmp_path, {"base": "another"})
    with pytest.raises(UserError, match="it was trained on another base"):
        load_lora("motion", tmp_path / LORA_FILE, transformer, {"base": "this"})
    assert load_file(tmp_path / "kohya.safetensors")
