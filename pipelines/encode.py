"""Compute the latents and text embeddings of a data set once, so that training is faster.

    python -m pipelines.encode dataset=data/scenes model=tiny base=runs/base out=data/scenes-latents
    python -m pipelines.encode dataset=data/scenes out=data/scenes-latents dtype=bf16

Give the result to training.train as data=, in place of the frames; training then needs neither the VAE's encoder nor
the text encoder. Latents are stored as mean and log-variance, so that training still samples new ones each time. They
fit only the base model that they were computed with, and frames can no longer be augmented.
Running the same command again resumes where a killed run stopped; once everything is done it does nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from conf.command import Summary, command, leave
from conf.compose import typed
from conf.devices import compute_device
from conf.errors import ConfigError, UserError
from conf.printable import counted
from conf.progress import Progress
from conf.recipe import recipe_hash
from conf.value import Location
from pipelines.next_training import training_line
from pipelines.synthesis.dataset_folder import committed_manifests, dataset_folder, has_shards, sound_manifests
from training.data.cut_off import warn_of_cut_captions
from training.data.dataset import DatasetCard
from training.data.encoded import LATENTS_MEMBER, TEXT_MEMBER, Encoding, LatentType, caption_key, encoding_of, pack
from training.data.layout import SPLITS, TEXT_SPLIT, number_of, shard_names, split_of
from training.data.manifest import ShardManifest, to_json
from training.data.remote import AnyPath, located
from training.data.sequence import StoredSequence
from training.data.shard import ShardWriter
from training.data.split import StoredSplit, open_split
from training.data.survey import Survey
from training.data.tables import write_tables
from training.data.text import Text
from training.models.finite import finite
from training.models.registration import ModelConfig
from training.models.registry import architecture, model_config
from training.models.weights import parent_weights, sound_hash

if TYPE_CHECKING:
    from torch import Tensor, device

_TEXTS_PER_SHARD = 256


class Encoder(Protocol):
    """The part of a base that is used here; see `training.models.architecture.Base`."""

    @property
    def cell_px(self) -> int:
        """Pixels that the sides of frames must be multiples of, to be trained on."""

    def latent_shape(self, num_frames: int, size_px: tuple[int, int]) -> tuple[int, int, int, int]:
        """(S, C, h, w) of the latents of T frames of (height, width)."""

    def encode_sequences(self, frames: "Tensor", at_once: int | None = None) -> "tuple[Tensor, Tensor]":
        """Mean and logarithm of variance, (B, S, C, h, w) each, for (B, T, 3, H, W) frames in [-1, 1]."""

    def embed(self, captions: Sequence[str]) -> Text:
        """Embeddings of captions."""

    def fingerprint(self) -> str:
        """Hash of the weights that latents and embeddings depend on."""


@dataclass(frozen=True, kw_only=True)
class EncodeConfig:
    """The data set and the base to encode it with; `conf/encode.yaml` says what each key means."""

    dataset: Location
    out: AnyPath
    model: ModelConfig
    base: Location | None
    dtype: LatentType
    batch_size: int
    device: str

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= 4096:
            raise ConfigError("batch_size", self.batch_size, "a whole number from 1 to 4096")
        if self.base is None and self.model.path is None:
            raise UserError(f"base is required with model={self.model.name}: set base=...")

    @property
    def base_path(self) -> str:
        """The base's name on the Hub, or its folder; for a run, the folder of its weights.

        Raises:
            UserError: if it is a run that has not ended.
        """
        path = self.base or self.model.path or ""
        folder = located(path)
        return str(parent_weights("base", folder)) if folder.exists() else path

    @property
    def base_word(self) -> str:
        """The override that gives training the same base."""
        return f"base={self.base}" if self.base is not None else f"model.path={self.model.path}"


@dataclass(frozen=True, kw_only=True)
class _Task:
    """The settings of all shards of a run."""

    config: EncodeConfig
    encoder: Encoder
    device: "device"
    splits: Mapping[str, StoredSplit]
    captions: tuple[str, ...]  # each once, by ascending key
    card: DatasetCard


def run(config: EncodeConfig) -> Summary:
    """Encode a data set, or its missing part.

    Raises:
        UserError: if the data set, the base, the device or the folder cannot be used, or the disk is full.
    """
    splits = open_splits(config.dataset)
    device = compute_device(config.device)
    if Path(config.base_path).exists():
        sound_hash("base", Path(config.base_path))
    # Loading takes seconds, so it comes after checks that may refuse at once.
    base = architecture(config.model.name).load_base(config.base_path, config.model)
    _sizes(config, splits, base)  # checked before a base that loads its weights lazily has loaded them
    warn_of_cut_captions(base.tokens, splits.values())
    for encoder in base.encoders.values():
        encoder.to(device)
    summary = encode(config, splits, base, device)
    following = training_line(
        config.model, config.base_word, Path(config.base_path), base.objective, str(config.out), has_val="val" in splits
    )
    return replace(summary, lines=(*summary.lines, following))


def encode(config: EncodeConfig, splits: Mapping[str, StoredSplit], encoder: Encoder, device: "device") -> Summary:
    """Encode with a base that is loaded."""
    task = _plan(config, splits, encoder, device)
    with dataset_folder(config.out, task.card):
        committed = {manifest.name: manifest.num_samples for manifest in sound_manifests(config.out, task.card)}
        total = sum(map(len, splits.values())) + len(task.captions)
        done = sum(committed.values())
        with Progress("encoding", total, done, unit="sequences and captions") as progress:
            for name in task.card.shards:
                if name not in committed:
                    progress.advance(_encode_shard(name, task).num_samples)
        survey = Survey()
        write_tables(config.out, survey.noting(committed_manifests(config.out, task.card)))
        task.card.completed(config.out, survey.totals()).write(config.out)
    return Summary(
        lines=(
            f"encoded {counted(progress.done - done, 'sequence')} and captions in {progress.elapsed_s:.1f} s; "
            f"{done} were there already",
            f"{config.out}: {counted(survey.num_sequences, 'sequence')}, "
            f"{counted(len(task.captions), 'caption')}, {survey.num_bytes / 1e6:.1f} MB",
        )
    )


def open_splits(url: str) -> dict[str, StoredSplit]:
    """The splits of a data set of frames.

    Raises:
        UserError: as `open_split`, or if it is encoded already.
    """
    train = open_split(url, "train")
    if encoding_of(train.card) is not None:
        raise ConfigError("dataset", url, "a data set of frames; this one is encoded already")
    sequences_of_splits = (train.card.totals or {})["splits"]
    return {
        split: train if split == "train" else open_split(url, split)
        for split in SPLITS
        if sequences_of_splits.get(split)
    }


def _sizes(
    config: EncodeConfig, splits: Mapping[str, StoredSplit], encoder: Encoder
) -> tuple[tuple[int, int], int, int]:
    """(height, width) of the frames, and the numbers of frames and latents of a sequence."""
    (first,) = next(iter(splits.values())).read([0])
    height_px, width_px = first.facts["size_px"]
    if height_px % encoder.cell_px or width_px % encoder.cell_px:
        raise UserError(f"{config.dataset}: {width_px}x{height_px} px; sides must be multiples of {encoder.cell_px}")
    num_latents = encoder.latent_shape(first.num_frames, (height_px, width_px))[0]
    return (height_px, width_px), first.num_frames, num_latents


def _plan(config: EncodeConfig, splits: Mapping[str, StoredSplit], encoder: Encoder, device: "device") -> _Task:
    size_px, num_frames, num_latents = _sizes(config, splits, encoder)
    captions = {str(record["caption"] or "") for split in splits.values() for record in split.records()}
    source = next(iter(splits.values())).card
    recipe = Encoding(
        base=encoder.fingerprint(),
        dtype=config.dtype,
        size_px=size_px,
        source=source.config_hash,
        manifests={name: split.manifests_hash for name, split in splits.items()},
        num_latents=num_latents if num_latents != num_frames else None,
    ).recipe()
    if methods := [{key: method[key] for key in ("name", "phrase")} for method in source.recipe.get("renderers", ())]:
        recipe["renderers"] = methods  # painters that are trained on these latents list the phrases of their methods
    num_texts = -(-len(captions) // _TEXTS_PER_SHARD)
    card = DatasetCard(
        recipe=recipe,
        config_hash=recipe_hash(recipe),
        code_version=version("process-painter"),
        shards=(
            *(name for split in splits.values() for name in split.shards),
            *shard_names({TEXT_SPLIT: num_texts}),
        ),
        num_planned=sum(map(len, splits.values())),
    )
    return _Task(
        config=config,
        encoder=encoder,
        device=device,
        splits=splits,
        captions=tuple(sorted(captions, key=caption_key)),
        card=card,
    )


def _encode_shard(name: str, task: _Task) -> ShardManifest:
    """Encode and commit one shard of sequences, or of captions."""
    split_name = split_of(name)
    records: list[Mapping[str, Any]] = []
    if split_name == TEXT_SPLIT:
        first = number_of(name) * _TEXTS_PER_SHARD
        captions = task.captions[first : first + _TEXTS_PER_SHARD]
        count, samples = len(captions), _texts(captions, task)
    else:
        split = task.splits[split_name]
        first, end = np.searchsorted(split.shard, split.shards.index(name) + np.array([0, 1])).tolist()
        records = list(split.records([name]))
        count, samples = end - first, _sequences(split, range(first, end), task)
    with ShardWriter(task.config.out, name) as writer:
        for key, members in samples:
            writer.add(key, members)
        return writer.commit(
            split=split_name,
            first_index=first,
            num_planned=count,
            config_hash=task.card.config_hash,
            code_version=task.card.code_version,
            records=tuple(records),
        )


def _sequences(split: StoredSplit, indices: Sequence[int], task: _Task) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Sequences of a shard, with latents in place of frames."""
    import torch

    for index in indices:
        (sequence,) = split.read([index])
        frames = _frames(sequence, split.url)
        with torch.inference_mode():
            posterior = task.encoder.encode_sequences(frames[None].to(task.device), task.config.batch_size)
        mean, logvar = (finite(tensor[0], f"{split.url}: latents of {sequence.key}") for tensor in posterior)
        yield (
            sequence.key,
            {
                LATENTS_MEMBER: pack({"mean": mean, "logvar": logvar}, task.config.dtype),
                "json": sequence.members["json"],
                "txt": sequence.members["txt"],
            },
        )


