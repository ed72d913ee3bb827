"""Rendering one sequence and one shard."""

import dataclasses
import errno
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conf.compose import compose
from pipelines.sources.source import SourceEntry
from pipelines.synthesis import sequence as sequence_module
from pipelines.synthesis.config import synth_config
from pipelines.synthesis.plan import PlannedSequence, ShardPlan, make_plan
from pipelines.synthesis.renderer_choice import RendererChoice
from pipelines.synthesis.sequence import RenderSettings, Stopwatch, caption_of, encode_frame, render_sequence
from pipelines.synthesis.shard import render_shard
from tests.pipelines.runs import SMALL
from training.data.layout import FrameFormat
from training.data.manifest import read_manifest


@pytest.fixture(scope="module")
def planned() -> ShardPlan:
    source = synth_config(compose("synth", list(SMALL))).source
    plan = make_plan(source.index(2), [1.0], 2, 2, 0.0)
    return next(plan.shards())


def settings_in(root: Path, *overrides: str) -> RenderSettings:
    config = synth_config(compose("synth", [*SMALL, *overrides]))
    (root / "shards").mkdir(parents=True, exist_ok=True)
    (root / "timings").mkdir(exist_ok=True)
    return RenderSettings(
        root=root,
        source=config.source,
        renderers=config.renderers,
        framing=config.framing,
        schedule=config.schedule,
        frame_format=config.frame_format,
        seed=config.seed,
        config_hash="c",
        code_version="0",
    )


@pytest.mark.parametrize("frame_format", ["webp", "png"])
def test_lossless_frames_lose_nothing(frame_format: FrameFormat) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    data = encode_frame(frame, frame_format)
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == frame_format.upper()
        np.testing.assert_array_equal(np.asarray(image), frame)
    assert encode_frame(frame, frame_format) == data


def test_a_jpeg_frame_is_close() -> None:
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], (64, 1, 3))
    with Image.open(io.BytesIO(encode_frame(ramp, "jpg"))) as image:
        assert image.format == "JPEG"
        assert np.abs(np.asarray(image).astype(int) - ramp).max() <= 4


@pytest.mark.parametrize(
    ("caption", "phrase", "whole"),
    [("a boat", "in oil", "a boat, in oil"), ("a boat", "", "a boat"), (None, "in oil", ""), ("", "in oil", "")],
)
def test_a_caption_ends_with_how_it_is_painted(caption: str | None, phrase: str, whole: str) -> None:
    entry = SourceEntry(id="a", sha256="b", locator="c", caption=caption)
    sequence = PlannedSequence(index=0, key="00000000", entry=entry, renderer=0)
    choice = RendererChoice(name="oil", family="bezier", phrase=phrase, config=None)
    assert caption_of(sequence, choice) == whole


def test_a_sequence_tells_what_it_is_made_of(planned: ShardPlan, tmp_path: Path) -> None:
    settings = settings_in(tmp_path, "size=96x64")
    sequence = planned.sequences[1]
    members, record, seconds = render_sequence(sequence, settings, Stopwatch())
    facts = json.loads(members["json"])
    assert {*members} == {*(f"{n:02d}.webp" for n in range(8)), "txt", "json", "strokes.npz", "truth.npz"}
    assert facts["source"] == {"id": "scenes/0/1", "sha256": sequence.entry.sha256, "licence": "CC0-1.0"}
    assert facts["seed"] == {"root": 0, "spawn_key": [1, 0]}
    assert facts["renderer"]["config"]["num_strokes"] == 20
    assert facts["frames"][0] == {"member": "00.webp", "step": 0, "distance": 1.0}
    assert facts["frames"][-1]["step"] == facts["num_steps"] == 20
    assert record["key"] == sequence.key and record["caption"].encode() == members["txt"]
    assert seconds > 0
    with np.load(io.BytesIO(members["truth.npz"]), allow_pickle=False) as truth:
        assert truth["labels"].shape == (64, 96)
        assert len(truth["names"]) > truth["labels"].max()


