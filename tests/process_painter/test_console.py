"""`process-painter VERB`, and every other way in, beside a user's own packages of the same names as ours."""

import json
import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from conf import CONF_FOLDER
from process_painter import PACKAGES
from process_painter.console import VERBS, help_text

REPOSITORY = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
THEIRS = "raise RuntimeError('a module of the user was imported')\n"
HEAVY = ("numpy", "torch", "numba", "ray", "hydra", "cv2")
SCRIPT = "import sys\nfrom process_painter.console import main\nsys.exit(main())\n"
SMALL = (
    "renderer=bezier", "renderer.preset=fast", "renderer.num_strokes=10", "size=64", "num_frames=2", "num_sequences=2",
    "shard_size=1", "val_fraction=0", "gallery=false", "out=data",
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder with a package of the name of each of ours, none of which may be imported."""
    folder = tmp_path / "project"
    for name in PACKAGES:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(THEIRS)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "process-painter").write_text(SCRIPT)  # as installers write it
    return folder


def run(folder: Path, *overrides: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a folder, with this package installed: on the path, behind the working directory."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run([sys.executable, *overrides], cwd=folder, env=environment, capture_output=True, text=True)


def console(folder: Path, *overrides: str) -> "subprocess.CompletedProcess[str]":
    return run(folder, str(folder.parent / "bin" / "process-painter"), *overrides)


def test_help_lists_every_command_in_a_line(project: Path) -> None:
    done = console(project, "--help")
    assert done.returncode == 0 and done.stderr == ""
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("  ")}
    assert set(lines) == {path.stem for path in CONF_FOLDER.glob("*.yaml")}
    assert all(len(line.split()) > 4 and len(line) <= 122 for line in lines.values())
    assert console(project).stdout == done.stdout == help_text() + "\n"


def test_help_comes_without_loading_what_is_heavy(project: Path) -> None:
    code = (
        "import json, sys\nfrom process_painter.console import main\nsys.argv[1:] = ['--help']\nmain()\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    assert json.loads(run(project, "-c", code).stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_its_help_under_its_verb(verb: str, project: Path) -> None:
    done = console(project, verb, "--help")
    assert done.returncode == 0, done.stderr
    assert f"process-painter {verb}" in done.stdout or "python -m" not in done.stdout
    assert "python -m pipelines" not in done.stdout and "python -m training" not in done.stdout


def test_version_is_that_of_the_package(project: Path) -> None:
    assert console(project, "--version").stdout == f"process-painter {PYPROJECT['project']['version']}\n"


def test_another_word_is_refused_in_one_line_with_the_nearest_command(project: Path) -> None:
    done = console(project, "syntn", "out=data")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: 'syntn': no such command; did you mean synth?") and "evaluate" in line


def test_errors_of_a_command_are_one_line_and_exit_with_2(project: Path) -> None:
    done = console(project, "synth", "sise=64")
    assert done.returncode == 2 and done.stderr == "error: sise=64: no such key; did you mean size?\n"


@pytest.mark.nightly
def test_a_data_set_is_made_and_verified_beside_packages_of_the_same_names(project: Path) -> None:
    """Worker processes included, which Ray lets import from the working directory first."""
    done = console(project, "synth", *SMALL, "cluster=local", "num_workers=1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "next: process-painter verify dataset=data"
    done = run(project, "-m", "process_painter", "verify", "dataset=data")
    assert done.returncode == 0 and "sound, complete" in done.stdout
    assert console(project, "kernels").returncode == 0  # the process that compiles kernels


@pytest.mark.parametrize("names", [("conf",), ("conf", "training", "renderers")], ids=", ".join)
def test_python_m_works_beside_packages_of_other_names_than_its_own(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / f"{name}.py").write_text(THEIRS)
    done = run(tmp_path, "-m", "pipelines.synth", *SMALL, "cluster=inline")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "next: python -m pipelines.verify dataset=data"


def test_training_works_beside_a_conf_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text(THEIRS)
    done = run(tmp_path, "-m", "training.train", "--help")
    assert done.returncode == 0 and "max_steps" in done.stdout


@pytest.mark.parametrize("ours", PACKAGES)
def test_any_of_our_packages_can_be_the_first_that_a_script_imports(ours: str, tmp_path: Path) -> None:
    for name in set(PACKAGES) - {ours}:
        (tmp_path / f"{name}.py").write_text(THEIRS)
    code = f"import {ours}, conf.errors, renderers.painting, training.config, pipelines.status, sys\nprint('imported')"
    done = run(tmp_path, "-c", code)
    assert done.stdout == "imported\n", done.stderr


def test_a_package_of_the_users_that_was_imported_before_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text("mine = True\n")
    done = run(tmp_path, "-c", "import conf, pipelines")
    line = done.stderr.splitlines()[-1]
    assert line.startswith("ImportError: process-painter needs its own 'conf'") and str(tmp_path / "conf.py") in line


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert (citation["title"], citation["version"], citation["license"]) == tuple(
        PYPROJECT["project"][key] for key in ("name", "version", "license")
    )


def test_the_wheel_holds_every_package_and_the_command() -> None:
    assert set(PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == {"process_painter", *PACKAGES}
    module, _, function = PYPROJECT["project"]["scripts"]["process-painter"].partition(":")
    assert callable(getattr(import_module(module), function))


AT_THE_END = """
import atexit, ctypes, os, signal
c = ctypes.CDLL(None)
c.__cxa_atexit(c.abort, None, None)  # as a library's thread that outlives the interpreter
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
for number in (signal.SIGINT, signal.SIGTERM):
    atexit.register(os.kill, os.getpid(), number)
atexit.register(os.rmdir, "/proc/self")  # as a library's folder that cannot be removed
atexit.register(print, "said at the end")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="by way of the C library")
@pytest.mark.parametrize("verb", VERBS)
def test_signals_stray_threads_and_what_cannot_be_cleaned_up_change_nothing_at_the_end(
    verb: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(AT_THE_END)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(REPOSITORY)])}
    for words in ([verb, "--help"], [verb, "no_such_key=1"]):
        done = subprocess.run(
            [sys.executable, "-m", "process_painter", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == (0 if "--help" in words else 2)
        assert done.stdout.endswith("said at the end\n")
        assert len(done.stderr.splitlines()) == done.returncode / 2 + 1, done.stderr
        assert done.stderr.splitlines()[-1].startswith("warning: ") and "/proc/self" in done.stderr


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_being_told_to_stop_while_a_command_is_imported_is_one_line(number: str, tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text(
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it\n"
        f"signal.raise_signal(signal.{number})\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(REPOSITORY)])}
    done = subprocess.run(
        [sys.executable, "-m", "process_painter", "verify", "dataset=x"],
        env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
