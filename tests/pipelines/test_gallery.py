"""What the gallery promises of its file; `test_gallery_browser.py` is about the page in a browser."""

import base64
import hashlib
import io
import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from conf.command import command
from conf.compose import compose
from pipelines import synth
from pipelines.gallery import gallery_config, run, write_gallery
from pipelines.pages.gallery.choice import choose, spread
from pipelines.pages.gallery.contents import summarise_psnr
from pipelines.synthesis.config import synth_config
from tests.pipelines.small_dataset import SHARDS, painted_frames, small_dataset
from training.data.manifest import tar_path

HOSTILE = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)> & \u2028"


def gallery(*overrides: str) -> int:
    """Run the command; returns its exit code."""
    return command("gallery", gallery_config, run, "", overrides)


def page_data(page: Path) -> Any:
    """What the page's script reads."""
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.S)
    assert block
    return json.loads(block[1])


def shown_frames(sheet: dict[str, Any], count: int) -> list[np.ndarray]:
    """The frames of a sheet, cut apart."""
    image = Image.open(io.BytesIO(base64.b64decode(sheet["webp"])))
    width, height, columns = sheet["width"], sheet["height"], sheet["columns"]
    (pitch_x, pitch_y), (x0, y0) = sheet["pitch"], sheet["inset"]
    corners = [(number % columns * pitch_x + x0, number // columns * pitch_y + y0) for number in range(count)]
    return [np.asarray(image.crop((x, y, x + width, y + height)), np.float64) for x, y in corners]


def test_a_painted_data_set_gets_its_gallery_and_the_same_one_again(tmp_path: Path) -> None:
    out = tmp_path / "painted"
    overrides = ["num_sequences=4", "size=64", "renderer=bezier", "renderer.num_strokes=20", "cluster=inline"]
    synth.run(synth_config(compose("synth", [*overrides, f"out={out}", "val_fraction=0"])))
    page = out / "gallery" / "index.html"
    by_synth = page.read_bytes()
    page.unlink()

    assert gallery(f"dataset={out}") == 0
    assert page.read_bytes() == by_synth
    data = page_data(page)
    assert data["num_sequences"] == len(data["cards"]) == 4
    assert data["complete"]
    assert all(card["num_steps"] <= 20 and card["caption"] for card in data["cards"])


def test_the_page_does_not_depend_on_where_the_data_set_lies(tmp_path: Path) -> None:
    pages = [write_gallery(small_dataset(tmp_path / name)) for name in ("here", "there")]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    text = write_gallery(small_dataset(tmp_path / "d")).read_text("utf-8")
    markup = text.partition('<script type="application/json"')[0]
    assert not re.search(r'\b(src|href)="(?!#)', markup)
    assert "@import" not in text and "url(" not in text


def test_the_policy_allows_our_script_and_style_and_nothing_else(tmp_path: Path) -> None:
    text = write_gallery(small_dataset(tmp_path / "d")).read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    style, script = re.search(r"<style>(.*?)</style>", text, re.S), re.search(r"<script>(.*?)</script>", text, re.S)
    assert policy and style and script
    hashes = [base64.b64encode(hashlib.sha256(part[1].encode()).digest()).decode() for part in (style, script)]
    assert policy[1] == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_hostile_text_reaches_the_page_as_text_only(tmp_path: Path) -> None:
    refused = [{"key": "9", "source": HOSTILE, "source_sha256": "", "reason": HOSTILE}]
    facts = {"renderer": HOSTILE, "source": HOSTILE, "licence": HOSTILE}
    page = write_gallery(small_dataset(tmp_path / "d", captions=[HOSTILE] * 3, refused=refused, facts=facts))
    text = page.read_text("utf-8")
    assert "alert(1)" in text and "<script>alert" not in text and "<img" not in text and "<!--" not in text
    card = page_data(page)["cards"][0]
    assert card["caption"] == card["renderer"] == card["source"] == card["licence"] == HOSTILE


@pytest.mark.parametrize("size_px", [(64, 48), (50, 37)])
def test_frames_on_the_page_are_the_stored_ones_in_order(tmp_path: Path, size_px: tuple[int, int]) -> None:
    page = write_gallery(small_dataset(tmp_path / "d", num_frames=11, size_px=size_px))
    for index, card in enumerate(page_data(page)["cards"]):
        assert (card["sheet"]["width"], card["sheet"]["height"]) == size_px  # never larger than stored
        stored = painted_frames(index, 11, size_px)
        for shown, frame in zip(shown_frames(card["sheet"], 11), stored, strict=True):
            assert np.abs(shown - frame).mean() < 4
            assert max(np.abs(shown - frame)[:, at].mean() for at in (0, -1)) < 4  # no fringe of a neighbour
        assert card["frames"][3] == [3, 300, pytest.approx(0.7), ""]


def test_thumbnails_keep_the_shape_of_the_picture(tmp_path: Path) -> None:
    page = write_gallery(small_dataset(tmp_path / "d", captions=["a tower"], size_px=(60, 120)), thumbnail_px=40)
    sheet = page_data(page)["cards"][0]["sheet"]
    assert (sheet["width"], sheet["height"]) == (20, 40)


def test_a_long_sequence_shows_32_frames_with_the_first_and_the_last(tmp_path: Path) -> None:
    page = write_gallery(small_dataset(tmp_path / "d", captions=["a long day"], num_frames=256, size_px=(32, 32)))
    card = page_data(page)["cards"][0]
    numbers = [number for number, *_ in card["frames"]]
    assert len(numbers) == 32 and numbers[0] == 0 and numbers[-1] == 255 and card["num_frames"] == 256
    shown = shown_frames(card["sheet"], 32)
    assert shown[0].mean() > 250
    assert np.abs(shown[-1] - painted_frames(0, 256, (32, 32))[-1]).mean() < 4


def test_of_many_sequences_a_fair_choice_is_shown_and_counted(tmp_path: Path) -> None:
    page = write_gallery(small_dataset(tmp_path / "d", captions=["a hill"] * 30, size_px=(16, 16)), max_sequences=8)
    data = page_data(page)
    assert data["num_sequences"] == 30 and len(data["cards"]) == 8
    assert sorted(card["renderer"] for card in data["cards"]) == ["bezier"] * 4 + ["oil"] * 4
    assert {card["split"] for card in data["cards"]} == {"train", "val"}
    assert sum(data["psnr_db"]["counts"]) == 30  # the summary is of the whole data set


@given(st.integers(0, 300), st.integers(0, 300))
def test_spread_is_even_and_keeps_both_ends(count: int, wanted: int) -> None:
    places = spread(count, wanted)
    assert len(set(places)) == len(places) == min(count, wanted)
    if len(places) > 1:
        assert places[0] == 0 and places[-1] == count - 1
        assert np.ptp(np.diff(places)) <= 1


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 50)), st.integers(1, 100))
def test_no_renderer_is_crowded_out(counts: dict[str, int], wanted: int) -> None:
    following = itertools.count()
    numbers = {name: [next(following) for _ in range(count)] for name, count in counts.items()}
    chosen = choose(numbers, wanted)
    assert len(chosen) == min(wanted, sum(counts.values()))
    shown = {name: sum(number in numbers[name] for number in chosen) for name in counts}
    most = max(shown.values(), default=0)
    assert all(shown[name] >= min(counts[name], most - 1) for name in counts)


