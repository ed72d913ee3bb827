"""The command `export`: what it makes, what it refuses, and that nothing half-written is left."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from pipelines.exports import svg
from pipelines.exports.registry import FORMATS
from pipelines.inference.own_files import PROVENANCE
from tests.pipelines.exports.runs import everything, export, optional
from tests.pipelines.runs import REPOSITORY, save_picture
from tests.pipelines.small_dataset import small_dataset

KEY = "key=00000000"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_the_same_bytes_every_time(painted: dict[str, Path], tmp_path: Path, name: str) -> None:
    if FORMATS[name].extra:
        optional({"psd": "psd_tools", "lesson": "reportlab"}[name])
    ending = (FORMATS[name].endings or ("",))[0]
    for folder in ("one", "two"):
        overrides = (f"dataset={painted['bezier']}", KEY, f"format={name}", "dpi=72", "seconds=1", "hold=0")
        assert export(*overrides, f"out={tmp_path / folder / f'a{ending}'}") == 0
    assert everything(tmp_path / "one") == everything(tmp_path / "two") != {}


@pytest.mark.parametrize("ending", sorted({ending for one in FORMATS.values() for ending in one.endings}))
def test_the_ending_chooses_the_format(painted: dict[str, Path], tmp_path: Path, ending: str) -> None:
    if ending == ".psd":
        optional("psd_tools")
    assert export(f"dataset={painted['bezier']}", KEY, "dpi=72", f"out={tmp_path / f'A{ending.upper()}'}") == 0
    assert (tmp_path / f"A{ending.upper()}").stat().st_size > 500


def test_several_sequences_go_into_a_folder_by_their_keys(tmp_path: Path) -> None:
    root = small_dataset(tmp_path / "data")
    assert export(f"dataset={root}", "key=[00000001,00000003]", "format=ora", f"out={tmp_path / 'out'}") == 0
    assert sorted(everything(tmp_path / "out")) == ["00000001.ora", "00000003.ora"]
    assert export(f"dataset={root}", "key=[00000001,00000003]", "format=krita", f"out={tmp_path / 'frames'}") == 0
    assert {path.name for path in (tmp_path / "frames").iterdir()} == {"00000001", "00000003"}


def test_a_painters_process_is_exported_with_its_prompt_and_that_it_is_invented(painting: Path, tmp_path: Path) -> None:
    optional("psd_tools")
    assert export(f"painting={painting}", f"out={tmp_path / 'a.psd'}") == 0
    with Image.open(tmp_path / "a.psd") as picture:
        expected = np.asarray(Image.open(painting / "frames" / "03.png"))
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), expected)
    optional("reportlab")
    assert export(f"painting={painting}", f"out={tmp_path / 'a.pdf'}", "format=lesson") == 0
    document = optional("pypdfium2").PdfDocument(tmp_path / "a.pdf")
    text = " ".join(" ".join(page.get_textpage().get_text_range() for page in document).split())
    assert "A red boat" in text and PROVENANCE in text


def test_a_picture_is_painted_and_exported(tmp_path: Path) -> None:
    save_picture(tmp_path / "boat.png", 3)
    overrides = ("renderer=bezier", "renderer.num_strokes=40", "renderer.preset=fast", "canvas_px=96")
    assert export(f"picture={tmp_path / 'boat.png'}", *overrides, f"out={tmp_path / 'boat.svg'}") == 0
    text = (tmp_path / "boat.svg").read_text(encoding="utf-8")
    assert text.count("<path") == 40 and "painted from boat.png" in text


REFUSED = [
    (("painting=none", "out=a.svg"), "painting=none: not an output folder"),
    (("painting={painting}", "out=a.svg"), "has frames and no strokes"),
    (("painting={painting}", "out=a.svg", "format=plotter"), "has frames and no strokes"),
    (("painting={painting}", "out=a.ora", "num_frames=9"), "num_frames=9: not allowed; allowed: null"),
    (("dataset={region}", KEY, "out=a.svg"), "00000000 is of region"),
    (("dataset={bezier}", "out=a.svg"), "key=[]: not allowed"),
    (("dataset={bezier}", "key=00000009", "out=a.svg"), "one of 00000000"),
    (("dataset={bezier}", KEY, "out=a.tiff"), "a name that ends with .svg"),
    (("dataset={bezier}", KEY, "out=a"), "or say format="),
    (("dataset={bezier}", KEY, "out=a.svg", "format=psd"), "a name that ends with .psd"),
    (("dataset={bezier}", KEY, "out=a.svg", "format=krita"), "allowed: a folder"),
    (("dataset={bezier}", KEY, "out=a.svg", "format=xcf"), "one of svg, plotter"),
    (("dataset={bezier}", "key=[00000000,00000001]", "out=a.svg"), "a folder, for several sequences"),
    (("dataset={bezier}", "key=[00000000,00000009]", "out=a", "format=svg"), "one of 00000000"),
    (("dataset={bezier}", KEY, "painting={painting}", "out=a.svg"), "exactly one of the three"),
    (("out=a.svg",), "exactly one of the three"),
    (("dataset={bezier}", KEY, "out=there.svg"), "overwrite=true"),
    (("dataset={bezier}", KEY, "out=full", "format=krita"), "a new or empty folder"),
    (("dataset={bezier}", KEY, "out=there.svg/a.svg"), "there.svg"),
    (("dataset={bezier}", KEY, "out=a.mp4", "seconds=0"), "0.1 to 600"),
    (("dataset={bezier}", KEY, "out=a.mp4", "size=20"), "64 to 4096"),
    (("dataset={bezier}", KEY, "out=a.pdf", "page=b5"), "page=b5"),
    (("dataset={bezier}", KEY, "out=a.pdf", "font=none.ttf"), "font=none.ttf"),
    (("dataset={bezier}", KEY, "out=a.svg", "speed=2"), "speed=2"),
    (("picture=none.png", "out=a.svg", "renderer=bezier"), "none.png"),
    (("picture=a.png", "out=a.svg", "renderer=mix"), "one renderer"),
    *(
        (("picture=a.png", "out=a.ora", f"renderer={name}", f"{key}=truth"), f"{key}=truth: not allowed; allowed: ")
        for name, key in (("region", "renderer.segment.method"), ("studio", "renderer.things.method"))
    ),
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED)
def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(
    painted: dict[str, Path],
    painting: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    overrides: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.svg").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    before = everything(tmp_path)
    capsys.readouterr()
    assert export(*(word.format(**painted, painting=painting) for word in overrides)) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and message in error
    assert everything(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "painting", "there.svg"]


@pytest.mark.parametrize("out", [".", "..", "/"])
def test_an_out_without_a_name_is_one_line(
    painted: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    out: str,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert export(f"dataset={painted['bezier']}", KEY, "format=ora", f"out={out}") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"error: out={out}: not allowed; allowed: a path that ends with a name, such as ")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"] and not list((tmp_path / "empty").iterdir())


def test_a_key_that_does_not_suit_the_picture_is_named_with_its_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_picture(tmp_path / "boat.png", 3)
    overrides = ("renderer=region", "renderer.order='the zebra first'", "canvas_px=64")
    assert export(f"picture={tmp_path / 'boat.png'}", *overrides, f"out={tmp_path / 'a.ora'}") == 2
    assert "error: renderer.order=the zebra first: not allowed" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["boat.png"]


def test_a_file_that_is_there_is_replaced_only_when_told(painted: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text("holidays")
    overrides = (f"dataset={painted['bezier']}", KEY, f"out={tmp_path / 'a.svg'}")
    assert export(*overrides) == 2 and (tmp_path / "a.svg").read_text() == "holidays"
    assert export(*overrides, "overwrite=true") == 0 and "<svg" in (tmp_path / "a.svg").read_text()


def test_a_full_disk_is_one_line_and_leaves_what_was_there(
    painted: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "a.svg").write_text("holidays")
    full = mock.Mock(side_effect=OSError(28, "No space left on device"))
    with mock.patch.object(svg, "layer_tag", full):
        overrides = (f"dataset={painted['bezier']}", KEY, f"out={tmp_path / 'a.svg'}", "overwrite=true")
        assert export(*overrides) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert everything(tmp_path) == {"a.svg": b"holidays"} and len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_may_not_be_written_is_one_line(
    painted: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = mock.Mock(side_effect=PermissionError(13, "Permission denied"))
    with mock.patch.object(Path, "mkdir", refused):
        assert export(f"dataset={painted['bezier']}", KEY, f"out={tmp_path / 'new' / 'a.svg'}") == 2
    assert "a.svg: cannot be written (Permission denied)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_lacks_is_named_with_its_extra(
    painted: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, package, ending in (("psd", "psd_tools", "psd"), ("lesson", "reportlab", "pdf")):
        parts = [loaded for loaded in sys.modules if loaded.partition(".")[0] == package]
        with mock.patch.dict(sys.modules, dict.fromkeys([package, *parts])):
            overrides = (f"dataset={painted['bezier']}", KEY, f"format={name}", f"out={tmp_path / f'a.{ending}'}")
            assert export(*overrides) == 2
        error = capsys.readouterr().err
        assert package in error and "pip install 'process-painter[exports]'" in error
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_leaves_no_file_and_the_same_command_makes_it(painted: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("av")
    overrides = [f"dataset={painted['bezier']}", KEY, f"out={tmp_path / 'a.mp4'}", "seconds=600", "size=1024"]
    alone = subprocess.Popen(
        [sys.executable, "-m", "pipelines.export", *overrides], cwd=REPOSITORY, stderr=subprocess.PIPE
    )
    while alone.poll() is None and not list(tmp_path.glob(".export-*.tmp/a.mp4")):
        pass
    os.kill(alone.pid, signal.SIGKILL)
    alone.communicate()
    assert not (tmp_path / "a.mp4").exists()
    assert export(*overrides[:3], "seconds=1") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
