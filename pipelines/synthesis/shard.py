"""Rendering one shard: the unit of work, of commit and of retry. Runs in a worker, or in the process itself."""

import errno
import hashlib
import io
import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from conf.errors import ConfigError
from pipelines.sources.base import Picture, RefusedPicture, Source, StorageFault
from pipelines.sources.framing import Framing
from pipelines.synthesis.config import RendererChoice
from pipelines.synthesis.painted import Batches, Painted, paint_sequence, spawn_key
from pipelines.synthesis.plan import PlannedSequence, ShardPlan
from pipelines.synthesis.regions import label_map_bytes, region_facts
from renderers import gains_by_batches
from renderers.metrics import sequence_metrics
from renderers.painting import FrameSchedule, Painting
from training.data.layout import FrameFormat, frame_member, timings_folder
from training.data.manifest import ShardManifest, to_json, write_atomically
from training.data.shard import ShardWriter

_FATAL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT})


class Stopwatch:
    """Wall seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, phase: str) -> float:
        """Add the time since the last lap to a phase, and return it."""
        now = time.perf_counter()
        elapsed, self._last = now - self._last, now
        self.seconds[phase] = self.seconds.get(phase, 0.0) + elapsed
        return elapsed


Made = tuple[dict[str, bytes], dict[str, Any], float]
"""The members of a WebDataset sample, its row for `samples.parquet`, and the seconds it took."""


class ShardSettings(Protocol):
    """What all shards of a run share, whatever its sequences are made of; small enough to send with every task."""

    @property
    def root(self) -> Path:
        """Folder of the data set."""

    @property
    def config_hash(self) -> str:
        """Of the recipe."""

    @property
    def code_version(self) -> str:
        """Of this code."""

    def make(self, sequence: PlannedSequence, watch: Stopwatch) -> Made:
        """Make one sequence.

        Raises:
            RefusedPicture: if there is none to be had; the message says why.
        """

    def seed_of(self, sequence: PlannedSequence) -> dict[str, Any] | None:
        """What all random numbers of a sequence follow from; None where there are none."""


@dataclass(frozen=True, kw_only=True)
class RenderSettings:
    """What all shards of a synthesis run share."""

    root: Path
    source: Source
    renderers: tuple[RendererChoice, ...]
    framing: Framing
    schedule: FrameSchedule
    frame_format: FrameFormat
    seed: int
    config_hash: str
    code_version: str

    def make(self, sequence: PlannedSequence, watch: Stopwatch) -> Made:
        """Paint one sequence."""
        return render_sequence(sequence, self, watch)

    def seed_of(self, sequence: PlannedSequence) -> dict[str, Any]:
        """What all random numbers of a sequence follow from."""
        return {"root": self.seed, "spawn_key": list(spawn_key(sequence))}


@dataclass(kw_only=True)
class ShardReport:
    """What a worker tells of a shard; never pixels.

    Attributes:
        seconds: spent on each phase.
        error: why the shard could not be committed, or None.
        fatal: no other shard could be committed either, or the data set would have a hole: the disk is full or may not
            be written, the storage fails, or this program does.
    """

    name: str
    num_samples: int = 0
    num_quarantined: int = 0
    num_bytes: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    fatal: bool = False


def render_shard(plan: ShardPlan, settings: ShardSettings) -> ShardReport:
    """Make all sequences of a shard and commit it. The same plan and settings give the same bytes."""
    cv2.setNumThreads(1)
    report, watch, paint_seconds = ShardReport(name=plan.name), Stopwatch(), {}
    records: list[dict[str, Any]] = []
    quarantined: list[dict[str, Any]] = []
    make = _maker(plan, settings)
    try:
        with ShardWriter(settings.root, plan.name) as writer:
            for sequence in plan.sequences:
                try:
                    members, record, seconds = make(sequence, watch)
                except (RefusedPicture, ConfigError) as refused:  # or one that the configuration does not fit
                    quarantined.append(_refusal(sequence, settings, refused))
                    continue
                except (OSError, MemoryError, StorageFault):
                    raise  # the machine's trouble, not the picture's
                except Exception as error:
                    report.fatal, report.error = True, f"{sequence.entry.id}: {fault_of_ours(error)}"
                    return report
                writer.add(sequence.key, members)
                records.append({**record, "split": plan.split, "shard": plan.name})
                paint_seconds[sequence.key] = round(seconds, 4)
                watch.lap("write")
            manifest = writer.commit(
                split=plan.split,
                first_index=plan.first_index,
                num_planned=len(plan.sequences),
                config_hash=settings.config_hash,
                code_version=settings.code_version,
                records=tuple(records),
                quarantined=tuple(quarantined),
            )
        watch.lap("write")
        _write_timing(settings.root, manifest, watch, paint_seconds)
    except OSError as error:
        report.fatal = error.errno in _FATAL
        where = error.filename or (settings.root if report.fatal else type(error).__name__)
        report.error = f"{where}: {error.strerror or error}"
        return report
    except StorageFault as fault:
        report.fatal, report.error = True, str(fault)
        return report
    except MemoryError:
        report.error = "not enough memory; fewer workers need less"
        return report
    report.num_samples, report.num_quarantined = manifest.num_samples, len(quarantined)
    report.num_bytes, report.seconds = manifest.num_bytes, watch.seconds
    return report


def _maker(plan: ShardPlan, settings: ShardSettings) -> Callable[[PlannedSequence, Stopwatch], Made]:
    """How to make the sequences of a shard: those whose renderer gains by it, many at once."""
    if not isinstance(settings, RenderSettings):
        return settings.make
    if not any(gains_by_batches(choice.family, choice.config) for choice in settings.renderers):
        return settings.make
    batches = Batches(plan.sequences, settings)
    return lambda sequence, watch: render_sequence(sequence, settings, watch, batches.painted(sequence, watch))


def render_sequence(
    sequence: PlannedSequence, settings: RenderSettings, watch: Stopwatch, painted: Painted | None = None
) -> Made:
    """Paint one sequence.

    Args:
        painted: what was painted already, in a batch.

    Raises:
        RefusedPicture: if the source cannot give the picture.
    """
    choice = settings.renderers[sequence.renderer]
    painted = painted or paint_sequence(sequence, settings, watch)
    picture, painting, steps, frames = painted.picture, painted.painting, painted.steps, painted.frames
    distances = painting.distances[list(steps)]
    metrics = sequence_metrics(frames, picture.image, [float(distance) for distance in distances])
    watch.lap("metrics")
    members = {
        frame_member(number, len(frames), settings.frame_format): encode_frame(frame, settings.frame_format)
        for number, frame in enumerate(frames)
    }
    facts = _facts(sequence, settings, choice, painting, steps, metrics)
    members["txt"] = caption_of(sequence, choice).encode()
    members["json"] = to_json(facts).encode()
    members["strokes.npz"] = painting.program.to_bytes()
    if painting.regions is not None:
        members["regions.png"] = label_map_bytes(painting.regions.labels)
    if picture.truth is not None:
        members["truth.npz"] = _truth_bytes(picture)
    watch.lap("encode")
    return members, record_of(facts, caption_of(sequence, choice)), painted.seconds


def caption_of(sequence: PlannedSequence, choice: RendererChoice) -> str:
    """The picture's caption and the method phrase; empty when the source has no caption."""
    if not sequence.entry.caption:
        return ""
    return f"{sequence.entry.caption}, {choice.phrase}" if choice.phrase else sequence.entry.caption


