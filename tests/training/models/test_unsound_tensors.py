"""Readers of files of weights that strangers wrote refuse tensors that cannot be weights, and name both."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from conf.errors import UserError
from tests.training.models.small_base import small_base
from training.models.actor_file import actor_of
from training.models.proposing import ProposingActor
from training.models.read_tensors import read_tensors
from training.models.sd15.animatediff import original_from_motion
from training.models.sd15.base import BaseModel
from training.models.sd15.lora import load_lora
from training.models.sd15.motion import adapter_of, add_motion, load_motion
from training.models.sd15.replication import add_replication, load_replication

State = dict[str, Tensor]
_LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
_FLAT = f"lora_unet_{_LAYER.replace('.', '_')}"
_HARMS: dict[str, Callable[[Tensor], Tensor]] = {
    "whole numbers": lambda tensor: tensor.long(),
    "truth values": lambda tensor: tensor.bool(),
    "empty": lambda tensor: tensor[:0].clone(),
    "of rank 0": lambda tensor: tensor.flatten()[0].clone(),
    "one dimension": lambda tensor: tensor.flatten().clone(),
    "not a number": lambda tensor: tensor * float("nan"),
    "endless": lambda tensor: tensor + float("inf"),
}


@cache
def base() -> BaseModel:
    return small_base()


def lora_state() -> State:
    width = base().unet.get_submodule(_LAYER).in_features
    return {f"{_FLAT}.lora_down.weight": torch.ones(2, width), f"{_FLAT}.lora_up.weight": torch.ones(width, 2)}


def read_lora(path: Path) -> State:
    return load_lora("loras", path, base().unet, {})


@cache
def _sound() -> dict[str, State]:
    """Reader -> tensors that it accepts."""
    motion = adapter_of(add_motion(base().unet, None)).state_dict()
    replication = add_replication(base().unet, carried=False).state_dict()
    temporal = {name: tensor for name, tensor in replication.items() if ".motion_modules." in name}
    renamed = original_from_motion(temporal) | {n: t for n, t in replication.items() if n not in temporal}
    return {
        "loras": lora_state(),
        "motion": original_from_motion(motion),
        "replication": {name: tensor for name, tensor in renamed.items() if ".attention_blocks.1." not in name},
        "actor": ProposingActor(4).state_dict(),
    }


def read_actor(path: Path) -> Any:
    try:
        return actor_of(read_tensors(path, "actor"))
    except UserError as error:  # the caller names the file
        raise UserError(f"actor={path}: {error}") from error


_READERS: dict[str, Callable[[Path], Any]] = {
    "loras": read_lora,
    "motion": lambda path: load_motion(path, base().unet),
    "replication": lambda path: load_replication(path, base().unet),
    "actor": read_actor,
}


@pytest.mark.parametrize("harm", _HARMS)
@pytest.mark.parametrize("reader", _READERS)
def test_a_tensor_that_cannot_be_a_weight_is_named_with_its_file(tmp_path: Path, reader: str, harm: str) -> None:
    sound, path = _sound()[reader], tmp_path / "weights.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in sound.items()}, path)
    _READERS[reader](path)
    tables = [name for name in sound if name.endswith(".pe")]
    for name in (min(sound), max(sound), *tables[:1]):
        if harm == "one dimension" and sound[name].ndim == 1:
            continue
        harmed = {**load_file(path), name: _HARMS[harm](sound[name])}
        save_file(harmed, tmp_path / "harmed.safetensors")
        with pytest.raises(UserError) as caught:
            _READERS[reader](tmp_path / "harmed.safetensors")
        line = str(caught.value)
        assert line.startswith(f"{reader}={tmp_path / 'harmed.safetensors'}: ") and "\n" not in line
        if harm != "one dimension":
            assert name in line, (name, line)


@pytest.mark.parametrize("width", [1, 3, 257, 200_000])
def test_an_actor_of_an_absurd_width_is_refused_before_memory_is_taken(width: int) -> None:
    with pytest.raises(UserError, match=f"^stem.weight has {width} channels; allowed: 4 to 256$"):
        actor_of({**ProposingActor(4).state_dict(), "stem.weight": torch.ones(width, 1, 1, 1)})


def refused_lora(tmp_path: Path, state: State) -> str:
    save_file(state, tmp_path / "lora.safetensors")
    with pytest.raises(UserError) as caught:
        read_lora(tmp_path / "lora.safetensors")
    return str(caught.value).removeprefix(f"loras={tmp_path / 'lora.safetensors'}: ")


def test_a_lora_of_rank_0_is_refused(tmp_path: Path) -> None:
    state = {f"{_FLAT}.lora_down.weight": torch.ones(0, 1), f"{_FLAT}.lora_up.weight": torch.ones(1, 0)}
    line = refused_lora(tmp_path, state)
    assert line.startswith(f"{_FLAT}.lora_") and line.endswith(", so it holds no weights")


@pytest.mark.parametrize(
    "alpha",
    [torch.ones(0), torch.ones(3), torch.tensor(True), torch.tensor(float("nan")), torch.tensor(float("-inf"))],
    ids=["none", "three", "truth", "nan", "inf"],
)
def test_an_alpha_that_is_not_one_number_is_named(tmp_path: Path, alpha: Tensor) -> None:
    line = refused_lora(tmp_path, {**lora_state(), f"{_FLAT}.alpha": alpha})
    assert line.startswith(f"{_FLAT}.alpha is not one finite number")


@pytest.mark.parametrize("alpha", [torch.tensor(1), torch.tensor([1.0]), torch.tensor(1.0, dtype=torch.float16)])
def test_an_alpha_may_be_stored_as_any_number(tmp_path: Path, alpha: Tensor) -> None:
    save_file({**lora_state(), f"{_FLAT}.alpha": alpha}, tmp_path / "lora.safetensors")
    state = read_lora(tmp_path / "lora.safetensors")
    assert torch.equal(state[f"{_LAYER}.lora_B.weight"], torch.full_like(state[f"{_LAYER}.lora_B.weight"], 0.5))


@pytest.mark.parametrize("name", ["nosuch_layer.alpha", f"{_LAYER.replace('to_q', 'to_k')}.alpha"])
def test_an_alpha_without_matrices_is_named(tmp_path: Path, name: str) -> None:
    assert refused_lora(tmp_path, {**lora_state(), name: torch.tensor(1.0)}) == f"{name} has no matrices beside it"


def test_two_tensors_of_one_layer_are_named(tmp_path: Path) -> None:
    width = base().unet.get_submodule(_LAYER).in_features
    line = refused_lora(tmp_path, {**lora_state(), f"{_LAYER}.lora_A.weight": torch.zeros(2, width)})
    assert f"{_FLAT}.lora_down.weight" in line and f"{_LAYER}.lora_A.weight" in line
