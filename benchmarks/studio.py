"""How far painted sequences are from those of real painters.

    python -m benchmarks.studio --real DIR... [--renderers oil bezier region:renderer.fill=strokes] \\
        [--pictures DIR] [--num-pictures 30] [--lengths 4 7] [--size 256]

DIR holds real sequences as pipelines.ingest reads them: grids named NAME_ROWSxCOLUMNS.png, videos, or folders of
frames. They are treated as it treats them (grid lines, mats, camera) and brought to each length, at an even pace; those
with fewer frames are left out of it. A renderer is named as in conf/renderer/, with further keys of pipelines.synth
behind colons (`studio:renderer.medium=ink`, `oil:frames.spacing=log`). It paints the same pictures as all others:
scenes of the embedded source, or those of --pictures. Its blank canvas, which real sequences lack, is left out.

The gap by a metric is the energy distance over the mean difference among the real sequences: 0 alike, 1 as far as real
ones are from each other, - where they do not differ. The mean is over the nine metrics that describe a process without
another one (docs/metrics.md); beside it stands their median, for of few real sequences one metric may make the mean.
Controls are made from the real sequences, each compared with the others only.

The second table holds means; of the real sequences also what the middle 80 % of them range over, and `in` or `out` says
whether a renderer's mean lies there. `way left` to the finished picture at the middle frame; `locality` of the last two
steps; `fine`, Spearman's correlation of time and fineness; `bare`, the share of the canvas not yet touched in the first
state, after a sixth, a third and a half of the way, and at the end, where the ground is what most of the first state
shows (a coat of one colour, for real painters and for ours); `waiting`, the pixels that change in the last step;
`revision`, those changed in separate runs of steps; `edges` of the first state that stay to the end, corrected for
chance.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import benchmarks.yardstick  # noqa: F401  # first: it pins threads

import numpy as np

from benchmarks.command_line import from_1, run_benchmark
from conf.compose import choices, compose
from conf.errors import UserError
from pipelines.artists.grid import GridConfig
from pipelines.synthesis.config import SynthConfig, synth_config
from pipelines.evaluation import curves
from pipelines.evaluation.agreement import LEAST_OF_A_SET, Estimate
from pipelines.evaluation.beginnings import bare_shares, kept_edges
from pipelines.evaluation.controls import CONTROLS
from pipelines.evaluation.distance import DISTANCE_METRICS, MEAN, distance_to_painters
from pipelines.evaluation.importers import Wanted, detect, read_set
from pipelines.evaluation.metrics import Description, describe
from pipelines.evaluation.process import Process
from pipelines.ingest import ingest_config
from pipelines.ingest import run as ingest
from pipelines.synthesis.painted import paint_sequence
from pipelines.synthesis.plan import make_plan
from pipelines.synthesis.sequence import RenderSettings, Stopwatch
from renderers import renderer
from renderers.painting import FrameSchedule, to_uint8
from conf.progress import Progress

_SPREAD = (10.0, 90.0)  # percent of the real sequences
_SIZE_PX = 64  # at which processes are compared, as in pipelines.evaluate
_RENDERERS = ("oil", "bezier", "ink", "region", "studio")
_SEED = 0
_COLUMN = 12


def main() -> None:
    """Run and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, nargs="+", required=True, metavar="DIR")
    parser.add_argument("--renderers", nargs="+", metavar="NAME[:KEY=VALUE...]")
    parser.add_argument("--pictures", type=Path, help="folder of pictures; without it scenes are painted")
    parser.add_argument("--num-pictures", type=from_1, default=30)
    parser.add_argument("--lengths", type=from_1, nargs="+", default=[4, 7], help="frames without the blank canvas")
    parser.add_argument("--size", type=from_1, default=256, help="px at which pictures are painted")
    arguments = parser.parse_args()
    _run(arguments)


