"""What putting a painter together promises where words or a decoder take the place of those of the base."""

import json
from pathlib import Path

import pytest
import torch

from conf.errors import UserError
from tests.pipelines.small_dataset import small_dataset
from tests.training.assembled import Folders, assemble, load_painter
from tests.training.stages import runs as stage_runs
from tests.training.stages.parents import train
from training.models.sd15.base import load_base, load_codec
from training.models.weights import module_hash


def test_the_run_that_a_base_learnt_its_words_in_comes_along(runs: Folders, tmp_path: Path) -> None:
    data = runs["motion"].parent / "data"
    words = tmp_path / "words"
    stage_runs.train(data, words, stage="words", base="null", max_steps=1)
    base = train("base", data, {"base": words}, tmp_path / "base", max_steps=1)
    parents = {"base": base, "motion": train("motion", data, {"base": base}, tmp_path / "motion", max_steps=1)}
    out = assemble(parents, tmp_path / "painter", licences="{}", words=words)
    assert json.loads((out / "run_cards" / "words.json").read_text())["stage"] == "words"
    assert json.loads((out / "painter.json").read_text())["parts"]["words"]["licences"]["data"]
    further = train("base", data, {"base": base}, tmp_path / "further", max_steps=1)
    motion = train("motion", data, {"base": further}, tmp_path / "motion_further", max_steps=1)
    again = assemble({"base": further, "motion": motion}, tmp_path / "again", painter=out, licences="{}")
    assert not (again / "run_cards" / "words.json").exists()  # of the base that was replaced
    stage_runs.train(data, tmp_path / "others", stage="words", base="null", max_steps=1, seed=1)
    with pytest.raises(UserError, match=r"words: base=.*did not begin from words=.*others"):
        assemble(parents, tmp_path / "other", licences="{}", words=tmp_path / "others")


def test_a_text_encoder_that_learnt_further_takes_the_place_of_the_one_of_its_base(
    runs: Folders, tmp_path: Path
) -> None:
    data = runs["motion"].parent / "data"
    base = train("base", data, {"base": runs["base"]}, tmp_path / "base", max_steps=1)
    motion = train("motion", data, {"base": base}, tmp_path / "motion", max_steps=1)
    first = assemble({"base": base, "motion": motion}, tmp_path / "first", licences="{}")
    words, way = tmp_path / "words", tmp_path / "way"
    stage_runs.train(data, words, stage="words", base=str(first), max_steps=1)
    stage_runs.train(data, way, stage="motion", base=str(words), motion=str(motion), max_steps=1)
    out = assemble({"base": first, "motion": way}, tmp_path / "painter", licences="{}", words=words)
    painter, before, after = load_painter(out), load_base(first), load_base(words / "weights")
    assert module_hash(painter.base.text_encoder) == module_hash(after.text_encoder)
    assert module_hash(painter.base.text_encoder) != module_hash(before.text_encoder)
    assert module_hash(painter.base.unet) == module_hash(before.unet)
    for part, stage in (("base", "base"), ("words", "words")):
        assert json.loads((out / "run_cards" / f"{part}.json").read_text())["stage"] == stage
    card = json.loads((out / "painter.json").read_text())["parts"]
    assert card["base"]["licences"] == json.loads((first / "painter.json").read_text())["parts"]["base"]["licences"]
    assert assemble({}, tmp_path / "again", painter=out, licences="{}", num_frames=4).is_dir()
    twice, way = tmp_path / "words_twice", tmp_path / "way_twice"
    stage_runs.train(data, twice, stage="words", base=str(words), max_steps=1)
    stage_runs.train(data, way, stage="motion", base=str(twice), motion=str(motion), max_steps=1)
    again = assemble({"base": out, "motion": way}, tmp_path / "painter_twice", licences="{}", words=twice)
    last = load_base(twice / "weights")
    assert module_hash(load_painter(again).base.text_encoder) == module_hash(last.text_encoder)
    assert (again / "run_cards" / "base.json").read_text() == (out / "run_cards" / "base.json").read_text()
    third = assemble({}, tmp_path / "third", painter=again, licences="{}")
    assert module_hash(load_painter(third).base.text_encoder) == module_hash(last.text_encoder)
    with pytest.raises(UserError, match=r"words: base=.*did not begin from words=.*nor did these learn further"):
        assemble({"base": first, "motion": way}, tmp_path / "other", licences="{}", words=twice)


def test_words_that_learnt_further_come_along_with_a_base_that_went_on_from_them(runs: Folders, tmp_path: Path) -> None:
    data = runs["motion"].parent / "data"
    trained = train("base", data, {"base": runs["base"]}, tmp_path / "trained", max_steps=1)
    motion = train("motion", data, {"base": trained}, tmp_path / "motion", max_steps=1)
    first = assemble({"base": trained, "motion": motion}, tmp_path / "first", licences="{}")
    words, base, way = tmp_path / "words", tmp_path / "base", tmp_path / "way"
    stage_runs.train(data, words, stage="words", base=str(first), max_steps=1)
    stage_runs.train(data, base, stage="base", base=str(words), max_steps=1)
    stage_runs.train(data, way, stage="motion", base=str(base), motion=str(motion), max_steps=1)
    out = assemble({"base": base, "motion": way}, tmp_path / "painter", licences="{}", words=words)
    assert json.loads((out / "run_cards" / "words.json").read_text())["stage"] == "words"
    painter, learnt = load_painter(out), load_base(words / "weights")
    assert module_hash(painter.base.text_encoder) == module_hash(learnt.text_encoder)


