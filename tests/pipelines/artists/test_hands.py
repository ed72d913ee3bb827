"""`ingest mask.model=...`: pixels that a network masks as a hand do not count as canvas."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from conf.errors import ConfigError, UserError
from pipelines.artists.cleaning import cleaned, consensus
from pipelines.artists.footage import Footage, Frame
from pipelines.artists.hands import Mask, MaskConfig
from tests.pipelines.artists.ingest_runs import ingest, sequences, stages
from tests.pipelines.artists.time_lapse import write_video
from tests.small_sam3 import save_small_sam3

PROMPTS = ("a hand", "a brush")
SMALL = MaskConfig(model=None, prompts=PROMPTS, threshold=0.5, device="cpu")


@pytest.fixture(scope="module")
def sam3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_sam3(tmp_path_factory.mktemp("sam3"))


def resting_hand(num_frames: int) -> tuple[list[Frame], list[Frame], list[Mask]]:
    """A canvas that grows, the same with a hand that rests in one place for most of the time, and where the hand is."""
    canvases = stages(num_frames, height=64, width=64, seed=4)
    seen, masks = [canvas.copy() for canvas in canvases], [np.zeros((64, 64), bool) for _ in canvases]
    for number in range(1, num_frames - 2):
        masks[number][20:50, 20:50] = True
        seen[number][masks[number]] = (224, 172, 140)
    return canvases, seen, masks


def test_a_hand_that_rests_for_most_of_a_window_has_no_vote_where_it_is_masked() -> None:
    canvases, seen, masks = resting_hand(9)
    footage = Footage(frames=seen, before=seen, numbers=range(9))
    last = range(8, 9)
    without = cleaned(footage, last, 15).frames[0]
    masked = cleaned(footage, last, 15, masks).frames[0]
    hidden = masks[3]
    errors = [np.abs(frame.astype(int) - canvases[8])[hidden].mean() for frame in (without, masked)]
    assert errors[0] > 30 and errors[1] < 8
    assert not np.isin(masked[hidden], (224, 172, 140)).all()


def test_where_all_frames_are_covered_they_vote_as_if_none_were() -> None:
    rng = np.random.default_rng(0)
    frames = list(rng.integers(0, 255, (5, 12, 12, 3)).astype(np.uint8))
    everywhere = [np.ones((12, 12), bool)] * 5
    np.testing.assert_array_equal(consensus(frames, 2, everywhere), consensus(frames, 2))
    np.testing.assert_array_equal(consensus(frames, 2, [~mask for mask in everywhere]), consensus(frames, 2))
    only = [np.full((12, 12), number != 4) for number in range(5)]
    np.testing.assert_array_equal(consensus(frames, 2, only), frames[4])


def test_a_small_network_in_the_real_layout_masks_by_words_and_the_same_every_time(sam3: Path) -> None:
    frames = stages(3, height=60, width=48, seed=1)
    sure, unsure = (replace(SMALL, model=str(sam3), threshold=level) for level in (1.0, 0.0))
    assert not any(mask.any() for mask in sure.masks(frames))
    masks = unsure.masks(frames)
    assert all(mask.shape == (60, 48) and mask.dtype == bool for mask in masks) and any(mask.any() for mask in masks)
    for one, two in zip(masks, unsure.masks(frames), strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_released_layout_with_its_tracker_is_read_as_the_network_in_it(sam3: Path, tmp_path: Path) -> None:
    released = save_small_sam3(tmp_path / "sam3", tracker=True)
    assert json.loads((released / "config.json").read_text())["architectures"] == ["Sam3VideoModel"]
    frames = stages(2, height=60, width=48, seed=1)
    alone, beside_tracker = (replace(SMALL, model=str(path), threshold=0.0).masks(frames) for path in (sam3, released))
    np.testing.assert_array_equal(alone, beside_tracker)


def test_masks_change_the_data_set_and_weights_prompts_and_threshold_are_in_its_recipe(
    sam3: Path, tmp_path: Path
) -> None:
    _, seen, masks = resting_hand(9)
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in" / "boat.mkv", seen)
    overrides = [
        f"source.path={tmp_path / 'in'}",
        "layout=video",
        "num_frames=4",
        "gallery=false",
        "treatment.trim=never",
    ]
    overrides += ["treatment.straighten=never"]
    detector = [f"mask.model={sam3}", "mask.prompts=[a hand, a brush]"]

    def all_masked(_: MaskConfig, frames: Sequence[Frame]) -> list[Mask]:
        return masks[-len(frames) :]

    with mock.patch.object(MaskConfig, "masks", all_masked):
        assert ingest(*overrides, *detector, f"out={tmp_path / 'masked'}") == 0
    assert ingest(*overrides, f"out={tmp_path / 'plain'}") == 0
    assert ingest(*overrides, *detector, f"out={tmp_path / 'real'}") == 0
    masked, plain, real = (sequences(tmp_path / name)["boat.mkv"] for name in ("masked", "plain", "real"))
    assert masked.facts["footage"]["masked_share"] > 0.1 and "masked_share" not in plain.facts["footage"]
    assert "masked_share" in real.facts["footage"]
    assert np.abs(masked.frames().astype(int) - plain.frames()).max() > 20
    recipe = json.loads((tmp_path / "masked" / "dataset.json").read_text())["recipe"]["mask"]
    assert recipe["prompts"] == list(PROMPTS) and recipe["threshold"] == 0.5 and len(recipe["weights"]) == 64
    assert "mask" not in json.loads((tmp_path / "plain" / "dataset.json").read_text())["recipe"]
    assert ingest(*overrides, *detector, "mask.threshold=0.6", f"out={tmp_path / 'masked'}") == 2


def test_prompts_and_folders_that_only_fail_once_they_are_used_are_tried_before_anything_is_written(
    sam3: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = replace(SMALL, model=str(sam3))
    replace(whole, device="auto").check()
    capfd.readouterr()
    with pytest.raises(ConfigError, match=r"^mask\.prompts=.*at most 32 tokens .*; this one has 202$"):
        replace(whole, prompts=("a hand", "h" * 200)).check()
    with pytest.raises(UserError, match="knows no part of the prompt ' '"):
        replace(whole, prompts=(" ",)).check()
    wordless = Path(shutil.copytree(sam3, tmp_path / "wordless"))
    (wordless / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"wordless: its tokenizer knows no part of the prompt 'a hand'"):
        replace(whole, model=str(wordless)).check()
    resized = Path(shutil.copytree(sam3, tmp_path / "resized"))
    processor = json.loads((resized / "processor_config.json").read_text())
    processor["image_processor"]["size"] = {"height": 70, "width": 42}
    (resized / "processor_config.json").write_text(json.dumps(processor))
    with pytest.raises(UserError, match=r"resized: fails on a blank frame \("):
        replace(whole, model=str(resized)).check()
    assert not capfd.readouterr().err


def test_folders_that_hold_no_whole_sam3_are_refused_in_one_line_before_anything_is_written(
    sam3: Path, tmp_path: Path
) -> None:
    folder = save_small_sam3(tmp_path / "other")
    tensors = load_file(folder / "model.safetensors")
    name = sorted(tensors)[0]
    save_file({key: tensor for key, tensor in tensors.items() if key != name}, folder / "model.safetensors")
    whole = replace(SMALL, model=str(sam3))
    whole.check()
    broken = replace(whole, model=str(folder))
    with pytest.raises(UserError, match="not a whole SAM 3: 1 tensors lack"):
        broken.check()
    save_file({**tensors, name: torch.full_like(tensors[name], torch.nan)}, folder / "model.safetensors")
    with pytest.raises(UserError, match="not finite"):
        broken.check()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="not a SAM 3 that can be loaded"):
        replace(whole, model=str(tmp_path / "empty")).check()
    for key, value in (("prompts", ()), ("prompts", ("",)), ("threshold", 1.5), ("device", "cuda:77")):
        with pytest.raises(ConfigError) as caught:
            replace(whole, **{key: value})  # type: ignore[arg-type]
        assert caught.value.key == key
    save_file({key: tensor * 1e30 for key, tensor in tensors.items()}, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"mask\.model.*not finite"):  # finite weights, and NaN from them
        broken.check()
    overrides = [f"source.path={tmp_path}", "layout=frames", f"mask.model={sam3}", f"out={tmp_path / 'out'}"]
    assert ingest(*overrides) == 2 and not (tmp_path / "out").exists()
