"""A painter in a given time, on one machine: data, training, the finished folder, what it paints and how good that is.

    python -m pipelines.painters.small --seconds 600 --out outputs/small        # as `make train-small`
    python -m pipelines.painters.small --seconds 120 --out outputs/trial --processes 2

Every stage of training gets a share of the time. A few steps are run first and thrown away; their speed says how many
steps the stage takes, so that its learning rate falls at the right moment. A stage that is slower than its trial
is told to stop when its time is over, and ends with the steps it has done. Ray is not needed: several processes of
`pipelines.synth cluster=inline` paint data sets of their own.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from conf.command import COMPLETE, Summary
from conf.compose import compose
from conf.errors import UserError
from conf.shown import shown
from training.data.claim import claimed_folder

if TYPE_CHECKING:
    from training.config import TrainConfig

STAGES = {"words": 0.06, "base": 0.48, "motion": 0.26, "replication": 0.20}
"""Stages in their order, and the share of the time for training that each gets."""
_SYNTHESIS_SHARE = 0.15  # of all the time, kernels not counted
_ENDING_SHARE = 0.15  # of all the time, for assembling, painting and judging
_ALONE = 0.75  # share of the data that shows one thing alone, from which words are learnt
_TRIAL_STEPS = 12
_COOLDOWN = 0.35  # share of a stage's steps over which its learning rate falls
_SMALLEST_SECONDS = 60.0
_MARK = "small_painter.json"


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large everything is.

    Attributes:
        size_px: side of the pictures.
        channels: of the UNet's levels.
        batches: samples a step of each stage.
        num_painted: held-out pictures whose processes are painted and judged at the end.
        training_keys: more keys of `training.train`.
    """

    size_px: int
    channels: tuple[int, ...]
    batches: dict[str, int]
    num_painted: int
    training_keys: tuple[str, ...] = ()


ON_GPU = Size(
    size_px=128,
    channels=(96, 192, 192),
    batches={"words": 512, "base": 256, "motion": 32, "replication": 32},
    num_painted=16,
)
ON_CPU = Size(
    size_px=64,
    channels=(32, 64, 64),
    batches={"words": 64, "base": 16, "motion": 4, "replication": 4},
    num_painted=4,
    training_keys=("num_workers=0", "precision=fp32"),
)


