"""What rows of `benchmarks.gpu` are trained on: sequences in parts, their latents, and a base of the real shapes.

Each part is a data set of its own, so that several processes can make parts at once, and more ranks get more parts.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["large", "small", "latents"]

# Sequences in one part, and parts per rank. They last for a step of 8 sequences of 512 px or 256 pictures of 128 px.
_LARGE_SEQUENCES, _SMALL_SEQUENCES, _SMALL_PARTS_PER_RANK = 8, 64, 4


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The data and the base in a folder.

    Attributes:
        out: the folder.
        trial: whether all of it is small enough for any machine.
        num_ranks: number of ranks for which there is enough data.
    """

    out: Path
    trial: bool
    num_ranks: int

    @property
    def base(self) -> Path:
        """A base with the shapes of Stable Diffusion 1.5, or with small ones for a trial."""
        return self.out / "base"

    def parts(self, kind: Kind) -> list[Path]:
        """The data sets of one kind."""
        parts_per_rank = _SMALL_PARTS_PER_RANK if kind == "small" and not self.trial else 1
        return [self.out / kind / f"{kind}-{number:02d}" for number in range(parts_per_rank * self.num_ranks)]

    def make(self, kinds: Set[Kind]) -> None:
        """Make the missing data sets of these kinds, and the base if they need it."""
        painted: list[Kind] = [kind for kind in ("large", "small") if kind in kinds]
        if "latents" in kinds and "large" not in painted:
            painted.append("large")
        for kind in painted:
            self._paint(kind)
        if kinds & {"large", "latents"} and not (self.base / "unet").is_dir():
            _save_base(self.base, self.trial)
        if "latents" in kinds:
            for frames, latents in zip(self.parts("large"), self.parts("latents"), strict=True):
                self._encode(frames, latents)

    def _paint(self, kind: Kind) -> None:
        """Paint bundled scenes: the first part alone, because it compiles the kernels, and then the others at once."""
        missing = [(number, part) for number, part in enumerate(self.parts(kind)) if not _is_made(part)]
        size_px = 64 if self.trial else 512 if kind == "large" else 128
        count = _LARGE_SEQUENCES if self.trial or kind == "large" else _SMALL_SEQUENCES

        def paint(numbered: tuple[int, Path]) -> None:
            number, part = numbered
            run_module("pipelines.synth", [
                f"out={part}", f"num_sequences={count}", f"size={size_px}", f"source.seed={number}", "renderer=small",
                "gallery=false", "val_fraction=0", "cluster=inline",
            ])  # fmt: skip

        for first in missing[:1]:
            paint(first)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(paint, missing[1:]))

    def _encode(self, frames: Path, latents: Path) -> None:
        if not _is_made(latents):
            run_module("pipelines.encode", [
                f"dataset={frames}", f"out={latents}", "model=sd15", f"model.path={self.base}",
            ])  # fmt: skip


def make_once(prepared: Prepared, kinds: Set[Kind], runs: Iterable[Path]) -> None:
    """On the first rank, make what is missing and remove the folders of runs; the other ranks wait for it.

    All ranks of one torchrun have the same parent process. Its id is part of the name of the file that they wait for.
    """
    done_file = prepared.out / f"prepared-{os.getppid()}"
    if os.environ.get("RANK", "0") == "0":
        prepared.out.mkdir(parents=True, exist_ok=True)
        for old_file in prepared.out.glob("prepared-*"):
            old_file.unlink()
        prepared.make(kinds)
        for run in runs:
            shutil.rmtree(run, ignore_errors=True)
        done_file.touch()
    while not done_file.is_file():
        time.sleep(0.1)


def run_module(module: str, overrides: list[str]) -> None:
    """Run a command in a process of its own, without its standard output.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    ranks = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    environment = {name: value for name, value in os.environ.items() if name not in ranks}  # the command is not a rank
    command = [sys.executable, "-m", module, *overrides]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)


def _is_made(part: Path) -> bool:
    return (part / "dataset.json").is_file()


def _save_base(folder: Path, trial: bool) -> None:
    import torch

    from benchmarks.paint import sd15_shaped

    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        base = _tiny_sd15() if trial else sd15_shaped(torch.float32).base
    # A text encoder needs an embedding for every token of its tokenizer, even with random weights.
    base.text_encoder.resize_token_embeddings(len(base.tokenizer))
    base.save(folder)


def _tiny_sd15() -> Any:
    from tests.training.models.small_base import small_base

    return small_base()