def _run(arguments: argparse.Namespace) -> None:
    source = f"source.path={arguments.pictures}" if arguments.pictures else f"source.seed={_SEED + 5}"
    overrides = [f"source={'folder' if arguments.pictures else 'scenes'}", source, f"size={arguments.size}"]
    specs = arguments.renderers or [name for name in _RENDERERS if name in choices("renderer")]
    # Specs are read before any work, so that a wrong one is refused at once.
    runs = {spec: _synth(spec, overrides, arguments.num_pictures) for spec in specs}
    with tempfile.TemporaryDirectory() as folder:
        real = {length: real_sequences(arguments.real, length, Path(folder)) for length in arguments.lengths}
    painted = {spec: _painted(spec, run, arguments.lengths) for spec, run in runs.items()}
    for length in arguments.lengths:
        sets = [_Set(name="real", processes=real[length])]
        sets += [_Set(name=spec, processes=by_length[length], blank_first=True) for spec, by_length in painted.items()]
        _print_tables(length, sets)


@dataclass(frozen=True, kw_only=True)
class _Set:
    """Processes of one painter or renderer.

    Attributes:
        blank_first: whether each begins with the blank canvas, which no real sequence shows.
    """

    name: str
    processes: Sequence[Process]
    blank_first: bool = False

    @property
    def states(self) -> list[Process]:
        """The processes without the blank canvas."""
        return [process.altered(process.frames[int(self.blank_first) :]) for process in self.processes]


def real_sequences(folders: Sequence[Path], length: int, scratch: Path) -> list[Process]:
    """Real sequences of at least `length` frames, brought to this length; prints which are left out."""
    processes: list[Process] = []
    wanted = Wanted(grid=GridConfig(), max_sequences=2000, num_frames=length, size_px=_SIZE_PX)
    for number, folder in enumerate(folders):
        if not folder.is_dir():
            raise UserError(f"--real {folder}: no such folder")
        out = scratch / f"{length}-{number}"
        overrides = [
            f"source.path={folder}", f"layout={detect(folder, GridConfig())}", f"out={out}", f"num_frames={length}",
            "frames.spacing=uniform", "val_fraction=0", "max_quarantined=1", "gallery=false",
        ]  # fmt: skip
        ingest(ingest_config(compose("ingest", overrides)))
        ingested = read_set("--real", out, "dataset", wanted)
        processes += [process.named(f"{number}/{process.name}") for process in ingested.processes]
    return processes


def _synth(spec: str, overrides: Sequence[str], num_pictures: int) -> SynthConfig:
    name, *renderer_overrides = spec.split(":")
    all_overrides = [
        f"renderer={name}",
        *overrides,
        f"num_sequences={num_pictures}",
        "cluster=inline",
        *renderer_overrides,
    ]
    return synth_config(compose("synth", all_overrides))


def _painted(spec: str, run: SynthConfig, lengths: Sequence[int]) -> dict[int, list[Process]]:
    """For each length, processes that begin with the blank canvas; every picture is painted only once."""
    settings = RenderSettings(
        root=run.out, source=run.source, renderers=run.renderers, framing=run.framing, schedule=run.schedule,
        frame_format="png", seed=run.seed, config_hash="", code_version="",
    )  # fmt: skip
    weights = [choice.weight for choice in run.renderers]
    plan = make_plan(run.source.index(run.num_sequences), weights, run.num_sequences, None, 0.0)
    processes: dict[int, list[Process]] = {length: [] for length in lengths}
    with Progress(spec, plan.num_sequences) as progress:
        for sequence in (sequence for shard in plan.shards() for sequence in shard.sequences):
            painting = paint_sequence(sequence, settings, Stopwatch()).painting
            family = renderer(run.renderers[sequence.renderer].family)
            for length in lengths:
                schedule = FrameSchedule(num_frames=length + 1, spacing=run.schedule.spacing)
                canvases = family.replay(painting.program, schedule.steps(painting.left))
                process = Process(name=sequence.key, frames=np.stack([to_uint8(canvas) for canvas in canvases]))
                processes[length].append(process.prepared(length + 1, _SIZE_PX))
            progress.advance(1)
    return processes


