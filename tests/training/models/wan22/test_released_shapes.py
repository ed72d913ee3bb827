"""In the shapes of Wan2.2-TI2V-5B every stage takes a step and goes on from its state, on the meta device."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.training.models.wan22.released import random_lora, released_transformer
from training.data.text import Text
from training.models.architecture import StageRequest, Trainable
from training.models.conditions import Conditions
from training.models.shape import LoraShape
from training.models.wan22 import stages
from training.models.wan22.base import WanBase
from training.models.wan22.flow import Flow
from training.models.wan22.lora import save_lora
from training.models.wan22.shape import LORA_LAYERS
from training.stages.condition_draw import ConditionDraw

_LORA = LoraShape(rank=64, alpha=64.0, targets=LORA_LAYERS)
_SEQUENCE = (1, 8, 48, 32, 32)  # 8 frames of 512 px
_LAYERS = 300  # that a LoRA changes


def released_base() -> WanBase:
    """With no weights, and nothing for the networks that cached latents and text replace."""
    networks: dict[str, nn.Module] = {
        "transformer": released_transformer().requires_grad_(False), "vae": nn.Module(), "text_encoder": nn.Module(),
    }  # fmt: skip
    return WanBase(
        configs={
            "vae": {"dim_mult": [1, 2, 4, 4], "patch_size": 2, "z_dim": 48},
            "transformer": {"patch_size": (1, 2, 2)},
        },
        load=networks.__getitem__,
        tokenizer=None,
        objective=Flow(),
    )


def step(made: Trainable, optimizer: torch.optim.Optimizer) -> None:
    """On one sequence, of which one frame is given where the stage is shown some."""
    latents = torch.empty(_SEQUENCE, device="meta")
    mask = torch.empty(_SEQUENCE[:2], device="meta")
    given = {"conditions": Conditions(latents=latents, mask=mask)} if made.sees_conditions else {}
    text = Text({"text": torch.empty(1, 512, 4096, device="meta")})
    predicted = made.denoiser(latents, torch.empty(1, device="meta"), text, **given)
    assert predicted.shape == _SEQUENCE
    predicted.float().square().mean().backward()
    optimizer.step()


def trained(made: Trainable) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in made.denoiser.named_parameters() if parameter.requires_grad}


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")
@pytest.mark.parametrize(
    ("stage", "options", "tensors"),
    [
        ("motion", {"lora": _LORA, "conditions": ConditionDraw()}, 2 * _LAYERS),
        ("motion", {"conditions": ConditionDraw()}, None),
        ("spatial_lora", {"lora": _LORA}, 2 * _LAYERS),
        ("motion_lora", {"lora": _LORA}, 2 * _LAYERS),
    ],
    ids=["motion", "motion, all of it", "spatial_lora", "motion_lora"],
)
def test_a_stage_takes_a_step_and_goes_on_from_its_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: Any, options: dict[str, Any], tensors: int | None
) -> None:
    monkeypatch.setattr(stages, "network_mark", lambda *_: "no weights, no mark")
    parents = {}
    if stage == "motion_lora":
        parents = {key: tmp_path / key for key in ("motion", "spatial_lora")}
        for folder in parents.values():
            folder.mkdir()
            save_lora(random_lora(released_transformer(), rank=1), folder)
    request = StageRequest(stage=stage, num_frames=8, parents=parents, checkpointing=True, **options)
    states: list[dict[str, Any]] = []
    for _ in range(2):
        made = stages.trainable(released_base(), request)
        made.denoiser.to("meta")  # LoRAs of parents come from files
        optimizer = torch.optim.AdamW(trained(made).values(), foreach=False)
        if states:
            absent = made.denoiser.load_state_dict(states[-1]["trained"], strict=False)
            assert not absent.unexpected_keys and not set(absent.missing_keys) & trained(made).keys()
            optimizer.load_state_dict(states[-1]["optimizer"])
        step(made, optimizer)
        states.append({"trained": trained(made), "optimizer": optimizer.state_dict()})
        moments = states[-1]["optimizer"]["state"]
        assert len(moments) == len(trained(made)) == (tensors or len(list(made.denoiser.parameters())))
        for held, parameter in zip(moments.values(), trained(made).values(), strict=True):
            assert parameter.dtype == torch.float32 and held["exp_avg"].shape == parameter.shape
