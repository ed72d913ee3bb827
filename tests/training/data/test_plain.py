"""The one door for JSON: a value of the expected shape, or one line that says where it is none."""

from typing import Any

import pytest
from typing_extensions import TypedDict

from training.data import plain
from training.data.plain import CLOSED, OPEN, Count, Number, Side, Whole, parse_json, parse_object, shaped


class Inner(TypedDict):
    __pydantic_config__ = CLOSED  # type: ignore[misc]

    side: Side


class Outer(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]

    count: Count
    inner: list[Inner]


def refusal(value: Any, shape: Any) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        shaped(value, shape)
    assert "\n" not in str(caught.value) and len(str(caught.value)) <= 200
    return str(caught.value)


def test_plain_values_are_read_as_they_are() -> None:
    value = {"a": [1, -2.5, True, None, "é😀"], "b": {}}
    assert parse_json(b'{"a": [1, -2.5, true, null, "\xc3\xa9\\ud83d\\ude00"], "b": {}}') == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[1,]",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b'"\xff"',
        b'"\\ud800"',
        b"{'a': 1}",
        b"1 2",
        b"[" * 300 + b"]" * 300,
    ],
)
def test_what_is_no_json_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not JSON \(.+\)$") as caught:
        parse_json(data)
    assert "\n" not in str(caught.value)
    assert "line 1 column" in str(caught.value) or "EOF" in str(caught.value) or "UTF-8" in str(caught.value)


def test_more_bytes_than_a_manifest_of_millions_takes_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "MOST_BYTES", 10)
    assert parse_json(b'"89012345"'[:10]) == "89012345"
    with pytest.raises(ValueError, match="11 bytes of JSON; at most 10 are read"):
        parse_json(b'"890123456"')


def test_values_of_a_shape_come_back_equal_and_may_hold_more_where_it_is_open() -> None:
    value = {"count": 0, "inner": [{"side": 1}, {"side": 65536}], "more": "kept"}
    assert shaped(value, Outer) == value
    assert parse_object(b'{"count": 0, "inner": [], "more": [1]}', Outer) == {"count": 0, "inner": [], "more": [1]}


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"count": -1, "inner": []}, "count: "),
        ({"count": 1.0, "inner": []}, "count: "),
        ({"count": True, "inner": []}, "count: "),
        ({"count": "1", "inner": []}, "count: "),
        ({"count": 2**53 + 1, "inner": []}, "count: "),
        ({"inner": []}, "count: Field required"),
        ({"count": 1, "inner": [{"side": 1}, {"side": 0}]}, "inner.1.side: "),
        ({"count": 1, "inner": [{"side": 65537}]}, "inner.0.side: "),
        ({"count": 1, "inner": [{"side": 1, "more": 1}]}, "inner.0.more: "),
        ({"count": 1, "inner": {}}, "inner: "),
    ],
)
def test_what_is_wrong_is_said_with_its_place(value: Any, place: str) -> None:
    assert refusal(value, Outer).startswith(place)


def test_where_the_whole_is_wrong_no_place_is_said() -> None:
    assert refusal([], Outer) == "Input should be a valid dictionary"
    with pytest.raises(ValueError, match=r"^not JSON"):
        parse_object(b"x", Outer)


@pytest.mark.parametrize(
    ("shape", "least", "most"),
    [(Count, 0, 2**53), (Side, 1, 2**16), (Whole, -(2**63), 2**63 - 1)],
    ids=["count", "side", "whole"],
)
def test_whole_numbers_have_their_range(shape: Any, least: int, most: int) -> None:
    assert shaped(least, shape) == least and shaped(most, shape) == most
    for value in (least - 1, most + 1, float(least), str(least), True, None):
        assert refusal(value, shape)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), "0.5", None, True])
def test_numbers_are_finite_numbers(value: Any) -> None:
    assert refusal(value, Number)
    assert shaped(0.5, Number) == 0.5 and shaped(2, Number) == 2.0


def test_long_reasons_are_cut_off() -> None:
    assert len(refusal({"x" * 5000: 1}, dict[str, str])) == 200
