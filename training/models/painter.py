"""What painting asks of an architecture: all parts of a painter together, on disk and as networks that compute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor, nn

from training.diffusion import Denoiser
from training.models.conditions import Conditions

if TYPE_CHECKING:
    from training.models.architecture import Base

PaintingStep = Literal["text", "encoding", "inversion", "sampling", "decoding"]
"""The steps of a painting, each of which needs some of the networks."""


class PaintingNetworks(Protocol):
    """The networks of a painter, ready to paint.

    Attributes:
        base: turns pictures and captions into numbers and back.
        parts: by name, every network that has weights of its own; for moving them.
        dtype: of the denoiser.
    """

    @property
    def base(self) -> "Base":
        """As above."""

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """As above."""

    @property
    def dtype(self) -> torch.dtype:
        """As above."""

    def needed(self, step: PaintingStep, *, conditioned: bool = False) -> Sequence[nn.Module]:
        """The networks that compute in a step; sampling may need others when it sees conditions."""

    def rejoin(self) -> None:
        """Called after parts were moved or converted: networks made of several parts share their weights again."""

    @property
    def takes_conditions(self) -> bool:
        """Whether `denoiser` can be shown conditions."""

    def denoiser(self, conditions: Conditions | None) -> Denoiser:
        """What is asked at every step of sampling.

        Args:
            conditions: of N processes; the denoiser is then asked for these N, or for them once without and once with
                text. None shows it none.
        """

    def inverter(self) -> Denoiser | None:
        """What pictures are inverted to noise with: (K, C, h, w) latents each alone; None if they cannot be."""

    def spare_memory(self, codec: Literal["sliced", "tiled"]) -> None:
        """Let the codec take pictures one by one, or also in tiles, where it can."""

    def compile(self) -> None:
        """Compile what is asked at every step."""


class Painter(Protocol):
    """All that paints, as `training.assemble` puts it together and `painter=` loads it.

    Attributes:
        base: of it.
        loras: name -> tensors.
        facts: what `painter.json` says besides its files.
    """

    @property
    def base(self) -> "Base":
        """As above."""

    @property
    def loras(self) -> Mapping[str, Mapping[str, Tensor]]:
        """As above."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """As above."""

    def save(
        self, folder: Path, run_cards: Mapping[str, Mapping[str, Any]], dtype: torch.dtype = torch.float32
    ) -> None:
        """Write it into an empty folder (`training.models.painter_folder.seal_painter`), tensors in this type.

        Raises:
            UserError: if a number is too large for it.
        """

    def networks(self, loras: Mapping[str, float]) -> PaintingNetworks:
        """What paints, with these of its LoRAs at these scales."""


@dataclass(frozen=True, kw_only=True)
class PainterParts:
    """What a painter is put together of.

    Attributes:
        base, motion, replication: weights of each; a painter may do without the last.
        loras: name -> weights.
        codec: whose decoder was trained further on this base; None for the base's own.
        motion_recipe: of the motion model, with the keys `model` and `noise`; None if it was not trained here.
        facts: of the painter, for its card.
    """

    base: Path
    motion: Path
    replication: Path | None
    loras: Mapping[str, Path]
    motion_recipe: Mapping[str, Any] | None
    facts: Mapping[str, Any]
    codec: Path | None = None
