"""In the shapes of Wan2.2-TI2V-5B every stage takes a step on the meta device, and goes on from a checkpoint's file.

The base has no weights, so that gradients have shapes but no numbers: these are drawn. LoRA, moments, averages and the
file are real. A whole transformer in training would be a file of 80 GB; what it takes up again stays in memory here.
"""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.models.wan22.released import random_lora, released_transformer
from training.config import OptimizerConfig
from training.data.text import Text
from training.models.architecture import StageRequest, Trainable
from training.models.conditions import Conditions
from training.models.shape import LoraShape
from training.models.wan22 import stages
from training.models.wan22.base import WanBase
from training.models.wan22.flow import Flow
from training.models.wan22.lora import save_lora
from training.models.wan22.shape import LORA_LAYERS
from training.run.checkpoint import Checkpoint, newest_sound, write_checkpoint
from training.run.learner import Learner
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
            "transformer": dict(released_transformer().config),
        },
        load=networks.__getitem__,
        tokenizer=None,
        objective=Flow(),
    )


def loras_of_parents(folder: Path, stage: str) -> dict[str, Path]:
    """Those beside which `motion_lora` trains, as files."""
    parents = {key: folder / key for key in ("motion", "spatial_lora")} if stage == "motion_lora" else {}
    for place in parents.values():
        place.mkdir()
        save_lora(random_lora(released_transformer(), rank=1), place)
    return parents


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


def with_numbers(made: Trainable) -> Trainable:
    """The same with a LoRA of numbers, which are drawn, on the CPU; its base stays without."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in trained(made).items():
        place, _, leaf = name.rpartition(".")
        numbers = torch.randn(parameter.shape, generator=generator)
        made.denoiser.get_submodule(place).register_parameter(leaf, nn.Parameter(numbers))
    return made


def learner(made: Trainable, checkpoint: Checkpoint | None) -> Learner:
    """Of a LoRA that is on the CPU, beside a base that is on the meta device."""
    optimizer = OptimizerConfig(
        name="adamw", learning_rate=1e-3, betas=(0.9, 0.99), weight_decay=0.01, warmup_steps=0, cooldown_steps=0
    )
    config: Any = SimpleNamespace(
        optimizer=optimizer, distributed="ddp", ema_decay=0.9, clip_norm=1.0, max_steps=2, cuda_graphs=False
    )
    stage: Any = SimpleNamespace(network=made.denoiser, name="of a test")
    ranks: Any = SimpleNamespace(count=1, device=torch.device("cpu"))
    return Learner(config, stage, ranks, checkpoint)


def move(learner: Learner, made: Trainable, number: int) -> None:
    """A step along a gradient that is drawn."""
    generator = torch.Generator().manual_seed(number)
    for parameter in trained(made).values():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    learner.move(number)


def state(learner: Learner) -> dict[str, Tensor]:
    """All that a checkpoint holds of it."""
    groups: dict[Any, Any] = {**learner.tensors(), **learner.optimizer_state()["state"]}
    return {f"{group} {name}": value for group, values in groups.items() for name, value in values.items()}


def assert_equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    """Weights, averages, and of each three values of the optimizer, bit for bit."""
    assert one.keys() == other.keys() and len(one) == 5 * 2 * _LAYERS
    assert all(torch.equal(value, other[name]) for name, value in one.items())


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
    parents = loras_of_parents(tmp_path, stage)
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


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")
@pytest.mark.parametrize("stage", ["motion", "spatial_lora", "motion_lora"])
def test_a_lora_goes_on_from_the_file_of_a_checkpoint_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: Any
) -> None:
    """Rank 2 of the 64: a LoRA of as many tensors, and a file of 60 MB."""
    monkeypatch.setattr(stages, "network_mark", lambda *_: "no weights, no mark")
    monkeypatch.setattr("training.run.learner.distribute", lambda network, *_: network)  # would move the base
    shape = LoraShape(rank=2, alpha=2.0, targets=LORA_LAYERS)
    request = StageRequest(
        stage=stage, num_frames=8, parents=loras_of_parents(tmp_path, stage), checkpointing=True, lora=shape
    )
    first, again = (with_numbers(stages.trainable(released_base(), request)) for _ in range(2))
    uninterrupted = learner(first, None)
    move(uninterrupted, first, 1)
    tensors, states = uninterrupted.tensors(), {"optimizer": uninterrupted.optimizer_state()}
    write_checkpoint(tmp_path / "checkpoints", 1, facts={}, tensors=tensors, states=states)
    checkpoint = newest_sound(tmp_path / "checkpoints", print)
    assert checkpoint is not None and len(checkpoint.tensors("trained")) == 2 * _LAYERS
    for parameter in trained(again).values():
        parameter.data.zero_()
    resumed = learner(again, checkpoint)
    assert_equal(state(resumed), state(uninterrupted))
    for learning, made in ((uninterrupted, first), (resumed, again)):
        move(learning, made, 2)
    assert_equal(state(resumed), state(uninterrupted))
