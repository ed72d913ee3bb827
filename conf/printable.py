"""Makes a text safe to show on a terminal, or to store in a file that is passed on.

Names, captions and reasons come from strangers. A terminal obeys control characters (it moves, erases, renames, even
answers as if somebody typed), and bidirectional ones make a line look different from what it is. URLs may hold
passwords.
"""

import re
import shlex
from typing import Any

_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029"  # C0, C1, line and paragraph ends
    "\u202a-\u202e\u2066-\u2069"  # embeddings, overrides and isolates of bidirectional text
    "\ud800-\udfff"  # halves of characters, as names of files that are not UTF-8 have them
    "\ufffe\uffff]"  # no characters at all: XML, and so SVG, must not hold them
)
# Repeats are bounded, so that these take no longer for one long word than for as many short ones.
_USER = re.compile(r"""([A-Za-z][A-Za-z0-9+.-]{0,30}://)[^/?#\s"']*@""")
_SECRET_WORDS = "token|secret|password|passwd|pwd|key|signature|sig|credential|auth|sas"
_SECRET = re.compile(rf"""([?&;][\w.-]{{0,40}}(?:{_SECRET_WORDS})[\w.-]{{0,40}}=)[^&;#\s"']+""", re.IGNORECASE)


def printable(text: str) -> str:
    """One line that is safe on a terminal: control characters are escaped, as `\\x1b`, and secrets are removed."""
    return _CONTROL.sub(_escaped, without_secrets(text))


def as_typed(value: Any) -> str:
    """The text that a user would type for a value of a configuration or a recipe."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if type(value) in (list, tuple):  # lists that were typed know their text
        return f"[{','.join(map(as_typed, value))}]"
    return str(value)


def counted(count: int, noun: str) -> str:
    """A number and its noun, as `1 shard` and `2 shards`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def without_secrets(text: str) -> str:
    """The text without credentials: `user:password@` of URLs, and values such as those of `?token=` and `&sig=`."""
    return _SECRET.sub(r"\1***", _USER.sub(r"\1***@", text))


def shell_words(*arguments: str) -> str:
    """Words as one line for a shell; control characters are written as `$'\\033'` (POSIX.1-2024), to be copied."""
    return " ".join(_ansi_c(argument) if _CONTROL.search(argument) else shlex.quote(argument) for argument in arguments)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _ansi_c(word: str) -> str:
    """Every byte that is not plain ASCII in octal, which all shells that know `$'...'` read alike."""
    data = word.encode("utf-8", "surrogateescape")
    inner = "".join(chr(byte) if 0x20 <= byte < 0x7F and byte not in b"'\\" else f"\\{byte:03o}" for byte in data)
    return f"$'{inner}'"