def test_a_decoder_that_was_trained_on_the_base_takes_the_place_of_its_own(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", captions=[f"picture {n}" for n in range(9)], size_px=(32, 32))
    decoder = {"stage": "codec", "stage.codec.width": 8, "stage.codec.crop_px": 16, "max_steps": 2}
    runs: Folders = {}
    for name in ("one", "other"):
        runs[name] = tmp_path / name
        stage_runs.train(data, runs[name], stage="base", base="null", max_steps=1, seed=len(name))
        stage_runs.train(data, tmp_path / f"{name}_decoder", **decoder, base=str(runs[name]))
    runs["base"] = runs["one"]
    runs["motion"] = train("motion", data, {"base": runs["base"]}, tmp_path / "motion", max_steps=1)
    painter = load_painter(assemble(runs, tmp_path / "painter", codec=tmp_path / "one_decoder"))
    assert module_hash(painter.base.vae) == module_hash(load_codec(str(tmp_path / "one_decoder" / "weights"), ""))
    card = (tmp_path / "painter" / "run_cards" / "codec.json").read_text()
    again = assemble(runs, tmp_path / "again", codec=tmp_path / "painter", licences="null")  # which states its own
    assert (again / "run_cards" / "codec.json").read_text() == card
    with pytest.raises(UserError, match=r"^codec=.*latents are not those of the base; allowed: stage=codec base=BASE"):
        assemble(runs, tmp_path / "new", codec=tmp_path / "other_decoder")
    assert not (tmp_path / "new").exists()


def test_a_decoder_shows_the_latents_of_a_painter_at_twice_the_size(
    runs: Folders, painter: Path, tmp_path: Path
) -> None:
    data = small_dataset(tmp_path / "data", captions=[f"picture {n}" for n in range(9)], size_px=(64, 64))
    stage_runs.train(
        data, tmp_path / "decoder", stage="codec", base=str(painter), max_steps=1,
        **{"stage.grown": "true", "model.shape.patch_px": 16, "stage.codec.width": 8, "stage.codec.crop_px": 16},
    )  # fmt: skip
    larger = load_painter(
        assemble({}, tmp_path / "larger", painter=painter, codec=tmp_path / "decoder", licences="null")
    )
    assert larger.facts["size_px"] == [64, 64] and load_painter(painter).facts["size_px"] == [32, 32]
    again = assemble({}, tmp_path / "again", painter=tmp_path / "larger", licences="null")
    assert load_painter(again).facts["size_px"] == [64, 64]
    latents = torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    assert larger.base.decode(latents).shape == (1, 3, 64, 64)


def test_loras_that_were_trained_on_a_painter_go_into_it_and_stay(runs: Folders, tmp_path: Path) -> None:
    data = runs["motion"].parent / "data"
    plain = assemble(runs, tmp_path / "plain", dtype="fp16")  # whose files are not those that it was assembled from
    parents = {"base": plain}
    parents["spatial_lora"] = train("spatial_lora", data, parents, tmp_path / "look", max_steps=1)
    parents["motion"] = plain / "motion_adapter"
    order = train("motion_lora", data, parents, tmp_path / "order", max_steps=1)
    loras = f"[{parents['spatial_lora']},{order}]"
    artist = assemble({}, tmp_path / "artist", painter=plain, licences="null", loras=loras)
    for painter in (artist, assemble({}, tmp_path / "again", painter=artist, licences="null")):
        assert load_painter(painter).loras.keys() == {"look", "order"}
        parts = json.loads((painter / "painter.json").read_text())["parts"]
        assert parts["look"]["parents"] == {"base": parts["base"]["hash"]}
        assert parts["order"]["parents"] == {
            "base": parts["base"]["hash"], "motion": parts["motion"]["hash"], "spatial_lora": parts["look"]["hash"],
        }  # fmt: skip
    with pytest.raises(UserError, match=r"look: trained on another base than base="):
        assemble({}, tmp_path / "other", painter=assemble(runs, tmp_path / "full"), licences="null", loras=loras)


def test_a_painters_motion_model_says_on_which_noise_it_was_trained(runs: Folders, tmp_path: Path) -> None:
    data, parents = runs["motion"].parent / "data", {"base": runs["base"]}
    shared = {"noise.shared": 0.5}
    parents["motion"] = train("motion", data, parents, tmp_path / "motion", max_steps=1, **shared)
    painter = assemble(parents, tmp_path / "painter", replication="null")
    of_painter = {"base": painter, "motion": painter / "motion_adapter"}
    with pytest.raises(UserError, match=r"noise\.shared=0\.0: not allowed; allowed: 0\.5, as of its motion model"):
        train("motion_lora", data, of_painter, tmp_path / "order", max_steps=1)
    train("motion_lora", data, of_painter, tmp_path / "order", max_steps=1, **shared)
    (painter / "run_cards" / "motion.json").write_text("[]")
    with pytest.raises(UserError, match=r"motion\.json: cannot be read"):
        train("motion_lora", data, {**of_painter, "base": runs["base"]}, tmp_path / "more", max_steps=1, **shared)
