"""The inputs of the commands: pictures and videos are drawn, all others are made by the commands themselves."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2

from pipelines.kernels import main as kernels
from tests.chaos import commands
from tests.chaos.commands import OUT, Subject
from tests.chaos.running import FIRST_RUN_S, Running, import_all
from tests.pipelines.artists.ingest_runs import stages
from tests.pipelines.artists.time_lapse import write_video
from tests.pipelines.runs import save_picture


def _pictures(folder: Path) -> None:
    """Write six pictures in two formats, and one that cannot be decoded."""
    for number in range(6):
        save_picture(folder / f"picture{number}.{'jpg' if number % 2 else 'png'}", number)
    (folder / "picture9.png").write_bytes((folder / "picture0.png").read_bytes()[:300])


def _scans(folder: Path) -> None:
    """Write three paintings of six stages each."""
    for number in range(3):
        (folder / f"painting{number}").mkdir()
        for stage, picture in enumerate(stages(6, seed=number)):
            cv2.imwrite(str(folder / f"painting{number}" / f"{stage}.png"), picture)


def _videos(folder: Path) -> None:
    """Write two short videos."""
    for number in range(2):
        write_video(folder / f"film{number}.mkv", stages(12, seed=number))


_DRAWN: dict[str, Callable[[Path], None]] = {"pictures": _pictures, "scans": _scans, "videos": _videos}
_MADE: dict[str, Subject] = {
    "data": commands.SCENES,
    "words": commands.WORDS,
    "base": commands.BASE,
    "motion": commands.MOTION,
    "replication": commands.REPLICATION,
    "spatial_lora": commands.SPATIAL_LORA,
    "latents": commands.ENCODE,
    "painter": commands.ASSEMBLE,
    "painted": commands.BATCH,
}  # in the order in which they can be made


def make_inputs(workshop: Path, subjects: Sequence[Subject]) -> None:
    """Make the missing parts of `WORKSHOP/in`, and import into this process the modules that the commands need.

    Args:
        workshop: the folder.
        subjects: the commands whose inputs are made.

    Raises:
        RuntimeError: if a command fails undisturbed.
    """
    (workshop / "in").mkdir(parents=True, exist_ok=True)
    needed = _needed(subjects)
    for name, draw in _DRAWN.items():
        if name in needed and not (workshop / "in" / name).exists():
            unfinished = workshop / f"{name}.begun"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            draw(unfinished)
            unfinished.rename(workshop / "in" / name)
    for name, subject in _MADE.items():
        if name not in needed:
            continue
        modules = workshop / f"{name}.modules"
        if not (workshop / "in" / name).exists() or not modules.exists():
            shutil.rmtree(workshop / "disk", ignore_errors=True)
            (workshop / "disk").mkdir()
            end = Running(subject.words, workshop, modules=modules).end(FIRST_RUN_S)
            if end.code not in (0, 3):
                raise RuntimeError(f"{subject.name} fails undisturbed: {end.out}{end.err}")
            shutil.rmtree(workshop / "in" / name, ignore_errors=True)
            (workshop / OUT).rename(workshop / "in" / name)
        import_all(modules)
    kernels({"bezier", "brush"} if commands.MIX in subjects else {"bezier"})  # loaded once, for all forked processes


def _needed(subjects: Sequence[Subject]) -> set[str]:
    """Names of the inputs of these commands, and of all inputs from which those are made."""
    own = {name for subject in subjects for name in (*subject.needs, subject.begun) if name is not None}
    makers = [maker for name, maker in _MADE.items() if name in own]
    return own | _needed(makers) if makers else own
