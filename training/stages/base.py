"""Stage `base`: text to finished picture. Only the tiny model needs it; others come trained.

It goes on from what stage `words` left, whose text encoder then stays as it is: trained further, it forgets at first
what it knows. Or it begins from nothing, and trains the text encoder too.
"""

import itertools
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from conf.errors import UserError
from training.data.stream import DataMixture, SequenceStream
from training.diffusion import NoiseSchedule
from training.models.sd15.base import BaseModel
from training.models.shape import TinyShape
from training.models.tiny.build import build_tiny
from training.models.weights import holding
from training.random.streams import Stream
from training.stages.denoising import DenoisingConfig, DenoisingNetwork, FrameDenoiser, sample_sequences

_PICTURES = 4096  # to fit the codec to
_FROM_EACH = 4  # frames of a sequence: under-paintings are pictures too


class BaseStage:
    """Trains the 2D UNet, and a text encoder that knows nothing yet; all else is frozen. See `training.stages.Stage`.

    Args:
        base: to begin with.
        config: of the loss.
        size_px: height and width of the frames.
        trains_words: whether the text encoder is trained.
        checkpointing: of gradients.
    """

    name = "base"
    frames: Literal["all", "last"] = "last"

    def __init__(
        self,
        base: BaseModel,
        config: DenoisingConfig,
        size_px: tuple[int, int],
        *,
        trains_words: bool,
        checkpointing: bool = False,
    ) -> None:
        self.base, self._config = base, config
        if checkpointing:
            base.unet.enable_gradient_checkpointing()
        base.unet.requires_grad_(True)
        base.text_encoder.requires_grad_(trains_words)
        self._denoiser = FrameDenoiser(base.unet)
        self.tokenise = base.tokens
        self.network: nn.Module = DenoisingNetwork(base, self._denoiser, config)
        self.frozen: Mapping[str, nn.Module] = {
            "vae": base.vae,
            **({} if trains_words else {"text_encoder": base.text_encoder}),
        }
        self._shape = (1, base.latent_channels, size_px[0] // base.patch_px, size_px[1] // base.patch_px)

    def save(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the base as a diffusers folder, with these weights."""
        with holding(self.network, weights):
            self.base.save(folder)

    def samples(self, prompts: Sequence[str], seed: int) -> Tensor:
        """Pictures: (N, 1, 3, H, W) in [0, 1]."""
        return sample_sequences(self.base, self._denoiser, self._config, prompts, seed, self._shape)


def untrained_base(
    shape: TinyShape, data: Sequence[DataMixture], train: SequenceStream, schedule: NoiseSchedule, seed: int
) -> BaseModel:
    """The base that a run begins with. The same data and seed give the same one, so a resumed run makes it again.

    Args:
        shape: sizes of the tiny model.
        data: the data sets, whose captions give the words and whose frames the codec is fitted to.
        train: the same, opened.
        schedule: of the noise.
        seed: of the run.

    Raises:
        UserError: if the frames will not do.
    """
    where = train.sources[0].split.url
    height_px, width_px = train.size_px
    cell = shape.patch_px * 2 ** (len(shape.channels) - 1)
    if height_px % cell or width_px % cell:
        raise UserError(f"{where}: frames of {width_px} x {height_px} px; sides must be multiples of {cell}")
    captions = [str(record["caption"] or "") for source in train.sources for record in source.split.records]
    return build_tiny(shape, captions, _some_frames(data, seed), schedule, Stream.WEIGHTS.seed(seed))


def _some_frames(data: Sequence[DataMixture], seed: int) -> Tensor:
    """(N, 3, H, W) frames in [-1, 1], drawn from all the data."""
    stream = SequenceStream.open(data, split="train", frames="all")
    batch_size = min(64, len(stream))
    generator = Stream.CODEC_FRAMES.generator(seed)
    chosen: list[Tensor] = []
    with closing(stream.batches(seed=seed, batch_size=batch_size)) as batches:
        for batch in itertools.islice(
            batches, -(-min(len(stream) * _FROM_EACH, _PICTURES) // (batch_size * _FROM_EACH))
        ):
            assert batch.frames is not None
            places = generator.random(batch.frames.shape[:2]).argsort(1)[:, :_FROM_EACH]
            chosen.append(batch.frames[torch.arange(len(batch))[:, None], torch.from_numpy(places)].flatten(0, 1))
    return torch.cat(chosen)
