"""Reports on two sets of processes: what they measure, and say that they cannot tell; and their pages."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.evaluation.agreement import Estimate
from pipelines.evaluation.controls import CONTROLS, cross_fade
from pipelines.evaluation.distance import DISTANCE_METRICS, distance_to_painters
from pipelines.evaluation.metrics import Description
from pipelines.evaluation.perceptual import WeightsConfig, load_networks
from pipelines.evaluation.process import Process
from pipelines.evaluation.report import Report, evaluate
from pipelines.evaluation.tables import tables
from pipelines.pages.evaluation.page import render_page
from tests.pipelines.pages.gallery_visit import a_chromium
from tests.pipelines.processes import drawn, drawn_set

GOLDEN = Path(__file__).parents[2] / "golden" / "evaluation.json"
SETTINGS = {"generated": "ours", "reference": "theirs", "num_frames": 8, "size": 64, "seed": 0}


def report_of(generated: list[Process], references: list[Process]) -> Report:
    return evaluate(generated, references, load_networks(WeightsConfig()), np.random.SeedSequence(0), settings=SETTINGS)


@pytest.fixture(scope="module")
def report() -> Report:
    """Six pictures painted four times each, judged by four other paintings of each."""
    return report_of(drawn_set(6, first=100), drawn_set(6))


def test_the_report_is_what_it_was(report: Report) -> None:
    found, golden = json.loads(json.dumps(report.to_plain())), json.loads(GOLDEN.read_text("utf-8"))
    assert_close(found, golden, "report")


def assert_close(found: Any, golden: Any, where: str) -> None:
    """Check for equality, of numbers to a thousandth, because libraries round differently."""
    if isinstance(golden, dict):
        assert sorted(found) == sorted(golden), where
        for key in golden:
            assert_close(found[key], golden[key], f"{where}.{key}")
    elif isinstance(golden, list):
        assert len(found) == len(golden), where
        for number, item in enumerate(golden):
            assert_close(found[number], item, f"{where}[{number}]")
    elif isinstance(golden, float):
        assert found == pytest.approx(golden, rel=1e-3, abs=1e-4), where
    else:
        assert found == golden, where


def test_processes_of_the_same_painter_are_nearer_than_controls_and_a_wrong_way_is_not(report: Report) -> None:
    wrong = [one.altered(np.ascontiguousarray(one.frames[::-1])) for one in drawn_set(6, first=100)]
    backwards = {row.name: row for row in report_of(wrong, drawn_set(6)).process}
    believed = [row for row in report.process if row.believed]
    assert len(believed) >= 4
    for row in believed:
        assert row.beaten == 4
        worse = backwards[row.name]
        assert worse.gap is not None and row.gap is not None and worse.gap.value > row.gap.value


def test_every_metric_has_a_gap_or_its_lack_is_explained(report: Report) -> None:
    for row in report.process:
        assert (row.gap is None) == (row.reason is not None)
    for end in report.endpoint:
        assert (end.value is None) == (end.reason is not None)
    lacking = {end.name: end.reason for end in report.endpoint if end.value is None}
    assert lacking == {
        "LPIPS": "needs weights.lpips_backbone", "CLIP-I": "needs weights.clip", "CLIP-T": "needs weights.clip",
        "DINO": "needs weights.dino", "FID": "needs weights.inception",
    }  # fmt: skip


def test_a_set_with_its_own_finished_pictures_has_no_endpoint_error() -> None:
    references = drawn_set(2)
    values = {end.name: end.value for end in report_of([references[0]], references[:1]).endpoint}
    told = {name: value.value for name, value in values.items() if value is not None}
    assert told == {"MSE": 0, "L1": 0, "PSNR, dB": 99, "SSIM": 1}


def test_without_a_picture_in_common_only_whole_sets_are_compared() -> None:
    strangers = [drawn(number, picture=number) for number in range(100, 110)]
    alone = report_of(strangers, drawn_set(3))
    assert all(end.value is None for end in alone.endpoint)
    rows = {row.name: row for row in alone.process}
    for name in ("DTW", "region IoU", "order agreement"):
        assert rows[name].gap is None and rows[name].reason == "generated: no picture is one of the reference"
    assert any(row.gap is not None for row in rows.values())


@pytest.mark.parametrize("count", [1, 2])
def test_one_picture_is_enough_for_what_it_can_tell(count: int) -> None:
    ours = [drawn(300 + number, picture=1) for number in range(count)]
    rows = {row.name: row for row in report_of(ours, drawn_set(6)).process}
    too_few = "generated: 2 pictures that it can describe are needed at least"
    assert rows["distance profile"].reason == too_few
    assert (rows["region IoU"].gap is None) == (count == 1)
    assert rows["diversity"].reason == ("generated: no picture is painted twice" if count == 1 else too_few)


def test_an_artists_few_sequences_give_gaps_each_with_the_outcome_of_its_trial() -> None:
    """Eleven, each of another picture, is what an artist may have."""
    ours = [drawn(500 + number, picture=500 + number) for number in range(8)]
    rows = [row for row in report_of(ours, [drawn(number, picture=number) for number in range(11)]).process]
    for row in rows:
        assert (row.gap is None) == (row.name in {"diversity", "order agreement", "region IoU", "DTW"})
        if row.gap is not None:
            assert set(row.controls) == set(CONTROLS) and row.real is not None
    assert sum(row.believed for row in rows) >= 6


@pytest.mark.parametrize("count", [1, 2, 3])
def test_with_fewer_references_than_can_be_tried_gaps_are_in_doubt(count: int) -> None:
    ours = [drawn(500 + number, picture=500 + number) for number in range(3)]
    report = report_of(ours, [drawn(number, picture=number) for number in range(count)])
    (row,) = (row for row in report.process if row.name == "coverage")
    too_few = f"the reference shows too few pictures to try it on controls: {count}, and 4 are needed"
    assert row.doubt == too_few and not row.believed
    assert (row.gap is None) == (count == 1) and (report.distance == {}) == (count == 1)
    lines = "\n".join(tables(report))
    assert (f"in doubt: coverage: {row.doubt}" in lines) == (count > 1)
    assert b"coverage" in render_page(report)


def test_the_distance_to_real_painters_is_nothing_for_the_same_painter_and_grows_as_processes_go_wrong() -> None:
    references = [drawn(number, picture=number) for number in range(12)]
    same = [drawn(500 + number, picture=500 + number) for number in range(12)]
    distances = []
    for share in (0.0, 0.5, 1.0):
        wrong = [
            one.altered(cross_fade(one.frames, np.random.default_rng(0))) if number < share * len(same) else one
            for number, one in enumerate(same)
        ]
        distance = report_of(wrong, references).distance
        assert set(distance) == {"generated", *CONTROLS}
        assert next(iter(distance["generated"])) == "mean"
        distances.append(distance["generated"]["mean"].value)
    assert abs(distances[0]) < 0.3
    assert distances[0] < distances[1] < distances[2]
    assert distances[2] == pytest.approx(distance["cross-fade"]["mean"].value, rel=0.2)


def test_the_distance_says_how_many_times_farther_than_real_ones_are_from_each_other() -> None:
    """Known by construction: real ones at 0 and 1, ours at 3 and 4, by every metric."""

    def described(*values: float) -> dict[str, Description]:
        vectors = np.array(values).reshape(-1, 1)
        pictures = [f"{value}, {number}" for number, value in enumerate(values)]
        one = Description(vectors=vectors, values=vectors[:, 0], pictures=pictures)
        return dict.fromkeys(DISTANCE_METRICS, one)

    distance = distance_to_painters(described(3, 4), described(0, 1), np.random.default_rng(0))
    assert {name: one.value for name, one in distance.items()} == dict.fromkeys(("mean", *DISTANCE_METRICS), 4.0)
    no_unit = distance_to_painters(described(3, 4), described(1, 1), np.random.default_rng(0))
    assert no_unit == {}


def test_the_page_needs_no_network_and_runs_nothing(report: Report) -> None:
    page = render_page(report).decode()
    assert not re.search(r"<script|<link|<img|\bsrc=|url\(|@import|https?://", page)
    assert page.count("<svg") == 2
    for row in report.process:
        assert row.name in page


def test_hostile_names_are_text(report: Report) -> None:
    hostile = "</style><script>alert(1)</script>"
    page = render_page(
        dataclasses.replace(report, refused=[(hostile, hostile)], settings=SETTINGS | {"generated": hostile})
    )
    assert b"<script" not in page and b"&lt;script" in page


@pytest.mark.browser
def test_the_page_opens_in_a_browser_without_complaint_and_shows_every_metric(report: Report, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_bytes(render_page(report))
    with a_chromium() as chromium:
        page = chromium.new_page(viewport={"width": 1200, "height": 900})
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto((tmp_path / "index.html").as_uri())
        kept = [row.name for row in report.process if row.believed]
        shown = page.locator("svg").first.locator("text:not(.quiet)").all_text_contents()
        assert shown == kept
        assert page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == "rgb(245, 243, 238)"
        assert not said


def test_every_interval_of_a_mean_holds_it(report: Report) -> None:
    means = [*(end.value for end in report.endpoint), *(row.value for row in report.process)]
    means += [row.reference for row in report.process]
    intervals = [one for one in means if isinstance(one, Estimate)]
    assert intervals and all(one.low <= one.value <= one.high for one in intervals)