@given(st.lists(st.floats(0, 99), min_size=1, max_size=50))
def test_psnr_summary_counts_every_sequence_where_it_belongs(values: list[float]) -> None:
    summary = summarise_psnr({"oil": values})
    assert summary is not None
    edges, counts = summary["edges"], summary["counts"]
    assert counts == [sum(low <= v < high for v in values) for low, high in itertools.pairwise(edges)]
    assert sum(counts) == len(values) and len(counts) <= 24
    assert summary["median"] == pytest.approx(float(np.median(values)), abs=0.01)


def test_refused_inputs_are_listed_by_reason(tmp_path: Path) -> None:
    refused = [{"source": f"{n}.jpg", "reason": "truncated file" if n else "too small"} for n in range(8)]
    root = small_dataset(tmp_path / "d", refused=refused)
    assert gallery(f"dataset={root}") == 0
    data = page_data(root / "gallery" / "index.html")
    assert data["num_quarantined"] == 8
    assert [(row["reason"], row["count"]) for row in data["refused"]] == [("truncated file", 7), ("too small", 1)]
    assert data["refused"][0]["sources"] == [f"{n}.jpg" for n in range(1, 6)]


def test_an_incomplete_data_set_shows_what_is_committed_and_says_so(tmp_path: Path) -> None:
    root = small_dataset(tmp_path / "d", shards=SHARDS[:1])
    assert gallery(f"dataset={root}") == 3
    data = page_data(root / "gallery" / "index.html")
    assert not data["complete"] and data["num_planned"] == 6 and len(data["cards"]) == 2


def test_nothing_committed_yet_is_a_page_too(tmp_path: Path) -> None:
    data = page_data(write_gallery(small_dataset(tmp_path / "d", shards=())))
    assert data["cards"] == [] and data["psnr_db"] is None


@pytest.mark.parametrize("damage", ["cut", "overwritten", "missing"])
def test_a_damaged_shard_is_named_and_the_old_page_stays(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = small_dataset(tmp_path / "d")
    before = write_gallery(root).read_bytes()
    path = tar_path(root, SHARDS[1])
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(whole[:700] if damage == "cut" else b"\x55" * len(whole))
    capsys.readouterr()
    assert gallery(f"dataset={root}") == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and SHARDS[1] in errors[0]
    assert [file.read_bytes() for file in (root / "gallery").iterdir()] == [before]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "dataset"),
        (["dataset=/nowhere"], "/nowhere"),
        (["dataset={empty}"], "not a data set"),
        (["dataset={empty}", "max_sequences=0"], "max_sequences=0"),
        (["dataset={empty}", "thumbnail_px=4000"], "thumbnail_px=4000"),
        (["dataset={empty}", "thumbnail=9"], "thumbnail"),
    ],
)
def test_a_wrong_word_is_one_line_and_exit_code_2(
    tmp_path: Path, overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gallery(*[word.format(empty=tmp_path) for word in overrides]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and message in errors[0]


def test_a_folder_that_cannot_hold_the_page_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = small_dataset(tmp_path / "d")
    (root / "gallery").write_text("in the way")
    assert gallery(f"dataset={root}") == 2
    assert "gallery" in capsys.readouterr().err


def test_help_tells_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert gallery("--help") == 0
    text = capsys.readouterr().out
    assert all(key in text for key in ("dataset: ???", "max_sequences: 200", "thumbnail_px: 192"))
