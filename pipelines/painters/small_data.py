"""Data for a painter that is made in a limited time: as many scenes as several processes can paint in their share."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from conf.command import COMPLETE
from conf.errors import UserError
from pipelines.painters.clock import Clock

_ALONE_SHARE = 0.75  # of the data sets: they show one thing alone, from which words are learnt


def synthesise(out: Path, num_processes: int, size_px: int, seconds: float, clock: Clock) -> list[Path]:
    """Data sets of as many sequences as the time allows; the last one shows whole scenes and is the reference."""
    trial = out / "trial_data"
    clock.say("compiling kernels, once on a machine")
    _synth(trial, 4, 10_000, size_px, alone=False)
    start = time.monotonic()
    _synth(out / "timed_data", 24, 10_001, size_px, alone=False)
    per_process = max(24, round(seconds / max((time.monotonic() - start) / 24, 1e-3)))
    clock.say(f"painting {per_process * num_processes} sequences in {num_processes} processes")
    num_alone = min(num_processes - 1, round(_ALONE_SHARE * num_processes))
    folders = [
        out / "data" / f"{'alone' if number < num_alone else 'scenes'}-{number:02d}" for number in range(num_processes)
    ]
    running = [
        _start_synth(folder, per_process, number, size_px, alone=number < num_alone)
        for number, folder in enumerate(folders)
    ]
    failed = [process for process in running if process.wait() != COMPLETE]
    if failed:
        raise UserError(f"{len(failed)} of {num_processes} processes of pipelines.synth failed; their output is above")
    return folders


def _synth(folder: Path, num_sequences: int, seed: int, size_px: int, *, alone: bool) -> None:
    if _start_synth(folder, num_sequences, seed, size_px, alone=alone).wait() != COMPLETE:
        raise UserError(f"{folder}: pipelines.synth failed; its output is above")
    shutil.rmtree(folder)


def _start_synth(folder: Path, num_sequences: int, seed: int, size_px: int, *, alone: bool) -> subprocess.Popen[bytes]:
    overrides = [
        "renderer=small", f"size={size_px}", f"num_sequences={num_sequences}", f"source.seed={seed}",
        f"source.alone={str(alone).lower()}", "cluster=inline", "gallery=false", "val_fraction=0.1", f"out={folder}",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "process_painter", "synth", *overrides], env=environment, stdout=subprocess.DEVNULL
    )
