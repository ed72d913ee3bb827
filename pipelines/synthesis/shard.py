"""Renders one shard, the unit of work, of commit and of retry, in a worker or in the driver process itself."""

import errno
import platform
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2

from conf.errors import ConfigError, UserError
from conf.printable import without_secrets
from pipelines.sources.source import RefusedPicture, StorageFault
from pipelines.synthesis.painted import Batches
from pipelines.synthesis.plan import PlannedSequence, ShardPlan
from pipelines.synthesis.sequence import Made, RenderSettings, Stopwatch, render_sequence
from training.data.layout import timings_folder
from training.data.manifest import ShardManifest, to_json, write_atomically
from training.data.remote import AnyPath
from training.data.shard import ShardWriter

_FATAL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT})


class ShardSettings(Protocol):
    """The settings of all shards of a run, for any kind of sequences; small enough to send with every task."""

    @property
    def root(self) -> AnyPath:
        """Folder of the data set."""

    @property
    def config_hash(self) -> str:
        """Hash of the recipe."""

    @property
    def code_version(self) -> str:
        """Version of this program."""

    def make(self, sequence: PlannedSequence, watch: Stopwatch) -> Made:
        """Make one sequence.

        Raises:
            RefusedPicture: if it cannot be made from its input; the message says why.
        """

    def seed_of(self, sequence: PlannedSequence) -> dict[str, Any] | None:
        """The seed of all random numbers of a sequence; None if it needs none."""


@dataclass(kw_only=True)
class ShardReport:
    """What a worker reports about a shard; never pixels.

    Attributes:
        node: name of the machine that made the shard.
        seconds: phase -> seconds spent on it.
        error: why the shard could not be committed, or None.
        fatal: whether the run must end: no other shard could be committed either, or the data set would have a hole.
            Reasons are a full or read-only disk, failing storage, and faults of this program.
    """

    name: str
    node: str = field(default_factory=platform.node)
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
                except (RefusedPicture, ConfigError) as refused:  # ConfigError: the configuration does not suit it
                    quarantined.append(_refusal(sequence, settings, refused))
                    continue
                except (OSError, MemoryError, StorageFault):
                    raise  # a fault of the machine or the storage, not of the picture
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
    except (StorageFault, UserError) as fault:
        report.fatal, report.error = True, str(fault)
        return report
    except MemoryError:
        report.error = "not enough memory; fewer workers need less"
        return report
    report.num_samples, report.num_quarantined = manifest.num_samples, len(quarantined)
    report.num_bytes, report.seconds = manifest.num_bytes, watch.seconds
    return report


def _maker(plan: ShardPlan, settings: ShardSettings) -> Callable[[PlannedSequence, Stopwatch], Made]:
    """The function that makes the sequences of a shard, in batches if one of the renderers is faster that way."""
    if not isinstance(settings, RenderSettings):
        return settings.make
    if not any(choice.renderer.gains_by_batches(choice.config) for choice in settings.renderers):
        return settings.make
    batches = Batches(plan.sequences, settings)
    return lambda sequence, watch: render_sequence(sequence, settings, watch, batches.painted(sequence, watch))


def fault_of_ours(error: BaseException) -> str:
    """One line that says what went wrong in this program, and where: enough to report it.

    Such a fault ends the run: if only the picture were refused, the data set would have a hole that a later version
    of the program would not leave.
    """
    what = " ".join(f"{type(error).__name__}: {error}".split())
    innermost = traceback.extract_tb(error.__traceback__)[-1:]  # empty if the error came from another process
    where = "".join(f" ({Path(frame.filename).name}, line {frame.lineno}, in {frame.name})" for frame in innermost)
    return f"a fault of this program, not of the picture: {what}{where}"


def _refusal(
    sequence: PlannedSequence, settings: ShardSettings, refused: RefusedPicture | ConfigError
) -> dict[str, Any]:
    return {
        "key": sequence.key,
        "source": sequence.entry.id,
        "source_sha256": sequence.entry.sha256,
        "reason": without_secrets(str(refused)),
        "seed": settings.seed_of(sequence),
        "traceback": None,
    }


def _write_timing(root: AnyPath, manifest: ShardManifest, watch: Stopwatch, paint_seconds: dict[str, float]) -> None:
    timing = {
        "phases": {phase: round(seconds, 4) for phase, seconds in watch.seconds.items()},
        "paint": paint_seconds,
    }
    write_atomically(timings_folder(root) / f"{manifest.name}.json", to_json(timing).encode())
