"""Frozen linear layers that wait in the CPU's memory, and are copied to the device each time they compute.

Nearly all weights of a transformer belong to such layers. With gradient checkpointing only one block's copies are kept
at a time, for its backward pass; without it those of all blocks would be kept, and no memory would be saved.
"""

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional


class WaitingLinear(nn.Linear):
    """A frozen layer that is neither moved nor converted with the network that it is part of."""

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        return self

    def forward(self, input: Tensor) -> Tensor:
        """As in `torch.nn.Linear`, on the device of its input."""
        weight = self.weight.to(input.device, non_blocking=True)
        bias = None if self.bias is None else self.bias.to(input.device, non_blocking=True)
        return functional.linear(input, weight, bias)


def let_wait(network: nn.Module) -> None:
    """Make the frozen linear layers of a network wait in pinned memory of the CPU, which a GPU can read by itself.

    Args:
        network: a network on the CPU; its results stay the same.
    """
    for layer in network.modules():
        if type(layer) is nn.Linear and not any(weight.requires_grad for weight in layer.parameters()):
            layer.__class__ = WaitingLinear
            for weight in layer.parameters():
                if torch.cuda.is_available() and weight.device.type == "cpu":
                    weight.data = weight.data.pin_memory()
