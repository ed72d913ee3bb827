"""Where an export may be written, and that it removes only what an export made."""

import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from conf.compose import compose
from conf.errors import ConfigError, UserError
from pipelines import export as export_command
from pipelines import film
from pipelines.export import export_config
from pipelines.exports.inputs import Replay, from_painting
from pipelines.exports.placing import check_free, check_picture, placed
from pipelines.film import film_config
from pipelines.inference.own_files import REPORT, read_report
from tests.pipelines.exports.runs import everything, export
from training.data.claim import sole_writer

KEY = "key=00000000"


def write(out: Path, text: str = "new") -> None:
    with placed(out) as path:
        path.write_text(text)


def killed(out: Path) -> Path:
    """What a run leaves that is killed while it writes; returns its working folder."""
    with pytest.raises(OSError, match="killed"), pytest.MonkeyPatch.context() as patch:
        with placed(out) as path:
            path.write_text("half of it")
            copy = shutil.copytree(path.parent, out.parent / "copy")
        patch.undo()
        work = path.parent
        shutil.move(copy, work)
        out.unlink()
        raise OSError("killed")
    return work


def test_a_users_files_beside_the_output_stay(tmp_path: Path) -> None:
    (tmp_path / ".a.svg.tmp").mkdir()
    (tmp_path / ".a.svg.tmp" / "mine.txt").write_text("mine")
    (tmp_path / ".b.svg.tmp").write_text("mine")
    (tmp_path / ".c.svg.tmp").symlink_to(tmp_path / ".a.svg.tmp")
    before = everything(tmp_path)
    for name in ("a.svg", "b.svg", "c.svg"):
        write(tmp_path / name)
        assert (tmp_path / name).read_text() == "new"
        (tmp_path / name).unlink()
    assert everything(tmp_path) == before and len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("make", [
    lambda work: work.write_text("mine"),
    lambda work: (work.mkdir(), (work / "mine.txt").write_text("mine")),
    lambda work: work.symlink_to(work.parent),
], ids=["file", "folder", "link"])  # fmt: skip
def test_not_even_a_working_folders_name_makes_something_the_exports_own(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    with placed(tmp_path / "a.svg") as path:
        path.write_text("x")
    (tmp_path / "a.svg").unlink()
    make(path.parent)
    before = everything(tmp_path)
    with pytest.raises(UserError, match=r"out=.*a\.svg"):
        write(tmp_path / "a.svg")
    assert everything(tmp_path) == before and list(tmp_path.iterdir()) == [path.parent]


def test_what_a_killed_run_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    work = killed(tmp_path / "a.svg")
    assert (work / "a.svg").read_text() == "half of it"
    write(tmp_path / "other.svg")
    write(tmp_path / "a.svg")
    assert everything(tmp_path) == {"a.svg": b"new", "other.svg": b"new"} and not work.exists()


def test_a_second_run_into_the_same_place_leaves_the_first_alone(tmp_path: Path) -> None:
    work = killed(tmp_path / "a.svg")
    before = everything(tmp_path)
    with sole_writer(work), pytest.raises(UserError, match="another run is writing here"):
        write(tmp_path / "a.svg")
    assert everything(tmp_path) == before


def test_every_name_that_the_system_takes_can_be_written(tmp_path: Path) -> None:
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    for length in (longest - 5, longest):
        out = tmp_path / ("a" * (length - 4) + ".svg")
        check_free(out, is_folder=False, overwrite=False)
        write(out)
        assert [path.name for path in tmp_path.iterdir()] == [out.name]
        out.unlink()
    for is_folder in (False, True):
        with pytest.raises(UserError, match=os.strerror(errno.ENAMETOOLONG)):
            check_free(tmp_path / ("a" * (longest + 1)), is_folder=is_folder, overwrite=False)


@pytest.mark.parametrize(("name", "format_name"), [
    ("process.mp4", "mp4"), ("process.webp", "webp"), ("sheet.png", "sheet"), ("frames/01.png", "sheet"),
    ("frames/07.png", "sheet"), ("frames/new", "krita"),
])  # fmt: skip
def test_a_file_of_a_painting_is_not_replaced(
    painting: Path, painted: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    name: str, format_name: str,
) -> None:  # fmt: skip
    before = everything(tmp_path)
    for source in ([f"painting={painting}"], [f"dataset={painted['bezier']}", KEY]):
        assert export(*source, f"out={painting / name}", f"format={format_name}", "overwrite=true") == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith(f"error: out={painting / name}: not allowed") and f"the painting {painting}" in error
    assert everything(tmp_path) == before and read_report(painting)


def test_a_file_of_a_painting_is_known_through_links_and_without_a_sound_report(painting: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(painting)
    with pytest.raises(UserError, match="belongs to the painting"):
        check_free(tmp_path / "link" / "process.mp4", is_folder=False, overwrite=True)
    (painting / REPORT).unlink()
    with pytest.raises(UserError, match="belongs to the painting"):
        check_free(painting / "process.mp4", is_folder=False, overwrite=True)


def test_another_name_in_a_painting_is_free(painting: Path) -> None:
    assert export(f"painting={painting}", f"out={painting / 'mine.gif'}", "seconds=1") == 0
    assert export(f"painting={painting}", f"out={painting / 'mine.gif'}", "seconds=1", "overwrite=true") == 0
    assert len(from_painting(painting, Replay(num_frames=None, size=None)).frames) == 4


@pytest.mark.parametrize("name", ["contact_sheet.png", "timings/a.png", "shards/a.png"])
def test_a_file_of_a_data_set_is_not_replaced(
    painted: dict[str, Path], painting: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    root = shutil.copytree(painted["bezier"], tmp_path / "data")
    before = everything(tmp_path)
    for source in ([f"dataset={root}", KEY], [f"painting={painting}"]):
        assert export(*source, f"out={root / name}", "format=sheet", "overwrite=true") == 2
        assert f"error: out={root / name}: not allowed" in capsys.readouterr().err
    assert everything(tmp_path) == before
    assert export(f"dataset={root}", KEY, f"out={root / 'mine.png'}", "format=sheet") == 0


def test_frames_and_reports_of_others_claim_nothing(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / REPORT).write_text("{}")
    check_free(tmp_path / "frames" / "a.png", is_folder=False, overwrite=False)


@pytest.mark.parametrize("way", ["same", "symbolic link", "hard link", "URL"])
def test_an_output_does_not_replace_the_picture_that_it_is_made_of(tmp_path: Path, way: str) -> None:
    out = tmp_path / "own.gif"
    Image.new("RGB", (80, 64), "red").save(out)
    picture = {"same": str(out), "URL": out.as_uri()}.get(way, str(tmp_path / "link.gif"))
    if way == "symbolic link":
        (tmp_path / "link.gif").symlink_to(out)
    elif way == "hard link":
        (tmp_path / "link.gif").hardlink_to(out)
    before = out.read_bytes()
    overrides = [f"picture={picture}", f"out={out}", "overwrite=true"]
    refused = r"own\.gif: not allowed; .* this is the picture itself"
    with pytest.raises(ConfigError, match=refused):
        film.run(film_config(compose("film", overrides)))
    with pytest.raises(ConfigError, match=refused):
        export_command.run(export_config(compose("export", overrides)))
    check_picture(picture, tmp_path / "other.gif")
    assert out.read_bytes() == before


def test_what_is_not_one_picture_is_refused_with_what_to_do(painting: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for picture, allowed in (
        (f"[{painting}/a.png,b.jpg]", "one picture; there is no file of this name"),
        (str(tmp_path / "empty"), "one picture; this is a folder$"),
        (str(painting), f"one picture; this is a folder; .* pipelines.export painting={re.escape(str(painting))}$"),
    ):
        with pytest.raises(ConfigError, match=f"^{re.escape(f'picture={picture}')}: not allowed; allowed: {allowed}"):
            check_picture(picture, tmp_path / "new.gif")
