"""Licences by their names on the Hub, and which of them are free.

Sources state licences in words of their own: "CC BY 4.0", "cc-by-4.0", "CC0".
"""

import re
from collections.abc import Iterable
from typing import Any

from conf.printable import printable

UNKNOWN, OTHER = "unknown", "other"
_FREE_LICENCES = frozenset({
    "afl-3.0", "apache-2.0", "artistic-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "cc-by-2.0", "cc-by-2.5",
    "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0",
    "cdla-sharing-1.0", "etalab-2.0", "gfdl", "gpl-3.0", "isc", "mit", "odbl", "odc-by", "pddl", "unlicense", "zlib",
})  # fmt: skip
_HUB_LICENCES = _FREE_LICENCES | {
    UNKNOWN, OTHER, "bigscience-openrail-m", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "creativeml-openrail-m",
    "openrail", "openrail++",
}  # fmt: skip
_ALSO_CALLED = {"cc0": "cc0-1.0", "cc-0": "cc0-1.0", "cc-zero": "cc0-1.0"}
_PUBLIC_DOMAIN = "public-domain"


def licence_id(name: str) -> str:
    """A licence as the Hub calls it: `cc-by-4.0` for "CC BY 4.0"; `other` for those that it does not know."""
    plain = _plain(name)
    return plain if plain in _HUB_LICENCES else OTHER


def is_free(name: str) -> bool:
    """Whether anybody may use, change and pass on what is under a licence, for any purpose."""
    return _plain(name) in _FREE_LICENCES or _plain(name) == _PUBLIC_DOMAIN


def licence_fields(names: Iterable[str]) -> dict[str, Any]:
    """`license` and, if the Hub does not know it, `license_name`, for the head of a card."""
    ordered = sorted(set(names))
    ids = sorted({licence_id(name) for name in ordered}) or [UNKNOWN]
    others = [name for name in ordered if licence_id(name) == OTHER]
    return {
        "license": ids[0] if len(ids) == 1 else ids,
        **({"license_name": printable(", ".join(others))} if others else {}),
    }


def _plain(name: str) -> str:
    plain = re.sub(r"[\s_-]+", "-", name.strip().lower())
    return _ALSO_CALLED.get(plain, plain)
