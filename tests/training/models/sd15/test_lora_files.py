"""LoRA files as others write them change a UNet as they do in stock diffusers or in their own tool, or are refused."""

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_kohya
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from conf.errors import UserError
from tests.training.models.small_base import small_base
from training.models.lora import LORA_FILE, apply_lora
from training.models.sd15.base import BaseModel
from training.models.sd15.lora import kind_of, load_lora, save_lora
from training.models.sd15.motion import adapter_of, add_motion, save_motion

State = dict[str, Tensor]
_LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
_TEXT_LAYER = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
_CONFIGS: dict[str, dict[str, Any]] = {
    "alpha is twice the rank": {"r": 4, "lora_alpha": 8},
    "alpha is not a whole share": {"r": 3, "lora_alpha": 2},
    "some layers of another rank and alpha": {
        "r": 2, "lora_alpha": 4, "rank_pattern": {"attn2.to_v": 4}, "alpha_pattern": {"attn2.to_v": 1, "to_k": 6},
    },
    "rank-stabilised": {"r": 4, "lora_alpha": 8, "use_rslora": True},
    "convolutions too": {"r": 2, "lora_alpha": 1, "target_modules": r".*(to_q|conv1|conv_shortcut|proj_in)"},
}  # fmt: skip


@cache
def base() -> BaseModel:
    return small_base()


def fresh_unet() -> UNet2DConditionModel:
    """Its own, always the same."""
    return deepcopy(base().unet)


def configured(name: str) -> LoraConfig:
    return LoraConfig(**{"target_modules": ["to_q", "to_k", "to_v", "to_out.0"], **_CONFIGS[name]})


def unet_with(config: LoraConfig) -> UNet2DConditionModel:
    """A UNet with a LoRA that is not zero."""
    unet = fresh_unet()
    unet.add_adapter(config, "made")
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
    return unet


def state_of(unet: UNet2DConditionModel) -> State:
    return {name: value.contiguous() for name, value in get_peft_model_state_dict(unet, adapter_name="made").items()}


def changes(network: nn.Module) -> State:
    """Layer -> what its LoRA adds to its weight, by peft itself."""
    found = {}
    for name, module in network.named_modules():
        if getattr(module, "lora_A", None):
            (adapter,) = module.lora_A.keys()
            found[name.removeprefix("base_model.model.")] = module.get_delta_weight(adapter).detach()
    return found


def ours(path: Path) -> State:
    unet = fresh_unet()
    apply_lora(unet, "ours", load_lora("lora", path, unet, {}))
    return changes(unet)


def stock(path: Path) -> State:
    unet = fresh_unet()
    state, alphas, metadata = StableDiffusionPipeline.lora_state_dict(path, return_lora_metadata=True)
    StableDiffusionPipeline.load_lora_into_unet(state, alphas, unet, metadata=metadata)
    return changes(unet)


def assert_alike(one: State, other: State) -> None:
    assert one.keys() == other.keys() and one
    for name, change in one.items():
        assert change.abs().max() > 1e-3
        assert torch.allclose(change, other[name], rtol=1e-5, atol=1e-6), name


@pytest.mark.parametrize("by", ["pipeline", "network"])
@pytest.mark.parametrize("config", _CONFIGS)
def test_alpha_in_the_header_counts_as_in_stock_diffusers(tmp_path: Path, config: str, by: str) -> None:
    unet = unet_with(configured(config))
    if by == "network":
        unet.save_lora_adapter(tmp_path, adapter_name="made")
        assert_alike(ours(tmp_path), changes(unet))
        return
    StableDiffusionPipeline.save_lora_weights(
        tmp_path, unet_lora_layers=state_of(unet), unet_lora_adapter_metadata=unet.peft_config["made"].to_dict()
    )
    assert_alike(ours(tmp_path), changes(unet))
    assert_alike(ours(tmp_path), stock(tmp_path))


@pytest.mark.parametrize("config", _CONFIGS)
def test_what_peft_itself_saved_is_read_with_its_config(tmp_path: Path, config: str) -> None:
    wrapped = get_peft_model(fresh_unet(), configured(config))
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
    wrapped.save_pretrained(tmp_path)
    theirs = PeftModel.from_pretrained(fresh_unet(), tmp_path)
    assert_alike(ours(tmp_path), changes(theirs))
    assert_alike(ours(tmp_path / "adapter_model.safetensors"), changes(theirs))
    (tmp_path / "adapter_config.json").unlink()
    assert "adapter_config.json, which says its scale, is not beside it" in refusal(tmp_path)


def early_names(state: State, prefix: str = "") -> State:
    """Those of diffusers' attention processors of early 2023."""
    ends = {"lora_A": "down", "lora_B": "up"}
    renamed = {}
    for name, tensor in state.items():
        place, _, rest = name.partition(".to_")
        target, _, end = rest.removesuffix(".weight").replace("out.0", "out").partition(".")
        renamed[f"{prefix}{place}.processor.to_{target}_lora.{ends[end]}.weight"] = tensor
    return renamed


