"""The sources of processes, and the exports that need strokes."""

import json
import os
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from conf.command import command
from conf.compose import compose
from conf.errors import ConfigError, UserError
from pipelines.exports.inputs import Replay, from_dataset, from_image, from_painting
from pipelines.inference.config import paint_config
from pipelines.inference.output_folder import PROVENANCE, ProcessFolder
from pipelines.paint import run
from pipelines.synthesis.renderer_choice import single_renderer
from renderers.painting import to_uint8
from tests.pipelines.exports.runs import export
from tests.pipelines.small_dataset import small_dataset
from tests.pipelines.small_painter import save_untrained_painter
from tests.renderers.pictures import landscape

_AS_STORED = Replay(num_frames=None, size=None)


def test_frames_come_as_they_are_stored_with_what_is_known_of_them(painted: dict[str, Path]) -> None:
    process = from_dataset(painted["studio"], "00000000", _AS_STORED)
    assert len(process.frames) == 5 and process.frames[0].step == 0 and process.program is not None
    assert process.frames[-1].step == len(process.program.strokes)
    assert process.frames[0].doing == "a blank canvas" and process.frames[-1].phase
    assert process.caption and "CC0" in process.credit


def test_strokes_are_painted_again_at_any_size_and_number_of_frames(painted: dict[str, Path]) -> None:
    stored = from_dataset(painted["bezier"], "00000000", _AS_STORED)
    same = from_dataset(painted["bezier"], "00000000", Replay(num_frames=5, size=None))
    for one, other in zip(stored.frames, same.frames, strict=True):
        assert one.step == other.step
        np.testing.assert_array_equal(one.picture, other.picture)
    more = from_dataset(painted["bezier"], "00000000", Replay(num_frames=9, size=300))
    assert more.size_px == (300, 300)
    assert [frame.step for frame in more.frames[::2]] == [frame.step for frame in stored.frames]


def test_what_has_no_strokes_is_exported_as_it_is_or_not_at_all(tmp_path: Path) -> None:
    root = small_dataset(tmp_path / "data")
    process = from_dataset(root, "00000001", _AS_STORED)
    assert process.program is None and {frame.step for frame in process.frames} == {None}
    with pytest.raises(ConfigError, match="size=300: not allowed"):
        from_dataset(root, "00000001", Replay(num_frames=None, size=300))


def test_a_picture_behind_a_signed_url_gives_its_name_and_not_its_signature(tmp_path: Path) -> None:
    url = "memory://signed/a_boat.png?token=s3cret"
    with fsspec.open(url, "wb") as file:
        Image.fromarray(to_uint8(landscape(64, 64))).save(file, "png")
    out = tmp_path / "out"
    out.mkdir()
    small = ("renderer=oil", "renderer.num_strokes=50", "canvas_px=64", "format=svg")
    assert export(f"picture={url}", *small, f"out={out}") == 0
    (svg,) = out.iterdir()
    text = svg.read_text(encoding="utf-8")
    assert svg.name == "a_boat.svg" and "s3cret" not in text and "A boat, painted in oil" in text


@pytest.mark.parametrize(("name", "key"), [("region", "renderer.segment.method"), ("studio", "renderer.things.method")])
def test_a_picture_in_memory_that_lacks_label_maps_names_the_key_of_the_commands(name: str, key: str) -> None:
    choice = single_renderer(compose("export", ["out=unused", f"renderer={name}", f"{key}=truth"])["renderer"])
    with pytest.raises(ConfigError, match=f"^{key}=truth: not allowed; allowed: "):
        from_image(landscape(64, 64), "a", "a", choice, 64, 0, _AS_STORED)


def test_more_pixels_than_a_machine_holds_are_refused(painted: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="size=4096: not allowed; allowed: less: 256 frames"):
        from_dataset(painted["bezier"], "00000000", Replay(num_frames=256, size=4096))


def test_a_key_that_is_not_there_is_named_beside_some_that_are(painted: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="key=7: not allowed; allowed: one of 00000000"):
        from_dataset(painted["bezier"], "7", _AS_STORED)


def test_a_folder_that_is_no_painting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not an output folder"):
        from_painting(tmp_path, _AS_STORED)


