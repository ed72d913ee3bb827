"""The endless stream of batches that training reads from shards."""

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from conf.errors import ConfigError, UserError
from conf.value import Location
from training.data.augment import Augmentation
from training.data.batch import CachedLatents, SequenceBatch, Tokenise
from training.data.dataset import DatasetCard
from training.data.loader import Batches, Loaded
from training.data.order import ROUND, StreamOrder, rank_positions, shares_of
from training.data.sequence import StoredSequence
from training.data.sequential import SequentialOrder, shard_sizes
from training.data.shard_cache import OpenShards, ShardCache
from training.data.source import FramePick, StreamSource, open_source
from training.data.text import Text
from training.random.streams import Stream

if TYPE_CHECKING:
    import torch

_FETCHED_AHEAD = 2  # shards


@dataclass(frozen=True, kw_only=True)
class DataMixture:
    """One data set of a mixture: its folder or fsspec URL, and its share of the stream in relation to the others."""

    path: Location
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise ConfigError("weight", self.weight, "more than 0")


@dataclass(frozen=True, kw_only=True)
class SequenceStream:
    """Sequences of one or several data sets, in an order that is a pure function of (seed, position).

    Attributes:
        sources: the data sets.
        shares: turns of each data set in every thousand positions.
        frames: whole sequences, or one picture of each.
        unfinished: share of these pictures that are an earlier frame than the last, 0 to 1.
        augmentation: random changes to frames.
        cache: a cache of whole shards, which are then read one after another; None to read each sequence by itself.
    """

    sources: tuple[StreamSource, ...]
    shares: tuple[int, ...]
    frames: FramePick = "all"
    unfinished: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    cache: ShardCache | None = None

    @classmethod
    def open(
        cls,
        data: Sequence[DataMixture],
        *,
        split: Literal["train", "val"] = "train",
        frames: FramePick = "all",
        unfinished: float = 0.0,
        size_px: tuple[int, int] | None = None,
        captions_required: bool = True,
        base_fingerprint: str | None = None,
        augmentation: Augmentation | None = None,
        cache: ShardCache | None = None,
    ) -> Self:
        """Check everything that can be checked without reading the shards.

        Args:
            data: the data sets, at least one.
            split: which part of them.
            frames: whole sequences, or one picture of each.
            unfinished: share of these pictures that are an earlier frame than the last, 0 to 1.
            size_px: (height, width) that frames must have; None accepts any.
            captions_required: refuse sequences without a caption.
            base_fingerprint: fingerprint of the base that is trained; latents of another base are refused.
            augmentation: random changes to frames; none by default.
            cache: a cache, to read whole shards one after another; by default each sequence is read by itself.

        Raises:
            UserError: in one line, if something is not a data set, or has another schema version, or is incomplete,
                damaged, or mixed with another one; if the split or captions are missing; if sizes differ; if latents
                are of another base, or are to be augmented.
        """
        if not data:
            raise ConfigError("data", "[]", "at least one data set")
        shares = shares_of([part.weight for part in data])
        for part, share in zip(data, shares, strict=True):
            if not share:
                raise ConfigError("weight", part.weight, f"at least 1/{ROUND} of the sum of all weights")
        sources = tuple(
            open_source(part.path, split, captions_required=captions_required, base_fingerprint=base_fingerprint)
            for part in data
        )
        refuse_mixed(sources)
        augmentation = augmentation or Augmentation()
        stream = cls(
            sources=sources,
            shares=shares,
            frames=frames,
            unfinished=unfinished,
            augmentation=augmentation,
            cache=cache,
        )
        first = sources[0]
        if size_px not in (None, first.size_px):
            raise UserError(f"{first.split.url}: {first.size_px} px (height, width); {size_px} are needed")
        if stream.encoded and stream.augmentation.any:
            raise UserError(f"{first.split.url}: latents cannot be augmented; take the data set of frames")
        if frames == "last" and first.latent_shape is not None and first.latent_shape[0] != first.num_frames:
            raise UserError(
                f"{first.split.url}: {first.latent_shape[0]} latents for {first.num_frames} frames, none of which is "
                "the finished picture alone; take the data set of frames"
            )
        return stream

    def __len__(self) -> int:
        """Samples per epoch: the sequences of all data sets."""
        return sum(len(source.split) for source in self.sources)

    @property
    def encoded(self) -> bool:
        """Whether batches hold latents instead of frames."""
        return self.sources[0].texts is not None

    @property
    def num_frames(self) -> int:
        """T, the number of frames of a sample: 1 if single pictures are read."""
        return self.sources[0].num_frames if self.frames == "all" else 1

    @property
    def size_px(self) -> tuple[int, int]:
        """(height, width) of the frames, or of those that were encoded."""
        return self.sources[0].size_px

    @property
    def manifest_hashes(self) -> dict[str, str]:
        """Folder name -> hash of its manifests, which changes when any byte of the data does."""
        return {source.split.name: source.split.manifests_hash for source in self.sources}

    @property
    def digests(self) -> list[str]:
        """`DatasetCard.digest` of each data set."""
        return [source.split.card.digest for source in self.sources]

    @property
    def facts(self) -> dict[str, Any]:
        """The facts for a run card: shape, phrases of methods, licences of pictures, order of data sets."""
        cards = {source.split.name: source.split.card for source in self.sources}
        return {
            "num_frames": self.sources[0].num_frames,
            "size_px": list(self.size_px),
            "order": list(self.manifest_hashes.values()),
            "phrases": _phrases(cards),
            "licences": {name: card.totals["licences"] for name, card in cards.items() if card.totals is not None},
        }

    def batches(
        self,
        *,
        seed: int,
        batch_size: int,
        start: int = 0,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
        tokenise: Tokenise | None = None,
        as_bytes: bool = False,
    ) -> Batches:
        """Endless batches of one rank.

        Args:
            seed: seed of order and augmentation.
            batch_size: samples per step of one rank.
            start: global position of the first step: batch_size * world_size * steps done, to resume.
            rank, world_size: number of this process, and number of processes.
            num_workers: processes that read ahead for this rank; they change nothing but speed, except with `cache`,
                where each has shards of its own.
            tokenise: tokeniser that readers apply to captions; not used with cached latents, which have embeddings.
            as_bytes: leave frames as uint8, for a GPU to convert; they are valid until the next batch is requested.

        Raises:
            UserError: if there are fewer sequences than a step takes. While it runs: if bytes are damaged, or the
                storage fails.
        """
        if len(self) < batch_size * world_size:
            raise UserError(
                f"{', '.join(source.split.url for source in self.sources)}: {len(self)} sequences; "
                f"a step takes {batch_size * world_size} ({world_size} processes x batch_size={batch_size})"
            )
        steps = _RankSteps(
            stream=self,
            order=self._order(seed, batch_size, world_size, num_workers),
            start=start,
            batch_size=batch_size,
            rank=rank,
            world_size=world_size,
            tokenise=tokenise,
        )
        shape = None if self.encoded else (batch_size, self.num_frames, 3, *self.size_px)
        return Batches(steps, shape, num_workers, as_bytes=as_bytes)

    def _order(self, seed: int, batch_size: int, world_size: int, num_workers: int) -> StreamOrder | SequentialOrder:
        splits = [source.split for source in self.sources]
        if self.cache is None:
            return StreamOrder(seed=seed, sizes=tuple(map(len, splits)), shares=self.shares)
        return SequentialOrder(
            seed=seed,
            shard_sizes=tuple(shard_sizes(split.shard, split.shards) for split in splits),
            shares=self.shares,
            batch_size=batch_size,
            world_size=world_size,
            num_readers=max(1, num_workers),
        )

    def first(self, seed: int, count: int) -> SequenceBatch:
        """The samples at positions 0 to `count` - 1 of the order with this seed, or all when there are fewer."""
        without_cache = replace(self, cache=None)  # whole shards are not worth fetching for a few samples
        with closing(without_cache.batches(seed=seed, batch_size=min(count, len(self)))) as batches:
            return next(batches)

    def load(
        self,
        positions: Sequence[int],
        order: StreamOrder | SequentialOrder,
        pixels: "torch.Tensor | None",
        tokenise: Tokenise | None = None,
        whole: OpenShards | None = None,
    ) -> Loaded:
        """The samples at some positions; their frames are written to `pixels` (B, T, 3, H, W) uint8.

        With `whole`, sequences are read from shards that are fetched whole.

        Raises:
            UserError: if bytes are damaged, or the storage fails.
        """
        places = [order.at(position) for position in positions]
        sequences: dict[int, StoredSequence] = {}
        latents: dict[int, tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]] = {}
        for number, source in enumerate(self.sources):
            rows = [row for row, (dataset, _) in enumerate(places) if dataset == number]
            indices = [places[row][1] for row in rows]
            read = source.split.read(indices, whole)
            sequences.update(zip(rows, read, strict=True))
            if pixels is None:
                frames = [self._frames(order.seed, positions[row]) for row in rows]
                latents.update(zip(rows, source.latents(read, indices, frames, whole), strict=True))
                continue
            for row, sequence in zip(rows, read, strict=True):
                source.decode(sequence, self._frames(order.seed, positions[row]), pixels[row])
                self.augmentation.apply(pixels[row], order.seed, positions[row])
        names = [self.sources[dataset].split.name for dataset, _ in places]
        captions = tuple(sequences[row].caption for row in range(len(places)))
        return Loaded(
            keys=tuple(f"{name}/{sequences[row].key}" for row, name in enumerate(names)),
            positions=tuple(positions),
            captions=captions,
            token_ids=None if self.encoded or tokenise is None else tokenise(captions).numpy(),
            latents=_stack(latents) if self.encoded else None,
        )

    def _frames(self, seed: int, position: int) -> slice:
        """Which frames of the sample at a position are read."""
        if self.frames == "all":
            return slice(None)
        last = self.sources[0].num_frames - 1
        rng = Stream.UNFINISHED.generator(seed, position)
        number = int(rng.integers(last)) if last and rng.random() < self.unfinished else last
        return slice(number, number + 1)


