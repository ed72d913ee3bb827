"""Opens the gallery's page in a real Chromium, and reads what it shows."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect, sync_playwright

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
SHOWN = "article:not([hidden])"


@contextmanager
def a_chromium() -> Iterator[Browser]:
    """This machine's browser; without one the test is skipped, and fails where CI promises one."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium on this machine; CI has to have one")
        pytest.skip("no chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


class Visit:
    """An open page, with a record of its console messages and requests.

    Its clock stands still until `wait`, so that a busy machine shows the same frames as an idle one.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.troubles: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("request", self._note_request)
        page.clock.install(time=0)
        page.goto(url)
        page.clock.pause_at(1000)

    def wait(self, milliseconds: int) -> None:
        self.page.clock.run_for(milliseconds)

    def _note_message(self, message: ConsoleMessage) -> None:
        self.troubles.append(message.text)

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.requests.append(request.url)

    def card(self, number: int) -> Locator:
        return self.page.locator(SHOWN).nth(number)

    def captions(self) -> list[str]:
        return self.page.locator(f"{SHOWN} .caption").all_text_contents()

    def leave(self) -> None:
        assert self.troubles == []
        assert self.requests == [self.url]


def picture(card: Locator) -> str:
    """The content of a card's canvas as a data URL, once the frames are decoded."""
    expect(card).to_have_class(re.compile("hung"))
    data_url: str = card.locator("canvas").evaluate("canvas => canvas.toDataURL()")
    return data_url


def frame(card: Locator) -> int:
    return int(card.locator(".scrub").input_value())


def set_range(control: Locator, value: float) -> None:
    control.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})) }", value)


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)` (WCAG 2)."""
    parts = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
