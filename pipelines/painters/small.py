"""A painter in a given time, on one machine: data, training, the finished folder, what it paints and how good that is.

    python -m pipelines.painters.small --seconds 600 --out outputs/small        # as `make train-small`
    python -m pipelines.painters.small --seconds 120 --out outputs/trial --processes 2
    python -m pipelines.painters.small --data outputs/alone outputs/scenes      # data sets that are there

Every stage of training gets a share of the time. A few steps are run first and thrown away; their speed says how many
steps the stage takes, so that its learning rate falls at the right moment. A stage that is slower than its trial
is stopped when its time is up, and ends with the steps it has done. Ray is not needed: several processes of
`pipelines.synth cluster=inline` paint data sets of their own.
"""

import argparse
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from conf.command import COMPLETE, INTERRUPTED
from conf.compose import compose
from conf.errors import UserError
from conf.progress import tell
from pipelines.painters.clock import Clock
from pipelines.painters.small_data import synthesise
from pipelines.painters.small_judging import judge
from pipelines.painters.timed_run import last_line, newest_step, run_stage
from training.data.claim import claimed_folder
from training.data.dataset import read_card

if TYPE_CHECKING:
    from training.config import TrainConfig

STAGES = {"words": 0.06, "base": 0.48, "motion": 0.26, "replication": 0.20}
"""Stages in their order, and the share of the training time that each gets."""
_SYNTHESIS_SHARE = 0.15  # of the whole time, without the compilation of kernels
_ENDING_SHARE = 0.15  # of the whole time, for assembling, painting and judging
_TRIAL_STEPS = 12  # besides those whose batches workers have read before the first step
_BATCHES_AHEAD = 2  # that each worker reads, see `training.data.loader`
# Largest share of the remaining time for a trial; if little time remains, starting alone takes longer than the share.
_LARGEST_TRIAL_SHARE = 0.2
_COOLDOWN = 0.35  # share of a stage's steps over which its learning rate falls
_SMALLEST_SECONDS = 60.0
_MARK = "small_painter.json"
_MADE = (
    "data", "timed_data", "trial_data", "trial", "runs", "painter", "pictures", "painted", "evaluation", "sheet.png",
)  # fmt: skip
_GRAPHS = "cuda_graphs=true"


@dataclass(frozen=True, kw_only=True)
class Size:
    """Sizes of pictures, networks and batches.

    Attributes:
        size_px: side of the pictures.
        channels: channels of the UNet's levels.
        batches: stage -> samples per step.
        num_painted: number of held-out pictures whose processes are painted and judged at the end.
        num_workers: number of processes that read data.
        training_keys: more keys of `training.train`.
    """

    size_px: int
    channels: tuple[int, ...]
    batches: dict[str, int]
    num_painted: int
    num_workers: int = 0
    training_keys: tuple[str, ...] = ()

    @property
    def trial_steps(self) -> int:
        """Steps of a trial: enough that the last ones have waited for reading if reading is slow."""
        return _TRIAL_STEPS + _BATCHES_AHEAD * self.num_workers

    def without_graphs(self) -> "Size":
        """The same sizes without CUDA graphs: each kernel of a step is queued on its own."""
        return replace(self, training_keys=tuple(key for key in self.training_keys if key != _GRAPHS))


ON_GPU = Size(
    size_px=128,
    channels=(48, 96, 144, 144),
    batches={"words": 512, "base": 512, "motion": 32, "replication": 32},
    num_painted=16,
    num_workers=max(1, (os.cpu_count() or 1) - 2),
    training_keys=(_GRAPHS,),
)
ON_CPU = Size(
    size_px=64,
    channels=(32, 64, 64),
    batches={"words": 64, "base": 16, "motion": 4, "replication": 4},
    num_painted=4,
    training_keys=("precision=fp32", "model.shape.plain_levels=1"),
)


def make(out: Path, seconds: float, num_processes: int, size: Size, given: Sequence[Path] = ()) -> Path:
    """Make a painter; returns its folder.

    Args:
        out: a new folder, or one that this command made; what it made there is replaced.
        seconds: time for everything.
        num_processes: number of processes that paint the data.
        size: sizes of pictures and networks.
        given: existing data sets to train on; the held-out pictures of the last one are painted and judged.

    Raises:
        UserError: if the folder holds something else, the time is too short, a data set is invalid, or a part fails.
    """
    if num_processes < 1:
        raise UserError(f"--processes {num_processes}: not allowed; allowed: 1 or more")
    if not _SMALLEST_SECONDS <= seconds < math.inf:
        raise UserError(f"--seconds {seconds:g}: not allowed; allowed: {_SMALLEST_SECONDS:g} or more")
    for folder in given:
        if folder.resolve().is_relative_to(out.resolve()):
            raise UserError(f"--data {folder}: lies in --out {out}, which is emptied; allowed: a data set elsewhere")
        read_card(folder)  # before anything is written
    with claimed_folder(out, what="a painter made by this command", card=_MARK, check=lambda: None):
        return _make_claimed(out, seconds, num_processes, size, given)


def _make_claimed(out: Path, seconds: float, num_processes: int, size: Size, given: Sequence[Path]) -> Path:
    _empty(out)
    clock = Clock(seconds)
    data = given or synthesise(out, max(2, num_processes), size.size_px, seconds * _SYNTHESIS_SHARE, clock)
    parents: dict[str, Path] = {}
    for stage in STAGES:
        parents[stage] = _train(stage, parents, data, out, size, seconds * _ENDING_SHARE, clock)
    painter = _assemble(parents, out)
    judge(painter, data[-1], out, size.num_painted, clock)
    clock.say(f"{painter}: done with {clock.left_s:.0f} s left")
    return painter