def test_a_painting_in_a_folder_whose_name_is_not_utf8_is_named_by_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    pictures = np.zeros((2, 64, 64, 3), np.uint8)
    options = {"task": "generate", "seed": 0, "steps": 1, "guidance": 1.0, "painter": "tiny", "conditions": []}
    ProcessFolder(root=folder).write(pictures, {**options, "note": PROVENANCE, "prompt": ""})
    monkeypatch.chdir(folder)
    process = from_painting(Path(), _AS_STORED)
    assert process.name == "caf\\udce9"
    assert export("painting=.", f"out={tmp_path / 'a.png'}", "format=sheet") == 0


@pytest.fixture(scope="module")
def in_strokes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An unfinished picture painted on in strokes, by renderers."""
    root = tmp_path_factory.mktemp("in_strokes")
    painter = save_untrained_painter(root / "painter")
    Image.fromarray(to_uint8(landscape(64, 64))).save(root / "begun.png")
    few = ("task=complete", "at=1", "num_frames=4", "steps=1", "device=cpu", "renderer.preset=fast", "shown_frames=4")
    for renderer in ("studio", "bezier"):
        overrides = (f"image={root / 'begun.png'}", f"painter={painter}", "execution=strokes", f"renderer={renderer}")
        words = [*few, *overrides, "renderer.num_strokes=50", f"out={root / renderer}"]
        assert command("paint", paint_config, run, "A test.", words) == 0
    return {renderer: root / renderer for renderer in ("studio", "bezier")}


@pytest.mark.parametrize("renderer", ["studio", "bezier"])
def test_what_a_painter_painted_in_strokes_has_strokes(in_strokes: dict[str, Path], renderer: str) -> None:
    stored = from_painting(in_strokes[renderer], _AS_STORED)
    assert stored.program is not None and stored.program.family == renderer
    steps = json.loads((in_strokes[renderer] / "report.json").read_text())["strokes"]["steps"]
    assert [frame.step for frame in stored.frames] == steps and len(steps) == 4
    assert bool(stored.frames[-1].doing) is (renderer == "studio")
    more = from_painting(in_strokes[renderer], Replay(num_frames=7, size=128))
    assert more.size_px == (128, 128) and [frame.step for frame in more.frames[::2]] == steps
    same = from_painting(in_strokes[renderer], Replay(num_frames=4, size=None))
    for one, other in zip(stored.frames, same.frames, strict=True):
        np.testing.assert_array_equal(one.picture, other.picture)


@pytest.mark.parametrize("size", [16, 64])
def test_a_picture_that_somebody_put_beside_the_frames_is_none(in_strokes: dict[str, Path], size: int) -> None:
    frames = in_strokes["bezier"] / "frames"
    num_frames = len(from_painting(in_strokes["bezier"], _AS_STORED).frames)
    Image.new("RGB", (size, size)).save(frames / "01b.png")
    try:
        assert len(from_painting(in_strokes["bezier"], _AS_STORED).frames) == num_frames
    finally:
        (frames / "01b.png").unlink()


def test_a_drawing_in_svg_lies_on_the_picture_that_was_begun(in_strokes: dict[str, Path], tmp_path: Path) -> None:
    assert export(f"painting={in_strokes['bezier']}", f"out={tmp_path / 'a.svg'}") == 0
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert text.count("<path") == 50 and text.count('<image id="canvas"') == 1 and "<rect" not in text


def test_strokes_that_are_damaged_are_one_line(in_strokes: dict[str, Path], tmp_path: Path) -> None:
    folder = in_strokes["bezier"]
    whole = (folder / "strokes.npz").read_bytes()
    try:
        (folder / "strokes.npz").write_bytes(whole[:100])
        with pytest.raises(UserError, match=r"strokes\.npz is not what was written"):
            from_painting(folder, _AS_STORED)
    finally:
        (folder / "strokes.npz").write_bytes(whole)


@pytest.mark.parametrize(
    "content", [b"[]", b"{oops", b"\xff", b'{"note": "a", "sha256": 3}', b'{\n "checksum": "' + b"0" * 64 + b'",\n}']
)
def test_a_damaged_report_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(UserError, match=f"^painting={tmp_path}: report.json: "):
        from_painting(tmp_path, _AS_STORED)
