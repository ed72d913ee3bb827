"""Weights are the same bytes wherever their parents and their data lay, and name none of these places."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.training.assembled import assemble
from tests.training.models.wan22 import wan_runs
from tests.training.stages.parents import STAGES, train
from training.models.weights import weights_hash

Folders = dict[str, Path]
_FROM_NOTHING: dict[str, Any] = {"base": "null"}
_RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    **{stage: (stage, {}) for stage in (*STAGES, "words", "base", "codec")},
    **{f"new {stage}": (stage, _FROM_NOTHING) for stage in ("words", "base", "codec", "agent")},
    "motion with the base": ("motion", {"stage.base": "all"}),
}  # fmt: skip


def assert_no_place(folder: Path, root: Path) -> None:
    """No file below `folder` names `root`."""
    assert not [path for path in folder.rglob("*") if path.is_file() and str(root).encode() in path.read_bytes()]


@pytest.mark.parametrize("name", _RUNS)
def test_weights_of_every_stage_do_not_depend_on_where_their_parents_and_data_lay(
    larger: Path, folders: Folders, tmp_path: Path, name: str
) -> None:
    stage, options = _RUNS[name]
    hashes = set()
    for place in ("here", "elsewhere"):
        root = tmp_path / place
        data = shutil.copytree(larger, root / "data")
        parents = {key: shutil.copytree(folder, root / key) for key, folder in folders.items()}
        weights = train(stage, data, parents, root / "run", max_steps=1, **options) / "weights"
        assert_no_place(weights, tmp_path)
        hashes.add(weights_hash(weights))
    assert len(hashes) == 1


def test_weights_of_a_wan_do_not_depend_on_where_their_parents_lay(tmp_path: Path) -> None:
    scenes, hashes = wan_runs.small_scenes(tmp_path), set()
    learned = wan_runs.train(scenes, tmp_path / "words", "words", base="null", max_steps=1)
    for place in ("here", "elsewhere"):
        parent = shutil.copytree(learned, tmp_path / place / "words")
        base = wan_runs.train(scenes, tmp_path / place / "base", "base", base=parent, max_steps=1)
        assert_no_place(base / "weights", tmp_path)
        hashes.add(weights_hash(base / "weights"))
    assert len(hashes) == 1


def test_weights_that_name_the_place_of_their_parent_are_loaded_but_do_not_pass_it_on(
    larger: Path, folders: Folders, tmp_path: Path
) -> None:
    """As runs of earlier versions wrote them."""
    base = shutil.copytree(folders["base"], tmp_path / "base")
    for config in base.glob("*/config.json"):
        config.write_text(config.read_text().replace("{", f'{{"_name_or_path": "{tmp_path}",', 1))
    parents = {"base": base}
    parents["motion"] = train("motion", larger, parents, tmp_path / "motion", max_steps=1, **{"stage.base": "all"})
    assert_no_place(parents["motion"] / "weights", tmp_path)
    assert_no_place(assemble(parents, tmp_path / "painter"), tmp_path)
