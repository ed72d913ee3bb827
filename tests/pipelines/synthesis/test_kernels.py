"""A first run says that it compiles; later ones do not compile again."""

import subprocess
from pathlib import Path
from typing import Any, get_args

import numba
import numpy as np
import pytest

from pipelines.kernels import compile_kernels, main
from pipelines.synthesis.run_config import ClusterConfig
from renderers.painting import Image, Painting, StrokeProgram
from renderers.raster import jit
from renderers.studio import RENDERER
from renderers.studio.config import Medium, StudioConfig
from tests.pipelines.runs import synth


def line(families: str) -> str:
    return f"compiling the stroke kernels of {families}, once on this machine, up to a minute\n"


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Families that were compiled, call by call, on a machine that has compiled nothing."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command[4:])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(jit, "CACHE_FOLDER", tmp_path / "cache")
    monkeypatch.setattr("pipelines.kernels.subprocess.run", run)
    return calls


def test_kernels_are_kept_in_one_place_whatever_becomes_of_the_variables_of_numba(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Workers set one of them, whereupon numba reads all of them anew."""
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    numba.config.reload_config()
    jit.kernel(lambda: None)
    assert str(jit.CACHE_FOLDER) == numba.config.CACHE_DIR
    assert jit.compiled_marker("bezier", "native").is_absolute()


def test_kernels_are_compiled_once_with_a_word_before(
    compiled: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    compile_kernels({"bezier"}, ClusterConfig())
    assert capsys.readouterr().err == line("bezier")
    compile_kernels({"bezier"}, ClusterConfig(kind="inline"))
    assert capsys.readouterr().err == "" and compiled == [["bezier"]]
    compile_kernels({"brush", "bezier"}, ClusterConfig())
    compile_kernels({"brush"}, ClusterConfig())
    compile_kernels({"bezier"}, ClusterConfig(cpu="x86-64-v3"))
    assert compiled == [["bezier"], ["bezier", "brush"], ["bezier"]]


def test_every_medium_of_the_studio_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A medium that is only a member of a mix, such as pencil, has kernels of its own."""
    media: list[str] = []

    def paint(image: Image, config: StudioConfig, seed: np.random.SeedSequence) -> Painting:
        media.append(config.medium)
        nothing = np.zeros((0, 18), np.float32)
        program = StrokeProgram(family="studio", strokes=nothing, canvas=(1.0, 1.0, 1.0), height_px=64, width_px=64)
        return Painting(program=program, distances=np.zeros(1))

    monkeypatch.setattr(RENDERER, "paint", paint)
    monkeypatch.setattr(RENDERER, "replay", lambda program, steps: iter(()))
    main({"studio"})
    assert set(media) == set(get_args(Medium))


def test_machines_of_a_foreign_cluster_compile_for_themselves(compiled: list[list[str]]) -> None:
    compile_kernels({"bezier"}, ClusterConfig(kind="ray", address="auto"))
    assert compiled == []


def test_a_run_compiles_before_its_clock_starts(
    compiled: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ("size=64", "num_sequences=1", "renderer=small", "gallery=false", f"out={tmp_path / 'out'}")
    assert synth(*overrides) == 0
    message = capsys.readouterr().err
    assert message.startswith(line("bezier, brush")) and "painting: 1/1" in message
    assert synth(*overrides) == 0
    assert compiled == [["bezier", "brush"]]
