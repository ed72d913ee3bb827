"""Screen recordings, whose canvas fills the frame: titles, teasers and fades are no steps of the painting."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.artists.fades import without_fades
from pipelines.artists.footage import Footage
from pipelines.artists.shots import longest_shot
from tests.pipelines.artists.time_lapse import painting

Picture = NDArray[np.uint8]
SIDE = 128
PAPER = (236, 228, 210)


def plain(colour: tuple[int, int, int]) -> Picture:
    """A frame of one colour."""
    return np.full((SIDE, SIDE, 3), colour, np.uint8)


def title(words: str, ground: int) -> Picture:
    """A card with a line of text."""
    card, ink = plain((ground, ground, ground)), (255, 255, 255) if ground < 128 else (0, 0, 0)
    cv2.putText(card, words, (8, SIDE // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.9, ink, 2)
    return card


def photograph() -> Picture:
    """A picture full of detail."""
    patches = np.random.default_rng(5).integers(0, 255, (24, 24, 3)).astype(np.uint8)
    resized: Picture = cv2.resize(patches, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    return resized


def screen_painting(count: int = 40) -> list[Picture]:
    """A blank canvas that fills the frame, and the painting on it, three strokes a frame."""
    rng, canvas, frames = np.random.default_rng(1), plain(PAPER), [plain(PAPER)] * 3
    for _ in range(count):
        canvas = canvas.copy()
        for _ in range(3):
            start, end = (tuple(map(int, rng.integers(0, SIDE, 2))) for _ in range(2))
            cv2.line(canvas, start, end, tuple(map(int, rng.integers(20, 200, 3))), int(rng.integers(3, 12)))
        frames.append(canvas)
    return frames


def footage_of(frames: list[Picture]) -> Footage:
    return Footage(frames=frames, before=frames, numbers=range(len(frames)))


def shot_of(frames: list[Picture]) -> tuple[int, int]:
    numbers = longest_shot(footage_of(frames)).numbers
    return numbers[0], numbers[-1]


PAINTING = screen_painting()
END = len(PAINTING) - 1
BLACK = plain((0, 0, 0))


@pytest.mark.parametrize(
    "opening",
    [
        [title("MY ART", 20)] * 8,
        [title("MY ART", 120)] * 8,
        [photograph()] * 8,
        [PAINTING[-1]] * 8,
        [BLACK] * 2,
        [BLACK, *[title("MY ART", 20)] * 8],
    ],
    ids=["dark title", "grey title", "reference photograph", "teaser", "dark screen", "dark screen and title"],
)
def test_what_comes_before_a_blank_canvas_is_cut_off(opening: list[Picture]) -> None:
    assert shot_of([*opening, *PAINTING]) == (len(opening), len(opening) + END)


@pytest.mark.parametrize("closing", [plain((250, 250, 250)), BLACK, title("THE END", 20)])
def test_a_card_or_an_empty_screen_at_the_end_is_cut_off(closing: Picture) -> None:
    assert shot_of([*PAINTING, *[closing] * 6]) == (0, END)


def test_a_ground_that_is_filled_in_one_step_is_a_step() -> None:
    filled = [np.where(frame == plain(PAPER), plain((40, 70, 110)), frame).astype(np.uint8) for frame in PAINTING]
    dabbed = plain(PAPER)
    cv2.circle(dabbed, (40, 40), 5, (180, 30, 30), -1)  # a pointer, or a colour tried out, that the ground covers
    frames = [*[plain(PAPER)] * 4, dabbed, *filled]
    assert shot_of(frames) == (0, len(frames) - 1)


def test_a_blank_canvas_on_which_a_picture_is_laid_in_one_step_is_kept() -> None:
    frames = [*[plain((255, 255, 255))] * 3, photograph(), *[photograph() // 2] * 3]
    assert shot_of(frames) == (0, len(frames) - 1)


def test_a_sketch_that_is_filled_over_is_a_step() -> None:
    filled = [np.where(frame == plain(PAPER), plain((40, 70, 110)), frame).astype(np.uint8) for frame in PAINTING]
    frames = [*PAINTING[:20], *filled]
    assert shot_of(frames) == (0, len(frames) - 1)


@pytest.mark.parametrize(
    "frames",
    [
        [*PAINTING, (PAINTING[-1] * 0.6).astype(np.uint8)],
        [*PAINTING, *[(PAINTING[-1] * 0.6).astype(np.uint8)] * 10],
        [*PAINTING, *[(PAINTING[-1] // 2 + 127).astype(np.uint8)] * 8],
        [*[plain((120, 120, 120))] * 5, *[plain((200, 200, 200))] * 3, *PAINTING],
        [*(plain((level, level, level)) for level in (255, 255, 200, 145)), *PAINTING],
    ],
    ids=["darkened", "darkened and held", "lightened", "another ground", "glazed twice"],
)
def test_colours_that_are_changed_everywhere_at_once_are_no_fades(frames: list[Picture]) -> None:
    footage = footage_of(frames)
    assert without_fades(footage) is footage


@pytest.mark.parametrize("blank", [BLACK, plain((255, 255, 255))])
@pytest.mark.parametrize("count", [1, 5])
def test_a_flash_or_a_dark_pause_after_which_the_painting_goes_on_is_no_cut(blank: Picture, count: int) -> None:
    frames = [*PAINTING[:30], *[blank] * count, *PAINTING[30:]]
    assert shot_of(frames) == (0, len(frames) - 1)


@pytest.mark.parametrize("seed", range(3))
def test_painting_that_is_filmed_has_no_cuts_and_no_fades(seed: int) -> None:
    filmed = footage_of(list(painting(72, seed)[0]))
    assert longest_shot(filmed).notes["shots"] == 1
    assert without_fades(filmed) is filmed


def faded(picture: Picture, colour: Picture, steps: int, held: int = 1) -> list[Picture]:
    """The picture, which turns into a colour; each frame is shown `held` times."""
    shares = np.linspace(1, 0, steps + 1)[1:]
    mixed = [np.rint(picture * share + colour.astype(float) * (1 - share)).astype(np.uint8) for share in shares]
    return [frame for frame in mixed for _ in range(held)]


DESK = list(painting(72)[0])[8:62]  # starts with a blank sheet on a desk, ends with a stroke


@pytest.mark.parametrize("frames", [PAINTING, DESK], ids=["screen", "desk"])
@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize(("steps", "held"), [(12, 1), (3, 1), (12, 2)])
def test_fades_at_both_ends_are_no_frames_of_the_painting(
    frames: list[Picture], level: int, steps: int, held: int
) -> None:
    colour = np.full_like(frames[0], level)
    fade_in, fade_out = faded(frames[0], colour, steps, held)[::-1], faded(frames[-1], colour, steps, held)
    if level == 255:
        fade_in = []  # of a fade from white to a blank canvas, too little is seen to tell it from a wash
    treated = without_fades(footage_of([*fade_in, *frames, *fade_out, *[colour] * 4]))
    assert np.array_equal(treated.frames[0], frames[0]) and np.array_equal(treated.frames[-1], frames[-1])
    assert len(treated) == len(frames) and treated.notes["faded_frames"] == len(fade_in) + len(fade_out) + 4


def test_a_fade_that_a_cut_has_parted_from_its_dark_end_is_found() -> None:
    frames = [*PAINTING, *faded(PAINTING[-1], BLACK, 3), *[title("THE END", 20)] * 5]
    treated = without_fades(longest_shot(footage_of(frames)))
    assert np.array_equal(treated.frames[-1], PAINTING[-1])


def test_a_wash_that_is_laid_on_a_blank_canvas_bit_by_bit_is_no_fade() -> None:
    wash = np.zeros((SIDE, SIDE, 1))
    cv2.circle(wash, (64, 64), 40, 1.0, -1)
    washed = [np.rint(plain(PAPER) * (1 - 0.2 * step * wash)).astype(np.uint8) for step in range(4)]
    assert len(without_fades(footage_of([*[plain(PAPER)] * 3, *washed[1:], *PAINTING[5:]]))) == 6 + len(PAINTING[5:])
