"""The interface of architectures: every command works with one that is not part of the package."""

import ast
import dataclasses
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load

from conf.compose import compose
from conf.errors import UserError
from pipelines import encode, paint, verify
from pipelines.encode import encode_config
from pipelines.inference.config import paint_config
from tests.pipelines.small_dataset import small_dataset
from tests.training.models.toy_architecture.architecture import ToyArchitecture
from tests.training.models.toy_architecture.base import new_base
from tests.training.models.toy_architecture.flow import Flow
from tests.training.models.toy_architecture.registration import TOY
from tests.training.toy_runs import losses, words
from training import assemble
from training.config import TrainConfig, train_config
from training.data.split import open_split
from training.data.stream import DataMixture, SequenceStream
from training.data.text import Text
from training.diffusion import invert, sample
from training.models.painter_folder import load_painter
from training.models.registration import StageName
from training.models.registry import ARCHITECTURES, architecture_of_base
from training.models.weights import weights_hash
from training.train import run

ROOT = Path(__file__).resolve().parents[3]
MODEL = {"name": "toy", "shift": 2.0}
PACKAGES = ("conf", "renderers", "training", "pipelines")
KNOWS_ONE = {  # what may import an architecture: itself, the list of them, and what stock diffusers loads by path
    "training/models/registry.py", "pipelines/painter.py", "pipelines/painters/small.py",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    """The line that a new architecture adds to the registry."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "toy", TOY)
        yield


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    captions = [f"picture {number}" for number in range(9)]
    return small_dataset(tmp_path_factory.mktemp("toy") / "scenes", captions=captions)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "base"
    folder.mkdir()
    new_base().save(folder)
    return folder


def config(data: Path, out: Path, /, **options: Any) -> TrainConfig:
    """The configuration of a short run of the toy, as its YAML would compose it."""
    plain = compose("train", words(data, out, **{"batch_size": 2, "max_steps": 4, **options}))
    return train_config({**plain, "model": MODEL})


def train(data: Path, out: Path, /, **options: Any) -> Path:
    run(config(data, out, **options))
    return out


@pytest.fixture(scope="module")
def motion(scenes: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("toy") / "motion"
    options = {"validate_every": 4, "val_sequences": 2, "sample_every": 4, "noise.shared": 0.5}
    return train(scenes, out, stage="motion", base=base, **options)


@pytest.fixture(scope="module")
def replication(scenes: Path, base: Path, motion: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("toy") / "replication"
    options = {"stage": "replication", "base": base, "motion": motion, "noise.shared": 0.5, "sample_every": 4}
    return train(scenes, out, **options)


@pytest.fixture(scope="module")
def painter(base: Path, motion: Path, replication: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("toy") / "painter"
    given = {"base": base, "motion": motion, "replication": replication, "licences": "{base: CC0-1.0}", "out": out}
    assemble.run(assemble.assemble_config(compose("assemble", [f"{key}={value}" for key, value in given.items()])))
    return out


def painted(painter: Path, out: Path, *options: str) -> list[np.ndarray[Any, Any]]:
    typed = [f"painter={painter}", f"out={out}", "size=64", "steps=4", "device=cpu", *options]
    paint.run(paint_config(compose("paint", typed)))
    return [np.asarray(Image.open(path)) for path in sorted((out / "frames").iterdir())]


def test_it_trains_and_is_resumed_to_the_same_losses_and_weights(
    scenes: Path, base: Path, motion: Path, tmp_path: Path
) -> None:
    options = {"stage": "motion", "base": base, "noise.shared": 0.5, "validate_every": 4, "val_sequences": 2}
    for max_steps in (2, 4):
        train(scenes, tmp_path / "run", max_steps=max_steps, **options)
    assert losses(tmp_path / "run") == losses(motion) and len(losses(motion)) == 4
    assert losses(tmp_path / "run", "val/")[-1:] == losses(motion, "val/")
    assert weights_hash(tmp_path / "run" / "weights") == weights_hash(motion / "weights")
    assert (motion / "samples" / "step-00000004.png").exists()


def test_losses_are_told_apart_up_to_the_last_timestep_of_its_objective(
    scenes: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = ToyArchitecture.objective

    def of_more_steps(*given: Any, **options: Any) -> Flow:
        return dataclasses.replace(cast(Flow, objective(*given, **options)), num_steps=4000)

    monkeypatch.setattr(ToyArchitecture, "objective", of_more_steps)
    options = {"base": base, "max_steps": 2, "batch_size": 4, "validate_every": 2, "val_sequences": 2}
    out = train(scenes, tmp_path / "run", stage="motion", **options)
    bands = {key.rpartition("/t")[2] for kind in ("train/", "val/") for line in losses(out, kind) for key in line}
    assert bands & {"2000-2999", "3000-3999"} and "0750-0999" not in bands


def test_a_painter_is_given_no_part_that_it_would_be_without(base: Path, motion: Path, tmp_path: Path) -> None:
    loras = f"[{{name: ink, path: {motion}}}]"
    for key, value, place, nothing in (("codec", base, base, "null"), ("loras", loras, motion, "[]")):
        typed = [f"{key}={value}", f"base={base}", f"motion={motion}", f"out={tmp_path / 'painter'}"]
        refusal = f"{key}={place}: not allowed; allowed: {nothing} with a base of toy"
        with pytest.raises(UserError, match=f"^{re.escape(refusal)}$"):
            assemble.run(assemble.assemble_config(compose("assemble", typed)))
        assert list(tmp_path.iterdir()) == []


def test_a_stage_has_the_keys_that_its_architecture_adds(
    scenes: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = compose("train", words(scenes, tmp_path / "run", base=base, motion=base, stage="replication"))
    refused = {**plain, "model": MODEL, "stage": {**plain["stage"], "lora": {"rank": 2, "alpha": 2.0}}}
    with pytest.raises(UserError, match=r"^stage\.lora={rank: 2, alpha: 2\.0, targets: \[to_q,.*\]}: not allowed; "):
        train_config(refused)
    lora = {"rank": 4, "alpha": 4.0, "targets": ["to_q"]}
    added = dataclasses.replace(TOY, stage_defaults={"replication": {"lora": lora}})
    monkeypatch.setitem(ARCHITECTURES, "toy", added)
    shape = train_config({**plain, "model": MODEL}).stage.lora
    assert shape is not None and shape.rank == 4


def test_its_latents_and_both_text_tensors_are_stored_and_trained_on(scenes: Path, base: Path, tmp_path: Path) -> None:
    out = tmp_path / "latents"
    plain = compose("encode", [f"dataset={scenes}", f"out={out}", f"base={base}", "dtype=fp32"])
    encode.run(encode_config({**plain, "model": MODEL}))
    verify.run(verify.verify_config(compose("verify", [f"dataset={out}"])))
    (sequence,), (text,) = (open_split(str(out), split).read([0]) for split in ("train", "text"))
    assert load(sequence.members["latents.safetensors"])["mean"].shape == (4, 12, 6, 8)  # of 8 frames
    shapes = {name: tuple(tensor.shape) for name, tensor in load(text.members["text.safetensors"]).items()}
    assert shapes == {"words": (24, 16), "pooled": (16,)}
    options = {"stage": "motion", "base": base, "max_steps": 2}
    of_frames, of_latents = (train(data, tmp_path / f"run_{data.name}", **options) for data in (scenes, out))
    for one, other in zip(losses(of_frames), losses(of_latents), strict=True):
        assert one == pytest.approx(other, rel=1e-5)


def test_a_painter_says_its_architecture_and_is_painted_with(painter: Path, tmp_path: Path) -> None:
    card = json.loads((painter / "painter.json").read_text())
    assert card["architecture"] == "toy" and not (painter / "model_index.json").exists()
    picture = tmp_path / "picture.png"
    Image.fromarray(np.full((64, 64, 3), (200, 40, 40), np.uint8)).save(picture)
    plain = painted(painter, tmp_path / "plain", "prompt=a boat")
    assert len(plain) == 8 and plain[0].shape == (64, 64, 3)
    again = painted(painter, tmp_path / "again", "prompt=a boat")
    assert all(np.array_equal(one, other) for one, other in zip(plain, again, strict=True))
    pinned = painted(painter, tmp_path / "pinned", "prompt=a boat", f"conditions={{-1: {picture}}}")
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("plain", "pinned")]
    assert np.abs(pinned[-1].astype(int) - (200, 40, 40)).mean() < 12  # the paint of the picture is kept
    assert np.array_equal(pinned[-1], pinned[-2])  # one latent shows both
    assert [one["frame"] for one in reports[1]["conditions"]] == [7]
    for way in ("network=false", "inversion=false", "keep=false"):
        other = painted(painter, tmp_path / way, "prompt=a boat", f"conditions={{-1: {picture}}}", way)
        assert any(not np.array_equal(one, two) for one, two in zip(pinned, other, strict=True)), way


def test_a_painter_of_an_unknown_architecture_is_refused_in_one_line(painter: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(painter, tmp_path / "painter")
    card = json.loads((copy / "painter.json").read_text())
    (copy / "painter.json").write_text(json.dumps({**card, "architecture": "os"}))
    allowed = re.escape(f"one of {', '.join(ARCHITECTURES)}")
    with pytest.raises(UserError, match=rf"painter=\S+: architecture=os: not allowed; allowed: {allowed}$"):
        load_painter(copy)


def test_a_base_is_known_by_how_it_looks_or_by_its_run(base: Path, motion: Path, tmp_path: Path) -> None:
    assert architecture_of_base(base) == architecture_of_base(motion / "weights") == "toy"
    assert architecture_of_base(tmp_path) == "sd15"


def trained_by(stage: StageName) -> str:
    """The architectures that a stage trains, as errors list them."""
    return " or ".join(name for name, each in ARCHITECTURES.items() if stage in each.stages)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"stage": "base", "base": "null"}, f"model=toy: not allowed; allowed: {trained_by('base')}, with stage=base"),
        ({"stage": "motion", "base": "null"}, "base is required with stage=motion model=toy"),
        ({"stage": "motion", "noise.beta_start": 0.01}, r"noise\.beta_start=0\.01: not allowed; allowed: 0\.00085"),
        (
            {"stage": "motion", "noise.num_steps": 500},
            r"noise\.num_steps=500: not allowed; allowed: 1000",
        ),
        (
            {"stage": "motion", "noise.prediction": "v"},
            r"noise\.prediction=v: not allowed; allowed: null",
        ),
        ({"stage": "motion", "noise.zero_terminal_snr": "true"}, "zero_terminal_snr=true: not allowed; allowed: false"),
        ({"stage": "spatial_lora"}, f"model=toy: not allowed; allowed: {trained_by('spatial_lora')}, with"),
    ],
)
def test_what_an_architecture_does_not_know_is_refused(
    scenes: Path, base: Path, tmp_path: Path, options: Mapping[str, Any], error: str
) -> None:
    with pytest.raises(UserError, match=error):
        config(scenes, tmp_path / "run", **{"base": base, **options})


def test_keys_of_a_model_are_those_of_its_architecture(scenes: Path, base: Path, tmp_path: Path) -> None:
    plain = compose("train", words(scenes, tmp_path / "run", base=base, stage="motion"))
    for model, error in (
        ({"name": "toy", "shape": {}}, r"model\.shape=.*allowed: one of the keys name, path, shift"),
        ({"name": "toy", "shift": 0.0}, r"model\.shift=0\.0: not allowed; allowed: more than 0"),
        ({"name": "toyish"}, f"model.name=toyish: not allowed; allowed: one of {', '.join(ARCHITECTURES)}$"),
    ):
        with pytest.raises(UserError, match=error):
            train_config({**plain, "model": model})


def test_latents_that_compress_time_hold_no_finished_picture_alone(scenes: Path, base: Path, tmp_path: Path) -> None:
    out = tmp_path / "latents"
    plain = compose("encode", [f"dataset={scenes}", f"out={out}", f"base={base}"])
    encode.run(encode_config({**plain, "model": MODEL}))
    with pytest.raises(UserError, match="4 latents for 8 frames, none of which is the finished picture alone"):
        SequenceStream.open([DataMixture(path=str(out))], frames="last")


def test_flow_matching_samples_and_inverts_through_the_same_code() -> None:
    """The perfect prediction for data that are N(0.7, 0.25) in every number leads to them, and back to the noise."""
    flow = Flow()

    def denoise(latents: torch.Tensor, timesteps: torch.Tensor, text: Text) -> torch.Tensor:
        share = (timesteps / (flow.num_steps - 1))[:, None]
        total = (1 - share) ** 2 * 0.25 + share**2
        away = latents - (1 - share) * 0.7
        return share * away / total - 0.7 - (1 - share) * 0.25 * away / total

    text = Text({"text": torch.zeros(4, 1)})
    noise = torch.randn(4, 4096, generator=torch.Generator().manual_seed(0))
    made = sample(denoise, flow, noise, text, text, num_steps=100, guidance=1.0)
    assert float(made.mean()) == pytest.approx(0.7, abs=0.05) and float(made.std()) == pytest.approx(0.5, abs=0.05)
    back = invert(denoise, flow, made, text, num_steps=100)
    assert float((back - noise).square().mean()) < 1e-3


def test_shared_code_names_no_architecture() -> None:
    """Whatever is not an architecture's own reaches it through the registry."""
    own = tuple({each.module.rpartition(".")[0] for each in ARCHITECTURES.values() if each is not TOY})
    guilty = []
    for path in (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))):
        place = path.relative_to(ROOT).as_posix()
        if place in KNOWS_ONE or place.startswith(tuple(f"{package.replace('.', '/')}/" for package in own)):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            guilty += [f"{place}: {module}" for module in modules if module.startswith(own)]
    assert guilty == []