def _empty(out: Path) -> None:
    """Remove what this command made before, and mark the folder as made by it; what others put there stays."""
    for path in (out / name for name in _MADE if (out / name).exists()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    (out / _MARK).write_text(json.dumps({"stages": list(STAGES)}) + "\n", encoding="utf-8")


def _train(
    stage: str, parents: dict[str, Path], data: Sequence[Path], out: Path, size: Size, ending_s: float, clock: Clock
) -> Path:
    """Train one stage in its share of the remaining time without the last `ending_s`; returns the run's folder."""
    trial = out / "trial" / stage
    size, trial_s = _run_trial(stage, parents, data, trial, size, clock)
    step_s = last_line(trial).get("perf/step_s", trial_s / size.trial_steps)
    starting_s = max(0.0, trial_s - size.trial_steps * step_s)  # loading and slow first steps, as in the run itself
    later_stages = list(STAGES)[list(STAGES).index(stage) + 1 :]
    all_starts_s = starting_s * (1 + 2 * len(later_stages))  # of this run, and of later runs and their trials
    share = STAGES[stage] / sum(STAGES[each] for each in (stage, *later_stages))
    training_s = max(0.0, (clock.left_s - ending_s - all_starts_s) * share)
    max_steps = max(_TRIAL_STEPS, round(training_s / step_s))
    clock.say(f"stage {stage}: {max_steps} steps of {step_s * 1000:.1f} ms")
    folder = out / "runs" / stage
    config = _config(stage, parents, data, folder, size, max_steps)
    if run_stage(config, until_s=starting_s + training_s).exit_code != COMPLETE:  # nobody but the clock stopped it
        done = newest_step(folder)
        clock.say(f"stage {stage}: out of time after {done} steps")
        run_stage(_config(stage, parents, data, folder, size, done, cooldown=max_steps))
    if "train/loss" in (last := last_line(folder)):
        clock.say(f"stage {stage}: loss {last['train/loss']:.4f}")
    shutil.rmtree(trial)
    return folder


def _run_trial(
    stage: str, parents: dict[str, Path], data: Sequence[Path], folder: Path, size: Size, clock: Clock
) -> tuple[Size, float]:
    """Run a few steps; returns the sizes, without CUDA graphs if these fail, and the seconds that the trial took."""
    start = time.monotonic()
    config = _config(stage, parents, data, folder, size, size.trial_steps)
    try:
        run_stage(config, until_s=clock.left_s * _LARGEST_TRIAL_SHARE)
        return size, time.monotonic() - start
    except Exception as error:
        if _GRAPHS not in size.training_keys:
            raise
        reason = " ".join(str(error).partition("\n")[0].split()) or type(error).__name__
    # Outside the except clause, which would keep the failed run's GPU memory alive.
    clock.say(f"stage {stage}: without CUDA graphs; its trial with them failed: {reason}")
    shutil.rmtree(folder, ignore_errors=True)
    return _run_trial(stage, parents, data, folder, size.without_graphs(), clock)


def _config(
    stage: str,
    parents: dict[str, Path],
    data: Sequence[Path],
    folder: Path,
    size: Size,
    max_steps: int,
    cooldown: int | None = None,
) -> "TrainConfig":
    """The configuration of a run.

    Args:
        max_steps: steps of the run.
        cooldown: steps that the run was planned for, if it ends earlier; they decide when the learning rate falls.
    """
    from training.config import train_config

    mixture = ",".join(f"{{path: {path}}}" for path in data)
    parent_keys = {"words": {}, "base": {"base": "words"}, "motion": {"base": "base"}}
    named = parent_keys.get(stage, {"base": "base", "motion": "motion"})
    overrides = [
        "+experiment=small", f"stage={stage}", f"data=[{mixture}]", f"out={folder}", f"max_steps={max_steps}",
        *(f"{key}={parents[run]}" for key, run in named.items()),
        f"batch_size={size.batches[stage]}", f"optimizer.cooldown_steps={round(_COOLDOWN * (cooldown or max_steps))}",
        f"model.shape.channels={list(size.channels)}".replace(" ", ""),
        f"log_every={max(1, min(20, max_steps // 4))}", "validate_every=0", "sample_every=0",
        "checkpoint_every=1000000", f"num_workers={size.num_workers}", *size.training_keys,
    ]  # fmt: skip
    return train_config(compose("train", overrides))


def _assemble(parents: dict[str, Path], out: Path) -> Path:
    from training.assemble import assemble_config
    from training.assemble import run as assemble

    painter = out / "painter"
    overrides = [f"{key}={folder}" for key, folder in parents.items()]
    assemble(assemble_config(compose("assemble", [*overrides, "dtype=fp16", f"out={painter}"])))
    return painter


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/small"))
    parser.add_argument("--seconds", type=float, default=600.0, help="for everything, kernels and start included")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="that paint the data")
    parser.add_argument("--data", type=Path, nargs="+", default=(), help="data sets to train on, instead of new ones")
    options = parser.parse_args(arguments)
    import torch

    size = ON_GPU if torch.cuda.is_available() else ON_CPU
    try:
        make(options.out, options.seconds, options.processes, size, options.data)
    except UserError as error:
        tell("error: " + " ".join(str(error).splitlines()))
        return 2
    except KeyboardInterrupt:
        tell("interrupted; the same command begins again")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
