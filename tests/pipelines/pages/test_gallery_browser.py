"""What the gallery's page promises to whoever opens it, tried in a real Chromium."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from pipelines.gallery import write_gallery
from tests.pipelines.artists.ingest_runs import ingest, save, sheet_of, stages
from tests.pipelines.pages.gallery_visit import Visit, a_chromium, frame, luminance, picture, set_range
from tests.pipelines.small_dataset import SHARDS, small_dataset

pytestmark = pytest.mark.browser

HOSTILE = '</script><script>hacked=1</script><img src=x onerror="hacked=2"><svg onload="hacked=3">'


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with a_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    refused = [{"source": "broken.jpg", "reason": "truncated file"}]
    root = small_dataset(tmp_path_factory.mktemp("gallery") / "paintings", refused=refused)
    return write_gallery(root).as_uri()


@pytest.fixture
def visit(chromium: Browser, address: str) -> Iterator[Visit]:
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    visit = Visit(context.new_page(), address)
    yield visit
    visit.leave()
    context.close()


def test_every_sequence_hangs_with_its_label(visit: Visit) -> None:
    expect(visit.page.locator("h1")).to_have_text("paintings")
    expect(visit.page.locator("#count")).to_have_text("6 paintings")
    expect(visit.page.locator("article")).to_have_count(6)
    assert visit.captions() == ["a red boat", "a green hill", "a red house", "a blue lake", "a lamp", "Untitled"]
    expect(visit.card(1).locator(".measures")).to_contain_text("21.0 dB PSNR · 0.501 SSIM")
    expect(visit.card(1).locator(".source")).to_contain_text("oil, 700 strokes · train · pictures/1.jpg · CC0-1.0")
    expect(visit.card(1).locator(".where")).to_have_text("7/7 · stroke 700")
    expect(visit.page.locator("#facts")).to_contain_text("bezier 3, oil 3")
    expect(visit.page.locator("#unfinished")).to_be_hidden()


def test_refused_inputs_unfold(visit: Visit) -> None:
    row = visit.page.locator("#refused tbody tr")
    expect(row).to_be_hidden()
    visit.page.locator("#refused summary").click()
    expect(row).to_have_text("1truncated filebroken.jpg")


def test_the_slider_scrubs_picture_number_and_mark(visit: Visit) -> None:
    card = visit.card(0)
    mark = card.locator(".marker")
    pictures, marks = [], []
    for number in (7, 4, 0):
        card.locator(".scrub").fill(str(number))
        pictures.append(picture(card))
        marks.append((float(mark.get_attribute("cx") or 0), float(mark.get_attribute("cy") or 0)))
        expect(card.locator(".where")).to_have_text(f"{number}/7 · stroke {100 * number}")
    assert len(set(pictures)) == 3
    assert marks == sorted(marks, key=lambda at: (-at[0], at[1]))  # to the left, and up: farther from the finished


def test_the_pointer_scrubs_in_passing_and_a_press_stays(visit: Visit) -> None:
    card = visit.card(2)
    finished = picture(card)
    box = card.locator("canvas").bounding_box()
    assert box
    visit.page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 20)
    assert frame(card) == 2 and picture(card) != finished
    visit.page.mouse.move(2, 2)
    assert frame(card) == 7 and picture(card) == finished
    visit.page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + 20)
    visit.page.mouse.move(2, 2)
    assert frame(card) == 4


def test_play_goes_from_blank_to_finished_and_stops(visit: Visit) -> None:
    card = visit.card(0)
    finished, button = picture(card), card.locator(".play")
    button.click()
    expect(button).to_have_attribute("aria-label", "Pause")
    assert frame(card) == 0
    visit.wait(1000)
    assert 0 < frame(card) < 7
    button.click()
    expect(button).to_have_attribute("aria-label", "Play")
    halted, still = frame(card), picture(card)
    visit.wait(5000)
    assert frame(card) == halted and picture(card) == still != finished
    button.click()
    visit.wait(5000)
    expect(button).to_have_attribute("aria-label", "Play")
    assert frame(card) == 7 and picture(card) == finished


def test_play_takes_a_few_seconds_of_real_time(chromium: Browser, address: str) -> None:
    page = chromium.new_page()
    page.goto(address)
    card = page.locator("article").first
    card.locator(".play").click()
    assert frame(card) < 7
    expect(card.locator(".play")).to_have_attribute("aria-label", "Play", timeout=10_000)
    assert frame(card) == 7
    page.close()


def test_play_all_moves_what_is_shown_until_it_is_stopped(visit: Visit) -> None:
    page, button = visit.page, visit.page.locator("#play-all")
    page.locator("#text").fill("red")
    button.click()
    expect(button).to_have_text("Pause all")
    visit.wait(700)
    assert frame(visit.card(0)) == frame(visit.card(1)) > 0
    page.locator("#text").fill("")
    assert page.locator("article.playing").count() == 2
    visit.wait(5000)
    assert frame(visit.card(0)) < 7  # begun again
    button.click()
    expect(button).to_have_text("Play all")
    assert page.locator("article.playing").count() == 0


def test_each_filter_hides_what_does_not_match(visit: Visit) -> None:
    page, count = visit.page, visit.page.locator("#count")
    page.locator("#text").fill("RED a")
    assert visit.captions() == ["a red boat", "a red house"]
    expect(count).to_have_text("2 of 6 paintings")
    page.locator("#text").fill("")
    page.locator("#renderer").select_option("oil")
    assert visit.captions() == ["a green hill", "a blue lake", "Untitled"]
    page.locator("#split").select_option("val")
    assert visit.captions() == ["Untitled"]
    page.locator("#renderer").select_option("")
    page.locator("#split").select_option("")
    set_range(page.locator("#psnr-from"), 22.5)
    assert visit.captions() == ["a blue lake", "a lamp", "Untitled"]
    set_range(page.locator("#psnr-from"), 20)
    set_range(page.locator("#violation-to"), 40)
    assert visit.captions() == ["a red boat", "a green hill", "a red house"]
    page.locator("#text").fill("whale")
    expect(page.locator("#nothing")).to_be_visible()
    page.locator("#reset").click()
    expect(count).to_have_text("6 paintings")


def test_sorting_orders_the_wall(visit: Visit) -> None:
    page = visit.page
    page.locator("#sort").select_option("psnr-down")
    assert visit.captions()[0] == "Untitled" and visit.captions()[-1] == "a red boat"
    page.locator("#sort").select_option("caption-up")
    assert visit.captions()[1:4] == ["a blue lake", "a green hill", "a lamp"]


def test_the_keyboard_reaches_and_plays_everything(visit: Visit) -> None:
    page = visit.page
    reached = []
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        if page.evaluate("document.activeElement.tagName") == "ARTICLE":
            break
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    controls = ["play-all", "text", "renderer", "split", "psnr-from", "violation-to", "sort"]
    assert [name for name in reached if name in controls] == controls

    card = visit.card(0)
    expect(card).to_be_focused()
    assert card.evaluate("e => [getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineWidth]") == [
        "solid",
        "2px",
    ]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert frame(card) == 5
    page.keyboard.press("ArrowRight")
    assert frame(card) == 6
    page.keyboard.press("Home")
    assert frame(card) == 0
    scrolled = page.evaluate("scrollY")
    page.keyboard.press("Space")
    expect(card.locator(".play")).to_have_attribute("aria-label", "Pause")
    visit.wait(700)
    assert 0 < frame(card) < 7
    page.keyboard.press("Space")
    expect(card.locator(".play")).to_have_attribute("aria-label", "Play")
    assert page.evaluate("scrollY") == scrolled  # space plays, and does not turn the page
    page.keyboard.press("Tab")
    expect(card.locator(".play")).to_be_focused()
    page.keyboard.press("Tab")
    expect(card.locator(".scrub")).to_be_focused()
    page.keyboard.press("End")
    assert frame(card) == 7
    page.keyboard.press("Tab")
    expect(visit.card(1)).to_be_focused()


def test_a_screen_reader_is_told_what_is_where(visit: Visit) -> None:
    page, card = visit.page, visit.card(0)
    assert page.get_by_role("article", name="a red boat").count() == 1
    assert card.get_by_role("img", name="a red boat").count() == 1
    slider = card.get_by_role("slider", name="Frame")
    slider.fill("2")
    said = "frame 2 of 0 to 7, stroke 200 of 700, distance to the finished 0.71"
    expect(slider).to_have_attribute("aria-valuetext", said)
    for name in ("Renderer", "Split", "Sort"):
        assert page.get_by_role("combobox", name=name, exact=True).count() == 1
    assert page.get_by_role("searchbox", name="Caption", exact=True).count() == 1
    assert page.get_by_role("slider", name="PSNR from").get_attribute("aria-valuetext") == "20.0 dB"
    assert page.get_by_role("status").text_content() == "6 paintings"


def test_hostile_captions_hang_as_text(chromium: Browser, tmp_path: Path) -> None:
    refused = [{"source": HOSTILE, "reason": HOSTILE}]
    facts = {"renderer": HOSTILE, "source": HOSTILE, "licence": HOSTILE}
    root = small_dataset(tmp_path / "d", captions=[HOSTILE] * 3, refused=refused, facts=facts)
    page = chromium.new_page()
    visit = Visit(page, write_gallery(root).as_uri())
    picture(visit.card(0))
    assert visit.captions() == [HOSTILE] * 3
    assert page.locator("body img, body svg[onload]").count() == 0
    assert page.evaluate("typeof hacked") == "undefined"
    visit.leave()
    page.close()


def test_even_a_script_that_got_in_would_neither_run_nor_call_home(chromium: Browser, address: str) -> None:
    page = chromium.new_page()
    page.goto(address)
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'hacked = 1'}))")
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.evaluate("fetch('https://example.org').then(() => 'sent', () => 'refused')") == "refused"
    page.close()


def test_an_unfinished_data_set_says_so(chromium: Browser, tmp_path: Path) -> None:
    page = chromium.new_page()
    page.goto(write_gallery(small_dataset(tmp_path / "d", shards=SHARDS[:2]), max_sequences=3).as_uri())
    expect(page.locator("#unfinished")).to_have_text("Not complete: 4 of 6 planned sequences in 2 of 3 shards.")
    expect(page.locator("#lead")).to_contain_text("3 of 4 shown")
    page.close()


def test_long_sequences_scrub_to_their_own_numbers(chromium: Browser, tmp_path: Path) -> None:
    root = small_dataset(tmp_path / "d", captions=["a long day"], num_frames=100, size_px=(32, 32))
    page = chromium.new_page()
    visit = Visit(page, write_gallery(root).as_uri())
    card = visit.card(0)
    expect(card.locator(".where")).to_have_text("99/99 · stroke 9,900")
    shown = []
    for number in (31, 17, 0):
        card.locator(".scrub").fill(str(number))
        shown.append(picture(card))
    expect(card.locator(".where")).to_have_text("0/99 · stroke 0")
    assert len(set(shown)) == 3
    visit.leave()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(chromium: Browser, address: str, scheme: str) -> None:
    page = chromium.new_page(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(address)
    wall = luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (wall < 0.1) == (scheme == "dark")
    for selector in ("h1", ".caption", ".measures", ".source", ".where", "#count", "label", "dt", "figcaption"):
        text = luminance(page.locator(selector).first.evaluate("e => getComputedStyle(e).color"))
        assert (max(text, wall) + 0.05) / (min(text, wall) + 0.05) >= 4.5, selector
    page.close()


def test_a_phone_shows_one_picture_a_row_and_folds_the_filters(chromium: Browser, address: str) -> None:
    page = chromium.new_page(viewport={"width": 360, "height": 740})
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    expect(page.locator("#text")).to_be_hidden()
    page.locator("#choices summary").click()
    expect(page.locator("#text")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()


def test_who_wants_little_motion_gets_still_frames_that_do_not_repeat(chromium: Browser, address: str) -> None:
    page = chromium.new_page(reduced_motion="reduce")
    visit = Visit(page, address)
    card = visit.card(0)
    still = set()
    for number in range(8):
        card.locator(".scrub").fill(str(number))
        still.add(picture(card))
    page.locator("#play-all").click()
    for _ in range(12):
        visit.wait(130)
        assert picture(card) in still  # no dissolving
    visit.wait(8000)
    expect(page.locator("#play-all")).to_have_text("Play all")
    assert frame(card) == 7
    page.close()


def test_only_cards_near_the_window_hold_decoded_frames(chromium: Browser, tmp_path: Path) -> None:
    page = chromium.new_page(viewport={"width": 1200, "height": 700})
    root = small_dataset(tmp_path / "d", captions=["a hill"] * 60, size_px=(32, 32), num_frames=3)
    page.goto(write_gallery(root).as_uri())
    picture(page.locator("article").first)
    decoded = "cards.filter((card) => card.sheet).length"
    assert 0 < page.evaluate(decoded) < 40
    page.locator("article").last.scroll_into_view_if_needed()
    picture(page.locator("article").last)
    assert 0 < page.evaluate(decoded) < 40
    assert page.evaluate("cards[0].sheet") is None
    page.close()


def test_what_an_artist_left_hangs_beside_the_frames_made_from_it(chromium: Browser, tmp_path: Path) -> None:
    save(tmp_path / "in" / "boat_2x2.png", sheet_of(stages(4), 2, 2, "boustrophedon", line_px=3))
    assert ingest(f"source.path={tmp_path / 'in'}", "layout=grid", "num_frames=4", f"out={tmp_path / 'boats'}") == 0
    page = chromium.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "boats" / "gallery" / "index.html").as_uri())
    card = page.locator("article")
    expect(card.locator(".where")).to_have_text("3/3 · source frame 4")
    expect(card.locator(".source")).to_contain_text("artist, 4 source frames · train · boat_2x2.png")
    expect(card.locator(".measures")).not_to_contain_text("PSNR")
    expect(page.locator("#psnr-from")).to_be_disabled()
    expect(page.locator("#lead")).to_contain_text("to the left of the frame made from it")
    assert not errors
    page.close()
