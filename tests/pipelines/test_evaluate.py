"""`pipelines.evaluate`: sets from anywhere, one-line errors, evaluations that were killed."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conf.command import command
from conf.errors import UserError
from pipelines.artists import frames
from pipelines.evaluate import evaluate_config, run
from pipelines.evaluation.importers import detect, read_set
from pipelines.inference.output_folder import PROVENANCE, ProcessFolder
from pipelines.sources.source import StorageFault
from tests.pipelines.artists.ingest_runs import save, sheet_of, stages
from tests.pipelines.artists.time_lapse import write_video
from tests.pipelines.processes import WANTED


def judge(*overrides: object) -> int:
    """Run the command; returns its exit code."""
    return command("evaluate", evaluate_config, run, "", [str(word) for word in overrides])


def save_frames(folder: Path, frames: list[np.ndarray]) -> Path:
    for number, frame in enumerate(frames):
        save(folder / f"{number:02d}.png", frame)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ours` and `theirs`: ten processes each, as folders of frames of the same names."""
    root = tmp_path_factory.mktemp("sets")
    for number in range(10):
        save_frames(root / "ours" / f"boat {number}", stages(8, 64, 64, seed=number))
        save_frames(root / "theirs" / f"boat {number}", stages(6, 80, 96, seed=50 + number))
    return root


def test_frames_videos_grids_and_paintings_give_the_same_process(tmp_path: Path) -> None:
    frames = stages(6, 64, 64, seed=3)
    save_frames(tmp_path / "frames" / "boat", frames)
    (tmp_path / "video").mkdir()
    write_video(tmp_path / "video" / "boat.mkv", frames)
    save(tmp_path / "grid" / "boat_2x3.png", sheet_of(frames, 2, 3, "boustrophedon"))
    save_frames(tmp_path / "painter" / "boat" / "frames", frames)
    save(tmp_path / "painter" / "boat" / "sheet.png", np.hstack(frames))
    (tmp_path / "painter" / "boat" / "report.json").write_text(json.dumps({"prompt": "a boat", "seed": 1}))
    for layout in ("frames", "video", "grid", "painter"):
        assert detect(tmp_path / layout, WANTED.grid) == layout
        (process,) = read_set("generated", tmp_path / layout, "auto", WANTED).processes
        np.testing.assert_array_equal(process.frames, np.stack(frames)[[0, 1, 1, 2, 3, 4, 4, 5]])
    assert process.caption == "a boat"


@pytest.mark.parametrize("ending", ["webp", "png", "gif"])
def test_animated_pictures_are_processes_of_their_own_and_stills_are_not(tmp_path: Path, ending: str) -> None:
    for number in range(3):
        first, *others = (Image.fromarray(frame) for frame in stages(6, 64, 64, seed=number))
        first.save(tmp_path / f"p{number}.{ending}", save_all=True, append_images=others, duration=200)
    read = read_set("generated", tmp_path, "auto", WANTED)
    assert read.layout == "video" and len(read.processes) == 3 and read.lengths == [6, 6, 6]
    save_frames(tmp_path / "stills", stages(6, 64, 64, seed=0))
    assert read_set("generated", tmp_path / "stills", "auto", WANTED).layout == "frames"


def test_pictures_that_are_no_frames_are_named(tmp_path: Path) -> None:
    save_frames(tmp_path / "stills", stages(6, 64, 64, seed=0))
    save(tmp_path / "stills" / "reference.png", stages(6, 64, 64, seed=0)[-1])
    notes = read_set("generated", tmp_path / "stills", "auto", WANTED).notes
    assert notes == ["passed over 1 file of generated: reference.png (a picture without a number)"]


def test_a_video_for_players_is_read_too(tmp_path: Path) -> None:
    frames = stages(6, 64, 64, seed=4)
    write_video(tmp_path / "boat.mp4", frames, codec="libx264", pix_fmt="yuv420p")
    (process,) = read_set("generated", tmp_path, "auto", WANTED).processes
    assert np.abs(process.frames[-1].astype(int) - frames[-1]).mean() < 12


