"""The tiny Wan as an architecture: made and trained from scratch, text encoder included."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from training.models.architecture import Base, FromNothing
from training.models.compiling import compile_blocks
from training.models.contrast import PictureEncoder
from training.models.wan22.architecture import Wan
from training.models.wan22.base import WanBase
from training.models.wan22.build import build_tiny
from training.models.wan22.flow import Flow
from training.models.wan22.words import WanWords
from training.objective import Objective


class TinyWan(Wan):
    """See `training.models.architecture.FromNothing`."""

    def cell_of(self, model: Any) -> int:
        """Side, in pixels, of a token, which is two cells wide."""
        return int(2 * model.shape.patch_px)

    def build_base(
        self, model: Any, captions: Iterable[str], pictures: Tensor, objective: Objective, seed: int
    ) -> Base:
        """A base whose tokenizer knows the captions and whose VAE fits the pictures; all else is untrained."""
        return build_tiny(model, captions, pictures, cast(Flow, objective), seed)

    def words_network(self, base: Base, size_px: tuple[int, int], *, further: bool) -> WanWords:
        """The network that stage `words` trains."""
        return WanWords(cast(WanBase, base), size_px, further=further)

    def compile(self, network: nn.Module) -> None:
        """Compile its blocks, those of stage `words` too."""
        super().compile(network)
        compile_blocks(network, (PictureEncoder,))

    def recognises(self, folder: Path) -> bool:
        """Never: a folder that looks like one, and was not made here, is a Wan."""
        return False


ARCHITECTURE: FromNothing = TinyWan()
