"""One rule for output folders of all commands: new, empty, or the command's own; else one line, and nothing changes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conf.compose import compose
from conf.errors import UserError
from pipelines import evaluate, paint, synth
from pipelines.inference.config import paint_config
from pipelines.synthesis.config import synth_config
from pipelines.synthesis.dataset_folder import dataset_folder
from training import assemble
from training.data.claim import sole_writer
from training.data.dataset import DatasetCard
from training.models.painter_parts import Part
from training.run.run_folder import claimed


class Failed(UserError):
    """What goes wrong in these commands after their folder is claimed."""


def fail(*_: object, **__: object) -> None:
    raise Failed("after the claim")


def run_synth(out: Path) -> None:
    overrides = ["renderer=bezier", "num_sequences=1", "cluster=inline", f"out={out}"]
    synth.run(synth_config(compose("synth", overrides)))


def run_train(out: Path) -> None:
    with claimed(out, {"seed": 0}, "auto"):
        fail()


def run_encode_or_ingest(out: Path) -> None:
    card = DatasetCard(recipe={}, config_hash="c", code_version="0", shards=(), num_planned=0)
    with dataset_folder(out, card):
        fail()


def run_evaluate(out: Path) -> None:
    overrides = [f"generated={out.parent / 'none'}", f"reference={out.parent / 'other'}", f"out={out}"]
    evaluate.run(evaluate.evaluate_config(compose("evaluate", overrides)))


def run_assemble(out: Path) -> None:
    overrides = ["base=base", "motion=motion", f"out={out}"]
    assemble.run(assemble.assemble_config(compose("assemble", overrides)))


def run_paint(out: Path) -> None:
    paint.run(paint_config(compose("paint", ["prompt=a boat", "device=cpu", f"out={out}"])))


COMMANDS: dict[str, Callable[[Path], None]] = {
    "synth": run_synth, "ingest and encode": run_encode_or_ingest, "train": run_train, "evaluate": run_evaluate,
    "assemble": run_assemble, "paint": run_paint,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands stop at the first thing that they do in their folder."""
    for where, name in (
        ("pipelines.synthesis.run", "_render_missing"),
        ("training.assemble", "_assemble"),
        ("pipelines.inference.loading", "load_painter_pipeline"),
    ):
        monkeypatch.setattr(f"{where}.{name}", fail)
    part = Part(key="base", weights=Path(), hash="h", card=None)
    monkeypatch.setattr(assemble, "part_at", lambda key, place: part)
    monkeypatch.setattr(assemble, "_facts", lambda config, parts: {"parts": {}})


def contents(root: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_with_things_of_others_is_refused_and_stays_as_it_is(command: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "photographs").mkdir(parents=True)
    (out / "photographs" / "boat.jpg").write_bytes(b"boat")
    (out / "notes.tmp").write_bytes(b"mine, whatever it is called")
    before = contents(out)
    with pytest.raises(UserError, match=r"out=.*allowed: a new or empty folder; this one holds something that ") as it:
        COMMANDS[command](out)
    assert not isinstance(it.value, Failed) and "\n" not in str(it.value)
    assert contents(out) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_is_refused_and_stays_as_it_is(command: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(UserError, match="a folder; this is a file"):
        COMMANDS[command](tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"mine"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("below", ["", "below"])
def test_a_link_to_nothing_is_refused_and_nothing_is_made_where_it_points(
    command: str, below: str, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match="is a link to nothing"):
        COMMANDS[command](tmp_path / "link" / below)
    assert not (tmp_path / "gone").exists() and (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_in_which_another_run_is_writing_is_refused(command: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with sole_writer(tmp_path / "out"), pytest.raises(UserError, match="another run is writing here"):
        COMMANDS[command](tmp_path / "out")
    assert contents(tmp_path) == {"out": None}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_fails_before_it_made_anything_leaves_no_folder(command: str, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        COMMANDS[command](tmp_path / "new" / "out")
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_killed_writer_left_half_written_does_not_make_a_folder_anothers(command: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".dataset.json.123-0123abcd.tmp").write_bytes(b"{")
    with pytest.raises(UserError) as caught:
        COMMANDS[command](tmp_path / "out")
    assert "holds something" not in str(caught.value)


def test_a_painter_is_not_put_in_the_place_of_a_folder_with_files_of_others(tmp_path: Path) -> None:
    (tmp_path / "painter.json").write_text('{"parts": {}, "files": {"unet/config.json": {}}}')
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text("{}")
    with pytest.raises(Failed):
        run_assemble(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes\.txt in this one is not the painter's"):
        run_assemble(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_of_another_evaluation_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text('{"settings": {"seed": 7}}')
    with pytest.raises(UserError, match=r"an evaluation with generated=.*, not "):
        run_evaluate(tmp_path)
    (tmp_path / "evaluation.json").write_text("[]")
    with pytest.raises(UserError, match=r"evaluation\.json in this one is not an evaluation"):
        run_evaluate(tmp_path)
