"""The moving average of the trained weights, which paints better than the weights of any one step."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """Exponential moving average of parameters; for a sharded parameter, of the part that this rank holds.

    The decay grows to its final value, min(decay, (1 + step) / (10 + step)), so that the first weights are forgotten.

    Args:
        parameters: the parameters, by name.
        decay: final decay, in (0, 1).
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self._parameters, self._decay = dict(parameters), decay
        self.averages = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        self._means, self._values = list(self.averages.values()), list[Tensor](self._parameters.values())

    @torch.inference_mode()  # as in `Clipping`: every call is faster
    def update(self, step: int) -> None:
        """Include the weights after `step` steps in the averages."""
        share = 1 - min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._means, self._values, share)

    @torch.no_grad()
    def load(self, averages: Mapping[str, Tensor]) -> None:
        """Load averages that were saved."""
        for name, average in averages.items():
            self.averages[name].copy_(average)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Context in which the parameters are their averages."""
        trained_values = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._assign(self.averages)
        try:
            yield
        finally:
            self._assign(trained_values)

    @torch.no_grad()
    def _assign(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            parameter.copy_(values[name])