def test_a_sequence_does_not_depend_on_its_neighbours(planned: ShardPlan, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    alone = render_sequence(planned.sequences[1], settings, Stopwatch())[0]
    render_sequence(planned.sequences[0], settings, Stopwatch())
    assert render_sequence(planned.sequences[1], settings, Stopwatch())[0] == alone


def test_a_report_tells_counts_and_phases_and_never_pixels(planned: ShardPlan, tmp_path: Path) -> None:
    report = render_shard(planned, settings_in(tmp_path))
    manifest = read_manifest(tmp_path, planned.name)
    assert manifest is not None
    assert (report.num_samples, report.num_quarantined, report.error) == (2, 0, None)
    assert report.num_bytes == manifest.num_bytes
    assert {"load", "paint", "frames", "metrics", "encode", "write"} <= set(report.seconds)
    assert len(repr(report)) < 1000
    timing = json.loads((tmp_path / "timings" / f"{planned.name}.json").read_text())
    assert set(timing["paint"]) == {sequence.key for sequence in planned.sequences}


@pytest.mark.parametrize(
    ("error", "fatal", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True, "No space left"),
        (OSError(errno.EROFS, "Read-only file system", "/there"), True, "/there: Read-only"),
        (OSError(errno.EIO, "Input/output error"), False, "Input/output"),
        (TimeoutError("no answer"), False, "TimeoutError: no answer"),
        (MemoryError(), False, "memory"),
    ],
)
def test_the_machine_s_trouble_is_reported_and_blamed_on_no_picture(
    error: BaseException, fatal: bool, message: str, planned: ShardPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(sequence_module, "render_sequence", fails)
    report = render_shard(planned, settings_in(tmp_path))
    assert report.fatal is fatal
    assert message in str(report.error)
    assert report.num_quarantined == 0
    assert list((tmp_path / "shards").iterdir()) == []


@pytest.mark.parametrize("renderer", ["oil", "bezier", "region"])
def test_what_a_picture_does_not_reach_is_bare_canvas(renderer: str, tmp_path: Path) -> None:
    """`fit=pad` beside a picture, and a picture's transparent places, are left unpainted."""
    rgba = np.zeros((40, 160, 4), np.uint8)
    rgba[:, :60] = (30, 60, 150, 255)
    (tmp_path / "in").mkdir()
    Image.fromarray(rgba).save(tmp_path / "in" / "wide.png")
    overrides = (f"renderer={renderer}", "renderer.canvas=[0.82,0.76,0.66]", "size=64", "fit=pad", "cluster=inline")
    config = synth_config(compose("synth", [*overrides, "source=folder", f"source.path={tmp_path / 'in'}"]))
    (choice,) = config.renderers
    (entry,) = config.source.index(None)
    picture = config.source.load(entry, config.framing, choice.ground).image
    ground = np.array((0.82, 0.76, 0.66), np.float32)
    np.testing.assert_allclose(picture[:20], np.broadcast_to(ground, (20, 64, 3)), atol=1e-6)
    np.testing.assert_allclose(picture[32, 40:], np.broadcast_to(ground, (24, 3)), atol=1e-6)
    assert np.abs(picture[32, 5] - ground).max() > 0.2


def test_a_padded_oil_painting_leaves_its_bars_bare(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (160, 40), (30, 60, 150)).save(tmp_path / "in" / "wide.png")
    settings = settings_in(tmp_path, "size=64", "fit=pad", "source=folder", f"source.path={tmp_path / 'in'}")
    oil = synth_config(compose("synth", ["renderer=oil", "renderer.num_strokes=150"])).renderers
    plan = make_plan(settings.source.index(None), [1.0], 1, 1, 0.0)
    sequence = next(shard for shard in plan.shards() if shard.sequences).sequences[0]
    members, _, _ = render_sequence(sequence, dataclasses.replace(settings, renderers=oil), Stopwatch())
    with Image.open(io.BytesIO(members["07.webp"])) as image:
        finished = np.asarray(image).astype(float) / 255
    assert np.abs(finished[:16] - oil[0].ground).mean() < 0.03
    assert np.abs(finished[32] - oil[0].ground).mean() > 0.2
