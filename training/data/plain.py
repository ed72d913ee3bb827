"""The one door for JSON: whatever the bytes are, a value of the expected shape comes in, or a ValueError in one line.

Text that is not UTF-8, numbers that are not finite, nesting deeper than 200, halves of characters, missing fields,
values of another type or out of range: all are refused with the place in the document where they stand.
"""

from functools import cache
from typing import Annotated, Any, TypeVar, cast

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

_Shape = TypeVar("_Shape")

MOST_BYTES = 2**30
"""Of one document: a manifest of a million sequences takes some 1 GB."""
_LONGEST_REASON = 200

OPEN = ConfigDict(extra="allow")
"""`__pydantic_config__` of a TypedDict that may hold more than its fields."""

Count = Annotated[int, Field(ge=0, le=2**53)]
"""A whole number from 0 on that every reader of JSON keeps exactly."""
Side = Annotated[int, Field(ge=1, le=2**16)]
"""Pixels of one side of a picture."""


def parse_json(data: bytes) -> Any:
    """Any JSON value.

    Raises:
        ValueError: in one line, if it is none.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"{len(data)} bytes of JSON; at most {MOST_BYTES} are read")
    try:
        return from_json(data, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise ValueError(f"not JSON ({_one_line(error)})") from error


def parse_object(data: bytes, shape: type[_Shape]) -> _Shape:
    """A JSON value of some shape: a TypedDict, a dataclass, or a container of plain types.

    Raises:
        ValueError: in one line, naming the field that is wrong.
    """
    parse_json(data)  # refuses NaN wherever it stands
    try:
        return cast(_Shape, _adapter(shape).validate_json(data, strict=True))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ValueError(_one_line(f"{place}: {first['msg']}" if place else first["msg"])) from error


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def _one_line(reason: object) -> str:
    return " ".join(str(reason).split())[:_LONGEST_REASON]
