"""Every benchmark accepts the command lines in its own docstring, and refuses what makes no sense in one line."""

import argparse
import importlib
import pkgutil
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import benchmarks
from benchmarks.command_line import from_0, from_1, pictures_in, run_benchmark
from conf.errors import UserError

_LINE = re.compile(r"python -m (benchmarks\.\w+)((?:\\\n|[^\n#])*)")


class _Understood(Exception):
    """Raised instead of the work, once the arguments are parsed."""


def _command_lines() -> list[tuple[str, str]]:
    """(module, arguments) of every command line in the docstring of a benchmark, optional arguments included."""
    lines = []
    for found in pkgutil.iter_modules(benchmarks.__path__, "benchmarks."):
        source = importlib.util.find_spec(found.name)
        assert source is not None and source.loader is not None
        text = source.loader.get_source(found.name)  # type: ignore[attr-defined]  # of a file
        docstring = text.split('"""')[1]
        for module, arguments in _LINE.findall(docstring):
            if "..." not in arguments:
                lines.append((module, re.sub(r"[\[\]\\\n]", " ", arguments)))
    return lines


@pytest.mark.parametrize(("module", "arguments"), _command_lines())
def test_the_command_lines_of_a_benchmark_are_understood(
    module: str, arguments: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("parse_args", "parse_intermixed_args"):
        parse: Any = getattr(argparse.ArgumentParser, name)

        def understood(self: argparse.ArgumentParser, *said: Any, parse: Any = parse) -> None:
            parse(self, *said)
            raise _Understood

        monkeypatch.setattr(argparse.ArgumentParser, name, understood)
    monkeypatch.setattr(sys, "argv", [module, *shlex.split(arguments)])
    with pytest.raises(_Understood):
        importlib.import_module(module).main()


def test_ways_and_words_of_a_training_stand_in_any_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import train

    ran: list[tuple[list[str], int]] = []

    def run(overrides: list[str], steps: int) -> None:
        ran.append((overrides, steps))

    monkeypatch.setattr(train, "_run", run)
    for line in ("--ways eager stage=motion data=x --steps 4", "stage=motion data=x --steps=4 --ways=eager"):
        monkeypatch.setattr(sys, "argv", ["train", *line.split()])
        assert train.main() == 1  # as nothing was run
    assert ran == [(["stage=motion", "data=x", "compile=false"], 4)] * 2
    monkeypatch.setattr(sys, "argv", ["train", "--ways", "lazy", "stage=motion"])
    with pytest.raises(SystemExit):
        train.main()
    assert "lazy: not some of eager, compiled" in capsys.readouterr().err


def _user_error() -> None:
    raise UserError("painter=x: not a painter,\nof two lines")


def _no_such_file() -> None:
    Path("/nowhere/at/all").read_bytes()


@pytest.mark.parametrize(
    ("main", "code", "printed"),
    [
        (_user_error, 2, "error: painter=x: not a painter, of two lines\n"),
        (_no_such_file, 2, "error: /nowhere/at/all: No such file or directory\n"),
        (lambda: None, 0, ""),
        (lambda: 1, 1, ""),
    ],
)
def test_what_a_user_can_mend_is_one_line(
    main: Callable[[], int | None], code: int, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_benchmark(main)
    assert ended.value.code == code
    assert capsys.readouterr().err == printed


def test_every_benchmark_ends_so() -> None:
    for found in pkgutil.iter_modules(benchmarks.__path__, "benchmarks."):
        spec = importlib.util.find_spec(found.name)
        assert spec is not None and spec.origin is not None
        text = Path(spec.origin).read_text()
        assert ("\ndef main() " in text) == ("\n    run_benchmark(main)\n" in text), found.name
        assert "type=int" not in text, f"{found.name}: from_1 or from_0 refuses what makes no sense"


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "²"])
def test_counts_are_whole_numbers_from_1(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="not a whole number of at least 1"):
        from_1(text)
    assert (from_1("7"), from_0("0")) == (7, 0)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    for folder, why in ((tmp_path / "absent", "no such folder"), (tmp_path, "holds no pictures")):
        with pytest.raises(UserError, match=why):
            pictures_in(folder)
    (tmp_path / "b.PNG").touch()
    (tmp_path / "a.jpg").touch()
    assert [file.name for file in pictures_in(tmp_path)] == ["a.jpg", "b.PNG"]
