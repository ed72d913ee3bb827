"""What rows of `benchmarks.gpu` are trained on: sequences in parts, their latents, and a base of the real shapes.

Parts are data sets of their own, so that several processes make them, and more of them when more ranks train.
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

# Sequences of a part, and parts for each rank: a step of 8 sequences of 512 px, and one of 256 pictures of 128 px.
_LARGE, _SMALL, _SMALL_PARTS = 8, 64, 4


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What lies in a folder.

    Attributes:
        out: the folder.
        trial: small, on any machine.
        num_ranks: for which there is enough.
    """

    out: Path
    trial: bool
    num_ranks: int

    @property
    def base(self) -> Path:
        """A base of the shapes of Stable Diffusion 1.5, or of small ones."""
        return self.out / "base"

    def parts(self, kind: Kind) -> list[Path]:
        """Data sets of some kind."""
        a_rank = _SMALL_PARTS if kind == "small" and not self.trial else 1
        return [self.out / kind / f"{kind}-{number:02d}" for number in range(a_rank * self.num_ranks)]

    def make(self, kinds: Set[Kind]) -> None:
        """Make what is missing."""
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
        """Bundled scenes; the first part compiles the kernels of all, which are painted side by side."""
        missing = [(number, part) for number, part in enumerate(self.parts(kind)) if not _is_made(part)]
        size_px = 64 if self.trial else 512 if kind == "large" else 128
        count = _LARGE if self.trial or kind == "large" else _SMALL

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
    """Make what is missing on the first rank, and remove folders of runs; the others wait.

    All ranks of one torchrun have one parent, whose number says which mark they wait for.
    """
    mark = prepared.out / f"prepared-{os.getppid()}"
    if os.environ.get("RANK", "0") == "0":
        prepared.out.mkdir(parents=True, exist_ok=True)
        for old in prepared.out.glob("prepared-*"):
            old.unlink()
        prepared.make(kinds)
        for run in runs:
            shutil.rmtree(run, ignore_errors=True)
        mark.touch()
    while not mark.is_file():
        time.sleep(0.1)


def run_module(module: str, overrides: list[str]) -> None:
    """A command in a process of its own, with what it prints left out.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    ranks = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    environment = {name: value for name, value in os.environ.items() if name not in ranks}  # it is none of them
    command = [sys.executable, "-m", module, *overrides]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)


def _is_made(part: Path) -> bool:
    return (part / "dataset.json").is_file()


def _save_base(folder: Path, trial: bool) -> None:
    import torch

    from benchmarks.paint import sd15_shaped

    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        made = _tiny_sd15() if trial else sd15_shaped(torch.float32).base
    # The words of random weights do not matter, but a text encoder must know as many as its tokenizer.
    made.text_encoder.resize_token_embeddings(len(made.tokenizer))
    made.save(folder)


def _tiny_sd15() -> Any:
    from tests.training.models.small_base import small_base

    return small_base()
