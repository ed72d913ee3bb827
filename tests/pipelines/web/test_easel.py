"""One painting at a time, seen while it forms, ended by time or by whoever leaves; and the folder of all of them."""

import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conf.compose import compose
from conf.errors import UserError
from pipelines.inference.own_files import read_report
from pipelines.web import panel
from pipelines.web.easel import Easel, Glance
from pipelines.web.order import Order
from pipelines.web.paintings import Paintings, StoredPainting
from pipelines.web.settings import app_config
from tests.pipelines.web.served import answers
from tests.security.hostile import MARKUP
from training.data.pixels import png_of


@pytest.fixture
def paintings(tmp_path: Path) -> Paintings:
    (tmp_path / "out").mkdir()
    paintings = Paintings(tmp_path / "out")
    paintings.begin()
    return paintings


def folders(paintings: Paintings) -> list[str]:
    """Of paintings, whole or not."""
    return [path.name for path in paintings.root.iterdir() if path.is_dir() and path != paintings.uploads]


def easel(painter: Path, paintings: Paintings, /, **limits: Any) -> Easel:
    plain = compose("app", [])
    changed = {"painters": [str(painter)], "device": "cpu", "limits": {**plain["limits"], "steps": 500, **limits}}
    return Easel(app_config({**plain, **changed}), paintings)


def order(**options: Any) -> Order:
    return Order.of(*answers(**options)[:-1])


def painted(easel: Easel, **options: Any) -> StoredPainting:
    *_, painting = easel.paint(order(**options))
    assert isinstance(painting, StoredPainting)
    return painting


def test_a_painting_is_seen_while_it_forms(painter: Path, paintings: Paintings) -> None:
    *glances, painting = easel(painter, paintings).paint(order(steps=60))
    assert isinstance(painting, StoredPainting) and len(painting.frames) == 3
    seen = [glance for glance in glances if isinstance(glance, Glance)]
    assert [one.done for one in seen] == sorted(one.done for one in seen) and seen[-1].steps == 60
    guess = seen[-1].guess
    assert guess is not None and guess.shape == (3, 64, 64, 3) and guess.std() > 0
    assert panel.forming(seen[-1]).count("<img") == 3


def test_what_takes_too_long_is_stopped_in_a_sentence_and_leaves_nothing(painter: Path, paintings: Paintings) -> None:
    with pytest.raises(UserError, match="took longer than 1 seconds and was stopped"):
        list(easel(painter, paintings, seconds=1).paint(order(steps=500, num_frames=32)))
    assert not folders(paintings)


def test_more_words_than_the_painter_reads_are_refused_before_anything_is_painted(
    painter: Path, paintings: Paintings
) -> None:
    with pytest.raises(UserError, match="longer than the painter reads"):
        list(easel(painter, paintings).paint(order(subject="a red house " * 25)))
    assert not folders(paintings)


def test_whoever_leaves_ends_the_painting_and_the_next_one_is_painted(painter: Path, paintings: Paintings) -> None:
    shared = easel(painter, paintings)
    slow = shared.paint(order(steps=500, num_frames=32))
    while not (glance := next(slow)).done:  # type: ignore[union-attr]
        assert isinstance(glance, Glance)
    slow.close()  # type: ignore[attr-defined]
    painting = painted(shared)
    assert folders(paintings) == [painting.name]


def test_the_same_seed_paints_what_paint_paints(painter: Path, paintings: Paintings, tmp_path: Path) -> None:
    from pipelines import paint
    from pipelines.inference.config import paint_config

    painting = painted(easel(painter, paintings), seed=5, subject="a boat")
    overrides = ["prompt=a boat", f"painter={painter}", "num_frames=3", "steps=2", "seed=5", "device=cpu"]
    paint.run(paint_config(compose("paint", [*overrides, f"out={tmp_path / 'same'}"])))
    assert (painting.folder / "sheet.png").read_bytes() == (tmp_path / "same" / "sheet.png").read_bytes()


def test_a_picture_is_painted_in_strokes_at_the_size_that_is_allowed(painter: Path, paintings: Paintings) -> None:
    picture = np.zeros((600, 900, 3), np.uint8)
    picture[:300] = (200, 90, 40)
    (paintings.uploads / "a.png").write_bytes(png_of(picture))
    given = {"path": str(paintings.uploads / "a.png")}
    strokes = easel(painter, paintings, canvas_px=96)
    painting = painted(strokes, start="finished", finished=given, in_strokes=True, steps=1)
    assert "strokes.npz" in painting.files and max(read_report(painting.folder)["size_px"]) == 96


def test_the_oldest_make_room(painter: Path, paintings: Paintings) -> None:
    shared = easel(painter, paintings, paintings=2)
    names = [painted(shared).name]
    for _ in range(2):
        time.sleep(1.1)  # names tell seconds
        names.append(painted(shared).name)
    assert [one.name for one in paintings.latest(9)] == names[:0:-1]


def test_an_app_that_was_killed_leaves_no_half_paintings(paintings: Paintings) -> None:
    half, other = paintings.new_folder(), paintings.root / "notes"
    (paintings.uploads / "a.png").write_bytes(b"")
    for folder in (half, other):
        folder.mkdir()
        (folder / "0.png").write_bytes(b"")
    paintings.begin()
    assert not half.exists() and other.exists() and not list(paintings.uploads.iterdir())


@pytest.mark.parametrize("name", ["", "..", "../out", "20261127-151255-9f3a61c2", "a\0b", "20261127-151255-9f3a61c2\n"])
def test_names_that_are_no_paintings_find_none(paintings: Paintings, name: str) -> None:
    assert paintings.find(name) is None


def test_words_of_strangers_are_text_on_the_page() -> None:
    for show in (panel.playing, lambda painting: panel.gallery("All", [painting])):
        harmless = _elements(show(_of("a boat")))
        assert len(harmless) > 4
        for words in MARKUP:
            assert _elements(show(_of(words))) == harmless, words


def _of(prompt: str) -> StoredPainting:
    names = ("frames/00.png",)
    return StoredPainting(
        folder=Path("20261127-151255-9f3a61c2"), prompt=prompt, task="generate", seed=1, frames=names, files=names
    )


def _elements(html: str) -> list[tuple[str, list[str]]]:
    """Tags and the names of their attributes."""
    elements: list[tuple[str, list[str]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            elements.append((tag, [name for name, _ in attrs]))

    Reader().feed(html)
    return elements
