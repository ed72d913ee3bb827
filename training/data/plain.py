"""The only module that reads JSON: any bytes give a value of the expected shape, or a ValueError in one line.

Text that is not UTF-8, NaN, nesting deeper than 200, halves of characters, missing fields, values of another type or
out of range are all refused; the message names the place in the document.
"""

from collections.abc import Hashable
from functools import cache
from typing import Annotated, Any, TypeVar, cast

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

_Shape = TypeVar("_Shape")

MOST_BYTES = 2**30
"""Largest size of one document: a manifest of a million sequences takes some 1 GB."""
_LONGEST_REASON = 200

OPEN = ConfigDict(extra="allow")
"""`__pydantic_config__` of a TypedDict that may hold more than its fields."""
CLOSED = ConfigDict(extra="forbid")

Whole = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
"""A whole number; neither true nor 1.0 is one."""
Count = Annotated[int, Field(strict=True, ge=0, le=2**53)]
"""A whole number of at least 0 that every reader of JSON keeps exactly."""
Side = Annotated[int, Field(strict=True, ge=1, le=2**16)]
"""Pixels of one side of a picture."""
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A finite number."""


def parse_json(data: bytes) -> Any:
    """Any JSON value.

    Raises:
        ValueError: in one line, if it is not JSON.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"{len(data)} bytes of JSON; at most {MOST_BYTES} are read")
    try:
        return from_json(data, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise ValueError(f"not JSON ({_one_line(error)})") from error


def shaped(value: Any, shape: type[_Shape]) -> _Shape:
    """A parsed JSON value as a TypedDict, a dataclass, or a container of plain types.

    Raises:
        ValueError: in one line, naming the field that is wrong.
    """
    try:
        return cast(_Shape, _adapter(cast(Hashable, shape)).validate_python(value))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ValueError(_one_line(f"{place}: {first['msg']}" if place else first["msg"])) from error


def parse_object(data: bytes, shape: type[_Shape]) -> _Shape:
    """A JSON document of some shape.

    Raises:
        ValueError: as `parse_json` and `shaped`.
    """
    return shaped(parse_json(data), shape)


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def _one_line(reason: object) -> str:
    return " ".join(str(reason).split())[:_LONGEST_REASON]
