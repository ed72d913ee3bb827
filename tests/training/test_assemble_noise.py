"""The noise and the number of frames of a painter suit all of its parts."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from conf.errors import UserError
from tests.training.assembled import Folders, assemble, load_painter
from tests.training.models.small_base import small_base
from tests.training.stages.parents import train
from training.models.sd15.replication import add_replication, save_replication
from training.noise_schedule import NoiseSchedule

_WITHOUT_NETWORK: dict[str, Any] = {"replication": "null", "licences": "{base: x, motion: x}"}


@pytest.fixture(scope="module")
def released(runs: Folders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The motion model as a file without a card."""
    folder = tmp_path_factory.mktemp("released")
    return Path(shutil.copy(runs["motion"] / "weights" / "animatediff.safetensors", folder))


@pytest.mark.parametrize("part", ["motion", "replication", "ink"])
def test_parts_that_predict_something_else_than_their_base_are_refused_by_name(
    runs: Folders, released: Path, tmp_path: Path, part: str
) -> None:
    small_base().save(tmp_path / "base")
    lora = runs["spatial"] / "weights" / "pytorch_lora_weights.safetensors"
    keys: dict[str, Any] = {
        "motion": {"motion": runs["motion"] / "weights" / "animatediff.safetensors"},
        "replication": {"replication": runs["replication"] / "weights" / "diffusion_pytorch_model.safetensors"},
        "ink": {"loras": f"[{{name: ink, path: {lora}}}]"},
    }
    options = {"base": tmp_path / "base", "motion": released, **_WITHOUT_NETWORK, **keys[part]}
    said = f"{part}: trained on noise.prediction=v; base={tmp_path / 'base'} on epsilon"
    with pytest.raises(UserError, match=f"^{re.escape(said)}$"):
        assemble({}, tmp_path / "painter", num_frames=8, size=64, **options)
    assert not (tmp_path / "painter").exists()


def test_a_base_keeps_its_zero_terminal_snr(runs: Folders, tmp_path: Path) -> None:
    of_base = NoiseSchedule(prediction="v", zero_terminal_snr=True, beta_end=0.02)
    small_base(of_base).save(tmp_path / "base")
    motion = runs["motion"] / "weights" / "animatediff.safetensors"
    out = assemble({"base": tmp_path / "base", "motion": motion}, tmp_path / "painter", **_WITHOUT_NETWORK)
    assert load_painter(out).base.schedule == NoiseSchedule(prediction="v", zero_terminal_snr=True)


def test_a_painter_paints_no_more_frames_than_its_networks_have_positions(
    runs: Folders, released: Path, tmp_path: Path
) -> None:
    base = small_base(NoiseSchedule(prediction="v"))
    network = add_replication(base.unet, max_frames=12)
    save_replication(network, tmp_path / "short", {})
    short = {"replication": tmp_path / "short", "licences": "{base: x, replication: x}"}
    alone = {"motion": released, **_WITHOUT_NETWORK, "size": 64}
    for options, num_frames, place in (
        ({}, 33, f"2 to 32, the positions that {runs['motion'] / 'weights'} has"),
        (alone, 33, f"2 to 32, the positions that {released} has"),
        (short, 13, f"2 to 12, the positions that {tmp_path / 'short'} has"),
    ):
        said = f"num_frames={num_frames}: not allowed; allowed: {place}"
        with pytest.raises(UserError, match=f"^{re.escape(said)}$"):
            assemble(runs, tmp_path / "painter", num_frames=num_frames, **options)
    assert not (tmp_path / "painter").exists()
    assemble(runs, tmp_path / "painter", num_frames=12, **short)


def test_a_base_that_a_run_did_not_read_does_not_keep_it_from_its_painter(runs: Folders, tmp_path: Path) -> None:
    shutil.copytree(runs["base"], tmp_path / "unread")
    (tmp_path / "unread" / "notes.txt").write_text("so that it is another base")
    given = {"model": "sd15", "model.path": tmp_path / "unread", "noise.prediction": "v", "max_steps": 1}
    motion = train("motion", runs["motion"].parent / "data", {"base": runs["base"]}, tmp_path / "motion", **given)
    assemble({"base": runs["base"], "motion": motion}, tmp_path / "painter", replication="null")
