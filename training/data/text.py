"""Embedded captions, as a base model reads them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Text:
    """Embedded captions: one or more tensors by name, each with one row for each caption.

    Stable Diffusion has one, `text` (B, L, D); others add a pooled vector, a mask, or the result of a second encoder.
    """

    tensors: "Mapping[str, torch.Tensor]"

    def __getitem__(self, name: str) -> "torch.Tensor":
        """One of the tensors."""
        return self.tensors[name]

    def __len__(self) -> int:
        """B, the number of captions."""
        return len(next(iter(self.tensors.values())))

    def changed(self, change: "Callable[[torch.Tensor], torch.Tensor]") -> "Text":
        """The same with each tensor changed."""
        return Text({name: change(tensor) for name, tensor in self.tensors.items()})

    def rows(self, index: "int | list[int] | torch.Tensor") -> "Text":
        """Some of the captions, in the order of the index; with a number, the tensors of that caption, without rows."""
        return self.changed(lambda tensor: tensor[index])

    def float(self) -> "Text":
        """The same in float32; whole numbers and masks are unchanged."""
        return self.changed(lambda tensor: tensor.float() if tensor.is_floating_point() else tensor)

    def repeated(self, count: int) -> "Text":
        """A single caption, repeated `count` times without taking memory."""
        return self.changed(lambda tensor: tensor.expand(count, *tensor.shape[1:]))

    def joined(self, other: "Text") -> "Text":
        """These captions, then the others."""
        import torch

        return Text({name: torch.cat([tensor, other[name]]) for name, tensor in self.tensors.items()})

    def where(self, mask: "torch.Tensor", other: "Text") -> "Text":
        """These captions where (B,) `mask` is true, elsewhere the other, which may be a single one."""
        import torch

        return Text({
            name: torch.where(mask.reshape(-1, *[1] * (tensor.ndim - 1)), tensor, other[name])
            for name, tensor in self.tensors.items()
        })  # fmt: skip
