"""What painting several pictures with one command promises."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conf.command import command
from conf.compose import compose
from conf.errors import ConfigError, UserError
from pipelines.exports.parts import refuse_parts
from pipelines.inference.config import PaintConfig, paint_config
from pipelines.inference.output_folder import PROVENANCE, ProcessFolder
from pipelines.inference.overview import check_overview
from pipelines.inference.own_files import read_report
from pipelines.inference.requests import readable, requests_of
from pipelines.pages.overview.page import render_overview
from pipelines.paint import run
from tests.pipelines.pages.gallery_visit import a_chromium
from tests.pipelines.small_painter import save_untrained_painter
from training.data import manifest, retries

REPORT = {"note": PROVENANCE, "prompt": "a boat", "conditions": []}
FAST = ("task=reconstruct", "num_frames=3", "steps=2", "device=cpu", "prompt=boat")


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_untrained_painter(tmp_path_factory.mktemp("painter") / "tiny")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three pictures and a file that is none."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name in ("boat.png", "house.jpg", "tree.png"):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
        coarse.resize((32, 32), Image.Resampling.BICUBIC).save(folder / name)
    (folder / "boat.txt").write_text("a boat")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "more").mkdir()
    return folder


def paint(painter: Path, *overrides: object) -> int:
    return command("paint", paint_config, run, "A test.", [f"painter={painter}", *FAST, *map(str, overrides)])


def settings(*pictures: Path, out: Path) -> PaintConfig:
    """The configuration of several pictures."""
    return paint_config(compose("paint", [*FAST, f"image=[{','.join(map(str, pictures))}]", f"out={out}"]))


def frames(out: Path) -> Any:
    return np.stack([np.asarray(Image.open(path), np.int16) for path in sorted((out / "frames").iterdir())])


@pytest.fixture(scope="module")
def painted(painter: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of all three, painted two at a time."""
    out = tmp_path_factory.mktemp("painted")
    assert paint(painter, f"image={pictures}", "batch_size=2", f"out={out}") == 0
    return out


def test_every_picture_of_a_folder_has_a_folder(painted: Path) -> None:
    assert sorted(path.name for path in painted.iterdir()) == ["boat", "house", "index.html", "tree"]
    for name in ("boat.png", "house.jpg", "tree.png"):
        report = json.loads((painted / name.partition(".")[0] / "report.json").read_text())
        assert [one["picture"] for one in report["conditions"]] == [name]
    assert len(frames(painted / "boat")) == 3
    assert np.abs(frames(painted / "boat") - frames(painted / "tree")).max() > 8


def test_a_picture_whose_name_begins_with_a_tilde_is_painted(
    painter: Path, pictures: Path, painted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "~tree.png").write_bytes((pictures / "tree.png").read_bytes())
    (tmp_path / "in" / "~").mkdir()
    (tmp_path / "in" / "~" / "tree.png").write_bytes((pictures / "tree.png").read_bytes())
    monkeypatch.chdir(tmp_path / "in")
    assert paint(painter, "image=.", f"out={tmp_path / 'all'}") == 0
    assert paint(painter, "image=./~/tree.png", f"out={tmp_path / 'one'}") == 0
    for out in (tmp_path / "all" / "~tree", tmp_path / "one"):
        assert np.abs(frames(out) - frames(painted / "tree")).max() <= 1


