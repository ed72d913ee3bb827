"""What visitors ask for becomes what `paint` understands, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from conf.compose import compose
from conf.errors import UserError
from pipelines.web.order import Order
from pipelines.web.settings import AppConfig, app_config
from renderers.studio.media import MEDIA
from tests.pipelines.web.served import answers
from tests.training.models.toy_architecture.base import LENGTH, tokens
from training.data.remote import RemotePath

PHRASES = {"oil": "painted in oil", "ink": "painted in Chinese ink"}
GIVEN = {"path": "/uploads/a.png"}


def config(**changed: Any) -> AppConfig:
    plain = compose("app", [])
    return app_config({**plain, "painters": ["a/painter"], "limits": {**plain["limits"], **changed}})


def order(**options: Any) -> Order:
    return Order.of(*answers(**options)[:-1])


def refusal(asked: Order) -> str:
    with pytest.raises(UserError) as caught:
        asked.checked(config(), PHRASES)
    return str(caught.value)


def test_words_reach_paint_letter_for_letter_and_the_manner_is_appended() -> None:
    for subject in ("${oc.env:HOME}", "out=/tmp/x", "null", "[1, 2]", "'a' \\ \"b\"", "é 画"):
        painted = order(subject=subject, method="oil").paint_config(config(), PHRASES, Path("out"))
        assert painted.prompt == f"{subject}, painted in oil" and painted.out == Path("out")
    assert order(subject=" a \n\n boat\t").paint_config(config(), PHRASES, Path("out")).prompt == "a boat"


def test_a_description_whose_manner_would_not_be_read_is_refused() -> None:
    fits = "a" * (LENGTH - len(", painted in oil"))
    order(subject=fits, method="oil").check_words(PHRASES, tokens)
    order(subject=fits + "a" * 10).check_words(PHRASES, tokens)
    for asked, end in ((order(subject=fits + "ab", method="oil"), "il"), (order(subject="a" * LENGTH + "bc"), "bc")):
        with pytest.raises(UserError) as caught:
            asked.check_words(PHRASES, tokens)
        assert f"leave out 2 letters: '{end}'. Please describe" in str(caught.value)


def test_a_painter_behind_a_signed_url_is_opened_by_it_and_shown_without_its_signature() -> None:
    url = "memory://models/painter?token=s3cret"
    signed = app_config({**compose("app", []), "painters": [url]})
    (name,) = signed.by_name
    assert name == "painter?token=***"
    painted = order(painter=name, subject="a boat").paint_config(signed, {}, Path("out"))
    assert isinstance(painted.painter, RemotePath) and painted.painter.url == url


def test_each_start_is_a_task_of_paint() -> None:
    for start, task, frames in (("finished", "reconstruct", [2]), ("unfinished", "complete", [1])):
        asked = order(start=start, **{start: GIVEN})
        asked.checked(config(), PHRASES)
        painted = asked.paint_config(config(), PHRASES, Path("out"))
        assert (painted.task, list(painted.pinned)) == (task, frames)
    pins = [GIVEN, -1, None, 1, GIVEN, 0, None, 3]
    painted = order(start="frames", pins=pins).paint_config(config(), PHRASES, Path("out"))
    assert (painted.task, list(painted.pinned)) == ("generate", [0, 2])
    assert order(finished=GIVEN).paint_config(config(), PHRASES, Path("out")).pinned == {}, "words alone"


def test_nothing_of_a_given_picture_is_cut_off() -> None:
    for start, in_strokes in (("finished", False), ("finished", True), ("unfinished", False)):
        asked = order(start=start, in_strokes=in_strokes, **{start: GIVEN})
        assert asked.paint_config(config(), PHRASES, Path("out")).fit == "pad"


def test_strokes_are_those_of_the_manner_and_as_large_as_allowed() -> None:
    for method, renderer in (("oil", "oil"), ("ink", "ink"), ("studio", "studio"), ("region", "oil"), ("", "oil")):
        strokes = order(in_strokes=True, method=method).paint_config(config(canvas_px=320), PHRASES, Path("o")).strokes
        assert strokes is not None and (strokes.renderer.name, strokes.canvas_px) == (renderer, 320)
    for method in ("", "ink"):  # whose renderer has nothing to do where frames are wanted
        assert order(method=method).paint_config(config(), PHRASES, Path("out")).strokes is None


@pytest.mark.parametrize("start", ["words", "finished", "unfinished"])
@pytest.mark.parametrize("medium", MEDIA)
@pytest.mark.parametrize("method", ["studio", "ink", "studio_ink", "mine"])
def test_media_of_the_studio_are_painted_in_the_studio_whatever_their_name(
    method: str, medium: str, start: str
) -> None:
    asked = order(in_strokes=True, method=method, start=start, finished=GIVEN, unfinished=GIVEN)
    whole = MEDIA[medium].phrase
    for phrase in (whole, f"{whole}, drawing and block-in only"):
        strokes = asked.paint_config(config(), {method: phrase}, Path("out")).strokes
        assert strokes is not None
        if start == "unfinished" and medium not in ("oil", "digital"):
            assert strokes.renderer.name == "oil", "an unfinished picture is painted on in paint that covers"
        else:
            assert (strokes.renderer.family, strokes.renderer.config.medium) == ("studio", medium)


def test_an_empty_seed_is_another_one_each_time() -> None:
    seeds = {order(seed="").paint_config(config(), PHRASES, Path("out")).seed for _ in range(5)}
    assert len(seeds) > 1 and order(seed="7").paint_config(config(), PHRASES, Path("out")).seed == 7


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"num_frames": 1}, "Length can be a whole number from 2 to 32."),
        ({"steps": 51}, "Steps can be a whole number from 1 to 50."),
        ({"seed": -1}, "Seed can be"),
        ({"painter": "tiny"}, "There is no such painter here."),
        ({"method": "gouache"}, "This painter does not know that method."),
        ({"subject": " "}, "Please say what to paint."),
        ({"subject": "a" * 301}, "Please describe the painting in 300 letters or fewer."),
        ({"start": "finished"}, "Please choose a picture."),
        ({"start": "frames", "pins": [GIVEN, 3]}, "there is no frame 3"),
        ({"start": "frames", "pins": [GIVEN, 2, GIVEN, -1]}, "Two pictures are given for the same frame."),
        ({"start": "unfinished", "unfinished": GIVEN, "at": 2}, "An unfinished picture cannot be the last frame."),
    ],
)
def test_what_is_not_possible_is_said_in_a_sentence(options: dict[str, Any], reason: str) -> None:
    assert reason in refusal(order(**options))


@pytest.mark.parametrize(
    "options",
    [
        {"start": "else"}, {"start": None}, {"num_frames": 2.5}, {"num_frames": None}, {"steps": float("inf")},
        {"seed": "many"}, {"seed": "9" * 5000}, {"subject": "a \ud800 boat"}, {"method": "\udcff"},
        {"painter": "\ud800"}, {"subject": 3}, {"method": 3}, {"start": "finished", "finished": "a.png"},
        {"start": "finished", "finished": {"path": 3}}, {"start": "frames", "pins": [GIVEN, 0, GIVEN]},
    ],
)  # fmt: skip
def test_what_no_form_sends_is_not_understood(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="not understood"):
        order(**options)


def test_a_frame_is_given_once() -> None:
    with pytest.raises(UserError, match="same frame"):
        order(start="frames", pins=[GIVEN, 1, GIVEN, 1])
