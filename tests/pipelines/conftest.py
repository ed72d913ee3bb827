"""Data sets for tests of readers, made once in a session."""

from pathlib import Path

import pytest

from pipelines.inference.output_folder import ProcessFolder
from pipelines.inference.own_files import PROVENANCE
from tests.pipelines.runs import SMALL, synth
from tests.pipelines.small_dataset import painted_frames

_SIZE = ("size=128", "num_frames=5", "num_sequences=1", "cluster=inline", "source.seed=4")
_KINDS = {
    "bezier": ("renderer.num_strokes=150", "renderer.preset=fast"),
    "oil": ("renderer.num_strokes=150", "renderer.preset=fast"),
    "ink": ("renderer.num_strokes=80", "renderer.preset=fast"),
    "studio": ("renderer.num_strokes=120", "renderer.preset=fast"),
    "region": (),
}


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six sequences in four shards, made inline. Copy it before changing anything."""
    out = tmp_path_factory.mktemp("small") / "dataset"
    assert synth(*SMALL, f"out={out}") == 0
    return out


@pytest.fixture(scope="session")
def painted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Renderer -> data set of one sequence, 00000000, of 5 frames of 128 px. Nothing may be changed in it."""
    root = tmp_path_factory.mktemp("painted")
    for name, words in _KINDS.items():
        assert synth(f"renderer={name}", *words, *_SIZE, f"out={root / name}") == 0
    return {name: root / name for name in _KINDS}


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    """A folder as `paint` leaves it."""
    report = {"note": PROVENANCE, "prompt": "a red boat", "task": "generate", "conditions": []}
    ProcessFolder(root=tmp_path / "painting").write(painted_frames(3, 4, (64, 48)), report)
    return tmp_path / "painting"
