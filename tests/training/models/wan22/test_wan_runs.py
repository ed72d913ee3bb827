"""The tiny Wan goes through every command: stages, exact resume, cached latents, a painter, and painting."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import WanPipeline
from PIL import Image

from conf.compose import compose
from conf.errors import UserError
from pipelines import encode, paint
from pipelines.encode import encode_config
from pipelines.inference.config import paint_config
from tests.training.models.toy_architecture.registration import TOY
from tests.training.models.wan22.small_wan import small_wan
from tests.training.models.wan22.wan_runs import SHAPE, config, small_scenes, train
from tests.training.toy_runs import losses, words
from training import assemble
from training.config import train_config
from training.models.painter_parts import part_at
from training.models.registry import ARCHITECTURES
from training.models.weights import weights_hash
from training.stages import make

Frames = list[np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_scenes(tmp_path_factory.mktemp("wan"))


@pytest.fixture(scope="module")
def base(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("wan")
    learned = train(scenes, root / "words", "words", base="null")
    return train(scenes, root / "base", "base", base=learned, sample_every=2)


@pytest.fixture(scope="module")
def motion(scenes: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = {"max_steps": 4, "sample_every": 4, "validate_every": 4, "val_sequences": 2, "noise.shared": 0.5}
    return train(scenes, tmp_path_factory.mktemp("wan") / "motion", "motion", base=base, **options)


def test_the_text_encoder_of_a_trained_base_learns_further(scenes: Path, base: Path, tmp_path: Path) -> None:
    out = train(
        scenes, tmp_path / "words", "words", base=base, **{"stage.unfinished": 0.5, "optimizer.warmup_steps": 0}
    )
    assert all(math.isfinite(line["train/loss"]) for line in losses(out)) and len(losses(out)) == 2
    before, after = base / "weights", out / "weights"
    changed = {
        path.relative_to(after).parts[0]
        for path in after.rglob("*.safetensors")
        if path.read_bytes() != (before / path.relative_to(after)).read_bytes()
    }
    assert changed == {"text_encoder"}


@pytest.mark.parametrize(
    ("key", "value"), [("frames", "video"), ("order", "reversed"), ("lead", 1), ("shift", 7)]
)  # fmt: skip
def test_a_motion_lora_has_the_noise_of_its_motion_model(
    scenes: Path, base: Path, motion: Path, tmp_path: Path, key: str, value: object
) -> None:
    parents = {"base": base, "motion": motion, "noise.shared": 0.5}
    with pytest.raises(UserError, match=rf"^model\.{key}={value}.* as of its motion model"):
        train(scenes, tmp_path / "lora", "motion_lora", **parents, **{f"model.{key}": value})


def test_runs_of_another_stage_or_model_are_refused_as_parents(
    scenes: Path, base: Path, motion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spatial = train(scenes, tmp_path / "spatial", "spatial_lora", base=base)
    for key, place, trained_by in (("motion", spatial, "spatial_lora"), ("spatial_lora", motion, "motion")):
        parents = {"base": base, "motion": motion, "noise.shared": 0.5} | {key: place}
        with pytest.raises(UserError, match=f"^{key}=.*: trained by stage={trained_by}; allowed: {key}$"):
            train(scenes, tmp_path / "lora", "motion_lora", **parents)
    card = json.loads((motion / "weights" / "run_card.json").read_text())
    monkeypatch.setattr(make, "read_run_card", lambda weights: card)
    monkeypatch.setitem(ARCHITECTURES, "toy", TOY)  # which ignores the same keys of noise
    assert TOY.ignored_noise == ARCHITECTURES["wan22_tiny"].ignored_noise
    for model in ("tiny", "sd15", "toy", "of a later version"):
        card["recipe"]["model"]["name"] = model
        with pytest.raises(UserError, match=f"with model={model}; allowed: a run of the same kind as wan22_tiny"):
            make._refuse_other_parents(config(scenes, tmp_path / "lora", "motion_lora", base=base, motion=motion))
    card["recipe"]["model"]["name"] = "wan22"
    make._refuse_other_parents(config(scenes, tmp_path / "lora", "motion_lora", base=base, motion=motion))


@pytest.fixture(scope="module")
def painter(base: Path, motion: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return assembled(tmp_path_factory.mktemp("wan") / "painter", base=base, motion=motion)


def test_a_painter_that_is_a_base_says_how_that_was_trained(painter: Path) -> None:
    card = part_at("base", painter).card
    assert card is not None and card["stage"] == "base"


def assembled(out: Path, **parts: Any) -> Path:
    typed = [f"{key}={value}" for key, value in {**parts, "out": out}.items()]
    assemble.run(assemble.assemble_config(compose("assemble", typed)))
    return out


def painted(painter: Path, out: Path, *options: str) -> Frames:
    typed = [f"painter={painter}", f"out={out}", "size=64", "steps=3", "device=cpu", "prompt=a picture", *options]
    paint.run(paint_config(compose("paint", typed)))
    return [np.asarray(Image.open(path)).astype(int) for path in sorted((out / "frames").iterdir())]


def test_a_run_that_was_interrupted_ends_with_the_same_losses_and_weights(
    scenes: Path, base: Path, motion: Path, tmp_path: Path
) -> None:
    options = {"base": base, "validate_every": 4, "val_sequences": 2, "noise.shared": 0.5}
    for max_steps in (2, 4):
        train(scenes, tmp_path / "run", "motion", max_steps=max_steps, **options)
    assert losses(tmp_path / "run") == losses(motion) and len(losses(motion)) == 4
    assert losses(tmp_path / "run", "val/")[-1:] == losses(motion, "val/")
    assert weights_hash(tmp_path / "run" / "weights") == weights_hash(motion / "weights")
    assert (motion / "samples" / "step-00000004.png").exists()


def test_motion_trains_a_lora_of_300_such_layers_and_nothing_else(motion: Path) -> None:
    card = json.loads((motion / "weights" / "run_card.json").read_text())
    assert card["stage"] == "motion" and set(card["frozen"]) == {"vae", "text_encoder", "transformer"}
    assert card["recipe"]["stage"]["lora"]["rank"] == 4 and card["recipe"]["stage"]["conditions"]["most"] == 3
    names = {path.name for path in (motion / "weights").iterdir()}
    assert names == {"pytorch_lora_weights.safetensors", "kohya.safetensors", "run_card.json"}


def test_latents_and_text_are_cached_and_trained_on_alike(scenes: Path, base: Path, tmp_path: Path) -> None:
    model = [f"model.shape.{key}={value}" for key, value in SHAPE.items()]
    typed = [f"dataset={scenes}", f"out={tmp_path / 'latents'}", f"base={base}", "dtype=fp32", "model=wan22_tiny"]
    encode.run(encode_config(compose("encode", [*typed, *model])))
    of_frames = train(scenes, tmp_path / "of_frames", "motion", base=base)
    options = {"base": base, "model.text_encoder": "cpu"}
    of_latents = train(tmp_path / "latents", tmp_path / "of_latents", "motion", **options)
    for one, other in zip(losses(of_frames), losses(of_latents), strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_artists_loras_are_trained_beside_motion_and_assembled(
    scenes: Path, base: Path, motion: Path, tmp_path: Path
) -> None:
    options = {"base": base, "stage.lora.targets": "[to_q,ffn.net.2]"}
    spatial = train(scenes, tmp_path / "spatial", "spatial_lora", **options)
    options |= {"motion": motion, "spatial_lora": spatial, "noise.shared": 0.5}
    artist = train(scenes, tmp_path / "artist", "motion_lora", **options)
    frozen = json.loads((artist / "weights" / "run_card.json").read_text())["frozen"]
    assert set(frozen) == {"vae", "text_encoder", "transformer", "motion_lora", "spatial_lora"}
    loras = f"[{{path: {spatial}, name: look}}, {{path: {artist}, name: way}}]"
    painter = assembled(tmp_path / "painter", base=base, motion=motion, loras=loras)
    plain = painted(painter, tmp_path / "plain")
    both = painted(painter, tmp_path / "both", "loras={look: 1.0, way: 1.0}")
    none = painted(painter, tmp_path / "none", "loras={look: 0.0}")
    assert not same(plain, both) and same(plain, none)


def test_all_of_the_transformer_can_be_trained(scenes: Path, base: Path, tmp_path: Path) -> None:
    options = {"base": base, "+stage.lora": "null", "+stage.conditions": "null", "max_steps": 2}
    whole = train(scenes, tmp_path / "whole", "motion", **options)
    on = train(scenes, tmp_path / "on", "motion", motion=whole, **options)
    assert losses(on)[0] != losses(whole)[0]
    painter = assembled(tmp_path / "painter", base=base, motion=on)
    assert len(painted(painter, tmp_path / "out")) == 8


def test_reversed_sequences_are_trained_and_painted_in_the_order_of_the_frames(
    scenes: Path, base: Path, painter: Path, tmp_path: Path
) -> None:
    turned = train(scenes, tmp_path / "turned", "motion", base=base, **{"model.order": "reversed"})
    painter = assembled(tmp_path / "painter", base=base, motion=turned)
    assert json.loads((painter / "painter.json").read_text())["order"] == "reversed"
    red = picture(tmp_path)
    frames = painted(painter, tmp_path / "out", f"conditions={{-1: {red}}}", "keep=false", "inversion=false")
    assert np.abs(frames[-1] - (200, 40, 40)).mean() < 12 < np.abs(frames[0] - (200, 40, 40)).mean()


def picture(folder: Path) -> Path:
    place = folder / "red.png"
    Image.fromarray(np.full((64, 64, 3), (200, 40, 40), np.uint8)).save(place)
    return place


def same(one: Frames, other: Frames) -> bool:
    return all(np.array_equal(first, second) for first, second in zip(one, other, strict=True))


def test_a_painter_is_painted_with_from_words_and_given_pictures(painter: Path, tmp_path: Path) -> None:
    red, bare = picture(tmp_path), ("inversion=false", "keep=false")
    plain = painted(painter, tmp_path / "plain")
    assert len(plain) == 8 and same(plain, painted(painter, tmp_path / "again"))
    for number, frame in enumerate((0, 3, -1)):
        pinned = painted(painter, tmp_path / f"at{number}", f"conditions={{{frame}: {red}}}", *bare)
        away = [np.abs(shown - (200, 40, 40)).mean() for shown in pinned]
        assert away[frame] < 12 and np.argmin(away) == frame % 8
    half = painted(painter, tmp_path / "half", f"conditions={{-1: {{path: {red}, strength: 0.5}}}}", *bare)
    distances = [np.abs(frames[-1] - (200, 40, 40)).mean() for frames in (plain, half, pinned)]
    assert distances[0] > distances[1] > distances[2]
    assert np.abs(painted(painter, tmp_path / "of", "task=reconstruct", f"image={red}")[-1] - (200, 40, 40)).mean() < 12
    assert len(painted(painter, tmp_path / "on", "task=complete", f"image={red}", "at=2")) == 6
    for way in ("network=false", "inversion=false"):
        with_all = painted(painter, tmp_path / "all", f"conditions={{-1: {red}}}")
        assert not same(with_all, painted(painter, tmp_path / way, f"conditions={{-1: {red}}}", way)), way


def test_offloading_and_memory_of_the_vae_change_no_pixel(painter: Path, tmp_path: Path) -> None:
    plain = painted(painter, tmp_path / "plain")
    assert same(plain, painted(painter, tmp_path / "spared", "vae=tiled"))


def test_a_large_base_stays_where_it_is(
    base: Path, motion: Path, painter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.models.wan22.painter._LARGEST_COPIED", 1000)
    light = assembled(tmp_path / "light", base=base, motion=motion)
    assert not (light / "transformer").exists() and not (light / "vae").exists()
    assert len(painted(light, tmp_path / "out")) == 8
    card = json.loads((light / "painter.json").read_text())
    assert card["base_folder"]["path"] == str((base / "weights").resolve())
    monkeypatch.setattr("training.models.wan22.painter._bytes_of", lambda folder: 5)
    with pytest.raises(UserError, match=r"its base, .*, is not there or was changed"):
        painted(light, tmp_path / "again")


@torch.no_grad()
def test_stock_diffusers_paints_with_the_base_and_the_lora_of_a_run(base: Path, motion: Path) -> None:
    pipe = WanPipeline.from_pretrained(base / "weights")
    pipe.set_progress_bar_config(disable=True)
    options: Mapping[str, Any] = {
        "height": 32, "width": 32, "num_frames": 7, "num_inference_steps": 2, "output_type": "pt",
    }  # fmt: skip
    without, adapted = (None, None)
    without = pipe("a picture", generator=torch.Generator().manual_seed(0), **options).frames
    pipe.load_lora_weights(motion / "weights")
    adapted = pipe("a picture", generator=torch.Generator().manual_seed(0), **options).frames
    assert torch.isfinite(adapted).all() and not torch.allclose(without, adapted, atol=1e-3)


def test_gradient_checkpointing_and_waiting_weights_change_no_loss(scenes: Path, base: Path, tmp_path: Path) -> None:
    plain = train(scenes, tmp_path / "plain", "motion", base=base)
    spared = train(scenes, tmp_path / "spared", "motion", base=base, gradient_checkpointing="true")
    waiting = {"base": base, "gradient_checkpointing": "true", "offload": "true"}
    for max_steps in (1, 2):
        train(scenes, tmp_path / "waiting", "motion", **waiting, max_steps=max_steps)
    assert losses(plain) == losses(spared) == losses(tmp_path / "waiting")
    assert weights_hash(spared / "weights") == weights_hash(tmp_path / "waiting" / "weights")


def test_frozen_weights_in_8_bits_train_nearly_the_same(scenes: Path, base: Path, tmp_path: Path) -> None:
    exact = train(scenes, tmp_path / "exact", "motion", base=base)
    options = {"base": base, "model.dtype": "fp8", "gradient_checkpointing": "true"}
    small = train(scenes, tmp_path / "small", "motion", **options)
    for one, other in zip(losses(exact), losses(small), strict=True):
        assert one != other and one["train/loss"] == pytest.approx(other["train/loss"], rel=0.05)
    assembled(tmp_path / "painter", base=base, motion=small)  # it is still the same base's
    with pytest.raises(UserError, match=r"model\.dtype=fp8: .* where the whole transformer is trained"):
        train(scenes, tmp_path / "all", "motion", **options, **{"+stage.lora": "null"})


@pytest.mark.parametrize(
    ("stage", "options", "error"),
    [
        (
            "motion",
            {"+stage.lora.targets": "[to_q,conv]"},
            r"stage\.lora\.targets=.*allowed: some of to_q, .*ffn\.net\.2",
        ),
        ("motion", {"model.shift": -1}, r"model\.shift=-1\.?0?: not allowed; allowed: more than 0, or null"),
        ("motion", {"model.lead": 0.5}, r"model\.lead=0\.5: not allowed; allowed: 1 to 100"),
        ("motion", {"model.solver": "ddim"}, r"model\.solver=ddim: not allowed; allowed: one of euler, unipc"),
        ("motion", {"model.frames": "film"}, r"model\.frames=film: not allowed; allowed: one of pictures, video"),
        (
            "motion",
            {"offload": "true"},
            r"offload=true: not allowed; allowed: false, or set gradient_checkpointing=true",
        ),
        (
            "motion",
            {"offload": "true", "gradient_checkpointing": "true", "model.dtype": "fp8"},
            r"model\.dtype=fp8: not allowed; allowed: bf16 or fp32 with offload=true",
        ),
        (
            "motion",
            {"offload": "true", "gradient_checkpointing": "true", "compile": "true"},
            r"compile=true: not allowed; allowed: false with offload=true",
        ),
        ("motion", {"noise.min_snr": 5}, r"noise\.min_snr=5\.0: not allowed"),
        (
            "replication",
            {"motion": "x"},
            r"model=wan22_tiny: not allowed; allowed: tiny or sd15, with stage=replication",
        ),
        ("motion", {"base": "null"}, "base is required with stage=motion model=wan22_tiny"),
        ("motion", {"model.shape.width": 40}, r"model\.shape\.width=40: not allowed; allowed: a multiple of 32"),
    ],
)
def test_what_a_wan_does_not_know_is_refused(
    scenes: Path, tmp_path: Path, stage: str, options: Mapping[str, Any], error: str
) -> None:
    with pytest.raises(UserError, match=error):
        config(scenes, tmp_path / "run", stage, **{"base": "somewhere", **options})


def test_sizes_and_numbers_of_frames_are_refused_before_weights_are_read(scenes: Path, tmp_path: Path) -> None:
    """The folder holds configurations alone."""
    for network, frames, error in (
        (48, "pictures", "sides must be multiples of 48"),
        (32, "video", "of 8 frames; allowed: 9"),
    ):
        place = tmp_path / f"base{network}"
        place.mkdir()
        small_wan().save(place)
        for weights in place.rglob("*.safetensors"):
            weights.unlink()
        vae = json.loads((place / "vae" / "config.json").read_text())
        vae |= {"patch_size": network // 2, "temperal_downsample": [True, True]}
        (place / "vae" / "config.json").write_text(json.dumps(vae))
        with pytest.raises(UserError, match=error):
            train(scenes, tmp_path / f"run{network}", "motion", base=place, **{"model.frames": frames})
        typed = [f"dataset={scenes}", f"out={tmp_path / 'latents'}", f"base={place}", "model=wan22_tiny"]
        with pytest.raises(UserError, match=error):
            encode.run(encode_config(compose("encode", [*typed, f"model.frames={frames}"])))
        assert not (tmp_path / "latents").exists()


def test_stages_of_other_models_take_no_keys_of_wan(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"stage\.lora=.*allowed: set with, and only with, stage=spatial_lora or stage=motion_lora"
    ):
        train_config(compose("train", words(scenes, tmp_path, stage="motion", **{"+stage.lora.rank": 4})))
