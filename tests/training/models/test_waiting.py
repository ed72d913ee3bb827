"""What frozen layers that wait in the CPU's memory promise."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.paint import LiveTensors
from tests.training.models.wan22.small_wan import small_wan
from training.models.lora import is_lora
from training.models.shape import LoraShape
from training.models.waiting import WaitingLinear, let_wait
from training.models.wan22.lora import add_lora
from training.models.wan22.shape import LORA_LAYERS
from training.run.parallel import Ranks, distribute


def adapted() -> WanTransformer3DModel:
    """A transformer with a LoRA that is not 0."""
    transformer = small_wan().transformer
    add_lora(transformer, "motion", LoraShape(rank=2, alpha=2.0, targets=LORA_LAYERS))
    generator = torch.Generator().manual_seed(0)
    for name, parameter in transformer.named_parameters():
        if is_lora(name):
            parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator)
    return transformer.train()


def learn(transformer: WanTransformer3DModel, device: str = "cpu") -> tuple[Tensor, dict[str, Tensor]]:
    """Its prediction, and the gradients of what is trained."""
    generator = torch.Generator().manual_seed(1)
    latents, text = torch.randn(1, 6, 3, 4, 4, generator=generator), torch.randn(1, 5, 16, generator=generator)
    timesteps = torch.tensor([500.0]).to(device)
    predicted: Tensor = transformer(latents.to(device), timesteps, text.to(device), return_dict=False)[0]
    cast(Any, predicted.square().mean()).backward()
    return predicted, {name: each.grad for name, each in transformer.named_parameters() if each.grad is not None}


def test_they_compute_the_same() -> None:
    resting, waiting = adapted(), adapted()
    waiting.enable_gradient_checkpointing()
    let_wait(waiting)
    (predicted, gradients), (again, gradients_again) = learn(resting), learn(waiting)
    assert torch.equal(predicted, again) and gradients.keys() == gradients_again.keys()
    assert all(torch.equal(gradient, gradients_again[name]) for name, gradient in gradients.items())


def test_they_stay_where_they_are_and_compute_where_their_input_is() -> None:
    """The meta device stands in for a GPU: it refuses weights of another device just so."""
    transformer = adapted()
    transformer.enable_gradient_checkpointing()
    let_wait(transformer)
    transformer.to("meta")
    for name, parameter in transformer.named_parameters():
        layer = transformer.get_submodule(name.rpartition(".")[0])
        assert parameter.device.type == ("cpu" if isinstance(layer, WaitingLinear) else "meta"), name
        assert not (isinstance(layer, nn.Linear) and parameter.requires_grad) or is_lora(name)
    predicted, gradients = learn(transformer, "meta")
    assert predicted.device.type == "meta"
    assert gradients and all(is_lora(name) and gradient.device.type == "meta" for name, gradient in gradients.items())


@pytest.mark.parametrize("checkpointing", [True, False])
def test_copies_of_one_block_are_kept_at_a_time(checkpointing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    copies, transformer = LiveTensors(0), adapted()
    if checkpointing:
        transformer.enable_gradient_checkpointing()
    let_wait(transformer)
    transformer.to("meta")

    def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        copies.count(weight.untyped_storage())
        return functional.linear(inputs, weight, bias)

    monkeypatch.setattr("training.models.waiting.functional", SimpleNamespace(linear=linear))
    learn(transformer, "meta")
    layers = [layer for layer in transformer.blocks.modules() if isinstance(layer, WaitingLinear)]
    of_a_block = sum(layer.weight.nbytes for layer in layers) // len(transformer.blocks)
    assert (0 < copies.peak <= of_a_block) == checkpointing


def test_processes_share_no_weights_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2))
    let_wait(network)
    accelerator = SimpleNamespace(prepare_model=lambda rank_network: rank_network)
    ranks: Any = SimpleNamespace(count=2, device=torch.device("meta"), accelerator=accelerator)
    ignored = distribute(network, cast(Ranks, ranks), "ddp")._ddp_params_and_buffers_to_ignore
    assert ignored == ["network.0.weight", "network.0.bias"]
