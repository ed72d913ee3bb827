"""Every command line of README, docs and help is understood as printed, by every shell at hand."""

import argparse
import importlib
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from segment_anything import sam_model_registry

from conf.command import COMPLETE, Summary, command
from tests.pipelines.runs import REPOSITORY
from tests.renderers.actors import save_small_actor
from tests.small_sam import save_small_sam, small_sam

SHELLS = [shell for shell in ("dash", "bash", "zsh") if shutil.which(shell)]
PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])
MODULES = sorted(
    path
    for folder in ("pipelines", "training", "benchmarks")
    for path in (REPOSITORY / folder).glob("*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)
STARTS = ("python ", "torchrun ", "srun ", "process-painter ")
FILES = ("my_brush.png", "my_heights.png", "starry_night.jpg")
"""Pictures of the user's that the lines name and that are looked at before anything is made."""


WORDS_FOR_TRAINING = ("benchmarks.train", "benchmarks.synth")
"""Benchmarks that hand words on to what they measure."""


class _Parsed(Exception):
    """Raised once a benchmark has parsed its arguments."""


def printed_lines(text: str) -> list[str]:
    """Command lines in indented or fenced blocks and in `python -m` of running text, a prompt taken off."""
    joined = text.replace("\\\n", " ")
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", joined, re.DOTALL | re.MULTILINE))
    lines = [line.strip().removeprefix("$ ") for line in blocks.splitlines()]
    inline = re.findall(r"`((?:python -m|torchrun) [^`]*)`", joined)
    return [line for line in [*lines, *inline] if line.startswith(STARTS) and "<" not in line]


def lines_of_help(path: Path) -> list[str]:
    """The command lines that a module's description opens with; what is optional in brackets is said."""
    description = re.match(r'"""(.*?)"""', path.read_text(encoding="utf-8"), re.DOTALL)
    assert description is not None, path
    paragraphs = re.split(r"\n\s*\n", description[1].replace("\\\\\n", " "))
    lines = [line for text in paragraphs if text.startswith("    python") for line in re.split(r"\n(?=    \S)", text)]
    return [re.sub(r"[\[\]](?=--|\s|$)|(?<=\s)\[", "", " ".join(line.split())) for line in lines]


LINES = {path.name: printed_lines(path.read_text(encoding="utf-8")) for path in PAGES}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("page", [name for name, lines in LINES.items() if lines])
def test_every_line_of_the_pages_is_understood(
    page: str, shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _check(LINES[page], shell, tmp_path, monkeypatch, capsys)


def test_every_line_of_help_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line for path in MODULES for line in lines_of_help(path)]
    assert len(lines) > 25
    _check(lines, "sh", tmp_path, monkeypatch, capsys)


def test_the_pages_have_their_commands() -> None:
    assert len(LINES["README.md"]) > 8
    assert len(LINES["pictures.md"]) > 12
    assert len(LINES["painter.md"]) > 6
    assert len(LINES["training.md"]) > 8
    assert sum("~" in line for lines in LINES.values() for line in lines) > 5


NEEDED = {"paint": ["--painter", "tiny"], "studio": ["--real", "sequences"]}
"""Words without which a benchmark has nothing to measure."""


@pytest.mark.parametrize("path", [path for path in MODULES if path.parent.name == "benchmarks"], ids=lambda p: p.stem)
def test_every_benchmark_runs_without_words_that_only_its_author_knows(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _parse_benchmark(f"benchmarks.{path.stem}", NEEDED.get(path.stem, []), monkeypatch)


def _check(
    lines: list[str], shell: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    shape = cv2.circle(np.full((32, 32), 255, np.uint8), (16, 16), 9, 0, cv2.FILLED)
    for name in FILES:
        cv2.imwrite(name, shape)
    monkeypatch.setitem(sam_model_registry, "vit_b", small_sam)
    save_small_sam(Path("sam_vit_b.pth"))
    save_small_actor(Path("actor.pkl"))
    Path("runs/agent/weights").mkdir(parents=True, exist_ok=True)
    save_small_actor(Path("runs/agent/weights/actor.safetensors"))
    for line in lines:
        words = _split(shell, line, folder)
        module, rest = words[words.index("-m") + 1], words[words.index("-m") + 2 :]
        if module == "tests.chaos":
            _parse_benchmark("tests.chaos.__main__", rest, monkeypatch)
        elif module.startswith("benchmarks."):
            _parse_benchmark(module, rest, monkeypatch)
        elif not module.startswith("docs."):
            name = module.rpartition(".")[2]
            configure: Callable[[dict[str, Any]], Any] = getattr(importlib.import_module(module), f"{name}_config")
            code = command(name, configure, _never, "", [*rest, "--cfg", "job"])
            assert code == COMPLETE, f"{line}\n{capsys.readouterr().err}"


def _split(shell: str, line: str, home: Path) -> list[str]:
    """The words of a command as a shell passes them on."""
    script = "".join(f"{start.strip()}() {{ printf '%s\\0' \"$@\"; }}\n" for start in STARTS[:3]) + line
    done = subprocess.run([shell, "-c", script], capture_output=True, check=True, cwd=home)
    return done.stdout.decode().split("\0")[:-1]


def _parse_benchmark(module: str, overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    parse = argparse.ArgumentParser.parse_known_args

    def parse_only(self: argparse.ArgumentParser, *given: object) -> None:
        _, unknown = parse(self, overrides)
        assert not unknown or module in WORDS_FOR_TRAINING, f"{module}: {unknown}"
        raise _Parsed

    with monkeypatch.context() as patch, pytest.raises(_Parsed):
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
        patch.setattr(argparse.ArgumentParser, "parse_known_args", parse_only)
        importlib.import_module(module).main()


def _never(config: object) -> Summary:
    raise AssertionError(f"it ran: {config}")