def _print_tables(length: int, sets: Sequence[_Set]) -> None:
    real = sets[0].states
    described = [(each.name, describe(each.states, [])) for each in sets]
    reference = described[0][1]
    print(f"\n{length} frames, {len(real)} real sequences of so many")
    _print_row("", [MEAN, "95 %", "median", *(name.split()[0][: _COLUMN - 1] for name in DISTANCE_METRICS)])
    if len(real) < LEAST_OF_A_SET:
        print(f"  no gaps: {LEAST_OF_A_SET} real sequences of {length} frames are needed at least")
    else:
        for name, description in [*_controls(real), *described[1:]]:
            rng = np.random.default_rng(_SEED)
            _print_gaps(name, distance_to_painters(description, reference, rng, made_from_real=name in CONTROLS))
    print()
    _print_row("", _MEASURES)
    spreads = [np.percentile(measure(sets[0]), _SPREAD) for measure in _MEASURES.values()]
    _print_row("real", [f"{np.mean(measure(sets[0])):.2f}" for measure in _MEASURES.values()])
    _print_row("real, 10 to 90 %", [f"{low:.2f}..{high:.2f}" for low, high in spreads])
    for each in sets[1:]:
        means = [float(np.mean(measure(each))) for measure in _MEASURES.values()]
        verdicts = ["in" if low <= mean <= high else "out" for mean, (low, high) in zip(means, spreads, strict=True)]
        _print_row(each.name, [f"{mean:.2f} {verdict}" for mean, verdict in zip(means, verdicts, strict=True)])


def _print_gaps(name: str, gaps: Mapping[str, Estimate]) -> None:
    if MEAN not in gaps:
        print(f"  {name:<44} no gap: {LEAST_OF_A_SET} sequences are needed at least")
        return
    median = float(np.median([gaps[metric].value for metric in DISTANCE_METRICS if metric in gaps]))
    cells = [f"{gaps[metric].value:.2f}" if metric in gaps else "-" for metric in DISTANCE_METRICS]
    mean = gaps[MEAN]
    _print_row(name, [f"{mean.value:.2f}", f"{mean.low:.2f}..{mean.high:.2f}", f"{median:.2f}", *cells])


def _controls(real: Sequence[Process]) -> Iterator[tuple[str, dict[str, Description]]]:
    for name, make in CONTROLS.items():
        rngs = [np.random.default_rng((_SEED, number)) for number in range(len(real))]
        altered = [process.altered(make(process.frames, rng)) for process, rng in zip(real, rngs, strict=True)]
        yield name, describe(altered, [])


def _print_row(title: str, cells: Iterable[str]) -> None:
    print(f"  {title:<44}" + "".join(f"{cell:>{_COLUMN}}" for cell in cells))


def _of_states(measure: Callable[[Process], float]) -> Callable[[_Set], list[float]]:
    return lambda each: [measure(process) for process in each.states]


def _bare_at(share: float) -> Callable[[_Set], list[float]]:
    def bare(each: _Set) -> list[float]:
        return [float(bare_shares(process)[round(share * (len(process.frames) - 1))]) for process in each.states]

    return bare


_MEASURES: dict[str, Callable[[_Set], list[float]]] = {
    "way left": _of_states(lambda process: float(curves.distance_profile(process)[len(process.frames) // 2])),
    "locality": _of_states(lambda process: float(curves.locality(process)[-2:].mean())),
    "fine": _of_states(curves.coarse_to_fine),
    "bare 0": _bare_at(0.0),
    "bare 1/6": _bare_at(1 / 6),
    "bare 2/6": _bare_at(2 / 6),
    "bare 3/6": _bare_at(3 / 6),
    "bare end": _bare_at(1.0),
    "waiting": _of_states(lambda process: 1.0 - float(curves.commit_times(process)[-2])),
    "revision": _of_states(curves.revised_share),
    "edges": _of_states(kept_edges),
}


if __name__ == "__main__":
    run_benchmark(main)
