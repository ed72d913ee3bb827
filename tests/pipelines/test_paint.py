"""What the command that paints promises."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from conf.command import command
from pipelines.inference.config import paint_config
from pipelines.paint import run
from tests.training.models.sd15.test_motion import moved
from tests.training.models.small_base import small_base
from training.models.sd15.motion import adapter_of
from training.models.sd15.painter import Painter
from training.models.sd15.replication import add_replication

FACTS = {"num_frames": 4, "size_px": [64, 64], "phrases": {}, "parts": {}}
FAST = ("num_frames=4", "steps=2", "device=cpu")


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("painter") / "tiny"
    folder.mkdir()
    base = small_base()
    Painter(base=base, motion=adapter_of(moved(base)), replication=add_replication(base.unet), facts=FACTS).save(
        folder, {}
    )
    return folder


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "boat.png"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((80, 60), Image.Resampling.BICUBIC).save(path)
    return path


def paint(painter: Path, *overrides: object) -> int:
    return command("paint", paint_config, run, "A test.", [f"painter={painter}", *FAST, *map(str, overrides)])


def frames(out: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((out / "frames").iterdir())]


def report(out: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((out / "report.json").read_text())
    return loaded


def test_words_become_a_folder_that_plays(painter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert paint(painter, "prompt='a red house, painted in oil'", f"out={tmp_path}") == 0
    assert len(frames(tmp_path)) == 4
    assert {path.name for path in tmp_path.iterdir()} == {
        "frames", "index.html", "process.mp4", "process.webp", "report.json", "sheet.png",
    }  # fmt: skip
    told = report(tmp_path)
    assert (told["prompt"], told["seed"], told["conditions"]) == ("a red house, painted in oil", 0, [])
    assert "painted 4 frames" in capsys.readouterr().out


def test_the_same_words_and_seed_paint_the_same(painter: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        assert paint(painter, "prompt=boat", f"seed={seed}", f"out={tmp_path / name}") == 0
    assert frames(tmp_path / "one") == frames(tmp_path / "two") != frames(tmp_path / "three")


def test_a_picture_is_reconstructed_and_adherence_told(painter: Path, picture: Path, tmp_path: Path) -> None:
    assert paint(painter, "task=reconstruct", f"image={picture}", f"out={tmp_path}") == 0
    (kept,) = report(tmp_path)["conditions"]
    assert (kept["frame"], kept["picture"]) == (3, "boat.png")
    shown = np.asarray(Image.open(tmp_path / "frames" / "03.png"), np.float32) / 255
    with Image.open(picture) as wanted:
        cropped = wanted.crop((10, 0, 70, 60)).resize((64, 64), Image.Resampling.BICUBIC)
    assert kept["mse"] == pytest.approx(float(np.square(shown - np.asarray(cropped) / 255).mean()), rel=0.1)


def test_an_unfinished_picture_goes_on_from_where_it_is(painter: Path, picture: Path, tmp_path: Path) -> None:
    assert paint(painter, "task=complete", "at=1", f"image={picture}", f"out={tmp_path}") == 0
    assert len(frames(tmp_path)) == 3
    assert report(tmp_path)["first_frame"] == 1


def test_what_is_painted_is_kept_unless_told_otherwise(painter: Path, picture: Path, tmp_path: Path) -> None:
    for keep in ("true", "false"):
        said = ("task=complete", "at=1", f"image={picture}", f"keep={keep}")
        assert paint(painter, *said, f"out={tmp_path / keep}") == 0
    kept, repainted = (report(tmp_path / keep) for keep in ("true", "false"))
    assert (kept["keep"], repainted["keep"]) == (True, False)
    assert kept["conditions"][0]["psnr_db"] > repainted["conditions"][0]["psnr_db"] + 5


def test_pictures_at_any_frames_each_with_its_strength(painter: Path, picture: Path, tmp_path: Path) -> None:
    conditions = f"conditions={{1: {{path: {picture}, strength: 0.5}}, -1: {picture}}}"
    assert paint(painter, conditions, f"out={tmp_path}") == 0
    kept = report(tmp_path)["conditions"]
    assert [(one["frame"], one["strength"]) for one in kept] == [(1, 0.5), (3, 1.0)]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((), "prompt=''"),
        (("task=reconstruct",), "image=null"),
        (("prompt=a", "image=b.png"), "image=b.png"),
        (("prompt=a", "conditions={4: a.png}"), "conditions=4: not allowed; allowed: frames -4 to 3"),
        (("prompt=a", "conditions={-1: a.png, 3: b.png}"), "conditions=3: not allowed; allowed: each frame once"),
        (("conditions={1: a.png, 1: b.png}",), "allowed: pictures by frame, each frame once"),
        (("conditions={0: [a.png,b.png]}",), "conditions.0=[a.png,b.png]: not allowed; allowed: one picture, or"),
        (("conditions={0: null}",), "conditions.0.path=null: not allowed"),
        (("image=[[a.png]]",), "image=[[a.png]]: not allowed; allowed: a picture, a folder"),
        (("image=[null]",), "image=[null]: not allowed; allowed: a picture, a folder"),
        (("prompt=a", "conditions={x: a.png}"), "conditions=x"),
        (("prompt=a", "conditions={0: {path: a.png, strength: 2}}"), "conditions.0.strength=2"),
        (("task=reconstruct", "image=a.png", "conditions={3: b.png}"), "task=reconstruct puts its image there"),
        (("task=reconstruct", "image=nowhere.png"), "nowhere.png: cannot be read"),
        (
            ("prompt=a", f"conditions={{1: {Path(__file__).parent}}}"),
            f"conditions.1={Path(__file__).parent}: not allowed; allowed: one picture; this is a folder",
        ),
        (("task=reconstruct", f"image={__file__}"), "not a picture that can be read"),
        (("prompt=a", "steps=0"), "steps=0"),
        (("prompt=a", "num_frames=257"), "num_frames=257: not allowed; allowed: 2 to 256"),
        (("prompt=a", "num_frames=1"), "num_frames=1: not allowed; allowed: 2 to 256"),
        *(
            (("prompt=a", f"{share}=1.5"), f"{share}=1.5: not allowed; allowed: 0 to 1")
            for share in ("guidance_rescale", "inverted", "shared")
        ),
        (("prompt=a", "smoothing=blur"), "smoothing=blur"),
        (("prompt=a", "keep=some"), "keep=some"),
        (("prompt=a", "size=100"), "multiples of 16"),
        (("prompt=a", "device=cuda:99"), "device=cuda:99"),
        (("prompt=a", "loras={ink: 1.0}"), "loras=ink"),
        (("prompt=a", "loras=0"), "loras=0: not allowed"),
        (("prompt=a", "loras={ink: nan}"), "loras.ink=nan: not allowed; allowed: a finite number"),
        (("prompt=a", "loras={ink: -inf}"), "loras.ink=-inf: not allowed; allowed: a finite number"),
        (("prompt=a \udcff boat",), "prompt=a \\udcff boat: not allowed; allowed: text in UTF-8"),
        (("task=reconstruct", "image=~nobody-of-that-name/a.png"), "~nobody-of-that-name/a.png: cannot be read"),
        (("prompt=a", "num_sequences=3"), "num_sequences=3: not allowed; allowed: null, or set dataset="),
        (("prompt=a", "split=train"), "split=train: not allowed; allowed: val, or set dataset="),
        (("task=reconstruct", "image=folder", "num_sequences=3"), "num_sequences=3: not allowed; allowed: null, or"),
        (("prompt=a", "at=3"), "at=3: not allowed; allowed: 2, or set task=complete"),
        (("prompt=a", "guidance=1", "negative=b"), "negative=b: not allowed; allowed: '', or set guidance above 1"),
        (("prompt=a", "inversion=false", "shared=1"), "shared=1: not allowed; allowed: null, or set inversion=true"),
        (("prompt=a", "num_frames=null", "keep=false"), "keep=false: not allowed; allowed: true, or set image=... or"),
        (("prompt=a", "conditions=0"), "conditions=0: not allowed"),
    ],
)
def test_what_cannot_be_painted_is_one_line_and_leaves_nothing(
    painter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...], message: str
) -> None:
    out = tmp_path / "out"
    assert paint(painter, *overrides, f"out={out}") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not out.exists()


@pytest.mark.parametrize("task", [("task=reconstruct",), ("task=complete", "at=1")])
def test_a_picture_of_which_padding_leaves_a_line_is_refused_before_it_is_painted(
    painter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], task: tuple[str, ...]
) -> None:
    Image.new("RGB", (1300, 20), "navy").save(tmp_path / "line.png")
    overrides = (*task, f"image={tmp_path / 'line.png'}", "fit=pad", f"out={tmp_path / 'out'}")
    assert paint(painter, *overrides) == 2
    *progress, line = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: fit=pad: not allowed; allowed: crop, stretch or a larger size= for line.png")
    assert "of its 1300x20 px a frame of 64x64 px would show 64x1" in line and not progress
    assert [path.name for path in tmp_path.iterdir()] == ["line.png"]


def test_a_slender_picture_that_is_padded_comes_back_whole(painter: Path, tmp_path: Path) -> None:
    Image.new("RGB", (1024, 32), "navy").save(tmp_path / "line.png")
    overrides = ("task=reconstruct", f"image={tmp_path / 'line.png'}", "fit=pad", "lossless=true")
    assert paint(painter, *overrides, f"out={tmp_path / 'out'}") == 0
    assert report(tmp_path / "out")["size_px"] == [2, 64]
    with Image.open(tmp_path / "out" / "process.webp") as animation:
        assert animation.size == (4096, 128)


def test_what_guidance_leaves_of_contrast_is_as_asked(painter: Path, tmp_path: Path) -> None:
    pixels = {}
    for share in ("null", "0", "1"):
        out = tmp_path / share
        settings = ("prompt=a", "steps=2", "num_frames=2", "guidance=20", f"guidance_rescale={share}")
        assert paint(painter, *settings, f"out={out}") == 0
        said = json.loads((out / "report.json").read_text())["guidance_rescale"]
        assert said == (None if share == "null" else float(share))
        pixels[share] = [np.asarray(Image.open(path)) for path in sorted((out / "frames").glob("*.png"))]
    assert np.array_equal(pixels["null"], pixels["0"]) and not np.array_equal(pixels["0"], pixels["1"])


def test_what_a_painter_does_not_read_is_told_and_reported(
    painter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short, long = "a red house", "a red house " * 40 + "painted in oil"
    for prompt in (short, long):
        assert paint(painter, f"prompt='{prompt}'", "steps=1", "num_frames=2", f"out={tmp_path / prompt[-5:]}") == 0
        warnings = [line for line in capsys.readouterr().err.splitlines() if "letters are read" in line]
        said = report(tmp_path / prompt[-5:])
        assert said["prompt"] == prompt and len(warnings) == (prompt == long)
        assert ("prompt_left_out" in said) == (prompt == long)
    assert warnings[0].startswith("warning: prompt: only its first ") and warnings[0].endswith("painted in oil'")
    assert long.endswith(said["prompt_left_out"])


@pytest.mark.parametrize(("size", "foreign"), [("64", False), ("64x96", False), ("128x64", True)])
def test_a_size_far_from_what_a_painter_learned_from_is_warned_of(
    painter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], size: str, foreign: bool
) -> None:
    assert paint(painter, "prompt=a", "steps=1", "num_frames=2", f"size={size}", f"out={tmp_path / 'out'}") == 0
    warned = f"warning: size={size}: this painter was trained on 64x64 px" in capsys.readouterr().err
    assert warned == foreign


def test_slow_numbers_are_warned_of_before_painting(
    painter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False}, raising=False)
    said = ("prompt=a", "steps=1", "num_frames=2", "device=cpu")
    for dtype in ("bf16", "fp32"):
        assert paint(painter, *said, f"dtype={dtype}", f"out={tmp_path / dtype}") == 0
        assert ("warning: dtype=bf16: this CPU" in capsys.readouterr().err) == (dtype == "bf16")


def test_more_frames_than_a_painter_knows_are_painted_in_pieces(
    painter: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mirrored = tmp_path / "mirrored.png"
    ImageOps.mirror(Image.open(picture)).save(mirrored)
    conditions = f"conditions={{5: {picture}, -1: {mirrored}}}"
    for name in ("one", "two"):
        assert paint(painter, "num_frames=12", conditions, "smoothing=dissolve", f"out={tmp_path / name}") == 0
    assert frames(tmp_path / "one") == frames(tmp_path / "two")
    assert len(set(frames(tmp_path / "one"))) == 12
    told = report(tmp_path / "one")
    assert [one["frame"] for one in told["conditions"]] == [5, 11]
    assert (told["num_frames"], told["smoothing"]) == (12, "dissolve")
    assert told["pieces"]["sequences"][0] == 1
    seams = told["pieces"]["seams"]
    assert 0 < seams["mean_ratio"] <= seams["max_ratio"]
    printed = capsys.readouterr()
    assert "times the median, at most" in printed.out
    assert "painting 4 key frames: 2/2 steps" in printed.err
    assert "painting in-betweens, level 1, 3 sequences: 1/1 steps" in printed.err


def test_no_more_frames_than_a_painter_knows_are_painted_in_one_go(painter: Path, tmp_path: Path) -> None:
    assert paint(painter, "num_frames=3", "prompt=boat", f"out={tmp_path}") == 0
    assert len(frames(tmp_path)) == 3
    assert report(tmp_path)["pieces"] is None


def test_pieces_of_a_long_process_are_painted_between_pictures_as_asked(painter: Path, tmp_path: Path) -> None:
    for keep in ("true", "false"):
        assert paint(painter, "num_frames=12", "prompt=boat", f"keep={keep}", f"out={tmp_path / keep}") == 0
    assert frames(tmp_path / "true") != frames(tmp_path / "false")


def test_fewer_frames_than_a_painter_knows_end_as_the_whole_process_does(painter: Path, tmp_path: Path) -> None:
    for number in ("null", 2):
        assert paint(painter, f"num_frames={number}", "prompt=boat", f"out={tmp_path / str(number)}") == 0
    assert report(tmp_path / "null")["num_frames"] == 4
    assert frames(tmp_path / "2") == frames(tmp_path / "null")[::3]


@pytest.mark.parametrize(
    ("overrides", "refused"),
    [
        (("conditions={-1: PICTURE, 3: PICTURE}",), "conditions=3: not allowed; allowed: each frame once; -1 is"),
        (("task=complete", "at=3", "image=PICTURE"), "at=3: not allowed; allowed: 0 to 2"),
    ],
)
def test_places_are_checked_where_the_painter_says_how_many_there_are(
    painter: Path,
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    overrides: Sequence[str],
    refused: str,
) -> None:
    given = (override.replace("PICTURE", str(picture)) for override in overrides)
    assert paint(painter, "num_frames=null", *given, f"out={tmp_path / 'out'}") == 2
    assert refused in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_long_process_goes_on_from_an_unfinished_picture(painter: Path, picture: Path, tmp_path: Path) -> None:
    assert paint(painter, "num_frames=9", "task=complete", "at=4", f"image={picture}", f"out={tmp_path}") == 0
    assert len(frames(tmp_path)) == 5
    told = report(tmp_path)
    assert (told["first_frame"], told["conditions"][0]["frame"]) == (4, 4)


def test_pictures_of_a_long_process_are_where_they_were_put(painter: Path, picture: Path, tmp_path: Path) -> None:
    """All inner frames pinned: more conditions than a sequence of four frames has slots."""
    conditions = ", ".join(f"{frame}: {picture}" for frame in range(1, 7))
    assert paint(painter, "num_frames=8", f"conditions={{{conditions}}}", f"out={tmp_path}") == 0
    assert [one["frame"] for one in report(tmp_path)["conditions"]] == [1, 2, 3, 4, 5, 6]


def test_a_long_process_needs_no_replication_network(painter: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    base = small_base()
    Painter(base=base, motion=adapter_of(moved(base)), facts=FACTS).save(folder, {})
    assert paint(folder, "num_frames=6", "prompt=boat", f"out={tmp_path / 'out'}") == 0
    assert len(frames(tmp_path / "out")) == 6


def test_a_painter_of_two_frames_has_nothing_to_put_between(
    painter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = shutil.copytree(painter, tmp_path / "painter")
    card = json.loads((short / "painter.json").read_text())
    (short / "painter.json").write_text(json.dumps({**card, "num_frames": 2}))
    assert paint(short, "num_frames=3", "prompt=a", f"out={tmp_path / 'out'}") == 2
    assert "num_frames=3: not allowed; allowed: 2 to 2" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_painter_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert paint(tmp_path, "prompt=a", f"out={tmp_path / 'out'}") == 2
    assert "not a painter (no painter.json)" in capsys.readouterr().err


def test_a_painter_that_lost_a_file_is_refused(
    painter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = shutil.copytree(painter, tmp_path / "painter")
    next((damaged / "unet").glob("*.safetensors")).write_bytes(b"")
    assert paint(damaged, "prompt=a", f"out={tmp_path / 'out'}") == 2
    assert "not whole; unet/" in capsys.readouterr().err
