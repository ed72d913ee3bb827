"""Reading of untrusted XML, which the readers of layered documents share."""

import math
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from pipelines.artists.layers.document import DEEPEST, MOST_LAYERS
from pipelines.sources.captions import text_line
from pipelines.sources.source import RefusedPicture


def parsed(data: bytes, name: str) -> Element:
    """The root of an XML document. Entities are refused, as some expand to more than fits into memory.

    Raises:
        RefusedPicture: if it is not well-formed, or declares entities.
    """
    if b"<!ENTITY" in data:
        raise RefusedPicture(f"{name} declares entities")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise RefusedPicture(f"{name} is not XML ({error})") from error
    if sum(1 for _ in root.iter()) > 10 * MOST_LAYERS:
        raise RefusedPicture(f"{name} describes more than {MOST_LAYERS} layers")
    return root


def children_of(element: Element, depth: int) -> list[Element]:
    """The children of a group at this depth.

    Raises:
        RefusedPicture: if groups are nested too deeply.
    """
    if depth > DEEPEST:
        raise RefusedPicture(f"groups are nested deeper than {DEEPEST}")
    return list(element)


def number(element: Element, key: str, default: float | None = None) -> float:
    """The number in an attribute of an element.

    Raises:
        RefusedPicture: if it is not a number, or is missing and has no default.
    """
    text = element.get(key)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not abs(value) < 1e9:
        raise RefusedPicture(f"{key} of {layer_name(element)} is no number")
    return value


def layer_name(element: Element, key: str = "name", *, tag: bool = False) -> str:
    """A name for messages: the value of an attribute, or the element's tag."""
    return text_line((element.tag if tag else element.get(key, ""))[:80]) or "a layer without a name"
