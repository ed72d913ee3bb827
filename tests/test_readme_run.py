"""README and docs followed to the letter in an empty folder: commands run, and those whose output is shown print it.

That every shell passes every line on as it is meant is tested in `test_commands_in_docs.py`; here lines run, in turn by
each shell at hand. Commands whose output is not shown are scaled down by keys at their end.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.documented_inputs import make_importable
from tests.pipelines.artists.ingest_runs import save, sheet_of, stages
from tests.pipelines.artists.time_lapse import painting, write_video
from tests.pipelines.runs import REPOSITORY, save_picture
from tests.renderers.actors import save_small_actor
from tests.test_commands_in_docs import SHELLS, printed_lines

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]

FIRST = {
    "README.md": 4, "docs/pictures.md": 8, "docs/artists.md": 3, "docs/painter.md": 1, "docs/export.md": 7,
    "docs/importing.md": 9, "docs/metrics.md": 1, "docs/painting-in-strokes.md": 5,
}  # fmt: skip
"""Pages for newcomers and how many lines of them run, in the order in which they are followed: in one folder, which
holds what `make demo` makes."""
FEW = ["size=64", "num_frames=2", "gallery=false", "cluster=inline", "num_sequences=2", "val_fraction=0"]
SCALED = {
    "pipelines.synth": FEW,
    "pipelines.ingest": ["size=64", "gallery=false", "cluster=inline"],
    "pipelines.paint": ["steps=2"],
    "pipelines.publish": ["dry_run=true"],
    "pipelines.film": ["size=128", "seconds=1", "canvas_px=64", "overwrite=true"],
    "pipelines.export": ["canvas_px=64", "renderer.num_strokes=50", "overwrite=true"],
    "training.train": [
        *("max_steps=1", "batch_size=2", "num_workers=0", "tracker=none", "sample_every=0", "validate_every=0")
    ],
    "training.assemble": [],
    "pipelines.encode": [],
    "pipelines.evaluate": [],
}
NOT_RUN = (
    *("model=sd15", "model=wan22 ", "models/wan22", "offload=model", "sam.checkpoint="),
    *("mode=online", "cluster.address=", "s3://", "USER/SET", "pipelines.app", "benchmarks.", "docs.", "tests.chaos"),
)
"""Lines that need weights or machines of others, serve, or measure for long; elsewhere it is tested that they are
understood."""
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
TOLERANCE = 0.1  # of figures: kernels round differently on other processors
RATES = re.compile(r" in [\d.]+ s, [\d.]+/s")


def shown_runs(text: str) -> list[tuple[str, list[str]]]:
    """Commands behind a `$` in blocks of code, and the lines that are shown below each."""
    runs: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                runs.append((line[2:], []))
            elif runs and "$ " in block:
                runs[-1][1].append(line)
    return runs


def figures(line: str) -> tuple[str, list[float]]:
    """A line with its numbers taken out, and they."""
    line = RATES.sub("", line)
    return NUMBER.sub("#", line), [float(number.replace(",", "")) for number in NUMBER.findall(line)]


def assert_printed(expected: list[str], printed: str, command: str) -> None:
    """The same lines, figures by tolerance."""
    lines = printed.strip().splitlines()
    assert len(lines) == len(expected), f"{command}\nshown:\n" + "\n".join(expected) + f"\nprinted:\n{printed}"
    for wanted, line in zip(expected, lines, strict=True):
        (words, numbers), (printed_words, printed_numbers) = figures(wanted), figures(line)
        assert printed_words == words, command
        np.testing.assert_allclose(printed_numbers, numbers, rtol=TOLERANCE, atol=0.02, err_msg=f"{command}\n{line}")


class Workplace:
    """An empty folder, with a home that holds what the lines of the first pages name."""

    def __init__(self, root: Path) -> None:
        self.root, self.home, self.count = root / "work", root / "home", 0
        self.root.mkdir()
        for number in range(2):
            (self.home / "pictures").mkdir(parents=True, exist_ok=True)
            save_picture(self.home / "pictures" / f"{number}.png", number)
        (self.home / "timelapses").mkdir()
        write_video(self.home / "timelapses" / "one.mp4", painting(60)[0])
        save(self.home / "grids" / "boat_2x3.png", sheet_of(stages(6), 2, 3, "boustrophedon"))
        for number, stage in enumerate(stages(9)):
            save(self.home / "scans" / "one" / f"{number}.png", stage)
        for name in ("my_brush.png", "my_heights.png", "starry_night.jpg"):
            Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(self.root / name)
        save_picture(self.root / "photo.jpg", 3)
        save_picture(self.root / "begun.png", 4)
        save_small_actor(self.root / "actor.pkl")
        make_importable(self.root, self.home)

    def run(self, command: str) -> "subprocess.CompletedProcess[str]":
        """Run a line as printed, by the next shell in turn."""
        self.count += 1
        return subprocess.run(
            [SHELLS[self.count % len(SHELLS)], "-c", command],
            cwd=self.root,
            env={
                **os.environ,
                "HOME": str(self.home),
                "PYTHONPATH": str(REPOSITORY),
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "NUMBA_CACHE_DIR": os.environ.get(
                    "NUMBA_CACHE_DIR", str(Path.home() / ".cache" / "process-painter-docs")
                ),
                "OMP_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
        )


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """With what `make demo` makes, and a small data set to train on."""
    place = Workplace(tmp_path_factory.mktemp("readme"))
    demo = subprocess.run(
        ["make", "-n", "-o", "setup", "-f", REPOSITORY / "Makefile", "demo", f"BIN={Path(sys.executable).parent}"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    done = place.run("set -e\nmkdir -p outputs\n" + demo)
    assert done.returncode == 0, done.stderr
    small = "python -m pipelines.synth size=64 num_frames=4 val_fraction=0.3 cluster=inline num_sequences="
    for keys in ("8 renderer=small out=data/scenes", "2 renderer=oil out=outputs/paintings", "4 out=data/held_out"):
        done = place.run(small + keys)
        assert done.returncode == 0, done.stderr
    return place


@pytest.mark.parametrize(
    ("page", "count"), [("README.md", 3), ("docs/pictures.md", 2), ("docs/painter.md", 5), ("docs/export.md", 1)]
)
def test_what_is_shown_is_printed(page: str, count: int, workplace: Workplace) -> None:
    runs = shown_runs(_text(page))
    assert len(runs) >= count
    for command, expected in runs:
        done, is_refused = workplace.run(command), bool(expected) and expected[0].startswith("error: ")
        assert done.returncode == (2 if is_refused else 0), f"{command}\n{done.stderr}"
        if expected:
            assert_printed(expected, done.stderr if is_refused else done.stdout, command)


@pytest.mark.parametrize(("page", "count"), FIRST.items())
def test_all_other_commands_run(page: str, count: int, workplace: Workplace) -> None:
    shown = {" ".join(command.split()) for command, _ in shown_runs(_text(page))}
    lines = [line for line in printed_lines(_text(page)) if " ".join(line.split()) not in shown]
    assert _run_all(lines, workplace) >= count


@pytest.mark.parametrize(
    ("page", "count"),
    [
        *[("training", 8), ("adding-a-model", 4), ("brushes", 6), ("studio", 5), ("promises", 1), ("hub", 5)],
        *[("sweeps", 2), ("wan22", 4)],
    ],
)
def test_commands_of_the_pages_run(page: str, count: int, pages: Workplace) -> None:
    lines = printed_lines(_text(f"docs/{page}.md"))
    if any("training.assemble" in line for line in lines):
        shutil.rmtree(pages.root / "outputs" / "painter", ignore_errors=True)  # it assembles its own
    assert _run_all(lines, pages) >= count


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """With the data that the pages train on, by the names that they give them, and the base that all stages need."""
    place = Workplace(tmp_path_factory.mktemp("docs"))
    small = "python -m pipelines.synth size=64 num_frames=4 val_fraction=0.3 cluster=inline renderer=small"
    train = " ".join(["python -m training.train data=outputs/scenes", *SCALED["training.train"]])
    for command in (
        f"{small} num_sequences=12 out=outputs/scenes && ln -s outputs/scenes DIR && ln -s outputs/scenes ARTIST",
        f"{train} stage=words out=outputs/words",
        f"{train} stage=base base=outputs/words out=outputs/base",
        f"{train} stage=motion base=outputs/base out=outputs/motion && ln -s scenes outputs/dataset",
        "python -m training.assemble base=outputs/base motion=outputs/motion out=outputs/painter",
        f"{train} +experiment=tiny stage=words out=WORDS",
        f"{train} +experiment=tiny stage=base base=WORDS out=BASE",
        f"{train} +experiment=tiny stage=motion base=BASE out=MOTION",
        f"{train} +experiment=tiny stage=replication base=BASE motion=MOTION out=REPLICATION",
        "python -m training.assemble base=BASE motion=MOTION replication=REPLICATION out=PAINTER",
    ):
        done = place.run(command)
        assert done.returncode == 0, done.stderr
    return place


def _text(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def _run_all(lines: list[str], place: Workplace) -> int:
    """Run all that needs no weights or machines of others, each scaled down; returns how many these are."""
    chosen = [line for line in lines if not any(word in line for word in NOT_RUN)]
    failed = []
    for line in chosen:
        name = re.findall(r"-m ([\w.]+)", line)[-1]
        command = line.partition("  #")[0].replace("--nproc_per_node=8", "--nproc_per_node=2")
        scaled = SCALED.get(name, []) if "--help" not in line else []
        out = [f"out=outputs/{name}-{place.count}"] if name == "pipelines.synth" and " out=" not in line else []
        done = place.run(" ".join([command, *scaled, *out]))
        if done.returncode not in (0, 3):
            failed.append(f"{line}\n    {done.stderr.strip().splitlines()[-1:]}")
    assert not failed, "\n".join(failed)
    return len(chosen)