def test_the_command_writes_json_a_table_and_a_page(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = f"generated={folders / 'ours'}", f"reference={folders / 'theirs'}", f"out={tmp_path / 'out'}"
    assert judge(*overrides) == 0
    printed = capsys.readouterr().out
    told = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    assert told["counts"] == {"generated": 10, "reference": 10, "paired": 10, "refused": 0}
    for row in told["process"]:
        assert row["name"] in printed
        assert (row["reason"] is None) or f"no gap: {row['name']}: {row['reason']}" in printed
        assert (row["gap"] is None or row["doubt"] is None) or f"in doubt: {row['name']}: {row['doubt']}" in printed
    assert "distance to real painters" in printed
    assert "missing: FID: needs weights.inception" in printed
    assert "generated read as frames, reference as frames" in printed
    before = (tmp_path / "out" / "index.html").read_bytes()
    assert judge(*overrides) == 0
    assert (tmp_path / "out" / "index.html").read_bytes() == before


def test_processes_that_show_frames_twice_are_warned_of_and_those_long_enough_are_not(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = f"generated={folders / 'ours'}", f"reference={folders / 'theirs'}"
    assert judge(*overrides, f"out={tmp_path / 'long'}") == 0
    (warning,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: "))
    assert warning == (
        "warning: 10 of 10 reference sequences have fewer than 8 frames and show some twice; "
        "num_frames=6 compares them better"
    )
    assert judge(*overrides, "num_frames=6", f"out={tmp_path / 'short'}") == 0
    assert "warning" not in capsys.readouterr().out


def test_one_bad_process_is_named_and_the_others_are_judged(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = tmp_path / "ours"
    for number in range(3):
        save_frames(ours / f"boat {number}", stages(5, 64, 64, seed=number))
    save(ours / "mixed" / "0.png", stages(1, 64, 64)[0])
    save(ours / "mixed" / "1.png", stages(1, 70, 64)[0])
    save(ours / "still" / "0.png", stages(1, 64, 64)[0])
    assert judge(f"generated={ours}", f"reference={folders / 'theirs'}", f"out={tmp_path / 'out'}") == 3
    printed = capsys.readouterr().out
    assert "not read: mixed: mixed sizes: 0.png has 64x64 px, 1.png has 64x70 px" in printed
    assert "not read: still: one frame is no process" in printed


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("generated={here}/nowhere",), "generated={here}/nowhere: not allowed; allowed: a folder of sequences"),
        (("generated={here}/empty",), "holds no folders of pictures"),
        (("generated={here}/still",), "generated={here}/still: not allowed; allowed: sequences that can be read"),
        (("generated={theirs}",), "reference={theirs}: not allowed; allowed: another folder than generated"),
        (("num_frames=2",), "num_frames=2: not allowed"),
        (("size=8",), "size=8: not allowed"),
        (("size=512", "max_sequences=2000"), "max_sequences=2000: not allowed; allowed: at most 25"),
        (("layout.generated=paintings",), "layout.generated=paintings: not allowed"),
        (("weights.clip={here}/nowhere",), "weights.clip={here}/nowhere: not allowed"),
        (("weights.clip={here}/empty",), "weights.clip={here}/empty: not allowed; allowed: a CLIP model"),
        (("weights.inception={here}/still/0.png",), "weights.inception={here}/still/0.png: not allowed"),
        (("weights.lpips_backbone={here}/still/0.png",), "weights.lpips_heads=null: not allowed"),
        (("layout.generated=dataset",), "a folder of sequences; it holds none (read as dataset)"),
        (("out={here}/still",), "out={here}/still: not allowed; allowed: a new or empty folder"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    save(tmp_path / "still" / "0.png", stages(1, 64, 64)[0])
    names = {"here": tmp_path, "theirs": folders / "theirs"}
    defaults = (f"generated={folders / 'ours'}", f"reference={folders / 'theirs'}", f"out={tmp_path / 'out'}")
    assert judge(*defaults, *(word.format(**names) for word in overrides)) == 2
    (error,) = (line for line in capsys.readouterr().err.splitlines() if not line.startswith("reading "))
    assert error.startswith("error: ") and message.format(**names) in error
    assert not (tmp_path / "out").exists()


def test_an_evaluation_that_measures_nothing_is_not_complete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One process of one picture against one of another: no pair, and no half to try metrics on."""
    for name in ("ours", "theirs"):
        save_frames(tmp_path / name / f"of {name}", stages(8, 64, 64, seed=len(name)))
    assert judge(f"generated={tmp_path / 'ours'}", f"reference={tmp_path / 'theirs'}", f"out={tmp_path / 'o'}") == 3
    assert capsys.readouterr().out.splitlines()[-1].startswith("nothing could be measured: ")


def test_a_folder_of_another_evaluation_is_refused(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = f"generated={folders / 'ours'}", f"reference={folders / 'theirs'}", f"out={tmp_path / 'out'}"
    assert judge(*overrides, "max_sequences=4") == 0
    assert judge(*overrides, "max_sequences=5") == 2
    assert "holds an evaluation with " in capsys.readouterr().err


def test_a_shard_that_is_gone_from_a_complete_data_set_is_named(dataset: Path, tmp_path: Path) -> None:
    copy = tmp_path / "damaged"
    shutil.copytree(dataset, copy)
    min((copy / "shards").glob("*.json")).unlink()
    with pytest.raises(UserError, match=r"damaged: .*shards/train-00000-of-0000\d\.json: missing"):
        read_set("reference", copy, "auto", WANTED)


def test_a_damaged_sequence_of_a_data_set_is_named_and_the_others_are_read(dataset: Path, tmp_path: Path) -> None:
    copy = tmp_path / "damaged"
    shutil.copytree(dataset, copy)
    tar = min((copy / "shards").glob("*.tar"))
    data = bytearray(tar.read_bytes())
    data[2000] ^= 0xFF
    tar.write_bytes(data)
    imported = read_set("reference", copy, "auto", WANTED)
    assert len(imported.processes) == 5
    ((name, reason),) = imported.refused
    assert name.startswith("damaged/") and "not the bytes that were committed" in reason


@pytest.mark.parametrize("left", [(), ("evaluation.json",), ("evaluation.json", "index.html")])
def test_an_evaluation_that_was_killed_as_it_wrote_is_made_again(
    left: tuple[str, ...], folders: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    overrides = f"generated={folders / 'ours'}", f"reference={folders / 'theirs'}", f"out={out}"
    assert judge(*overrides) == 0
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    for name in whole.keys() - set(left):
        (out / name).unlink()
    (out / ".evaluation.json.77-0123abcd.tmp").write_text("{")
    (out / ".index.html.77-0123abcd.tmp").write_text("<")
    assert judge(*overrides) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole


def test_what_cannot_be_read_is_named_and_the_exit_code_says_so(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folders / "ours", tmp_path / "ours")
    (tmp_path / "ours" / "boat 3" / "04.png").write_bytes(b"no picture")
    assert judge(f"generated={tmp_path / 'ours'}", f"reference={folders / 'theirs'}", f"out={tmp_path / 'out'}") == 3
    assert "not read: boat 3: 04.png" in capsys.readouterr().out


def test_storage_that_fails_ends_an_evaluation_in_one_line(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: str, name: str) -> None:
        raise StorageFault(f"{path}: cannot be read (Input/output error)")

    monkeypatch.setattr(frames, "read_picture", fails)
    assert judge(f"generated={folders / 'ours'}", f"reference={folders / 'theirs'}", f"out={tmp_path / 'out'}") == 2
    assert re.fullmatch(r"error: .*boat 0/00\.png: cannot be read \(Input/output error\)\n", _last(capsys))


def _last(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines(keepends=True)[-1]


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a frame gone": lambda root: (root / "frames" / "02.png").unlink(),
    "frames swapped": lambda root: shutil.copy(root / "frames" / "01.png", root / "frames" / "02.png"),
    "no report": lambda root: (root / "report.json").unlink(),
    "another prompt": lambda root: _rewrite(root / "report.json", "a boat", "a goat"),
    "no checksum": lambda root: _rewrite(root / "report.json", '"checksum"', '"checksun"'),
}


def _rewrite(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def _paint(folder: Path) -> None:
    """Two boats, as `pipelines.paint` writes them."""
    for number in range(2):
        pictures = np.stack(stages(5, 64, 64, seed=number))
        options = {"task": "generate", "seed": 0, "steps": 1, "guidance": 1.0, "painter": "tiny", "conditions": []}
        report = {"note": PROVENANCE, "prompt": "a boat", **options}
        ProcessFolder(root=folder / f"boat{number}").write(pictures, report)


def test_a_name_that_is_not_utf8_stands_in_the_report_by_its_bytes(folders: Path, tmp_path: Path) -> None:
    _paint(tmp_path / "ours")
    (tmp_path / "ours" / os.fsdecode(b"caf\xe9") / "frames").mkdir(parents=True)  # not painted to its end
    assert judge(f"generated={tmp_path / 'ours'}", f"reference={folders / 'theirs'}", f"out={tmp_path / 'out'}") == 3
    assert "caf\\\\xe9" in (tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8")
    assert "caf\\xe9" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_painting_that_is_not_whole_is_named_and_not_judged(damage: str, tmp_path: Path) -> None:
    _paint(tmp_path)
    assert len(read_set("generated", tmp_path, "auto", WANTED).processes) == 2
    DAMAGE[damage](tmp_path / "boat1")
    imported = read_set("generated", tmp_path, "auto", WANTED)
    assert [process.name for process in imported.processes] == ["boat0"]
    ((name, reason),) = imported.refused
    assert name == "boat1" and "report" in reason
