"""The place of caches for users with a home, with a folder of their own choice, and with neither."""

import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conf.cache_home import cache_home
from conf.errors import UserError
from tests.pipelines.runs import REPOSITORY

_AS_NOBODY = """
import pwd, runpy, sys

def unknown(number):
    raise KeyError(number)

pwd.getpwuid = unknown
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def unknown(number: int) -> pwd.struct_passwd:
    raise KeyError(number)


@pytest.fixture
def without_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the user no home; returns the folder for temporary folders."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_chosen_place_comes_before_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "chosen"))
    assert cache_home() == tmp_path / "chosen" / "process-painter"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_home() == tmp_path / "home" / ".cache" / "process-painter"
    assert not any(tmp_path.iterdir()), "saying where makes nothing"


def test_without_a_home_it_is_a_folder_that_only_its_user_can_write(without_home: Path) -> None:
    folder = cache_home()
    assert folder.parent == without_home and cache_home() == folder
    assert folder.stat().st_mode & 0o777 == 0o700


def _open_to_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def _link(folder: Path) -> None:
    folder.symlink_to(folder.parent)


@pytest.mark.parametrize("plant", [_open_to_all, _link, Path.touch])
def test_a_folder_that_others_could_have_filled_is_refused(without_home: Path, plant: Callable[[Path], None]) -> None:
    plant(without_home / f"process-painter-{os.getuid()}")
    with pytest.raises(UserError, match=r"belongs to others: set HOME or XDG_CACHE_HOME"):
        cache_home()


@pytest.mark.parametrize(
    "words", [["pipelines.synth", "num_sequences=0"], ["pipelines.paint", "task=complete"], ["training.train"]]
)
def test_commands_start_for_a_user_without_a_home(words: list[str], tmp_path: Path) -> None:
    there = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    run = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, *words], cwd=REPOSITORY, env=there | {"TMPDIR": str(tmp_path)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert run.returncode == 2 and run.stderr.startswith("error: ") and run.stderr.count("\n") == 1, run.stderr
