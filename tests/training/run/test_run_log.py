"""A damaged log never ends a training: its readable lines count, and the others are skipped."""

import json
from pathlib import Path

import pytest

from conf.errors import UserError
from tests.training.toy_runs import log, train
from training.data.seal import sealed
from training.run.run_folder import RunFolder

DAMAGE = {
    "not UTF-8": b'{"step": 2, "train/loss": "\xff"}',
    "a list": b"[1, 2]",
    "a number": b"7",
    "null": b"null",
    "no step": b'{"train/loss": 1.0}',
    "a step that is text": b'{"step": "2", "train/loss": 1.0}',
    "a step that is true": b'{"step": true, "train/loss": 1.0}',
    "cut": b'{"step": 2, "train/lo',
    "a loss that is no number": b'{"step": 2, "train/loss": NaN}',
    "a loss that is too large": b'{"step": 2, "train/loss": 1e999}',
    "a loss that is text": b'{"step": 2, "train/loss": "low"}',
    "deep": b"[" * 100_000,
    "nothing": b"",
    "a separator that is no end of a line": '{"step": 2, "note": "\u2028"}'.encode(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_sound_in_a_log_is_reported_and_kept(damage: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_card({"recipe": {}})
    folder.log.write_bytes(
        b'{"step": 1, "train/loss": 0.5}\n' + DAMAGE[damage] + b'\n{"step": 3, "train/loss": 0.25}\n'
    )
    assert folder.report()["curves"] == {"train/loss": [[1, 0.5], [3, 0.25]]}
    folder.cut_log(2)
    kept = [json.loads(line) for line in folder.log.read_text().splitlines()]
    assert kept[0] == {"step": 1, "train/loss": 0.5} and all(line["step"] <= 2 for line in kept)


@pytest.mark.parametrize("num_points", [1, 2, 199, 200, 201, 202, 399, 400, 1000])
def test_a_curve_is_thinned_to_200_points_at_most_and_keeps_its_ends(num_points: int, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_card({"recipe": {}})
    folder.log.write_text("".join(f'{{"step": {step}, "val/loss": 0.5}}\n' for step in range(1, num_points + 1)))
    steps = [step for step, _ in folder.report()["curves"]["val/loss"]]
    assert (steps[0], steps[-1]) == (1, num_points) and steps == sorted(set(steps))
    assert min(num_points, 100) <= len(steps) <= 200


def test_training_ends_well_though_its_log_was_damaged(sequences: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(sequences, out, max_steps=2)
    with (out / "log.jsonl").open("ab") as file:
        file.write(b"\n".join(line for damage, line in DAMAGE.items() if damage != "a loss that is text") + b"\n")
    (out / "weights" / "run_card.json").unlink()
    train(sequences, out, max_steps=4)
    assert [line["step"] for line in log(out) if "train/loss" in line] == [1, 2, 3, 4]
    curves = json.loads((out / "weights" / "run_card.json").read_text())["curves"]
    assert [step for step, _ in curves["train/loss"]] == [1, 2, 3, 4]


def test_a_damaged_card_is_one_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for damage in (b"", b"[]", b"\xff", b"[" * 100_000):
        folder.card.write_bytes(damage)
        with pytest.raises(UserError, match=r"run\.json: cannot be read") as told:
            folder.report()
        assert "\n" not in str(told.value)


def test_a_card_without_a_recipe_is_one_line(sequences: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    folder.card.write_bytes(sealed('{\n "recipe": []\n}\n'))
    with pytest.raises(UserError, match=r"run\.json: cannot be read \(recipe: not an object\)"):
        train(sequences, folder.root)


def test_a_log_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    folder = RunFolder(tmp_path)
    folder.log.write_text("{}\n")
    monkeypatch.setattr(Path, "read_bytes", forbidden)
    with pytest.raises(UserError, match=r"log\.jsonl: .*Permission denied"):
        folder.cut_log(1)