def _frames(sequence: StoredSequence, url: str) -> "Tensor":
    """The frames of a sequence, (T, 3, H, W) in [-1, 1]."""
    import torch

    try:
        return torch.from_numpy(sequence.frames()).permute(0, 3, 1, 2).float() * (2 / 255) - 1
    except ValueError as error:
        raise UserError(f"{url}: {error}") from error


def _texts(captions: Sequence[str], task: _Task) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Captions with their embeddings."""
    import torch

    for first in range(0, len(captions), task.config.batch_size):
        batch = captions[first : first + task.config.batch_size]
        with torch.inference_mode():
            embedded = task.encoder.embed(batch)
        for tensor in embedded.tensors.values():
            finite(tensor, f"{task.config.dataset}: embeddings of captions")
        for row, caption in enumerate(batch):
            members = {
                TEXT_MEMBER: pack(dict(embedded.rows(row).tensors), task.config.dtype),
                "json": to_json({"key": caption_key(caption)}).encode(),
                "txt": caption.encode(),
            }
            yield caption_key(caption), members


def encode_config(plain: dict[str, Any]) -> EncodeConfig:
    """The typed configuration."""
    return typed(EncodeConfig, {**plain, "model": model_config(plain["model"])})


if __name__ == "__main__":
    leave(command("encode", encode_config, run, __doc__ or "", can_continue=has_shards))