@dataclass(kw_only=True)
class _RankSteps:
    """The function step -> batch of one rank; it is sent to workers."""

    stream: SequenceStream
    order: StreamOrder | SequentialOrder
    start: int
    batch_size: int
    rank: int
    world_size: int
    tokenise: Tokenise | None
    whole: OpenShards | None = None  # each process that reads opens its own

    def __call__(self, step: int, pixels: "torch.Tensor | None") -> Loaded:
        positions = rank_positions(
            self.start, step, batch_size=self.batch_size, rank=self.rank, world_size=self.world_size
        )
        if self.stream.cache is None or not isinstance(self.order, SequentialOrder):
            return self.stream.load(positions, self.order, pixels, self.tokenise)
        if self.whole is None:
            self.whole = OpenShards(self.stream.cache)
        for dataset, shard in self.order.soon(positions[-1], _FETCHED_AHEAD):
            self.whole.begin(self.stream.sources[dataset].split, shard)
        return self.stream.load(positions, self.order, pixels, self.tokenise, self.whole)


def _stack(latents: "dict[int, tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]]") -> CachedLatents:
    import torch

    means, logvars, texts = zip(*(latents[row] for row in sorted(latents)), strict=True)
    text = Text({name: torch.stack([tensors[name] for tensors in texts]) for name in texts[0]})
    return CachedLatents(mean=torch.stack(means), logvar=torch.stack(logvars), text=text)


