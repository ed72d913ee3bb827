"""Captions, names and reasons of strangers on every page: shown letter for letter, run as nothing, and kept apart."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipelines.evaluation.report import Report
from pipelines.pages.evaluation.page import render_page as render_evaluation
from pipelines.pages.gallery.contents import gather
from pipelines.pages.gallery.page import render_page as render_gallery
from pipelines.pages.html import embed_json
from pipelines.pages.overview.page import render_overview
from pipelines.pages.player.page import render_player
from tests.pipelines.small_dataset import small_dataset
from tests.security.hostile import CONTROL, MARKUP

HOSTILE = [text for text in (*MARKUP, *CONTROL) if "\ud800" not in text]


def gallery(text: str, folder: Path) -> bytes:
    refused = [{"key": "9", "source": text, "source_sha256": "", "reason": text}]
    facts = {"renderer": text, "source": text, "licence": text}
    root = small_dataset(folder / "data", captions=[text] * 3, num_frames=2, refused=refused, facts=facts)
    return render_gallery(gather(root, 3, 64).to_plain())


def player(text: str, _: Path) -> bytes:
    report = {"prompt": text, "note": text, "task": text, "painter": text, "conditions": [], "first_frame": 0}
    return render_player([f"frames/{text}"], 2.0, report, {})


def overview(text: str, _: Path) -> bytes:
    return render_overview({text: {"conditions": [{"frame": 0, "psnr_db": 1.0}]}})


def evaluation(text: str, _: Path) -> bytes:
    settings = {"generated": text, "reference": text, "num_frames": 8, "size": 64, "seed": 0}
    counts = {"generated": 1, "reference": 1, "paired": 0, "refused": 1}
    profiles = {"generated": [1.0, 0.0], "reference": [1.0, 0.0]}
    report = Report(
        settings=settings, counts=counts, refused=[(text, text)], endpoint=[], process=[], profiles=profiles
    )
    return render_evaluation(report)


PAGES = {page.__name__: page for page in (gallery, player, overview, evaluation)}


class Outline(HTMLParser):
    """Elements of a page with their attributes, and the text of its scripts and styles."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.code: list[str] = []
        self.meta: dict[str, str] = {}
        self._in_code = False
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self._in_code = tag in ("script", "style") and not dict(attrs).get("type")
        if dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.meta["policy"] = str(dict(attrs)["content"])

    def handle_data(self, data: str) -> None:
        if self._in_code:
            self.code.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_code = False


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_hostile_page_has_the_elements_of_a_harmless_one(
    text: str, page: Callable[[str, Path], bytes], tmp_path: Path
) -> None:
    hostile, harmless = Outline(page(text, tmp_path / "hostile")), Outline(page("a red house", tmp_path / "harmless"))
    assert hostile.elements == harmless.elements and hostile.code == harmless.code
    assert not [attributes for _, attributes in hostile.elements if any(name.startswith("on") for name in attributes)]


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_the_policy_of_every_page_names_its_own_code_and_nothing_else(
    page: Callable[[str, Path], bytes], tmp_path: Path
) -> None:
    outline = Outline(page("a red house", tmp_path / "page"))
    allowed = set(re.findall(r"'sha256-([^']+)'", outline.meta["policy"]))
    assert allowed == {base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in outline.code}
    assert outline.meta["policy"].startswith("default-src 'none'") and "unsafe" not in outline.meta["policy"]
    assert "base-uri 'none'" in outline.meta["policy"] and "http" not in outline.meta["policy"]


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_text_that_turns_round_turns_nothing_beside_it(page: Callable[[str, Path], bytes], tmp_path: Path) -> None:
    assert b"* { unicode-bidi: isolate; }" in page("photo\u202egnp.exe", tmp_path / "page")


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_data_of_a_page_comes_back_as_it_was(text: str) -> None:
    embedded = embed_json({"caption": text, text: [text]})
    assert json.loads(embedded) == {"caption": text, text: [text]}
    assert not set(embedded) & set("<>&\u2028\u2029")


def test_scripts_of_pages_write_text_and_never_markup() -> None:
    scripts = sorted(Path(__file__).parents[2].glob("pipelines/pages/**/*.js"))
    assert len(scripts) >= 4
    written = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|setAttribute\(.on"
    )
    assert [script.name for script in scripts if written.search(script.read_text("utf-8"))] == []
