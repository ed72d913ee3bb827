"""A painter's folder: what is written of it, and every way in which it is not what was written."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from conf.errors import UserError
from training.data import retries
from training.data.manifest import to_json
from training.data.seal import CHECKSUM, sealed
from training.models import registry
from training.models.painter_folder import check_painter, load_painter, read_painter_card, seal_painter

FACTS: dict[str, Any] = {"num_frames": 8, "size_px": [64, 96], "phrases": {"oil": "painted in oil"}}
WEIGHTS = "unet/part.safetensors"


def make(folder: Path, value: float = 1.0) -> Path:
    (folder / "unet").mkdir(parents=True)
    save_file({"first": torch.zeros(2), "last": torch.full((3,), value)}, folder / WEIGHTS)
    (folder / "unet" / "config.json").write_text('{"_name_or_path": "/home/me", "größe": 1}', encoding="utf-8")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "config.json").write_text("{}")
    (folder / "README.md").write_text("mine to change")
    cards = {"base": {"note": "größer"}, "motion": {"stage": "motion"}}
    seal_painter(folder, FACTS, cards, {"_class_name": "Größe"})
    return folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("painter") / "sound")


@pytest.fixture
def painter(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "painter")


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_all_files_but_its_readers_page_are_in_the_card_with_their_hashes(sound: Path) -> None:
    names = [
        "model_index.json", "run_cards/base.json", "run_cards/motion.json", "tokenizer/config.json",
        "unet/config.json", WEIGHTS,
    ]  # fmt: skip
    card = read_painter_card(sound)
    assert card == {"format": 1, **FACTS, "files": card["files"]}
    assert list(card["files"]) == sorted(names)
    for name, facts in card["files"].items():
        data = (sound / name).read_bytes()
        assert facts == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert json.loads(text(sound / "run_cards" / "base.json")) == {"note": "größer"}
    assert json.loads(text(sound / "model_index.json")) == {"_class_name": "Größe"}
    assert check_painter(sound) == card


def test_where_a_network_came_from_is_not_told(sound: Path) -> None:
    assert json.loads(text(sound / "unet" / "config.json")) == {"größe": 1}
    assert json.loads(text(sound / "tokenizer" / "config.json")) == {}


def test_a_painter_without_cards_of_parts_or_diffusers_has_neither(tmp_path: Path) -> None:
    seal_painter(tmp_path, FACTS, {})
    assert [path.name for path in tmp_path.iterdir()] == ["painter.json"]
    assert read_painter_card(tmp_path)["files"] == {}


def test_a_number_that_is_not_finite_is_named_with_its_file_and_nothing_is_sealed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{WEIGHTS}: last"):
        make(tmp_path / "a", value=float("nan"))
    assert not (tmp_path / "a" / "painter.json").exists()


def resealed(**fields: Any) -> Callable[[Path], None]:
    """The card with other fields, its checksum right; None takes one out."""

    def change(folder: Path) -> None:
        card = {**json.loads(text(folder / "painter.json")), **fields}
        kept = {key: value for key, value in card.items() if value is not None and key != CHECKSUM}
        (folder / "painter.json").write_bytes(sealed(to_json(kept)))

    return change


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def longer(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes() + b"x")


def flipped_card(folder: Path) -> None:
    (folder / "painter.json").write_text(text(folder / "painter.json").replace('"num_frames": 8', '"num_frames": 9'))


def a_folder_instead(folder: Path) -> None:
    (folder / "painter.json").unlink()
    (folder / "painter.json").mkdir()


_ONE_FILE = {"bytes": 1, "sha256": "0"}
_UNREADABLE = "painter.json cannot be read ("


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("painter.json"), "not a painter (no painter.json); training.assemble makes one"),
        (without(WEIGHTS), f"not whole; {WEIGHTS} is missing"),
        (longer, f"not whole; {WEIGHTS} is cut or changed"),
        (resealed(format=2), "of format 2; this code reads 1"),
        (resealed(format=None), "of format None; this code reads 1"),
        (resealed(files={"/etc/passwd": _ONE_FILE}), f"{_UNREADABLE}files: /etc/passwd is not in the folder)"),
        (resealed(files={"unet/../../x": _ONE_FILE}), f"{_UNREADABLE}files: unet/../../x is not in the folder)"),
        (resealed(files={"unet": _ONE_FILE}), "not whole; unet is cut or changed"),
        (resealed(files=None), f"{_UNREADABLE}files: "),
        (resealed(files={WEIGHTS: {"bytes": -1, "sha256": "0"}}), _UNREADABLE),
        (resealed(num_frames=0), f"{_UNREADABLE}num_frames: "),
        (resealed(num_frames=10_001), f"{_UNREADABLE}num_frames: "),
        (resealed(num_frames="8"), f"{_UNREADABLE}num_frames: "),
        (resealed(size_px=[64]), f"{_UNREADABLE}size_px: "),
        (resealed(size_px=[64, 64, 64]), f"{_UNREADABLE}size_px: "),
        (resealed(phrases={"oil": 3}), f"{_UNREADABLE}phrases"),
        (flipped_card, _UNREADABLE),
        (a_folder_instead, _UNREADABLE),
    ],
)
def test_a_folder_that_is_not_what_was_written_is_refused(
    change: Callable[[Path], None], said: str, painter: Path
) -> None:
    change(painter)
    with pytest.raises(UserError) as caught:
        read_painter_card(painter)
    assert str(caught.value).startswith(f"painter={painter}: {said}"), caught.value


def test_a_file_is_no_painter(tmp_path: Path) -> None:
    (tmp_path / "own.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"own.png: not a painter \(no painter.json\); training.assemble makes one$"):
        read_painter_card(tmp_path / "own.png")


@pytest.mark.parametrize("num_frames", [1, 10_000])
def test_cards_at_their_bounds_are_read(num_frames: int, painter: Path) -> None:
    resealed(num_frames=num_frames, sizes_px=[[64, 64], [64, 96]])(painter)
    assert read_painter_card(painter)["num_frames"] == num_frames


def test_a_changed_byte_is_found_under_the_name_of_the_key(painter: Path) -> None:
    data = bytearray((painter / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (painter / WEIGHTS).write_bytes(data)
    read_painter_card(painter)  # reads no weights
    for key, found in (("painter", check_painter), ("base", lambda folder: check_painter(folder, "base"))):
        with pytest.raises(UserError) as caught:
            found(painter)
        assert str(caught.value) == f"{key}={painter}: not whole; {WEIGHTS} is damaged or changed"


def test_a_storage_that_fails_is_named_with_the_file_and_not_taken_for_damage(
    painter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(retries, "WAITS_S", ())
    monkeypatch.setattr(Path, "read_bytes", fails)
    with pytest.raises(UserError) as caught:
        read_painter_card(painter)
    assert str(caught.value).startswith(f"{painter / 'painter.json'}: ")


class _Known:
    """An architecture that records its calls."""

    def __init__(self, asked: list[Any]) -> None:
        self.asked = asked

    def load_painter(self, *asked: Any) -> None:
        self.asked.append(asked)


def test_the_architecture_that_the_card_names_loads_in_the_type_that_is_wanted(
    painter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def known(name: str, where: str) -> _Known:
        asked.append((name, where))
        return _Known(asked)

    monkeypatch.setattr(registry, "architecture", known)
    first_card = read_painter_card(painter)
    load_painter(painter)
    resealed(architecture="other")(painter)
    load_painter(painter, torch.bfloat16)
    where = f"painter={painter}: architecture"
    assert asked == [
        ("sd15", where),
        (painter, first_card, torch.float32),
        ("other", where),
        (painter, read_painter_card(painter), torch.bfloat16),
    ]