def refuse_mixed(sources: Sequence[StreamSource]) -> None:
    """Refuse data sets that cannot be mixed: they must be of one kind and of the same shapes, their names different.

    Raises:
        UserError: naming the first data set that does not go with the first.
    """
    first = sources[0]
    names: set[str] = set()
    for source in sources:
        if source.split.name in names:
            raise UserError(f"{source.split.url}: another data set of this mixture has a folder of the same name")
        names.add(source.split.name)
        if (source.texts is None) != (first.texts is None):
            encoded, of_frames = (source, first) if first.texts is None else (first, source)
            raise UserError(
                f"{encoded.split.url}: encoded, but {of_frames.split.url} holds frames; a mixture needs one kind"
            )
        for quantity, value in source.shapes.items():
            if value != first.shapes[quantity]:
                raise UserError(
                    f"{source.split.url}: {quantity} {value}, but {first.shapes[quantity]} in {first.split.url}; "
                    "a mixture needs the same"
                )


def _phrases(cards: Mapping[str, DatasetCard]) -> dict[str, str]:
    """Phrase of each method. If data sets have different phrases for one name, later names get the folder appended."""
    phrases: dict[str, str] = {}
    for folder, card in cards.items():
        for renderer in card.recipe.get("renderers", ()):
            name, phrase = renderer["name"], renderer["phrase"]
            phrases[name if phrases.get(name, phrase) == phrase else f"{name} of {folder}"] = phrase
    return phrases
