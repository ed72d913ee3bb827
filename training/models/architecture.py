"""The interface that every model architecture implements for training and painting.

An architecture is one folder of `training/models/`. docs/adding-a-model.md walks through one. It gives

- a `Base`: a loaded model, which turns frames into latents and back, and captions into embeddings;
- an `Objective` (`training.objective`): how noise is added and undone;
- for each stage that it supports a `Trainable`: the network, what of it is frozen, and how its weights are saved;
- a `Painter` (`training.models.painter`): all parts together, on disk and as networks for the painting pipeline.

Shapes: B sequences of T frames; their latents (B, S, C, h, w), where S is T for codecs that encode each frame alone,
and less for those that compress time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor, nn

from training.data.batch import Tokenise
from training.data.remote import AnyPath
from training.data.text import Text
from training.models.codec import PatchCodec
from training.models.painter import Painter, PainterParts
from training.objective import Objective

if TYPE_CHECKING:
    from training.config import NoiseConfig
    from training.models.registration import ModelConfig
    from training.models.shape import LoraShape, OfBase
    from training.stages.condition_draw import ConditionDraw
    from training.stages.words import MatchingNetwork

DenoisingStageName = Literal["base", "motion", "replication", "spatial_lora", "motion_lora"]


class Base(Protocol):
    """A loaded base: frozen, in float32, on the CPU, until it is moved.

    Attributes:
        objective: the objective that it was trained on, or will be.
        encoders: networks, by name, that turn frames and captions into what the denoiser reads. They become parts of
            every network that is trained, so that they move with it; those whose parameters require gradients are
            trained.
        tokens: the tokeniser that readers of data apply: (B,) captions -> (B, L) int64 token ids. Those of several
            tokenizers are side by side.
        exact: whether the codec's latents are exact, so that nothing is sampled from a posterior.
        patch_px: the sides of frames must be multiples of it for encoding.
        cell_px: the sides of frames must be multiples of it for training and painting.
    """

    @property
    def objective(self) -> Objective:
        """As above."""

    @property
    def encoders(self) -> Mapping[str, nn.Module]:
        """As above."""

    @property
    def tokens(self) -> Tokenise:
        """As above."""

    @property
    def exact(self) -> bool:
        """As above."""

    @property
    def patch_px(self) -> int:
        """As above."""

    @property
    def cell_px(self) -> int:
        """As above."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def latent_shape(self, num_frames: int, size_px: tuple[int, int]) -> tuple[int, int, int, int]:
        """(S, C, h, w) of the latents of T frames of (height, width)."""

    def latent_slot(self, frame: int, num_frames: int) -> int:
        """Which of the S latents shows a frame, 0 to T - 1; the same number if the codec encodes each frame alone."""

    def encode_sequences(self, frames: Tensor, at_once: int | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the codec's posterior.

        Args:
            frames: (B, T, 3, H, W) in [-1, 1], of any type; single pictures are sequences of one frame.
            at_once: most frames that the codec encodes together, if it can encode fewer than all.

        Returns:
            Two (B, S, C, h, w).
        """

    def scaled(self, mean: Tensor) -> Tensor:
        """Latents for the denoiser, scaled to about unit variance, from the codec's."""

    def deviation(self, logvar: Tensor) -> Tensor:
        """Standard deviation of scaled latents, from the codec's log-variance."""

    def decode_sequences(self, latents: Tensor) -> Tensor:
        """Frames (B, T, 3, H, W) in [0, 1] of scaled latents (B, S, C, h, w) of any type.

        Raises:
            UserError: if latents or frames are not finite.
        """

    def embed(self, captions: Sequence[str], device: torch.device | None = None) -> Text:
        """Embeddings of (B,) captions, as the denoiser reads them.

        Args:
            captions: the captions; they are cut off at the length that the base reads.
            device: where to compute, if the weights are stored elsewhere.
        """

    def embed_tokens(self, token_ids: Tensor) -> Text:
        """The same from token ids that `tokens` made, which are on the device that computes."""

    def unknown_words(self, prompt: str) -> list[str]:
        """Words of a prompt that its training captions never contained, for a warning; empty if these are unknown."""

    def fingerprint(self) -> str:
        """Hash of everything that cached latents and embeddings depend on."""

    def save(self, folder: Path) -> None:
        """Write it into an existing folder, as `Architecture.load_base` reads it."""


@dataclass(frozen=True, kw_only=True)
class StageRequest:
    """What a stage asks an architecture for.

    Attributes:
        stage: the stage.
        parents: key -> folder or file that the user named, of `motion`, `replication` and `spatial_lora`;
            `training.models.weights.parent_weights` finds the weights in it.
        num_frames: T of the sequences; the motion model must have as many positions.
        base: folder of the base that the user named; None for one that comes with the model, or a new one.
        path: folder or hub name of the base that comes with the model, if the user named none.
        data: place of the data set, for messages.
        lora: sizes of the LoRA, in the stages that train one.
        conditions: how condition frames are drawn, in the stage that trains on them.
        trains_text: whether stage `base` trains the text encoder too.
        of_base: the part of the base that stage `motion` trains with the temporal modules; None for nothing.
        grown: whether the parent of the stage's own kind belongs to a painter of half the size.
        checkpointing: whether to compute activations again instead of keeping them.
    """

    stage: DenoisingStageName
    num_frames: int
    base: AnyPath | None = None
    path: str | None = None
    parents: Mapping[str, AnyPath] = field(default_factory=dict)
    data: str = ""
    lora: "LoraShape | None" = None
    conditions: "ConditionDraw | None" = None
    trains_text: bool = False
    of_base: "OfBase | None" = None
    grown: bool = False
    checkpointing: bool = False


@dataclass(frozen=True, kw_only=True)
class Trainable:
    """The network that a stage trains.

    Attributes:
        denoiser: (noisy latents (B, S, C, h, w), (B,) timesteps, text) -> prediction (B, S, C, h, w), differentiable.
            Parameters with requires_grad are trained. With `sees_conditions`, it takes `Conditions` as well.
        frozen: modules, by name, that must not change; every parameter is in one of them, or is trained.
        save: writes trained weights, by their name in `denoiser` (for encoders that are trained too, by that in
            `Base.encoders`), into an existing folder, in the field's usual format.
        sees_conditions: whether clean frames are shown to it, as stage `replication` does.
    """

    denoiser: nn.Module
    frozen: Mapping[str, nn.Module]
    save: Callable[[Path, Mapping[str, Tensor]], None]
    sees_conditions: bool = False


class Architecture(Protocol):
    """A model architecture. It has no state: it returns what it loads."""

    def load_base(self, path: str | Path, model: "ModelConfig", key: str = "base") -> Base:
        """A complete base from a local folder or from the hub; frozen, in evaluation mode, in float32.

        Args:
            path: the folder, or a name on the hub.
            model: the keys `model.*`, as the user set them.
            key: configuration key that named the base, for messages.

        Raises:
            UserError: if it is not there, lacks a part or a tensor, or is of another architecture.
        """

    def objective(
        self, model: "ModelConfig", noise: "NoiseConfig", base: Base | None, *, trained_here: bool
    ) -> Objective:
        """The objective that a run trains on.

        Args:
            model: the keys `model.*`, as the user set them.
            noise: the keys `noise.*`.
            base: the base that the run adds to; None if a new one is trained.
            trained_here: whether the base is the result of a run, and so keeps its objective; bases from elsewhere are
                often trained further on another one.

        Raises:
            ConfigError: if the base was trained on something else.
        """

    def trainable(self, base: Base, request: StageRequest) -> Trainable:
        """The network of a stage.

        Raises:
            UserError: if a parent is missing, of another kind, or does not fit the base or the data.
        """

    def compile(self, network: nn.Module) -> None:
        """Compile the blocks that a network repeats, in place."""

    def recognises(self, folder: Path) -> bool:
        """Whether a folder that was not made here holds a base of this architecture."""

    def assemble(self, parts: PainterParts) -> Painter:
        """A painter of parts that were trained separately.

        Raises:
            UserError: if a part is missing, of another kind, or does not fit the others.
        """

    def load_painter(self, folder: Path, facts: Mapping[str, Any], dtype: torch.dtype) -> Painter:
        """A painter from its folder, frozen, in evaluation mode.

        Args:
            folder: the folder that `Painter.save` wrote; its files are checked already.
            facts: the contents of its card.
            dtype: type of the networks, whichever the files have.

        Raises:
            UserError: if a part is missing or cannot be loaded.
        """


class FromNothing(Architecture, Protocol):
    """An architecture whose base is trained from scratch, by the stages `words` and `base`."""

    def cell_of(self, model: Any) -> int:
        """Pixels that the sides of frames must be multiples of, for a base of this configuration."""

    def build_base(
        self, model: Any, captions: Iterable[str], pictures: Tensor, objective: Objective, seed: int
    ) -> Base:
        """An untrained base.

        Args:
            model: the architecture's configuration, such as its sizes.
            captions: captions whose words it must know.
            pictures: (N, 3, H, W) in [-1, 1], which its codec must reproduce.
            objective: the objective that it will be trained on.
            seed: seed of the initial weights.
        """

    def words_network(self, base: Base, size_px: tuple[int, int], *, further: bool) -> "MatchingNetwork":
        """The network that stage `words` trains.

        Args:
            base: the base whose text encoder is trained.
            size_px: (height, width) of frames.
            further: whether the base is trained already, and must still understand the text encoder's embeddings.
        """


class TrainsCodec(FromNothing, Protocol):
    """An architecture whose codec can be trained as well, by the stage `codec`."""

    def new_codec(self, model: Any, pictures: Tensor, width: int) -> PatchCodec:
        """A codec to be trained.

        Args:
            model: the architecture's configuration, such as its sizes.
            pictures: (N, 3, H, W) in [-1, 1], to which it is fitted already, as well as possible without training.
            width: channels of its networks.
        """

    def with_codec(self, base: Base, folder: Path) -> Base:
        """An untrained base with a codec that was trained, in place of its own.

        Args:
            base: a base that `build_base` made.
            folder: weights of a run of stage `codec`, or another base, whose codec is taken.

        Raises:
            UserError: if the codec is incomplete, or its cells are not those of the base.
        """

    def grown_base(self, base: Base, model: Any, pictures: Tensor, name: str) -> Base:
        """A base for pictures twice as wide and as high, which starts from the weights of a smaller one.

        Args:
            base: the base for smaller pictures.
            model: the architecture's configuration, whose cells are twice as wide and have more numbers.
            pictures: (N, 3, H, W) in [-1, 1], whose details its codec must reproduce.
            name: name of the base for messages, such as `base=DIR`.

        Raises:
            UserError: if the base or the configuration is not of that kind.
        """

    def codec_of(self, base: Base, width: int, name: str) -> PatchCodec:
        """The codec of a base, with a decoder that can be trained.

        Args:
            base: a trained base.
            width: channels of the decoder's network, if the codec has none yet.
            name: name of the base for messages, such as `base=DIR`.

        Raises:
            UserError: if its codec is of another kind.
        """
