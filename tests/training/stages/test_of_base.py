"""What stage `motion` promises when some of the base is trained with the temporal modules."""

import shutil
from pathlib import Path

import pytest
import torch

from conf.compose import compose
from conf.errors import UserError
from tests.training.stages.outcomes import moved_by, prepared
from tests.training.stages.parents import config, stir, train
from tests.training.toy_runs import losses
from training.assemble import assemble_config, run
from training.models import painter_folder
from training.models.sd15.base import load_base, with_its_unet
from training.models.sd15.motion import add_motion, is_temporal, load_motion
from training.models.sd15.painter import Painter
from training.models.weights import module_hash, weights_hash

Folders = dict[str, Path]


def train_with(of_base: str, data: Path, folders: Folders, out: Path, steps: int = 2) -> Path:
    return train("motion", data, folders, out, max_steps=steps, **{"stage.base": of_base})


@pytest.mark.parametrize("of_base", ["words", "all"])
def test_what_is_asked_for_moves_and_nothing_else(larger: Path, folders: Folders, tmp_path: Path, of_base: str) -> None:
    found = moved_by(config("motion", larger, folders, tmp_path / "run", max_steps=3, **{"stage.base": of_base}))
    assert found.frozen_after == found.frozen_before
    of_unet = {name for name in found.trained_after if not is_temporal(name)}
    assert of_unet and all(".attn2." in name for name in of_unet) == (of_base == "words")
    moved = {name for name in of_unet if not torch.equal(found.trained_after[name].cpu(), found.trained_before[name])}
    assert len(moved) > len(of_unet) / 2
    named = {id(value) for module in found.stage.frozen.values() for value in module.parameters()}
    everything = {id(value) for value in found.stage.network.parameters()}
    assert everything == named | {id(value) for value in found.trained_after.values()}


@pytest.mark.parametrize("of_base", ["words", "all"])
def test_the_unet_that_moved_is_saved_with_the_temporal_modules(
    larger: Path, folders: Folders, tmp_path: Path, of_base: str
) -> None:
    found = moved_by(
        config("motion", larger, folders, tmp_path / "run", max_steps=3, ema_decay="null", **{"stage.base": of_base})
    )
    base, weights = load_base(folders["base"]), tmp_path / "run" / "weights"
    unet = with_its_unet(base, weights).unet
    whole = add_motion(unet, load_motion(weights, unet))
    trained = found.stage.network.get_submodule("denoiser.unet").state_dict()
    assert all(torch.equal(value, trained[name].cpu()) for name, value in whole.state_dict().items())
    assert module_hash(unet) != module_hash(base.unet)
    assert with_its_unet(base, folders["motion"]) is base  # trained on the base as it is


def test_without_it_a_run_writes_no_unet(larger: Path, folders: Folders, tmp_path: Path) -> None:
    weights = train("motion", larger, folders, tmp_path / "run", max_steps=1) / "weights"
    assert not (weights / "unet").exists()


def test_temporal_modules_that_are_trained_further_keep_their_unet(
    larger: Path, folders: Folders, tmp_path: Path
) -> None:
    first = train_with("all", larger, folders, tmp_path / "first")
    again = train("motion", larger, folders, tmp_path / "again", max_steps=1, motion=first)
    base = load_base(folders["base"])
    one, other = (module_hash(with_its_unet(base, out / "weights").unet) for out in (first, again))
    assert one == other != module_hash(base.unet)


def test_a_run_that_was_interrupted_is_the_run_that_was_not(larger: Path, folders: Folders, tmp_path: Path) -> None:
    whole = train_with("all", larger, folders, tmp_path / "whole", steps=4)
    train_with("all", larger, folders, tmp_path / "parts", steps=2)
    parts = train_with("all", larger, folders, tmp_path / "parts", steps=4)
    assert losses(parts) == losses(whole)
    assert weights_hash(parts / "weights") == weights_hash(whole / "weights")