class Clock:
    """What is left of the time.

    Args:
        seconds: from now to the end.
    """

    def __init__(self, seconds: float) -> None:
        self._start, self._end = time.monotonic(), time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds until the end."""
        return self._end - time.monotonic()

    def say(self, line: str) -> None:
        """Print a line behind the seconds since the beginning."""
        sys.stdout.write(f"[{time.monotonic() - self._start:6.1f} s] {line}\n")
        sys.stdout.flush()


def make(out: Path, seconds: float, num_processes: int, size: Size) -> Path:
    """Make a painter; returns its folder.

    Args:
        out: a new folder, or one that this command made, which is made again.
        seconds: for everything.
        num_processes: that paint the data.
        size: of pictures and networks.

    Raises:
        UserError: if the folder holds something else, the time is too short, or a part fails.
    """
    if seconds < _SMALLEST_SECONDS:
        raise UserError(f"--seconds {seconds:g}: too few; allowed: {_SMALLEST_SECONDS:g} or more")
    with claimed_folder(out, what="a painter made by this command", card=_MARK, check=lambda: None):
        return _made(out, seconds, num_processes, size)


def _made(out: Path, seconds: float, num_processes: int, size: Size) -> Path:
    _emptied(out)
    clock = Clock(seconds)
    data = _synthesise(out, num_processes, size, seconds * _SYNTHESIS_SHARE, clock)
    parents: dict[str, Path] = {}
    for number, (stage, share) in enumerate(STAGES.items()):
        later = sum(list(STAGES.values())[number:])
        stage_s = (clock.left_s - seconds * _ENDING_SHARE) * share / later
        parents[stage] = _train(stage, parents, data, out, size, stage_s, clock)
    painter = _assemble(parents, out)
    _judge(painter, data[-1], out, size, clock)
    clock.say(f"{painter}: done with {clock.left_s:.0f} s left")
    return painter


def _emptied(out: Path) -> None:
    """Take away what this command made before, and say that the folder is its own."""
    for path in out.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    (out / _MARK).write_text(json.dumps({"stages": list(STAGES)}) + "\n", encoding="utf-8")


def _synthesise(out: Path, num_processes: int, size: Size, seconds: float, clock: Clock) -> list[Path]:
    """Data sets of as many sequences as the time allows; the last one shows whole scenes and is the reference."""
    trial = out / "trial_data"
    clock.say("compiling kernels, once on a machine")
    _synth(trial, 4, 10_000, size, alone=False)
    start = time.monotonic()
    _synth(out / "timed_data", 24, 10_001, size, alone=False)
    per_process = max(24, round(seconds / max((time.monotonic() - start) / 24, 1e-3)))
    clock.say(f"painting {per_process * num_processes} sequences in {num_processes} processes")
    num_alone = min(num_processes - 1, round(_ALONE * num_processes))
    folders = [
        out / "data" / f"{'alone' if number < num_alone else 'scenes'}-{number:02d}" for number in range(num_processes)
    ]
    running = [
        _start_synth(folder, per_process, number, size, alone=number < num_alone)
        for number, folder in enumerate(folders)
    ]
    failed = [process for process in running if process.wait() != COMPLETE]
    if failed:
        raise UserError(f"{len(failed)} of {num_processes} processes of pipelines.synth failed; their output is above")
    return folders


def _synth(folder: Path, num_sequences: int, seed: int, size: Size, *, alone: bool) -> None:
    if _start_synth(folder, num_sequences, seed, size, alone=alone).wait() != COMPLETE:
        raise UserError(f"{folder}: pipelines.synth failed; its output is above")
    shutil.rmtree(folder)


def _start_synth(folder: Path, num_sequences: int, seed: int, size: Size, *, alone: bool) -> subprocess.Popen[bytes]:
    overrides = [
        "renderer=small", f"size={size.size_px}", f"num_sequences={num_sequences}", f"source.seed={seed}",
        f"source.alone={str(alone).lower()}", "cluster=inline", "gallery=false", "val_fraction=0.1", f"out={folder}",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "process_painter", "synth", *overrides], env=environment, stdout=subprocess.DEVNULL
    )


def _train(
    stage: str, parents: dict[str, Path], data: Sequence[Path], out: Path, size: Size, seconds: float, clock: Clock
) -> Path:
    """One stage, in its time; returns the run's folder."""
    start = time.monotonic()
    trial = out / "trial" / stage
    _run_stage(_config(stage, parents, data, trial, size, _TRIAL_STEPS), until_s=seconds / 3)
    trial_s = time.monotonic() - start
    step_s = _last_line(trial).get("perf/step_s", trial_s / _TRIAL_STEPS)
    starting_s = max(0.0, trial_s - _TRIAL_STEPS * step_s)  # loading and first steps, which come once more
    left_s = max(1.0, seconds - trial_s)
    max_steps = max(_TRIAL_STEPS, round((left_s - starting_s) / step_s))
    clock.say(f"stage {stage}: {max_steps} steps of {step_s * 1000:.1f} ms")
    folder = out / "runs" / stage
    config = _config(stage, parents, data, folder, size, max_steps)
    if _run_stage(config, until_s=left_s).exit_code != COMPLETE:
        done = _newest_step(folder)
        clock.say(f"stage {stage}: out of time after {done} steps")
        _run_stage(_config(stage, parents, data, folder, size, done, cooldown=max_steps))
    if "train/loss" in (last := _last_line(folder)):
        clock.say(f"stage {stage}: loss {last['train/loss']:.4f}")
    shutil.rmtree(trial)
    return folder


def _config(
    stage: str,
    parents: dict[str, Path],
    data: Sequence[Path],
    folder: Path,
    size: Size,
    max_steps: int,
    cooldown: int | None = None,
) -> "TrainConfig":
    """Of a run. `cooldown`: the steps that the run was planned for, where it ends before."""
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
        "checkpoint_every=1000000", *size.training_keys,
    ]  # fmt: skip
    return train_config(compose("train", overrides))


