"""The untrained base that a run starts from, made to fit the data that it will be trained on."""

import itertools
from collections.abc import Sequence
from contextlib import closing
from typing import cast

import torch
from torch import Tensor

from conf.errors import UserError
from training.data.remote import AnyPath
from training.data.stream import DataMixture, SequenceStream
from training.models.architecture import Base, FromNothing, TrainsCodec
from training.models.registration import ModelConfig
from training.models.weights import parent_weights
from training.objective import Objective
from training.random.streams import Stream

_NUM_PICTURES = 4096  # to fit the codec to
_FRAMES_PER_SEQUENCE = 4  # more than the last one, because under-paintings are pictures too


def untrained_base(
    architecture: FromNothing,
    model: ModelConfig,
    data: Sequence[DataMixture],
    train: SequenceStream,
    objective: Objective,
    seed: int,
    codec: AnyPath | None = None,
) -> Base:
    """The base that a run starts from. The same data and seed give the same base, so a resumed run makes it again.

    Args:
        architecture: its architecture.
        model: its configuration.
        data: the data sets, whose captions give the words and whose frames the codec is fitted to.
        train: the same data sets, opened.
        objective: the objective that it will be trained on.
        seed: seed of the run.
        codec: folder of a trained codec, in place of one that is fitted to the frames.

    Raises:
        UserError: if the frames or the codec do not suit the model.
    """
    where = train.sources[0].split.url
    height_px, width_px = train.size_px
    cell = architecture.cell_of(model)
    if height_px % cell or width_px % cell:
        raise UserError(f"{where}: frames of {width_px} x {height_px} px; sides must be multiples of {cell}")
    captions = (str(record["caption"] or "") for source in train.sources for record in source.split.records())
    base = architecture.build_base(model, captions, some_frames(data, seed), objective, Stream.WEIGHTS.seed(seed))
    if codec is None:
        return base
    return cast(TrainsCodec, architecture).with_codec(base, parent_weights("codec", codec))


def some_frames(data: Sequence[DataMixture], seed: int) -> Tensor:
    """(N, 3, H, W) frames in [-1, 1], drawn from all the data, to fit a codec to."""
    stream = SequenceStream.open(data, split="train", frames="all", captions_required=False)
    batch_size = min(64, len(stream))
    generator = Stream.CODEC_FRAMES.generator(seed)
    chosen: list[Tensor] = []
    with closing(stream.batches(seed=seed, batch_size=batch_size)) as batches:
        for batch in itertools.islice(
            batches, -(-min(len(stream) * _FRAMES_PER_SEQUENCE, _NUM_PICTURES) // (batch_size * _FRAMES_PER_SEQUENCE))
        ):
            assert batch.frames is not None
            places = generator.random(batch.frames.shape[:2]).argsort(1)[:, :_FRAMES_PER_SEQUENCE]
            chosen.append(batch.frames[torch.arange(len(batch))[:, None], torch.from_numpy(places)].flatten(0, 1))
    return torch.cat(chosen)
