"""How closely strokes follow a painter, and what that costs the finished picture.

    python -m pipelines.paint task=reconstruct image=outputs/execution/pictures batch_size=5 fit=stretch \\
        out=outputs/execution/painted
    python -m benchmarks.execution [--pictures outputs/execution/pictures] [--painted outputs/execution/painted] \\
        [--renderers oil bezier ink] [--num-strokes 1500] [--canvas-px 768] [--real REAL]

--painted holds the output of the first command, with a folder for each picture of the folder --pictures. Each process
is executed in strokes, and the picture is also painted by the same renderer in its own order, with as many strokes. For
every picture, the table has `arrival`, the agreement of the times at which places get their colours (Spearman's rho; in
brackets that of the renderer's own order); the PSNR to the picture, and its gain over the renderer's own order; whether
the distance to the finished picture falls at every frame; and seconds of one core, without those of the painter.

With --real, a folder of real sequences as `benchmarks.studio` reads them, it also prints the distance of both to real
painters by each process metric (docs/metrics.md), on states without the blank canvas; 0 means alike.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import benchmarks.yardstick  # noqa: F401  # first: it pins threads

import numpy as np
from numpy.typing import NDArray

from benchmarks.command_line import from_1, run_benchmark
from benchmarks.studio import real_sequences
from conf.compose import compose
from conf.errors import UserError
from pipelines.evaluation.distance import DISTANCE_METRICS, MEAN, distance_to_painters
from pipelines.evaluation.metrics import describe
from pipelines.evaluation.process import Process
from pipelines.inference.config import StrokeExecution, paint_config
from pipelines.inference.execution import agreement, canvas_size, execute, resized
from pipelines.sources.picture_file import read_picture
from renderers.distance import canvas_distances
from renderers.painting import Painting, spaced_steps, to_uint8
from renderers.quality import psnr_db

_LENGTHS = (4, 7)  # frames of real sequences
_SIZE_PX = 64


@dataclass(frozen=True, kw_only=True)
class _Row:
    """The figures of one picture, as in the module's description; `own_` is the renderer's own order."""

    arrival: float
    own_arrival: float
    psnr_db: float
    gain_db: float
    falls: bool
    seconds: float


def main() -> None:
    """Run and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("outputs/execution/pictures"))
    parser.add_argument("--painted", type=Path, default=Path("outputs/execution/painted"))
    parser.add_argument("--renderers", nargs="+", default=["oil", "bezier", "ink"])
    parser.add_argument("--num-strokes", type=from_1, default=1500)
    parser.add_argument("--canvas-px", type=from_1, default=768)
    parser.add_argument("--real", type=Path)
    arguments = parser.parse_args()
    for folder in (arguments.pictures, arguments.painted):
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; --help says what it holds")
    for name in arguments.renderers:
        _run(name, arguments)


def _run(name: str, arguments: argparse.Namespace) -> None:
    overrides = [
        "task=reconstruct", "image=any", "execution=strokes", f"renderer={name}", f"canvas_px={arguments.canvas_px}",
        f"renderer.num_strokes={arguments.num_strokes}",
    ]  # fmt: skip
    execution = paint_config(compose("paint", overrides)).strokes
    assert execution is not None
    rows: list[_Row] = []
    executed: dict[int, list[Process]] = {length: [] for length in _LENGTHS}
    own: dict[int, list[Process]] = {length: [] for length in _LENGTHS}
    print(f"\n{name:<36} arrival (own)     PSNR    gain  falls  seconds")
    for path in sorted(arguments.pictures.iterdir()):
        frames = _frames(arguments.painted / path.stem)
        if frames is None:
            continue
        row, executed_painting, own_painting = _measured(execution, path, frames)
        rows.append(row)
        for length in _LENGTHS:
            executed[length].append(_states(path.stem, executed_painting, execution, length))
            own[length].append(_states(path.stem, own_painting, execution, length))
        print(f"{path.stem:<36} {_cells(row)}", flush=True)
    if not rows:
        raise UserError(f"--painted {arguments.painted}: holds no process of a picture of --pictures")
    means = {key: float(np.mean([getattr(row, key) for row in rows])) for key in vars(rows[0]) if key != "falls"}
    print(f"{'mean':<36} {_cells(_Row(**means, falls=all(row.falls for row in rows)))}", flush=True)
    if arguments.real is not None:
        for length in _LENGTHS:
            _print_distances(length, arguments.real, executed[length], own[length])