def _run_stage(config: "TrainConfig", until_s: float | None = None) -> Summary:
    """Train; after `until_s` seconds the run is told to save and stop, as a scheduler would."""
    from training.train import run

    over = threading.Event()

    def remind() -> None:
        while not over.wait(until_s if not reminded else 1.0):
            reminded.append(True)
            os.kill(os.getpid(), signal.SIGTERM)

    reminded: list[bool] = []
    # The run has a handler of its own while it trains; before and after that the signal would end this process.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    reminder = threading.Thread(target=remind, daemon=True)
    if until_s is not None:
        reminder.start()
    try:
        return run(config)
    finally:
        over.set()
        if until_s is not None:
            reminder.join()
        signal.signal(signal.SIGTERM, before)


def _last_line(folder: Path) -> dict[str, float]:
    """What a run measured last; nothing, where it was stopped before its first line."""
    lines = (folder / "log.jsonl").read_text("utf-8").splitlines()
    line: dict[str, float] = json.loads(lines[-1]) if lines else {}
    return line


def _newest_step(folder: Path) -> int:
    from training.run.checkpoint import newest_sound

    checkpoint = newest_sound(folder / "checkpoints", print)
    if checkpoint is None:
        raise UserError(f"{folder}: no step was done in its time; allowed: more --seconds")
    return checkpoint.step


def _assemble(parents: dict[str, Path], out: Path) -> Path:
    from training.assemble import assemble_config
    from training.assemble import run as assemble

    painter = out / "painter"
    overrides = [f"{key}={folder}" for key, folder in parents.items()]
    assemble(assemble_config(compose("assemble", [*overrides, "dtype=fp16", f"out={painter}"])))
    return painter


def _judge(painter: Path, reference: Path, out: Path, size: Size, clock: Clock) -> None:
    """Paint held-out pictures' processes, a sheet of them, and judge them by the process metrics."""
    from pipelines.evaluate import evaluate_config
    from pipelines.evaluate import run as evaluate
    from pipelines.paint import run as paint
    from pipelines.painting.config import paint_config

    pictures = _held_out_pictures(reference, out / "pictures", size.num_painted)
    overrides = [f"painter={painter}", "steps=20", "guidance=1", f"batch_size={size.num_painted}"]
    paint(
        paint_config(compose("paint", ["task=reconstruct", f"image={pictures}", f"out={out / 'painted'}", *overrides]))
    )
    clock.say(f"painted: {out / 'painted' / 'index.html'}")
    _sheet(out / "painted", out / "sheet.png")
    compared = [f"generated={out / 'painted'}", f"reference={reference}", f"out={out / 'evaluation'}", "num_frames=8"]
    for line in evaluate(evaluate_config(compose("evaluate", compared))).lines:
        clock.say(line)


def _held_out_pictures(reference: Path, folder: Path, most: int) -> Path:
    """The finished pictures of the val split, as files."""
    from PIL import Image

    from training.data.stream import DataMixture, SequenceStream

    stream = SequenceStream.open((DataMixture(path=str(reference)),), split="val", frames="last")
    first = stream.first(0, min(most, len(stream)))
    assert first.frames is not None
    pixels = ((first.frames[:, -1] + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    folder.mkdir()
    for key, picture in zip(first.keys, pixels, strict=True):
        Image.fromarray(picture).save(folder / f"{Path(key).name}.png")  # by which judging finds the real process
    return folder


def _sheet(painted: Path, path: Path) -> None:
    """All frames of all processes: a row each."""
    import numpy as np
    from PIL import Image

    from training.run.samples import side_by_side

    processes = [sorted(folder.glob("*.png")) for folder in sorted(painted.glob("*/frames"))]
    frames = np.stack([np.stack([np.asarray(Image.open(frame)) for frame in process]) for process in processes])
    Image.fromarray(side_by_side(frames)).save(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/small"))
    parser.add_argument("--seconds", type=float, default=600.0, help="for everything, kernels and start included")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="that paint the data")
    given = parser.parse_args(arguments)
    import torch

    size = ON_GPU if torch.cuda.is_available() else ON_CPU
    try:
        make(given.out, given.seconds, max(2, given.processes), size)
    except UserError as error:
        sys.stderr.write("error: " + shown(" ".join(str(error).splitlines())) + "\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