@pytest.mark.parametrize("prefix", ["", "unet.", "module."])
def test_attention_processor_names_are_a_spatial_lora(tmp_path: Path, prefix: str) -> None:
    """As diffusers wrote them in early 2023, and AnimateDiff's domain adapters have them; there is no alpha."""
    unet = unet_with(LoraConfig(r=4, lora_alpha=4, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    path = tmp_path / "v3_sd15_adapter.safetensors"
    save_file(early_names(state_of(unet), prefix), path)
    assert_alike(ours(path), changes(unet))
    if prefix == "unet.":
        assert_alike(ours(path), stock(path))
    assert kind_of(load_lora("lora", path, fresh_unet(), {})) == "spatial"
    torch.save({"state_dict": load_file(path)}, path.with_suffix(".ckpt"))
    assert_alike(ours(path.with_suffix(".ckpt")), changes(unet))


def kohya(state: State, alpha: float, dtype: torch.dtype) -> State:
    renamed = convert_state_dict_to_kohya({f"unet.{name}": tensor.to(dtype) for name, tensor in state.items()})
    return {
        name: torch.tensor(alpha, dtype=dtype) if name.endswith(".alpha") else tensor
        for name, tensor in renamed.items()
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_kohyas_part_for_the_unet_is_applied_and_the_rest_said_to_be_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dtype: torch.dtype
) -> None:
    path = tmp_path / "style.safetensors"
    state = kohya(state_of(unet_with(configured("alpha is twice the rank"))), 1.0, dtype)
    text = {f"{_TEXT_LAYER}.lora_down.weight": torch.ones(4, 16), f"{_TEXT_LAYER}.lora_up.weight": torch.ones(16, 4)}
    save_file({**state, **text, f"{_TEXT_LAYER}.alpha": torch.tensor(1.0)}, path)
    assert_alike(ours(path), stock(path))
    assert capsys.readouterr().err == (
        f"warning: lora={path}: its 3 tensors for the text encoder are left out; those for the UNet are applied\n"
    )


def refusal(path: Path, unet: Any = None) -> str:
    with pytest.raises(UserError) as caught:
        load_lora("lora", path, unet or fresh_unet(), {})
    line = str(caught.value)
    assert line.startswith(f"lora={path}: ") and "\n" not in line
    return line


def lone(end: str) -> Callable[[State], State]:
    return lambda state: {name: state[name] for name in state if end in name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lone("lora_A"), "missing) fits no layer of this one"),
        (lone("lora_B"), "(missing, "),
        (lambda state: {name: value[:1] if "_A" in name else value for name, value in state.items()}, "fits no layer"),
        (lambda state: {**state, f"{_LAYER}.to_q.dora_scale": torch.ones(1)}, "a DoRA"),
        (lambda state: {**state, f"{_LAYER}.to_q.lora_magnitude_vector": torch.ones(1)}, "a DoRA"),
        (lambda state: {"lora_unet_a.hada_w1_a": torch.ones(1)}, "a LoHa"),
        (lambda state: {"lora_unet_a.lokr_w1": torch.ones(1)}, "a LoKr"),
        (lambda state: {"conv_in.weight": torch.ones(1)}, "but other tensors, such as conv_in.weight"),
        (lambda state: {"input_blocks.lora_1": torch.ones(1)}, "but one of another, with input_blocks.lora_1"),
        (lambda state: {**state, min(state): state[min(state)] / 0}, "values are not finite"),
        (lambda state: {f"{_TEXT_LAYER}.lora_down.weight": torch.ones(1)}, "changes the text encoder alone"),
    ],
)
def test_nothing_is_filled_up_and_other_methods_are_called_by_their_name(
    tmp_path: Path, change: Callable[[State], State], message: str
) -> None:
    save_file(change(state_of(unet_with(configured("alpha is twice the rank")))), tmp_path / "x.safetensors")
    assert message in refusal(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{", "its header cannot be read"),
        ("[1]", "its header cannot be read"),
        ('{"lora_alpha": "much"}', "its alpha for"),
        ('{"lora_alpha": 1, "alpha_pattern": {"(": 2}}', "its alpha for"),
        ('{"lora_alpha": 1, "alpha_pattern": [1]}', "its alpha for"),
        ('{"peft_type": "LOHA"}', "a LOHA adapter, as its header says; allowed: LORA"),
        ('{"unet.use_dora": true, "unet.lora_alpha": 1}', "a DORA adapter"),
    ],
)
def test_a_header_that_cannot_be_followed_is_refused(tmp_path: Path, header: str, message: str) -> None:
    state = state_of(unet_with(configured("alpha is twice the rank")))
    save_file(state, tmp_path / LORA_FILE, {"lora_adapter_metadata": header})
    assert message in refusal(tmp_path)


def test_a_part_of_another_kind_is_called_by_its_name(tmp_path: Path) -> None:
    motion = add_motion(fresh_unet(), None)
    layer = "down_blocks.0.motion_modules.0.transformer_blocks.0.attn1.to_q"
    width = motion.get_submodule(layer).weight.shape[0]
    state = {f"{layer}.lora_A.weight": torch.ones(2, width), f"{layer}.lora_B.weight": torch.ones(width, 2)}
    save_lora(state, "motion", tmp_path)
    assert "a motion LoRA; allowed: a spatial one" in refusal(tmp_path)
    assert load_lora("lora", tmp_path, motion, {}).keys() == state.keys()
    for name in ("temporal", "base"):
        (tmp_path / name).mkdir()
    save_motion(adapter_of(motion), tmp_path / "temporal")
    base().save(tmp_path / "base")
    assert "but temporal modules (a MotionAdapter)" in refusal(tmp_path / "temporal")
    assert "but temporal modules (AnimateDiff)" in refusal(tmp_path / "temporal" / "animatediff.safetensors")
    assert "but a base (a diffusers folder)" in refusal(tmp_path / "base")


def test_marks_of_parents_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    state = state_of(unet_with(configured("alpha is twice the rank")))
    save_file(state, tmp_path / LORA_FILE, {"process_painter": json.dumps(3)})
    refusal(tmp_path)
