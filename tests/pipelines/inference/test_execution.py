"""What a process executed in strokes promises, and how pictures of any shape are framed for a painter."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conf.command import command
from conf.compose import compose
from conf.errors import ConfigError
from pipelines.inference.config import paint_config
from pipelines.inference.result import given_picture
from pipelines.inference.sizes import framing_for
from pipelines.paint import run
from pipelines.synthesis.renderer_choice import single_renderer
from renderers import renderer
from renderers.painting import StrokeProgram, to_uint8
from renderers.studio.phases import PHASES
from renderers.things.colour import lab_of
from tests.pipelines.small_painter import save_untrained_painter
from tests.renderers.pictures import landscape

FAST = ("num_frames=3", "steps=1", "device=cpu")
FEW_STROKES = ("renderer.num_strokes=30", "renderer.preset=fast")
CARD = {"size_px": [64, 64], "sizes_px": [[64, 96], [96, 64]]}


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_untrained_painter(tmp_path_factory.mktemp("painter") / "small")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "wide.png"
    Image.fromarray(to_uint8(landscape(80, 120))).save(path)
    return path


def paint(painter: Path, *overrides: object) -> int:
    few = FEW_STROKES if "execution=strokes" in overrides else ()
    return command("paint", paint_config, run, "A test.", [f"painter={painter}", *FAST, *few, *map(str, overrides)])


def report(out: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((out / "report.json").read_text())
    return loaded


def frames(out: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(path)) for path in sorted((out / "frames").iterdir())]


@pytest.mark.parametrize(("fit", "size"), [("pad", (80, 120)), ("crop", (80, 80)), ("stretch", (80, 120))])
def test_strokes_paint_the_picture_at_its_own_size(
    painter: Path, picture: Path, tmp_path: Path, fit: str, size: tuple[int, int]
) -> None:
    overrides = ("task=reconstruct", f"image={picture}", "execution=strokes", f"fit={fit}", "shown_frames=5")
    assert paint(painter, *overrides, f"out={tmp_path}") == 0
    painted = frames(tmp_path)
    assert [frame.shape[:2] for frame in painted] == [size] * 5
    facts = report(tmp_path)["strokes"]
    assert facts["num_strokes"] == 30
    assert {"arrival_agreement", "psnr_db", "ssim", "seconds", "peak_memory_mb"} <= facts.keys()
    program = StrokeProgram.from_bytes((tmp_path / "strokes.npz").read_bytes())
    *_, last = renderer(program.family).replay(program, facts["steps"])
    assert (to_uint8(last) == painted[-1]).all()


def test_what_is_cut_off_a_picture_is_said(painter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = tmp_path / "panorama.png"
    Image.fromarray(to_uint8(landscape(40, 120))).save(wide)
    for fit, told in (("crop", True), ("pad", False), ("stretch", False)):
        assert paint(painter, f"conditions={{1: {wide}, -1: {wide}}}", f"fit={fit}", f"out={tmp_path / fit}") == 0
        cut = "panorama.png: 120x40 px cut to the middle 40x40; fit=pad"
        assert capsys.readouterr().out.count(cut) == (1 if told else 0)


def test_words_are_painted_in_strokes_on_a_canvas_of_the_size_asked_for(painter: Path, tmp_path: Path) -> None:
    overrides = ("prompt='a house'", "execution=strokes", "renderer=bezier", "renderer.preset=fast", "canvas_px=128")
    assert paint(painter, *overrides, "renderer.num_strokes=30", f"out={tmp_path}") == 0
    assert {frame.shape[:2] for frame in frames(tmp_path)} == {(128, 128)}


def test_an_unfinished_picture_is_what_the_strokes_begin_on(
    painter: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ("task=complete", f"image={picture}", "at=1", "execution=strokes", "fit=stretch", "num_frames=3")
    assert paint(painter, *overrides, f"out={tmp_path}") == 0
    begun = np.asarray(Image.open(picture)).astype(int)
    assert np.abs(frames(tmp_path)[0].astype(int) - begun).max() <= 1
    assert len(frames(tmp_path)) == 2
    share = report(tmp_path)["strokes"]["painted_share"]
    (first, last) = (lab_of(frame.astype(np.float32) / np.float32(255)) for frame in frames(tmp_path))
    assert abs(share - (np.linalg.norm(last - first, axis=-1) > 5).mean()) < 0.02
    assert f"{share:.0%} of the unfinished picture was painted over" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("execution=strokes", "renderer=region"), "bezier, oil, ink or studio"),
        (
            (
                "execution=strokes",
                "renderer=studio",
                "renderer.medium=ink",
                "task=complete",
                "image=a.png",
                "prompt=''",
            ),
            "renderer.medium=oil or digital",
        ),
        (("execution=strokes", "renderer=studio", "renderer.things.method=truth"), "renderer.things.method=truth"),
        (("execution=strokes", "renderer=studio", "renderer.order=salient", "order='the subject last'"), "mixed"),
        (("execution=brush",), "frames or strokes"),
        (("canvas_px=512",), "canvas_px=512: not allowed; allowed: null, or set execution=strokes"),
        (("renderer=ink",), "renderer=ink: not allowed; allowed: oil, or set execution=strokes"),
        (("renderer.num_strokes=banana",), "renderer.num_strokes=banana: not allowed; allowed: 500, or set execution="),
        (("renderer.brush.path=a.png",), "renderer.brush.path=a.png: not allowed; allowed: null, or set execution="),
        (("order='the subject first'",), "execution=strokes"),
        (("execution=strokes", "order='  '"), "words such as"),
        (("execution=strokes", "order=[subject,background]"), "words such as"),
        (("execution=strokes", "order=true"), "words such as"),
        (("execution=strokes", "order='not the sky'"), "order=not the sky: not allowed; allowed: words that say"),
        (("execution=strokes", "renderer=studio", "renderer.order='not the sky'"), "renderer.order=not the sky"),
        (("execution=strokes", "order='never the sky'"), "order=never the sky: not allowed"),
        (("execution=strokes", "order='the sky last, then the sea'"), "nothing that comes after what is last"),
        (("execution=strokes", "canvas_px=9000"), "64 to 2048"),
    ],
)
def test_what_strokes_cannot_do_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...], message: str
) -> None:
    out = tmp_path / "out"
    assert command("paint", paint_config, run, "A test.", ["prompt=a", f"out={out}", *overrides]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not out.exists()


@pytest.mark.parametrize("order", [(), ("order='the background first, then the subject'",)])
def test_the_studio_draws_and_paints_a_picture_object_by_object(
    painter: Path, picture: Path, tmp_path: Path, order: tuple[str, ...]
) -> None:
    overrides = ("task=reconstruct", f"image={picture}", "execution=strokes", "fit=stretch", f"out={tmp_path}")
    studio = ("renderer=studio", "renderer.num_strokes=60", "renderer.preset=fast", "shown_frames=6")
    assert paint(painter, *overrides, *studio, *order) == 0
    facts = report(tmp_path)["strokes"]
    assert facts["phases"][:2] == ["blank", "drawing"] and facts["phases"][-1] == "accents"
    assert len(facts["doing"]) == 6 and facts["doing"][0] == "a blank canvas"


def test_the_studio_paints_what_an_order_in_words_names_first(painter: Path, tmp_path: Path) -> None:
    picture = np.full((96, 96, 3), 0.55, np.float32)
    picture[30:66, 30:66] = (0.8, 0.1, 0.1)
    Image.fromarray(to_uint8(picture)).save(tmp_path / "square.png")
    begun: dict[str, bool] = {}
    for order in ("the subject first, then the background", "the background first, then the subject"):
        for medium in ("oil", "pencil"):
            out = tmp_path / medium / order[4:7]
            overrides = ("task=reconstruct", f"image={tmp_path / 'square.png'}", "execution=strokes", f"out={out}")
            studio = ("renderer=studio", f"renderer.medium={medium}", "renderer.num_strokes=60", "renderer.toned=0")
            assert paint(painter, *overrides, *studio, f"order='{order}'", "shown_frames=6") == 0
            objects = StrokeProgram.from_bytes((out / "strokes.npz").read_bytes())
            phases = objects.arrays["phases"]
            first = objects.strokes[phases == PHASES.index("block_in")][:3]
            inside = np.abs(first[:, [2, 3]] - 0.5).max(1) < 0.22
            begun[f"{medium} {order[4:7]}"] = bool(inside.all())
    assert begun == {"oil sub": True, "pencil sub": True, "oil bac": False, "pencil bac": False}


def test_a_picture_that_is_too_slender_for_strokes_is_refused_before_anything_is_painted(
    painter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(to_uint8(landscape(16, 800))).save(tmp_path / "strip.png")
    out = tmp_path / "out"
    overrides = ("task=reconstruct", f"image={tmp_path / 'strip.png'}", "execution=strokes", "fit=pad", f"out={out}")
    assert paint(painter, *overrides) == 2
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert "strip.png" in line and "32 times" in line and not out.exists()


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (("renderer.order='the elephant first'",), "renderer.order=the elephant first"),
        (("renderer.order=user", "renderer.user_order=[200]"), "renderer.user_order=200"),
    ],
)
def test_an_order_of_the_studio_that_does_not_suit_a_picture_is_refused_before_anything_is_painted(
    painter: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, order: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("pipelines.paint._painted", None)
    overrides = ("task=reconstruct", f"image={picture}", "execution=strokes", "fit=stretch", f"out={tmp_path / 'out'}")
    assert paint(painter, *overrides, "renderer=studio", "renderer.num_strokes=60", *order) == 2
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: {message}") and "wide.png" in line


def test_the_studio_goes_on_from_an_unfinished_picture(painter: Path, picture: Path, tmp_path: Path) -> None:
    overrides = ("task=complete", f"image={picture}", "at=1", "execution=strokes", "fit=stretch", "num_frames=3")
    studio = ("renderer=studio", "renderer.num_strokes=60", "renderer.preset=fast")
    assert paint(painter, *overrides, *studio, f"out={tmp_path}") == 0
    begun = np.asarray(Image.open(picture)).astype(int)
    assert np.abs(frames(tmp_path)[0].astype(int) - begun).max() <= 1


def test_an_order_in_words_is_kept_and_reported(
    painter: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ("task=reconstruct", f"image={picture}", "execution=strokes", "fit=stretch", f"out={tmp_path}")
    assert paint(painter, *overrides, "order='the background first, then the subject'") == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "in this order" in line)
    assert line.index("the background") < line.index("; then the subject")
    facts = report(tmp_path)["strokes"]
    assert facts["order"] == "the background first, then the subject"
    assert [turn[0] for turn in facts["turns"]] == ["the background", "the subject"] and facts["not_there"] == []


def test_a_strip_of_a_picture_is_painted_and_measured(painter: Path, tmp_path: Path) -> None:
    strip = tmp_path / "strip.png"
    Image.fromarray(to_uint8(landscape(16, 480))).save(strip)
    assert paint(painter, "task=reconstruct", f"image={strip}", "fit=pad", f"out={tmp_path / 'out'}") == 0
    assert -1 <= report(tmp_path / "out")["conditions"][0]["ssim"] <= 1


def test_an_order_of_what_is_not_there_is_refused_before_anything_is_painted(
    painter: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    overrides = ("task=reconstruct", f"image={picture}", "execution=strokes", f"out={out}")
    assert paint(painter, *overrides, "order='the elephant first'") == 2
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert "wide.png" in line and "elephant" in line and "the background" in line
    assert not (out / "report.json").exists()


@pytest.mark.parametrize(
    ("shape", "size"), [((600, 800), (64, 96)), ((800, 780), (64, 64)), ((900, 500), (96, 64)), (None, (64, 64))]
)
def test_a_picture_is_framed_in_the_known_size_of_its_shape(
    shape: tuple[int, int] | None, size: tuple[int, int]
) -> None:
    framing = framing_for(None, "crop", CARD, 8, shape)
    assert (framing.height_px, framing.width_px) == size


def test_a_size_that_is_no_multiple_of_cells_is_refused() -> None:
    with pytest.raises(ConfigError, match="multiples of 8"):
        framing_for("70x64", "crop", CARD, 8, None)


def test_a_padded_picture_comes_back_in_its_own_shape(painter: Path, picture: Path, tmp_path: Path) -> None:
    assert paint(painter, "task=reconstruct", f"image={picture}", "fit=pad", f"out={tmp_path}") == 0
    assert {frame.shape[:2] for frame in frames(tmp_path)} == {(43, 64)}
    assert report(tmp_path)["size_px"] == [43, 64]


def test_a_picture_of_another_shape_is_refused_where_its_borders_would_be_painted(
    painter: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (80, 80), (30, 60, 40)).save(tmp_path / "square.png")
    words = ("task=reconstruct", f"image={picture}", f"conditions={{1: {tmp_path / 'square.png'}}}", "size=64")
    assert paint(painter, *words, "execution=strokes", "fit=pad", f"out={tmp_path / 'out'}") == 2
    allowed = "crop or stretch with execution=strokes, as square.png has another shape than wide.png"
    assert capsys.readouterr().err.endswith(f"error: fit=pad: not allowed; allowed: {allowed}\n")
    assert not (tmp_path / "out").exists()
    for keys in (("execution=strokes", "fit=crop"), ("fit=pad",)):
        assert paint(painter, *words, *keys, f"out={tmp_path / keys[-1]}") == 0


def test_painter_and_strokes_see_the_same_ground_below_a_transparent_picture(painter: Path, tmp_path: Path) -> None:
    whole = np.dstack([to_uint8(landscape(64, 64)), np.full((64, 64), 255, np.uint8)])
    whole[:, 32:, 3] = 0
    Image.fromarray(whole).save(tmp_path / "half.png")
    words = ("task=complete", "at=1", f"image={tmp_path / 'half.png'}", "execution=strokes", "renderer=oil")
    ground = compose("paint", ["renderer=oil"])["renderer"]
    expected = single_renderer(ground).ground
    request = paint_config(compose("paint", ["prompt=a", f"painter={painter}", f"out={tmp_path}", *words]))
    seen = given_picture(request, tmp_path / "half.png")
    np.testing.assert_allclose(seen[:, 40:], np.broadcast_to(expected, (64, 24, 3)), atol=1e-3)
    in_frames = paint_config(compose("paint", ["prompt=a", f"painter={painter}", f"out={tmp_path}", *words[:3]]))
    assert (given_picture(in_frames, tmp_path / "half.png")[:, 40:] == 1).all()
    assert paint(painter, *words, "renderer.num_strokes=40", f"out={tmp_path / 'out'}") == 0
    np.testing.assert_allclose(frames(tmp_path / "out")[0][:, 40:] / 255, seen[:, 40:], atol=0.01)


def test_the_report_says_all_that_repeats_a_painting_in_strokes(painter: Path, picture: Path, tmp_path: Path) -> None:
    few = ("execution=strokes", "shown_frames=5", "renderer=studio", "renderer.num_strokes=60")
    words = ("task=complete", "at=1", f"image={picture}", *few)
    reports = []
    for medium in ("oil", "digital"):
        assert paint(painter, *words, f"renderer.medium={medium}", f"out={tmp_path / medium}") == 0
        reports.append(report(tmp_path / medium))
    for made, medium in zip(reports, ("oil", "digital"), strict=True):
        assert made["painter_frames"] == {"num_frames": 3, "first_frame": 1, "size_px": [64, 64]}
        assert (made["num_frames"], made["first_frame"]) == (5, 0)
        recipe = made["strokes"]["recipe"]["config"]
        assert (recipe["medium"], recipe["num_strokes"]) == (medium, 60)