def _cells(row: _Row) -> str:
    return (
        f"{row.arrival:7.2f} ({row.own_arrival:5.2f}) {row.psnr_db:8.2f} {row.gain_db:+7.2f}  "
        f"{'yes' if row.falls else 'no':<5} {row.seconds:8.1f}"
    )


def _frames(folder: Path) -> NDArray[np.uint8] | None:
    files = sorted((folder / "frames").glob("*.png"))
    if not files:
        return None
    return np.stack([to_uint8(read_picture(file)) for file in files])


def _measured(execution: StrokeExecution, path: Path, frames: NDArray[np.uint8]) -> tuple[_Row, Painting, Painting]:
    """The row of a picture, its painting in the painter's order, and the one in the renderer's own order."""
    picture = read_picture(path)
    executed = execute(execution, frames, picture, 0, begun=False)
    choice = execution.renderer
    target = resized(picture, *canvas_size(picture.shape[:2], execution, picture))
    own = choice.renderer.paint(target, choice.config, np.random.SeedSequence(0))
    (own_finished,) = choice.renderer.replay(own.program, [len(own.program.strokes)])
    canvases = [frame / np.float32(255) for frame in executed.frames]
    distances = canvas_distances(list(canvases), canvases[0])
    row = _Row(
        arrival=executed.facts["arrival_agreement"],
        own_arrival=agreement(execution, own, (frames / np.float32(255)).astype(np.float32)),
        psnr_db=float(psnr_db(canvases[-1], target)),
        gain_db=float(psnr_db(canvases[-1], target) - psnr_db(own_finished, target)),
        falls=bool((np.diff(distances) < 0).all()),
        seconds=executed.facts["seconds"],
    )
    return row, executed.painting, own


def _states(name: str, painting: Painting, execution: StrokeExecution, length: int) -> Process:
    """`length` frames of a painting, without the blank canvas, at the size at which processes are compared."""
    steps = spaced_steps(painting.left, length + 1, "distance")[1:]
    size_px = (4 * _SIZE_PX, 4 * _SIZE_PX)
    aspect = painting.program.width_px / painting.program.height_px
    if aspect > 1:
        size_px = (size_px[0], round(size_px[0] * aspect))
    elif aspect < 1:
        size_px = (round(size_px[1] / aspect), size_px[1])
    canvases = execution.renderer.renderer.replay(painting.program, steps, size_px)
    return Process(name=name, frames=np.stack([to_uint8(canvas) for canvas in canvases])).prepared(length, _SIZE_PX)


def _print_distances(length: int, folder: Path, executed: Sequence[Process], own: Sequence[Process]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        reference = describe(real_sequences([folder], length, Path(scratch)), [])
    distances = [
        distance_to_painters(describe(sequences, []), reference, np.random.default_rng(0))
        for sequences in (executed, own)
    ]
    if not all(distances):
        print(f"{length} frames: too few sequences for distances")
        return
    painters_order, renderers_order = distances
    print(f"\n{length} frames, distance to real painters: the painter's order, and the renderer's own")
    num_nearer = 0
    for metric in (MEAN, *DISTANCE_METRICS):
        if metric in painters_order:
            print(f"  {metric:<22} {painters_order[metric].value:6.2f} {renderers_order[metric].value:6.2f}")
            num_nearer += metric != MEAN and painters_order[metric].value < renderers_order[metric].value
    print(
        f"  nearer to the real ones by {num_nearer} of {sum(metric in painters_order for metric in DISTANCE_METRICS)}",
        flush=True,
    )


if __name__ == "__main__":
    run_benchmark(main)
