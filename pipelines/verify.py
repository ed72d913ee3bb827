"""Recount and rehash a data set, and check every promise that a painting makes.

    python -m pipelines.verify dataset=outputs/dataset

Exit code 0: all is well; 1: faults were found, and are listed; 2: this is no data set; 3: sound, but not complete.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conf.command import PARTIAL, Summary, command
from conf.compose import typed
from pipelines.plan import in_val
from pipelines.regions import region_faults
from renderers import families, renderer
from renderers.distance import canvas_distances
from renderers.painting import StrokeProgram, to_uint8
from training.data.dataset import DatasetCard, committed_names, dataset_totals, read_card
from training.data.encoded import encoding_of
from training.data.layout import ARTIST, TEXT_SPLIT
from training.data.manifest import ShardManifest, hash_file, read_manifest, tar_path
from training.data.sequence import StoredSequence, read_sequences
from training.progress import Progress

FAULTY = 1
_SHOWN = 20  # faults listed; the rest are counted
_LOSSLESS = ("webp", "png")
_ROUNDING = 2e-3  # distances are of 8-bit frames here, and of exact canvases when frames were chosen


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """What to verify; `conf/verify.yaml` says what each key means."""

    dataset: Path
    replay: bool = True


def run(config: VerifyConfig) -> Summary:
    """Verify a data set.

    Raises:
        UserError: if there is none.
    """
    card = read_card(config.dataset)
    faults: list[str] = []
    manifests: list[ShardManifest] = []
    for name in card.shards:
        try:
            manifest = read_manifest(config.dataset, name)
        except ValueError as error:
            faults.append(str(error))
            continue
        if manifest is not None:
            manifests.append(manifest)
    total = sum(manifest.num_samples for manifest in manifests)
    with Progress("verifying", total) as progress:
        for manifest in manifests:
            faults += shard_faults(config.dataset, manifest, card, replay=config.replay)
            progress.advance(manifest.num_samples)
    faults += dataset_faults(config.dataset, card, manifests)
    return _summary(config, card, manifests, faults)


def shard_faults(root: Path, manifest: ShardManifest, card: DatasetCard, *, replay: bool) -> Iterator[str]:
    """Everything wrong with one shard, a line each."""
    path = tar_path(root, manifest.name)
    if not path.is_file():
        yield f"{path}: missing, but it has a manifest"
        return
    if path.stat().st_size != manifest.num_bytes or hash_file(path) != manifest.sha256:
        yield f"{path}: not the bytes that were committed"
        return
    if manifest.config_hash != card.config_hash:
        yield f"{path}: made with another configuration"
    counts = {len(manifest.samples), manifest.num_samples}
    if len(counts if manifest.split == TEXT_SPLIT else {*counts, len(manifest.records)}) > 1:
        yield f"{path}: the manifest's counts disagree"
    if manifest.num_samples + len(manifest.quarantined) != manifest.num_planned:
        refused = len(manifest.quarantined)
        yield f"{path}: {manifest.num_planned} planned, {manifest.num_samples} made, {refused} refused"
    try:
        for sequence in read_sequences(root, manifest):
            if encoding_of(card) is not None:
                continue  # what latents show, the data set that they were made of promises
            for fault in sequence_faults(sequence, manifest, card, replay=replay):
                yield f"{path}: {sequence.key}: {fault}"
    except ValueError as error:
        yield f"{path}: {error}"


def sequence_faults(
    sequence: StoredSequence, manifest: ShardManifest, card: DatasetCard, *, replay: bool
) -> Iterator[str]:
    """Everything wrong with one sequence, by the promises of a painting (docs/promises.md)."""
    facts = sequence.facts
    frames = sequence.frames()
    if in_val(facts["source"]["sha256"], card.recipe["val_fraction"]) != (manifest.split == "val"):
        yield "stands in the wrong split"
    if len(frames) != card.recipe["schedule"]["num_frames"]:
        yield f"{len(frames)} frames, {card.recipe['schedule']['num_frames']} planned"
    lossless = card.recipe["frame_format"] in _LOSSLESS
    if facts["frames"][-1]["step"] != facts["num_steps"]:
        yield "the last frame is not the finished painting"
    if facts["renderer"]["family"] == ARTIST:
        yield from _artist_faults(facts, frames if lossless else None)
        return
    program = StrokeProgram.from_bytes(sequence.members["strokes.npz"])
    tolerance = 0 if lossless else 32
    if program.family not in families():
        yield f"no renderer '{program.family}' to replay it"
        return
    (bare,) = renderer(program.family).replay(program, [0])
    blank = to_uint8(bare)
    if _largest_difference(frames[0], blank) > tolerance:
        yield "the first frame is not the blank canvas"
    if lossless:
        canvases = [frame / np.float32(255) for frame in frames]
        measure = getattr(renderer(program.family), "region_distances", None)
        distances = measure(program, canvases) if measure else canvas_distances(canvases, blank / np.float32(255))
        rises = np.diff(distances) > _ROUNDING
        if rises.any() and card.recipe["schedule"]["spacing"] == "distance":
            yield f"the distance to the finished canvas rises at frame {int(np.argmax(rises)) + 1}"
    if "regions" in facts:
        yield from region_faults(sequence, program, frames, tolerance)
    if replay:
        yield from _replay_faults(program, facts, frames, max(tolerance, _rounding_of(facts)))


def _rounding_of(facts: dict[str, Any]) -> int:
    """Levels of 255 by which what is replayed here, on the CPU, may differ: none, unless another device painted it."""
    return 0 if facts["renderer"]["config"].get("device", "cpu") == "cpu" else 1


def _artist_faults(facts: dict[str, Any], frames: Any | None) -> Iterator[str]:
    """What an artist's sequence promises: there is nothing to replay, and people do step back.

    Args:
        facts: its json.
        frames: None where they were stored with loss, and distances cannot be told again.
    """
    steps = [frame["step"] for frame in facts["frames"]]
    if steps != sorted(set(steps)):
        yield "the frames are not in the order of time"
    if frames is None:
        return
    canvases = [frame / np.float32(255) for frame in frames]
    told = [frame["distance"] for frame in facts["frames"]]
    if np.abs(canvas_distances(canvases, canvases[0]) - told).max() > _ROUNDING:
        yield "the frames are not as far from the finished painting as its json says"


def _replay_faults(program: StrokeProgram, facts: dict[str, Any], frames: Any, tolerance: int) -> Iterator[str]:
    steps = [frame["step"] for frame in facts["frames"]]
    for number, canvas in enumerate(renderer(program.family).replay(program, steps)):
        if _largest_difference(frames[number], to_uint8(canvas)) > tolerance:
            yield f"frame {number} is not what its program paints"
            return


def _largest_difference(one: Any, two: Any) -> int:
    return int(np.abs(one.astype(np.int16) - two.astype(np.int16)).max())


def dataset_faults(root: Path, card: DatasetCard, manifests: list[ShardManifest]) -> Iterator[str]:
    """What is wrong between shards."""
    for name in sorted(set(committed_names(root)) - set(card.shards)):
        yield f"{tar_path(root, name)}: a shard that nobody planned"
    seen: dict[str, str] = {}
    splits: dict[str, str] = {}
    for manifest in manifests:
        for record in manifest.records:
            key, source = record["key"], record["source_sha256"]
            if key in seen:
                yield f"sequence {key} stands in {seen[key]} and in {manifest.name}"
            if splits.setdefault(source, manifest.split) != manifest.split:
                yield f"picture {record['source']} stands in both splits"
            seen[key] = manifest.name
    if card.totals is not None and card.totals != dataset_totals(manifests):
        yield f"{root}: the totals of dataset.json are not those of its shards"


def _summary(config: VerifyConfig, card: DatasetCard, manifests: list[ShardManifest], faults: list[str]) -> Summary:
    totals = dataset_totals(manifests)
    records = [record for manifest in manifests for record in manifest.records]
    lines = [
        f"{config.dataset}: {totals['num_sequences']} sequences in {totals['num_shards']} of {len(card.shards)} "
        f"shards, {totals['num_bytes'] / 1e6:.1f} MB, {totals['num_quarantined']} inputs refused"
    ]
    for name in totals["renderers"]:
        chosen = [record for record in records if record["renderer"] == name]
        means = [f"progress violation {_mean(chosen, 'progress_violation'):.4f}"]
        if name != ARTIST:
            means = [f"PSNR {_mean(chosen, 'psnr_db'):.2f} dB", f"SSIM {_mean(chosen, 'ssim'):.3f}", *means]
        lines.append(f"  {name}: {len(chosen)} sequences, {', '.join(means)}")
    lines += [f"fault: {fault}" for fault in faults[:_SHOWN]]
    if len(faults) > _SHOWN:
        lines.append(f"and {len(faults) - _SHOWN} more")
    complete = card.totals is not None and len(manifests) == len(card.shards)
    verdict = "sound" if not faults else f"{len(faults)} faults"
    lines.append(f"{verdict}, {'complete' if complete else 'not complete'}")
    return Summary(lines=tuple(lines), exit_code=FAULTY if faults else (0 if complete else PARTIAL))


def _mean(records: list[Any], metric: str) -> float:
    return float(np.mean([record[metric] for record in records]))


def verify_config(plain: dict[str, Any]) -> VerifyConfig:
    """The typed configuration."""
    return typed(VerifyConfig, plain)


if __name__ == "__main__":
    sys.exit(command("verify", verify_config, run, __doc__ or ""))