def test_later_stages_and_painters_have_the_unet_that_the_temporal_modules_were_trained_with(
    larger: Path, folders: Folders, tmp_path: Path
) -> None:
    motion = train_with("words", larger, folders, tmp_path / "motion")
    unet = with_its_unet(load_base(folders["base"]), motion / "weights").unet
    said = {**folders, "motion": motion}
    for stage in ("motion", "replication", "motion_lora"):
        made = prepared(config(stage, larger, folders, tmp_path / "none", motion=motion))
        held = made.network.get_submodule("denoiser.unet").state_dict()
        for name, value in unet.state_dict().items():
            assert torch.equal(held[name], value), name
    said["replication"] = train("replication", larger, said, tmp_path / "replication", max_steps=1)
    loras = [train("motion_lora", larger, {**folders, "motion": motion}, tmp_path / "lora", max_steps=1)]
    plain = {
        **{key: str(said[key]) for key in ("base", "motion", "replication")},
        "loras": f"[{loras[0]}]", "licences": "{base: CC0-1.0}", "out": str(tmp_path / "painter"),
    }  # fmt: skip
    run(assemble_config(compose("assemble", [f"{key}={value}" for key, value in plain.items()])))
    painter = painter_folder.load_painter(tmp_path / "painter")
    assert isinstance(painter, Painter) and module_hash(painter.base.unet) == module_hash(unet)


def test_a_unet_that_moved_from_another_base_does_not_replace_that_of_the_base_in_silence(
    larger: Path, folders: Folders, tmp_path: Path
) -> None:
    motion = train_with("all", larger, folders, tmp_path / "motion")
    further = train("base", larger, {"base": folders["base"]}, tmp_path / "further", max_steps=1)
    for stage in ("motion", "replication", "motion_lora"):
        message = rf"motion={motion}: its UNet was trained from another base than base={further}"
        with pytest.raises(UserError, match=message):
            prepared(config(stage, larger, {**folders, "base": further}, tmp_path / "none", motion=motion))
    alone = motion / "weights" / "animatediff.safetensors"
    made = prepared(config("motion", larger, {**folders, "base": further}, tmp_path / "none", motion=alone))
    held = made.network.get_submodule("denoiser.unet").state_dict()
    for name, value in load_base(further / "weights").unet.state_dict().items():
        assert torch.equal(held[name], value), name


def test_a_unet_that_moved_on_one_stable_diffusion_does_not_replace_that_of_another_in_silence(
    larger: Path, folders: Folders, tmp_path: Path
) -> None:
    own = {"model": "sd15", "base": "null", "noise.prediction": "v", "model.path": folders["base"]}
    other = load_base(folders["base"])
    stir(other.unet)
    other.save(tmp_path / "other")
    motion = train("motion", larger, folders, tmp_path / "motion", max_steps=1, **{**own, "stage.base": "all"})
    for stage in ("motion", "replication", "motion_lora"):
        here = {**own, "motion": motion}
        prepared(config(stage, larger, folders, tmp_path / "none", **here))
        prepared(config(stage, larger, folders, tmp_path / "none", **{**here, "base": folders["base"]}))
        for key in ("base", "model.path"):
            message = rf"its UNet was trained from another base than {key}={tmp_path / 'other'}"
            with pytest.raises(UserError, match=message):
                prepared(config(stage, larger, folders, tmp_path / "none", **{**here, key: tmp_path / "other"}))
    further = train_with("all", larger, folders, tmp_path / "further")  # of base=, the same one
    prepared(config("replication", larger, folders, tmp_path / "none", **{**own, "motion": further}))


def test_a_unet_that_is_not_whole_is_refused(larger: Path, folders: Folders, tmp_path: Path) -> None:
    motion = tmp_path / "motion"
    shutil.copytree(folders["motion"], motion)
    (motion / "unet").mkdir()
    with pytest.raises(UserError, match=f"motion={motion}: its unet has no weights that can be read"):
        train("replication", larger, {**folders, "motion": motion}, tmp_path / "run", max_steps=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stage": "base", "+stage.base": "all"}, "base=all: not allowed; allowed: set only with stage=motion"),
        ({"model": "wan22_tiny", "stage.base": "words"}, "base=words: not allowed; allowed: null with model="),
        ({"stage.base": "some"}, "stage.base=some: not allowed; allowed: one of words, all"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_so_is_refused(
    larger: Path, folders: Folders, tmp_path: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train("motion", larger, folders, tmp_path / "run", **options)
