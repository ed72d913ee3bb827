"""The interface of a painter: all its parts together, on disk and as networks that compute."""

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
        base: the base, which encodes pictures and captions, and decodes latents.
        parts: every network that has weights of its own, by name; for moving them.
        dtype: type of the denoiser.
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
        """The networks that compute in a step; sampling may need more with conditions."""

    def rejoin(self) -> None:
        """Called after parts were moved or converted: networks made of several parts share their weights again."""

    @property
    def takes_conditions(self) -> bool:
        """Whether `denoiser` can be shown conditions."""

    def denoiser(self, conditions: Conditions | None) -> Denoiser:
        """The denoiser that is called at every step of sampling.

        Args:
            conditions: conditions of N processes; the denoiser is then called for these N, or for them once without
                and once with text. None for no conditions.
        """

    def inverter(self) -> Denoiser | None:
        """The denoiser that inverts pictures to noise, each of (K, C, h, w) latents alone; None if there is none."""

    def spare_memory(self, codec: Literal["sliced", "tiled"]) -> None:
        """Make the codec take pictures one by one, or also in tiles, if it can."""

    def compile(self) -> None:
        """Compile the networks that are called at every step."""


class Painter(Protocol):
    """All parts of a painter, as `training.assemble` puts them together and `painter=` loads them.

    Attributes:
        base: its base.
        loras: name -> tensors.
        facts: the fields of `painter.json` besides its files.
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
            UserError: if a number is too large for `dtype`.
        """

    def networks(self, loras: Mapping[str, float]) -> PaintingNetworks:
        """The networks that paint, with the given LoRAs at the given scales."""


@dataclass(frozen=True, kw_only=True)
class PainterParts:
    """The parts that a painter is assembled from.

    Attributes:
        base, motion, replication: weights of each; the last is optional.
        loras: name -> weights.
        codec: codec whose decoder was trained further on this base; None for the base's own.
        recipes: part -> recipe, with the keys `model` and `noise`, of each part that was trained here.
        facts: facts about the painter, for its card.
    """

    base: Path
    motion: Path
    replication: Path | None
    loras: Mapping[str, Path]
    recipes: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Any]
    codec: Path | None = None

    @property
    def motion_recipe(self) -> Mapping[str, Any] | None:
        """Recipe of the motion model; None if it was not trained here."""
        return self.recipes.get("motion")