def encode_frame(frame: NDArray[np.uint8], frame_format: FrameFormat) -> bytes:
    """One (H, W, 3) uint8 frame as a file.

    Lossless WebP at its fastest: 2 ms a frame where its default effort takes 30 for a seventh less.
    """
    buffer = io.BytesIO()
    image = PillowImage.fromarray(frame)
    if frame_format == "webp":
        image.save(buffer, "WEBP", lossless=True, method=0, quality=25)
    elif frame_format == "png":
        image.save(buffer, "PNG", compress_level=3)
    else:
        image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def _facts(
    sequence: PlannedSequence, settings: RenderSettings, choice: RendererChoice, painting: Painting,
    steps: tuple[int, ...], metrics: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    config = choice.plain_config()
    return {
        "key": sequence.key,
        "index": sequence.index,
        "source": {"id": sequence.entry.id, "sha256": sequence.entry.sha256, "licence": sequence.entry.licence},
        "renderer": {
            "name": choice.name,
            "family": choice.family,
            "phrase": choice.phrase,
            "config": config,
            "config_hash": hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest(),
        },
        "seed": settings.seed_of(sequence),
        "size_px": [settings.framing.height_px, settings.framing.width_px],
        "num_steps": len(painting.distances) - 1,
        "frames": [
            {"member": frame_member(number, len(steps), settings.frame_format), "step": step, "distance": distance}
            for number, (step, distance) in enumerate(zip(steps, metrics["distance"], strict=True))
        ],
        "metrics": metrics,
        **({} if painting.regions is None else {"regions": region_facts(painting.regions)}),
    }


def record_of(facts: dict[str, Any], caption: str) -> dict[str, Any]:
    """The row of a sequence for `samples.parquet`, from its json member."""
    return {
        "key": facts["key"],
        "index": facts["index"],
        "source": facts["source"]["id"],
        "source_sha256": facts["source"]["sha256"],
        "licence": facts["source"]["licence"],
        "caption": caption,
        "renderer": facts["renderer"]["name"],
        "renderer_config_hash": facts["renderer"]["config_hash"],
        "seed": facts["seed"]["root"] if facts["seed"] else None,
        "num_steps": facts["num_steps"],
        "frame_steps": [frame["step"] for frame in facts["frames"]],
        **facts["metrics"],
    }


def _truth_bytes(picture: Picture) -> bytes:
    """Ground truth of a generated picture, without pickle."""
    truth = picture.truth
    assert truth is not None
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        labels=truth.labels.astype("<u2"),
        names=np.array(truth.names),
        depth_order=np.array(truth.depth_order, "<i4"),
        saliency_order=np.array(truth.saliency_order, "<i4"),
    )
    return buffer.getvalue()


def fault_of_ours(error: BaseException) -> str:
    """One line that says what went wrong in this program, and where: enough to report it.

    A fault of the program must not become a hole in a data set that a better version would not have.
    """
    what = " ".join(f"{type(error).__name__}: {error}".split())
    places = traceback.extract_tb(error.__traceback__)[-1:]  # none where it came from another process
    where = "".join(f" ({Path(place.filename).name}, line {place.lineno}, in {place.name})" for place in places)
    return f"a fault of this program, not of the picture: {what}{where}"


def _refusal(
    sequence: PlannedSequence, settings: ShardSettings, refused: RefusedPicture | ConfigError
) -> dict[str, Any]:
    return {
        "key": sequence.key,
        "source": sequence.entry.id,
        "source_sha256": sequence.entry.sha256,
        "reason": str(refused),
        "seed": settings.seed_of(sequence),
        "traceback": None,
    }


def _write_timing(root: Path, manifest: ShardManifest, watch: Stopwatch, paint_seconds: dict[str, float]) -> None:
    timing = {
        "phases": {phase: round(seconds, 4) for phase, seconds in watch.seconds.items()},
        "paint": paint_seconds,
    }
    write_atomically(timings_folder(root) / f"{manifest.name}.json", to_json(timing).encode())
