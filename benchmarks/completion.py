"""Whether a painter goes on with an unfinished painting instead of painting another one, on held-out scenes.

    python -m benchmarks.completion --painter outputs/tiny/painter --data outputs/tiny/scenes

A real frame is pinned in the sequence, as `pipelines.paint task=complete` does, and the rest is painted. The paint of
the given frame should stay wherever the real process does not change it, which is where the real finished frame is
within 5 dE (CIE76) of the given one. The same is printed for real sequences, for ones painted without keeping the paint
of the given frame, and for ones painted without that frame.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.command_line import from_0, run_benchmark
from benchmarks.painter import Trial, errors_at, processes, trial_parser
from pipelines.evaluation.process import VISIBLE, Process, colour_difference
from pipelines.inference.loading import load_painter_pipeline


@dataclass(frozen=True, kw_only=True)
class Change:
    """Mean dE of a finished frame from an earlier one.

    Attributes:
        kept: over pixels that the real process leaves as they are; nan if there are none.
        elsewhere: over pixels that it changes; nan if there are none.
    """

    kept: float
    elsewhere: float


def main() -> None:
    """Measure, and print."""
    parser = trial_parser(__doc__ or "")
    parser.add_argument("--frame", type=from_0, default=2, help="which frame is given, from 0")
    arguments = parser.parse_args()
    pipeline, _ = load_painter_pipeline(arguments.painter, torch.float32, torch.device("cpu"), {})
    trial = Trial(pipeline, arguments.data, arguments.num_sequences, arguments.steps, arguments.guidance)
    at, last = arguments.frame, trial.real.shape[1] - 1
    if not 0 <= at < last:
        parser.error(f"--frame {at}: not allowed; allowed: 0 to {last - 1}")
    print(f"{len(trial.real)} held-out sequences, DDIM {arguments.steps}, guidance {arguments.guidance:g}")
    painted = {
        "given": trial.painted([at]),
        "paint not kept": trial.painted([at], keep=False),
        "not given": trial.painted([]),
    }

    print(f"\n{f'frame {at}':<16}MSE     L1      PSNR")
    for name, frames in painted.items():
        print(f"{name:<16}{errors_at([at], frames, trial.real)}")

    real = processes(trial.real)
    masks = [left_alone(process, at) for process in real]
    sets = {"real": real, **{name: processes(frames) for name, frames in painted.items()}}
    print(f"\nthe real process leaves {100 * np.mean(masks):.0f} % of the pixels as they are after frame {at}")
    print("dE of the finished frame from  the given frame        its own frame")
    print(f"{'':<30}kept   elsewhere      kept   elsewhere")
    for name, sequences in sets.items():
        from_given_frame = [
            change(given.lab[at], painting.lab[-1], mask)
            for given, painting, mask in zip(real, sequences, masks, strict=True)
        ]
        from_own_frame = [change(one.lab[at], one.lab[-1], mask) for one, mask in zip(sequences, masks, strict=True)]
        print(f"{name:<26}{_cells(from_given_frame)}    {_cells(from_own_frame)}")

    print(f"\nmean dE to the own finished frame, frames {at} to {last}; share in which it falls at every one of them")
    for name, sequences in sets.items():
        curves = np.stack([one.to_end[at:].mean((1, 2)) for one in sequences])
        falls = falls_throughout(curves).mean()
        print(f"{name:<16}{' '.join(f'{value:5.1f}' for value in curves.mean(0))}   {100 * falls:.0f} %")

    print("\nfinished frame against the real one: MSE, L1, PSNR")
    nothing_done = trial.real[:, [at]].expand_as(trial.real)
    for name, frames in {**painted, "nothing done": nothing_done}.items():
        print(f"{name:<16}{errors_at([last], frames, trial.real)}")


def left_alone(real: Process, frame: int) -> NDArray[np.bool_]:
    """(H, W) pixels that look the same in this frame and in the finished one, so that nothing new is painted there."""
    same: NDArray[np.bool_] = real.to_end[frame] <= VISIBLE
    return same


def change(before: NDArray[np.float32], after: NDArray[np.float32], unchanged: NDArray[np.bool_]) -> Change:
    """Mean dE between two frames (H, W, 3) in CIELAB, inside a mask (H, W) and outside it."""
    difference = colour_difference(after, before)
    return Change(kept=_mean(difference[unchanged]), elsewhere=_mean(difference[~unchanged]))


def falls_throughout(curves: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(N,) which of (N, T) curves fall at every step."""
    return np.asarray((np.diff(curves, axis=1) < 0).all(1), np.bool_)


def _mean(values: NDArray[np.float32]) -> float:
    return float(values.mean()) if values.size else float("nan")


def _cells(changes: Sequence[Change]) -> str:
    """Cells of a row: means over the sequences that have such pixels."""
    unchanged, elsewhere = np.nanmean([(one.kept, one.elsewhere) for one in changes], axis=0)
    return f"{unchanged:8.2f}    {elsewhere:8.2f}"


if __name__ == "__main__":
    run_benchmark(main)
