"""The app in a real Chromium: by keyboard alone on a telephone's screen, and by mouse on a desk's."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.pipelines.pages.gallery_visit import a_chromium
from tests.pipelines.web.served import Served, answers, painted, upload
from tests.pipelines.web.test_app import GREY

pytestmark = pytest.mark.browser
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 860}
_PATIENCE_MS = 120_000
expect.set_options(timeout=_PATIENCE_MS)  # a busy machine answers late
_TOAST_MS = 11_000  # after which Gradio's messages go by themselves
_LEAST_CONTRAST = 4.5  # of WCAG 2, level AA
_MOST_STOPS = 40  # of the tab key


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with a_chromium() as browser:
        yield browser


class Visit:
    """A page of the app, and all that it asked for or complained of."""

    def __init__(self, browser: Browser, app: Served, size: dict[str, int]) -> None:
        self.page: Page = browser.new_page(viewport=size, reduced_motion="no-preference")  # type: ignore[arg-type]
        self.page.set_default_timeout(_PATIENCE_MS)
        self.troubles: list[str] = []
        self.strange: list[str] = []
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on(
            "request",
            lambda one: None if one.url.startswith((app.url, "data:", "blob:")) else self.strange.append(one.url),
        )
        self.page.goto(app.url)
        expect(self.button("Paint")).to_be_visible(timeout=_PATIENCE_MS)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def tab_to(self, wanted: Locator) -> None:
        """Press the tab key until something has the focus; it must then be seen to have it."""
        for _ in range(_MOST_STOPS):
            self.page.keyboard.press("Tab")
            if wanted.evaluate("element => element === document.activeElement"):
                outline = wanted.evaluate("element => getComputedStyle(element).outlineStyle")
                assert outline != "none", "the focus cannot be seen"
                return
        raise AssertionError("the tab key does not lead there")

    def leave(self) -> None:
        assert self.strange == [], "asked other places"
        assert self.troubles == []
        self.page.close()


def test_words_become_a_playing_process_by_keyboard_on_a_telephone(browser: Browser, app: Served) -> None:
    visit = Visit(browser, app, PHONE)
    page = visit.page
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    visit.tab_to(page.get_by_label("What to paint"))
    page.keyboard.type("a green boat")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    visit.tab_to(visit.button("Length, care, seed ▼"))
    page.keyboard.press("Enter")
    for label in ("Length in frames", "Steps"):
        slider = page.get_by_role("slider", name=re.compile(label))
        visit.tab_to(slider)
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
    visit.tab_to(visit.button("Paint"))
    page.keyboard.press("Enter")
    player = page.frame_locator(".pp-playing iframe")
    expect(player.locator("#caption")).to_contain_text("a green boat", timeout=_PATIENCE_MS)
    expect(player.locator("#number")).to_have_text("2 / 2")  # it played to its end by itself
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    visit.tab_to(page.get_by_role("link", name="Everything (zip)"))
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    player.locator("#frame").focus()
    page.keyboard.press("ArrowLeft")
    expect(player.locator("#number")).to_have_text("1 / 2")
    visit.leave()


def test_an_earlier_painting_is_opened_by_keyboard(browser: Browser, app: Served) -> None:
    painted(app.url, answers())
    visit = Visit(browser, app, PHONE)
    card = visit.page.locator("ul.pp-gallery button").first
    expect(card).to_be_visible()
    caption = card.inner_text()
    visit.tab_to(card)
    visit.page.keyboard.press("Enter")
    expect(visit.page.frame_locator(".pp-playing iframe").locator("#caption")).to_have_text(caption)
    expect(visit.page.locator(".pp-playing iframe")).to_be_in_viewport()
    visit.leave()


def test_a_picture_is_given_by_file_and_a_hostile_one_is_refused_in_a_sentence(
    browser: Browser, app: Served, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(GREY)
    (tmp_path / "evil.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    visit = Visit(browser, app, DESK)
    page = visit.page
    page.get_by_label("A finished picture").check()
    page.get_by_role("button", name="Length, care, seed ▼").click()
    page.get_by_label(re.compile("number input for Steps")).fill("2")
    chooser = page.locator('input[type="file"]:visible, .column:visible input[type="file"]').first
    chooser.set_input_files(tmp_path / "evil.svg")
    page.get_by_role("button", name="Remove Image").wait_for()
    visit.button("Paint").click()
    expect(page.get_by_text("This is not a picture that can be read.")).to_be_visible(timeout=_PATIENCE_MS)
    heading = page.locator(".toast-title").last.evaluate("title => getComputedStyle(title, '::before').content")
    assert heading == '"Not possible"'
    page.wait_for_timeout(_TOAST_MS)
    expect(page.get_by_text("This is not a picture that can be read.")).to_be_visible()
    page.get_by_role("button", name="Remove Image").click()
    chooser.set_input_files(tmp_path / "a.png")
    page.get_by_role("button", name="Remove Image").wait_for()
    visit.button("Paint").click()
    page.locator(".pp-playing iframe").wait_for()
    newest = max(app.out.glob("*/report.json"))
    assert json.loads(newest.read_text())["task"] == "reconstruct"
    assert visit.strange == []
    page.close()


def test_the_forming_painting_and_its_player_are_in_sight_on_a_desk(browser: Browser, app: Served) -> None:
    visit = Visit(browser, app, DESK)
    page = visit.page
    page.get_by_label("What to paint").fill("a boat")
    page.get_by_label("Pictures for some frames").check()
    page.get_by_label("Words", exact=True).check()
    page.get_by_role("button", name="Length, care, seed ▼").click()
    page.get_by_label(re.compile("number input for Steps")).fill("30")
    visit.button("Paint").scroll_into_view_if_needed()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    visit.button("Paint").click()
    expect(page.locator(".pp-forming p")).to_be_in_viewport(timeout=_PATIENCE_MS)
    frame = page.locator(".pp-playing iframe")
    frame.wait_for()
    expect(frame).to_be_in_viewport(ratio=0.5)
    expect(page.frame_locator(".pp-playing iframe").locator("#canvas")).to_be_in_viewport(ratio=0.9)
    visit.leave()


def test_how_far_a_picture_is_stays_within_the_length(browser: Browser, app: Served) -> None:
    visit = Visit(browser, app, DESK)
    page = visit.page
    page.get_by_label("An unfinished picture").check()
    page.get_by_role("button", name="Length, care, seed ▼").click()
    how_far = page.get_by_role("slider", name=re.compile("How far it is"))
    for length in (20, 2, 3):
        field = page.get_by_label(re.compile("number input for Length"))
        field.fill(str(length))
        field.press("Enter")
        expect(how_far).to_have_attribute("max", str(max(1, length - 2)))
    expect(how_far).to_have_value("0")
    visit.leave()


_CONTRAST = """([element, pseudo]) => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((one) => one / 255)
    .map((one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const ink = light(parse(getComputedStyle(element, pseudo).color));
  let ground = element;
  const fill = () => parse(getComputedStyle(ground).backgroundColor);
  while (ground.parentElement && fill()[3] === 0) ground = ground.parentElement;
  const paper = light(fill());
  return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_hints_in_empty_fields_can_be_read(browser: Browser, app: Served, scheme: Literal["light", "dark"]) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto(app.url)
    page.get_by_role("button", name="Length, care, seed ▼").click()
    page.get_by_label("An unfinished picture").check()
    hints = [(page.get_by_label(label), "::placeholder") for label in ("What to paint", "Seed")]
    for place, pseudo in [*hints, (page.locator(".or:visible").first, None)]:
        place.wait_for()
        assert page.evaluate(_CONTRAST, [place.element_handle(), pseudo]) >= _LEAST_CONTRAST
    page.close()


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_the_player_shows_all_its_facts_without_breaking_words(
    browser: Browser, app: Served, size: dict[str, int]
) -> None:
    given = upload(app.url, GREY)
    painted(app.url, answers(start="finished", finished=given))
    visit = Visit(browser, app, size)
    visit.page.locator("ul.pp-gallery button").first.click()
    player = visit.page.frame_locator(".pp-playing iframe")
    task = player.locator("#facts td", has_text=re.compile("^reconstruct$"))
    expect(task).to_be_visible()
    visit.page.wait_for_timeout(500)
    assert task.evaluate("cell => cell.clientHeight") < 40, "one line"
    assert player.locator("html").evaluate("page => page.scrollHeight <= page.clientHeight"), "it is cut off"
    assert player.locator("html").evaluate("page => page.scrollWidth <= page.clientWidth")
    visit.leave()
