"""What putting a painter together promises."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from conf.compose import compose
from conf.errors import UserError
from tests.training.assembled import Folders, assemble, load_painter
from tests.training.models.small_base import small_base
from tests.training.stages.parents import train
from tests.training.toy_runs import ROOT
from training.assemble import assemble_config
from training.data.manifest import hash_file
from training.data.own_page import README
from training.models import painter_folder
from training.models.lora import apply_lora
from training.models.sd15.base import load_base
from training.models.sd15.motion import add_motion, load_motion, predict
from training.models.sd15.replication import load_replication
from training.models.weights import module_hash, sound_hash, weights_hash
from training.noise_schedule import NoiseSchedule
from training.tracking import Artifact


def test_a_tracked_painter_is_noted_with_the_weights_that_it_was_made_from(
    runs: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[Path, Any]] = []
    noted: list[Artifact] = []
    tracker = SimpleNamespace(artifact=noted.append, finish=lambda: begun.append((tmp_path, "finished")))

    def begin(*, folder: Path, name: str, **_: Any) -> SimpleNamespace:
        begun.append((folder, name))
        return tracker

    monkeypatch.setattr("training.assemble.WandbTracker", begin)
    out = assemble(runs, tmp_path / "painter", tracker="wandb")
    assert begun == [(Path("outputs"), "painter: painter"), (tmp_path, "finished")]
    (painter,) = noted
    weights = [runs["base"], *(runs[key] / "weights" for key in ("motion", "replication"))]
    assert [part.name for part in painter.made_from] == [
        Artifact(kind="weights", sha256=weights_hash(path)).name
        for path in weights  # as `training.train` notes them
    ]
    assert painter.sha256 == hash_file(out / "painter.json") and str(tmp_path) not in str(painter)


@torch.no_grad()
def test_a_painter_holds_what_was_trained(runs: Folders, painter: Path) -> None:
    base = load_base(runs["base"])
    loaded = load_painter(painter)
    assert module_hash(loaded.base.unet) == module_hash(base.unet) and loaded.base.fingerprint() == base.fingerprint()
    motion = load_motion(runs["motion"] / "weights", base.unet)
    assert module_hash(loaded.motion) == module_hash(motion)
    assert loaded.replication is not None
    replication = load_replication(runs["replication"] / "weights", base.unet)
    assert module_hash(loaded.replication) == module_hash(replication)
    assert list(loaded.loras) == ["spatial", "way"]
    unet = add_motion(loaded.base.unet, loaded.motion).eval().requires_grad_(False)
    latents = torch.randn(1, 3, base.latent_channels, 4, 4)
    before = predict(unet, latents, torch.tensor([5]), base.embed(["a lake"])["text"])
    for name, state in loaded.loras.items():
        apply_lora(unet, name, state)
    assert not torch.equal(predict(unet, latents, torch.tensor([5]), base.embed(["a lake"])["text"]), before)


def test_the_card_says_what_is_in_it_and_where_from(runs: Folders, painter: Path) -> None:
    card = json.loads((painter / "painter.json").read_text())
    assert (card["num_frames"], card["size_px"]) == (8, [32, 32])
    assert {key: part["hash"] for key, part in card["parts"].items()} == {
        key: weights_hash(runs[key] / "weights" if key != "base" else runs[key]) for key in runs
    }
    assert card["parts"]["base"]["licences"] == {"weights": "CC0-1.0"}
    assert card["parts"]["motion"]["licences"] == {"data": {"data": {"CC0-1.0": 9}}}
    cards = {path.stem: json.loads(path.read_text()) for path in (painter / "run_cards").iterdir()}
    assert cards.keys() == runs.keys() - {"base"}
    for made in cards.values():
        assert [step for step, _ in made["curves"]["train/loss"]] == [1, 2]
        assert made["recipe"]["data"]["hashes"].keys() == {"data"}
    assert not any(str(runs["motion"].parent) in path.read_text() for path in painter.rglob("*.json"))


def test_a_painter_samples_on_the_noise_that_its_motion_was_trained_on(runs: Folders, tmp_path: Path) -> None:
    small_base(NoiseSchedule(prediction="v", spacing="scaled_linear")).save(tmp_path / "base")
    parents, data = {"base": tmp_path / "base"}, runs["motion"].parent / "data"
    parents["motion"] = train("motion", data, parents, tmp_path / "motion", max_steps=1)
    painter = load_painter(assemble(parents, tmp_path / "painter", replication="null"))
    assert painter.base.schedule == NoiseSchedule(prediction="v")


def test_released_motion_samples_on_the_linear_schedule_that_it_was_trained_on(runs: Folders, tmp_path: Path) -> None:
    small_base(NoiseSchedule(prediction="v", spacing="scaled_linear")).save(tmp_path / "base")
    released = tmp_path / "mm_sd_v15.safetensors"
    shutil.copy(runs["motion"] / "weights" / "animatediff.safetensors", released)
    parts = {"base": tmp_path / "base", "motion": released}
    licences = "{base: x, motion: apache-2.0}"
    out = assemble(parts, tmp_path / "painter", replication="null", licences=licences, num_frames=8, size=64)
    assert load_painter(out).base.schedule == NoiseSchedule(prediction="v", spacing="linear")
    assert json.loads((out / "scheduler/scheduler_config.json").read_text())["beta_schedule"] == "linear"


def test_parts_of_another_kind_are_refused_in_one_line(
    runs: Folders, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for key, other, said in (
        ("motion", "replication", "trained by stage=replication; allowed: motion"),
        ("replication", "motion", "trained by stage=motion; allowed: replication"),
        ("motion", "spatial", "trained by stage=spatial_lora; allowed: motion"),
        ("base", "motion", "trained by stage=motion; allowed: base or words"),
        ("loras", "motion", "trained by stage=motion; allowed: spatial_lora or motion_lora"),
    ):
        value = f"[{{path: {runs[other]}, name: x}}]" if key == "loras" else runs[other]
        with pytest.raises(UserError, match=re.escape(f"{key}={runs[other]}: {said}")) as caught:
            assemble(runs, tmp_path / "painter", **{key: value})
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [] and capfd.readouterr().err == ""


def test_a_painter_shares_the_noise_that_its_motion_was_trained_to_share(runs: Folders, tmp_path: Path) -> None:
    parents, data = {"base": runs["base"]}, runs["motion"].parent / "data"
    shared = {"noise.shared": 0.7}
    parents["motion"] = train("motion", data, parents, tmp_path / "motion", max_steps=1, **shared)
    with pytest.raises(UserError, match=r"noise\.shared=0\.0.*0\.7, as of its motion model"):
        train("replication", data, parents, tmp_path / "replication", max_steps=1)
    parents["replication"] = train("replication", data, parents, tmp_path / "replication", max_steps=1, **shared)
    painter = assemble(parents, tmp_path / "painter")
    assert load_painter(painter).base.schedule.shared == 0.7
    assert json.loads((painter / "model_index.json").read_text())["shared_noise"] == 0.7


def test_a_painter_gives_its_parts_to_another(runs: Folders, painter: Path, tmp_path: Path) -> None:
    licences = "null"  # which it states
    assemble({}, tmp_path / "again", painter=painter, licences=licences)
    one, other = load_painter(painter), load_painter(tmp_path / "again")
    assert module_hash(one.base.unet) == module_hash(other.base.unet)
    assert one.loras.keys() == other.loras.keys() == {"spatial", "way"}
    for key in ("parts", "num_frames", "size_px", "phrases"):
        assert one.facts[key] == other.facts[key]
    plain = assemble(runs, tmp_path / "plain")
    assemble({}, tmp_path / "more", painter=plain, licences=licences, loras=f"[{runs['spatial']}]")
    assert load_painter(tmp_path / "more").loras.keys() == {"spatial"}
    assert load_painter(tmp_path / "more").facts["parts"].keys() == {"base", "motion", "replication", "spatial"}


def test_weights_carry_their_run_card(runs: Folders) -> None:
    for key in ("motion", "replication", "spatial", "way"):
        card = json.loads((runs[key] / "weights" / "run_card.json").read_text())
        run_card = json.loads((runs[key] / "run.json").read_text())
        assert card.pop("curves") and card.pop("weights_hash") == weights_hash(runs[key] / "weights")
        assert card.pop("checksum") != run_card.pop("checksum")
        assert card == run_card


def test_the_parts_may_be_weights_without_their_run(runs: Folders, tmp_path: Path) -> None:
    alone = {key: shutil.copytree(runs[key] / "weights", tmp_path / key) for key in ("motion", "replication")}
    whole = assemble(runs, tmp_path / "whole")
    assert weights_hash(assemble({**runs, **alone}, tmp_path / "painter")) == weights_hash(whole)


def test_a_painter_may_take_half_the_space(runs: Folders, painter: Path, tmp_path: Path) -> None:
    half = assemble(runs, tmp_path / "half", dtype="fp16")
    sizes = [(folder / "unet" / "diffusion_pytorch_model.safetensors").stat().st_size for folder in (painter, half)]
    assert sizes[1] < 0.6 * sizes[0]
    ours, theirs = load_painter(half), load_painter(painter)
    for one, two in ((ours.base.unet, theirs.base.unet), (ours.motion, theirs.motion)):
        for (name, value), other in zip(one.state_dict().items(), two.state_dict().values(), strict=True):
            assert value.dtype == torch.float32 and torch.allclose(value, other, atol=1e-3), name


def test_numbers_too_large_for_fp16_are_not_stored_as_infinite(runs: Folders, tmp_path: Path) -> None:
    base = load_base(runs["base"])
    with torch.no_grad():
        next(base.vae.parameters())[0] = 1e6
    base.save(tmp_path / "base")
    parts = {"base": tmp_path / "base", "motion": runs["motion"] / "weights" / "animatediff.safetensors"}
    options = {"replication": "null", "licences": "{base: x, motion: x}", "num_frames": 8, "size": 64}
    with pytest.raises(UserError, match=r"vae/.*: .* values are not finite; fp16 holds numbers up to 65504"):
        assemble(parts, tmp_path / "painter", dtype="fp16", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_the_same_painter_may_be_made_again_and_another_may_not(runs: Folders, tmp_path: Path) -> None:
    out = assemble(runs, tmp_path / "painter")
    before = weights_hash(out)
    assert weights_hash(assemble(runs, out)) == before
    with pytest.raises(UserError, match="this one holds a painter with other weights as "):
        assemble(runs, out, replication="null")
    assert weights_hash(out) == before


def test_a_folder_that_holds_something_else_is_left_alone(runs: Folders, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="holds something that is not a painter"):
        assemble(runs, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"licences": "{}"}, "base=.*: not trained here; state its licence: licences={base: NAME}"),
        ({"licences": "{bass: x}"}, "licences=bass: not allowed; allowed: the parts base, motion, replication"),
        ({"motion": "/nowhere"}, "motion=/nowhere: no such file or folder"),
        ({"size": "tall"}, "size=tall: not allowed"),
        *(({"size": side}, f"size={side}: not allowed; allowed: 64 to 1024 px a side") for side in (0, 32, 65536)),
        ({"size": "64x2048"}, "size=64x2048: not allowed; allowed: 64 to 1024 px a side"),
        ({"size": "65"}, "size=65: not allowed; allowed: multiples of 16 px a side"),
        ({"sizes": "x"}, r"sizes=x: not allowed; allowed: sizes in pixels, as \[80x64,96x64\]"),
        ({"sizes": "[64,wide]"}, "sizes=wide: not allowed; allowed: sizes in pixels"),
        *(({"sizes": side}, f"sizes={side}: not allowed; allowed: 64 to 1024 px a side") for side in (0, 32, 100000)),
        ({"sizes": "[64,96x72]"}, "sizes=96x72: not allowed; allowed: multiples of 16 px a side"),
        ({"licences": 0}, "licences=0: not allowed"),
        ({"num_frames": 1}, "num_frames=1: not allowed; allowed: 2 to 256"),
        ({"loras": "[{path: x, name: base}]"}, r"loras.*name=base: not allowed"),
        ({"loras": "[a/base]"}, r"loras.*name=base: not allowed; .*; loras=\[{name: NAME, path: a/base}\] names it"),
        ({"loras": "[a/x,b/x]"}, "allowed: LoRAs of different names"),
        ({"loras": "[x.v1.safetensors,x v1.safetensors]"}, "allowed: LoRAs of different names, as in loras="),
    ],
)
def test_impossible_painters_are_refused(runs: Folders, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        assemble(runs, tmp_path / "painter", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "name"),
    [("ink.v1.safetensors", "ink_v1"), ("a/ink", "ink"), ("ink_.pt", "ink_"), ("a b (1).pt", "a_b_1_")],
)
def test_a_lora_is_called_as_its_file_in_letters_that_names_may_have(path: str, name: str) -> None:
    plain = compose("assemble", ["base=b", "motion=m", "out=o", f"loras=[{path}]"])
    assert [lora.name for lora in assemble_config(plain).loras] == [name]


def test_other_sizes_may_be_one_or_a_list(runs: Folders, tmp_path: Path) -> None:
    for number, (sizes, stored) in enumerate((("64", [[64, 64]]), ("[96x64,64x80]", [[64, 96], [80, 64]]))):
        out = assemble(runs, tmp_path / str(number), sizes=sizes)
        again = assemble({}, tmp_path / f"{number} again", painter=out, licences="null")
        for folder in (out, again):
            assert json.loads((folder / "painter.json").read_text())["sizes_px"] == stored


@pytest.mark.parametrize("out", [".", ".."])
def test_an_out_without_a_name_is_refused(
    runs: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    (tmp_path / "empty" / "also").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "empty" / "also")
    with pytest.raises(UserError, match=rf"^out={out}: not allowed; allowed: a path that ends with a name, such as"):
        assemble(runs, Path(out))
    assert [path.name for path in tmp_path.rglob("*")] == ["empty", "also"]


def test_parts_that_were_trained_on_others_are_refused(runs: Folders, tmp_path: Path) -> None:
    other = small_base(NoiseSchedule(prediction="v"))
    with torch.no_grad():
        other.unet.conv_in.bias.add_(1)
    other.save(tmp_path / "base")
    with pytest.raises(UserError, match=r"motion: trained on another base than base=.*base") as caught:
        assemble({**runs, "base": tmp_path / "base"}, tmp_path / "painter")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="way: trained beside a spatial_lora that is not among the loras"):
        assemble(runs, tmp_path / "painter", loras=f"[{runs['way']}]")
    with pytest.raises(
        UserError, match=r"loras=.*bare: made for another base; it was trained on another base"
    ):  # weights alone, without a card
        bare = tmp_path / "bare"
        shutil.copytree(runs["spatial"] / "weights", bare)
        (bare / "run_card.json").unlink()
        options = {"licences": "{base: x, motion: x, spatial: x}", "num_frames": 8, "size": 64, "replication": "null"}
        motion = shutil.copytree(runs["motion"] / "weights", tmp_path / "motion")
        (motion / "run_card.json").unlink()
        folders = {**runs, "base": tmp_path / "base", "motion": motion}
        assemble(folders, tmp_path / "painter", loras=f"[{{path: {bare}, name: spatial}}]", **options)
    assert not (tmp_path / "painter").exists()


@pytest.mark.parametrize("harm", ["missing", "cut", "format", "nothing"])
def test_a_painter_that_is_not_whole_is_refused(painter: Path, tmp_path: Path, harm: str) -> None:
    hurt = shutil.copytree(painter, tmp_path / "painter")
    weights, card = hurt / "unet" / "diffusion_pytorch_model.safetensors", hurt / "painter.json"
    words = {
        "missing": "unet/diffusion_pytorch_model.safetensors is missing",
        "cut": "unet/diffusion_pytorch_model.safetensors is cut or changed",
        "format": "of format 99; this code reads 1",
        "nothing": "not a painter",
    }[harm]
    if harm == "missing":
        weights.unlink()
    elif harm == "cut":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif harm == "format":
        card.write_text(json.dumps({**json.loads(card.read_text()), "format": 99}))
    else:
        card.unlink()
    with pytest.raises(UserError, match=words) as caught:
        load_painter(hurt)
    assert "\n" not in str(caught.value)


def test_a_painter_has_a_card_that_stays_once_somebody_changed_it(runs: Folders, tmp_path: Path) -> None:
    folder = assemble(runs, tmp_path / "painter")
    made = (folder / README).read_text("utf-8")
    assert "| base | not trained here |" in made and "| motion | motion | 2 |" in made
    assert "license: cc0-1.0" in made and "num_frames=8" in made and 'custom_pipeline="pipeline"' in made
    (folder / README).write_text("mine")
    painter_folder.check_painter(folder)
    assemble(runs, folder)
    assert (folder / README).read_text() == "mine"
    (folder / README).unlink()
    assemble(runs, folder)
    assert (folder / README).read_text("utf-8") == made


def test_a_bit_flipped_in_any_file_of_a_painter_is_named(painter: Path, tmp_path: Path) -> None:
    files = sorted(path.relative_to(painter) for path in painter.rglob("*") if path.is_file() and path.name != README)
    for number, name in enumerate(files):
        hurt = shutil.copytree(painter, tmp_path / str(number))
        data = bytearray((hurt / name).read_bytes())
        data[len(data) // 2] ^= 1
        (hurt / name).write_bytes(data)
        with pytest.raises(UserError, match=re.escape(name.as_posix())):
            load_painter(hurt)
        with pytest.raises(UserError, match=re.escape(name.as_posix())):
            sound_hash("base", hurt)


def test_help_comes_at_once() -> None:
    code = (
        "import atexit, runpy, sys\natexit.register(lambda: print(sorted(sys.modules)))\nsys.argv[1:] = ['--help']\n"
        "runpy.run_module('training.assemble', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    text, _, modules = done.stdout.rpartition("\n[")
    assert not {"torch", "diffusers", "hydra"} & set(modules.rstrip("]\n").replace("'", "").split(", "))
    for word in ("replication", "licences", "fp16"):
        assert word in text