def test_a_picture_of_a_folder_whose_name_is_not_utf8_is_named_and_the_others_are_painted(
    painter: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its name could stand neither in a report nor on a page."""
    (tmp_path / "in").mkdir()
    for name in ("boat.png", os.fsdecode(b"caf\xe9.png")):
        (tmp_path / "in" / name).write_bytes((pictures / "boat.png").read_bytes())
    assert paint(painter, f"image={tmp_path / 'in'}", f"out={tmp_path / 'out'}") == 3
    assert "caf\\udce9.png: its name is not in UTF-8" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["boat", "index.html"]


def test_a_picture_is_painted_the_same_alone_and_in_any_batch(
    painter: Path, pictures: Path, painted: Path, tmp_path: Path
) -> None:
    assert paint(painter, f"image={pictures / 'tree.png'}", f"out={tmp_path / 'alone'}") == 0
    named = f"image=[{pictures / 'tree.png'},{pictures / 'boat.png'}]"
    assert paint(painter, named, "batch_size=5", f"out={tmp_path / 'two'}") == 0
    for other in (tmp_path / "alone", tmp_path / "two" / "tree"):
        assert np.abs(frames(other) - frames(painted / "tree")).max() <= 1  # of 255: rounding


@pytest.mark.browser
def test_one_page_leads_to_all(painted: Path) -> None:
    with a_chromium() as browser:
        page = browser.new_context().new_page()
        troubles: list[str] = []
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto((painted / "index.html").as_uri())
        assert page.locator("h1").inner_text() == "3 painting processes"
        assert page.locator("li span").all_inner_texts() == ["boat", "house", "tree"]
        assert page.locator("li small").first.inner_text().startswith("frame 2: ")
        sheets = page.locator("img")
        sheets.first.evaluate("picture => picture.decode()")
        assert sheets.first.evaluate("picture => picture.naturalWidth") == 3 * 256 + 2 * 8  # enlarged, in one row
        page.locator("li a").nth(2).click()
        assert page.url == (painted / "tree" / "index.html").as_uri()
        assert page.locator("#number").inner_text() == "2 / 2"  # counted from 0, as reports do
        assert troubles == []


def test_pages_of_odd_names_are_found() -> None:
    page = render_overview({"50% #1 <b>": {"conditions": []}}).decode()
    assert "50%25%20%231%20%3Cb%3E/index.html" in page and "<b>" not in page


def test_the_page_states_the_figures_of_the_strokes_that_it_shows_and_calls_the_painters_so() -> None:
    report: dict[str, Any] = {"conditions": [{"frame": 7, "psnr_db": 25.161}]}
    assert '"kept":"frame 7: 25.16 dB"' in render_overview({"boat": report}).decode()
    report["strokes"] = {"psnr_db": 3.979}
    assert '"kept":"strokes: 3.98 dB, painter\'s frame 7: 25.16 dB"' in render_overview({"boat": report}).decode()


def test_what_is_painted_already_is_left_as_it_is(
    painter: Path, pictures: Path, painted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: os.stat(path).st_mtime_ns for path in painted.rglob("*") if path.is_file()}
    (painted / "tree" / "report.json").unlink()  # as if the run had been killed there
    (painted / "house" / ".painting.json").write_text("{}")  # or right after the report
    assert paint(painter, f"image={pictures}", f"out={painted}") == 0
    assert "2 of 3 pictures were painted already" in capsys.readouterr().out
    changed = {path.parts[len(painted.parts)] for path, when in before.items() if os.stat(path).st_mtime_ns != when}
    assert changed == {"index.html", "tree"}
    assert not list(painted.rglob(".*"))


@pytest.mark.parametrize("name", ["frames/01.png", "process.webp", "index.html", "report.json"])
def test_a_process_with_a_damaged_file_is_painted_again(
    painter: Path, pictures: Path, painted: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = painted / "house" / name
    sound = path.read_bytes()
    path.write_bytes(sound[:-9] + bytes([sound[-9] ^ 1]) + sound[-8:])
    assert paint(painter, f"image={pictures}", "batch_size=2", f"out={painted}") == 0
    assert "2 of 3 pictures were painted already" in capsys.readouterr().out
    assert path.read_bytes() == sound


def test_another_request_is_painted_anew(
    painter: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = f"image=[{pictures / 'tree.png'}]"
    for words, already in (((), 0), (("batch_size=2",), 1), (("seed=1",), 0), (("seed=1", "frames_per_s=3"), 0)):
        assert paint(painter, named, f"out={tmp_path}", *words) == 0
        assert f"{already} of 1 pictures were painted already" in capsys.readouterr().out


def test_unreadable_pictures_are_all_named_before_anything_is_painted(
    painter: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "torn.png").write_bytes((pictures / "boat.png").read_bytes()[:50])
    named = f"image=[{pictures / 'boat.png'},{tmp_path / 'torn.png'},{tmp_path / 'nowhere.png'}]"
    assert paint(painter, named, f"out={tmp_path / 'out'}") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "2 pictures: " in line and "torn.png: not a picture" in line and "nowhere.png: cannot be read" in line
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_read_in_a_folder_is_skipped_and_named(
    painter: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "boat.png").write_bytes((pictures / "boat.png").read_bytes())
    (folder / "torn.png").write_bytes((pictures / "boat.png").read_bytes()[:50])
    (folder / "link.png").symlink_to(tmp_path / "gone.png")
    assert paint(painter, f"image={folder}", f"out={tmp_path / 'out'}") == 3
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("skipped")]
    assert len(told) == 2 and "link.png: cannot be read" in told[0] and "torn.png: not a picture" in told[1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["boat", "index.html"]
    (folder / "boat.png").unlink()
    assert paint(painter, f"image={folder}", f"out={tmp_path / 'nothing'}") == 2
    assert not (tmp_path / "nothing").exists()


def test_pictures_of_one_name_are_refused(
    painter: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "boat.png").write_bytes((pictures / "house.jpg").read_bytes())
    assert paint(painter, f"image=[{pictures / 'boat.png'},{tmp_path / 'boat.png'}]", f"out={tmp_path / 'out'}") == 2
    assert "would both be painted into" in capsys.readouterr().err
    assert paint(painter, f"image={pictures / 'more'}", f"out={tmp_path / 'out'}") == 2
    assert "holds no pictures" in capsys.readouterr().err
    assert paint(painter, "image=[]", f"out={tmp_path / 'out'}") == 2
    assert "image=[]: not allowed; allowed: a picture, a folder, or a list of them" in capsys.readouterr().err


_TEMPORARY = ".index.html.466-548f6308.tmp.png"


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (["anim.gif", "anim.png", "boat.png"], ["anim.gif", "anim.png", "boat"]),
        (["a.gif", "a.gif.png", "a.png"], ["a.gif", "a.gif.png", "a.png"]),
        *(([name, "tree.png"], [name, "tree"]) for name in ("index.html.png", "INDEX.html.png", ".unfinished.png")),
        ([_TEMPORARY, "tree.png"], [_TEMPORARY, "tree"]),
    ],
)
def test_a_folder_is_named_with_the_ending_only_where_its_name_would_be_taken(
    tmp_path: Path, names: list[str], folders: list[str]
) -> None:
    requests = requests_of(settings(*(tmp_path / name for name in names), out=tmp_path / "out"))
    assert {request.image: request.out for request in requests} == {
        tmp_path / name: tmp_path / "out" / folder for name, folder in zip(names, folders, strict=True)
    }


@pytest.mark.parametrize("key", ["image", "conditions"])
def test_a_picture_is_not_replaced_by_the_painting_of_it(tmp_path: Path, key: str) -> None:
    ProcessFolder(root=tmp_path).write(np.zeros((3, 32, 32, 3), np.uint8), REPORT)
    (tmp_path / "link.png").symlink_to(tmp_path / "frames" / "02.png")
    for name in ("frames/02.png", "link.png"):
        given = [f"image={tmp_path / name}"]
        if key == "conditions":
            given = ["task=generate", f"conditions={{0: {tmp_path / name}}}"]
        config = paint_config(compose("paint", [*FAST, *given, f"out={tmp_path}"]))
        with pytest.raises(ConfigError, match=r"another folder; .* in this one would be replaced"):
            readable(config, requests_of(config))


@pytest.mark.parametrize("name", ["...png", "..png"])
def test_no_picture_is_painted_outside_of_out(name: str, pictures: Path, tmp_path: Path) -> None:
    """Python versions differ in whether these names have an ending."""
    config = settings(pictures / "tree.png", tmp_path / name, out=tmp_path / "out" / "in")
    try:
        folders = [request.out for request in requests_of(config)]
    except UserError as refusal:
        assert f"{name}: its name gives no folder of its own" in str(refusal)
    else:
        assert {folder.resolve().parent for folder in folders} == {config.out.resolve()}


def test_a_page_that_is_a_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "index.html").mkdir()
    with pytest.raises(ConfigError, match=r"index\.html in this one does not lead to several"):
        check_overview(tmp_path)


def test_several_processes_do_not_take_the_page_of_a_single_one(tmp_path: Path) -> None:
    folders = single, without_list, without_report, killed = [tmp_path / name for name in "abcd"]
    for folder in folders:
        ProcessFolder(root=folder).write(np.zeros((2, 32, 32, 3), np.uint8), REPORT)
    (without_list / "report.json").write_text(json.dumps(REPORT))  # as the first version wrote it
    (without_report / "report.json").unlink()
    (killed / "report.json").rename(killed / ".painting.json")
    (killed / "index.html").unlink()
    for folder in folders:
        with pytest.raises(ConfigError, match=r"out=.*another folder"):
            check_overview(folder)
    read_report(single)


def test_a_single_process_does_not_take_the_page_of_several(
    painter: Path, pictures: Path, painted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (painted / "index.html").read_bytes()
    assert paint(painter, f"image={pictures / 'tree.png'}", f"out={painted}") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"out={painted}: not allowed; allowed: another folder; index.html in this one leads to several" in line
    assert (painted / "index.html").read_bytes() == before and not (painted / "report.json").exists()
    check_overview(painted)
    with pytest.raises(ConfigError, match=r"another name: index\.html belongs to"):
        refuse_parts(painted / "index.html")


def test_a_folder_in_which_each_took_the_page_of_the_other_is_left_as_it_is(tmp_path: Path) -> None:
    """Earlier versions did that."""
    ProcessFolder(root=tmp_path).write(np.zeros((2, 32, 32, 3), np.uint8), REPORT)
    (tmp_path / "index.html").write_bytes(render_overview({"boat": {"conditions": []}}))
    with pytest.raises(ConfigError, match="another folder"):
        check_overview(tmp_path)
    with pytest.raises(ConfigError, match="another folder"):
        ProcessFolder(root=tmp_path).check(2)


@pytest.mark.parametrize("order", ["order='the elephant first'", "renderer.order='the elephant first'"])
def test_strokes_that_can_follow_no_picture_are_one_line(
    painter: Path, tmp_path: Path, order: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, grey in (("black.png", 0), ("white.png", 255)):
        Image.new("RGB", (32, 32), (grey, grey, grey)).save(tmp_path / name)
    renderer = ("renderer=studio",) if order.startswith("renderer") else ()
    strokes = ("execution=strokes", "canvas_px=64", "renderer.num_strokes=60", *renderer, order)
    named = f"image=[{tmp_path / 'black.png'},{tmp_path / 'white.png'}]"
    assert paint(painter, named, "task=complete", "at=1", *strokes, f"out={tmp_path / 'out'}") == 2
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: 2 pictures: ") and "black.png" in line and "white.png" in line
    assert not (tmp_path / "out").exists()


def test_a_picture_whose_storage_hiccups_is_read_again(
    painter: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_file, failed = manifest.hash_file, set[Path]()

    def failing_once(path: Path) -> str:
        if path not in failed:
            failed.add(path)
            raise OSError(errno.ETIMEDOUT, "Connection timed out")
        return hash_file(path)

    monkeypatch.setattr(retries, "WAITS_S", (0.0,))
    monkeypatch.setattr(manifest, "hash_file", failing_once)
    assert paint(painter, f"image={pictures / 'boat.png'}", f"out={tmp_path / 'out'}") == 0
    assert pictures / "boat.png" in failed
