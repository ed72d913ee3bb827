"""Measure how close generated painting processes are to real ones.

    python -m pipelines.evaluate generated=outputs/paintings reference=data/held_out out=outputs/evaluation
    python -m pipelines.evaluate generated=others layout.generated=grid grid.rows=3 grid.columns=3 reference=data/real

Finished pictures are compared, and how the painting proceeds (order, locality, coarse to fine and so on). Each process
metric is first tested on the reference set: real processes, and four false ones made from them (cross-fade, random
reveal, blur to sharp, reversed), against all other real ones. A metric that does not rank every false process below the
real ones is reported as doubtful, with the reason. The distance to the reference is in units of the distance between
real processes: 0 is another sample of the same painters, larger is worse. docs/metrics.md defines every metric.
Exit code 0: everything was read and judged; 3: some processes could not be read (they are named), or nothing could be
measured.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from conf.command import COMPLETE, PARTIAL, Summary, command, leave
from conf.compose import typed
from conf.errors import ConfigError
from conf.printable import as_typed
from conf.recipe import first_difference, plain_containers
from conf.value import check_whole
from pipelines.artists.grid import GridConfig
from pipelines.evaluation.importers import Imported, Layout, Wanted, read_set
from pipelines.evaluation.perceptual import WeightsConfig, load_networks
from pipelines.evaluation.report import Report, evaluate
from pipelines.evaluation.tables import tables
from pipelines.pages.evaluation.page import render_page
from training.data.claim import claimed_folder, naming_out
from training.data.manifest import sweep_temporaries, to_json, write_atomically
from training.data.plain import parse_json
from training.data.retries import retried
from training.data.staging import to_stores

_JSON, _PAGE = "evaluation.json", "index.html"
_MEMORY_BYTES = 4_000_000_000
_BYTES_PER_PIXEL = 75  # colours and differences of a pixel of a frame, for both sets and a set of controls


@dataclass(frozen=True, kw_only=True)
class LayoutConfig:
    """The group `layout`."""

    generated: Layout
    reference: Layout


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """The sets to compare and how; `conf/evaluate.yaml` says what each key means."""

    generated: Path
    reference: Path
    out: Path
    layout: LayoutConfig
    grid: GridConfig
    num_frames: int
    size: int
    max_sequences: int
    seed: int
    weights: WeightsConfig

    def __post_init__(self) -> None:
        check_whole("num_frames", self.num_frames, 3, 64)
        check_whole("size", self.size, 64, 512)
        check_whole("max_sequences", self.max_sequences, 1, 2000)
        check_whole("seed", self.seed, 0, 2**63 - 1)
        most = _MEMORY_BYTES // (_BYTES_PER_PIXEL * self.num_frames * self.size**2)
        if self.max_sequences > most:
            raise ConfigError("max_sequences", self.max_sequences, f"at most {most} at this size and num_frames")
        if self.generated.resolve() == self.reference.resolve():
            raise ConfigError("reference", self.reference, "another folder than generated: a set always matches itself")


def run(config: EvaluateConfig) -> Summary:
    """Evaluate the generated set, and write the report.

    Raises:
        UserError: if a set or weights cannot be read, or the output folder cannot be used.
    """
    settings = _settings(config)
    check = partial(_refuse_other, config.out, settings)
    with claimed_folder(config.out, what="an evaluation", card=_JSON, check=check):
        return _evaluated(config, settings)


def _evaluated(config: EvaluateConfig, settings: dict[str, Any]) -> Summary:
    networks = load_networks(config.weights)
    wanted = Wanted(
        grid=config.grid, max_sequences=config.max_sequences, num_frames=config.num_frames, size_px=config.size
    )
    generated = read_set("generated", config.generated, config.layout.generated, wanted)
    reference = read_set("reference", config.reference, config.layout.reference, wanted)
    report = evaluate(
        generated.processes,
        reference.processes,
        networks,
        np.random.SeedSequence(config.seed),
        settings=settings,
        refused=[*generated.refused, *reference.refused],
    )
    page = _write(config.out, report)
    counts = report.counts
    lines = [
        f"{counts['generated']} generated and {counts['reference']} reference sequences, {counts['paired']} paired; "
        f"{config.num_frames} frames of {config.size} px; the gap to the reference: smaller is better",
        f"generated read as {generated.layout}, reference as {reference.layout}",
        *tables(report),
        *_stretched("generated", generated, config.num_frames),
        *_stretched("reference", reference, config.num_frames),
        *generated.notes,
        *reference.notes,
        *(f"not read: {name}: {reason}" for name, reason in report.refused),
        f"{config.out / _JSON}; look at it: {page.resolve().as_uri()}",
    ]
    if report.measured:
        return Summary(lines=tuple(lines), exit_code=PARTIAL if report.refused else COMPLETE)
    lines.append("nothing could be measured: the reasons are above; more sequences, or such of the same pictures, help")
    return Summary(lines=tuple(lines), exit_code=PARTIAL)


def _stretched(key: str, imported: Imported, num_frames: int) -> list[str]:
    """A warning if processes have fewer frames than are compared, so that some of their frames are used twice."""
    short = [length for length in imported.lengths if length < num_frames]
    if not short:
        return []
    return [
        f"warning: {len(short)} of {len(imported.lengths)} {key} sequences have fewer than {num_frames} frames and "
        f"show some twice; num_frames={max(3, min(short))} compares them better"
    ]


def _settings(config: EvaluateConfig) -> dict[str, Any]:
    paths = {"generated": str(config.generated), "reference": str(config.reference)}
    weights = {key: None if path is None else path.name for key, path in vars(config.weights).items()}
    return {
        **paths,
        "layout": plain_containers(config.layout),
        "grid": plain_containers(config.grid),
        "num_frames": config.num_frames,
        "size": config.size,
        "max_sequences": config.max_sequences,
        "seed": config.seed,
        "weights": weights,
    }


def _refuse_other(out: Path, settings: dict[str, Any]) -> None:
    """Refuse a folder that holds an evaluation of other sets; the same evaluation may be repeated."""
    try:
        stored_settings = dict(parse_json(retried(out / _JSON, (out / _JSON).read_bytes))["settings"])
    except (IsADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        allowed = f"a new or empty folder; {_JSON} in this one is not an evaluation"
        raise ConfigError("out", out, allowed) from None
    if (difference := first_difference(stored_settings, settings)) is not None:
        key, stored, requested = difference
        differs = f"{key}={as_typed(stored)}, not {as_typed(requested)}"
        raise ConfigError("out", out, f"another folder; this one holds an evaluation with {differs}")


def _write(out: Path, report: Report) -> Path:
    page = out / _PAGE
    with naming_out(out):
        sweep_temporaries(out)
        write_atomically(out / _JSON, to_json(report.to_plain()).encode())
        write_atomically(page, render_page(report))
    return page


def evaluate_config(plain: dict[str, Any]) -> EvaluateConfig:
    """The typed configuration."""
    return typed(EvaluateConfig, plain)


if __name__ == "__main__":
    leave(command("evaluate", *to_stores(evaluate_config, run, mark=_JSON), __doc__ or ""))
