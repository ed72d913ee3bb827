"""Every benchmark accepts the command lines in its own docstring."""

import argparse
import importlib
import pkgutil
import re
import shlex
import sys
from typing import Any

import pytest

import benchmarks

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
