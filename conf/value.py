"""Reads what a user typed after `key=`: it is taken literally as text, unless it plainly is something else.

The other values are a number as Python prints it (`8`, `-1`, `0.5`), `true`, `false`, `null`, a text in quotes, a list
(`[a.png, b.png]`) and a dict (`{0: a.png, -1: b.png}`). Everything else is text, whatever its alphabet and punctuation,
and nothing in it is looked up: `${HOME}` is seven characters. Numbers typed otherwise (`1e-4`, `10_000`) are text here
as well; `conf.compose.typed` reads them as numbers for keys that are numbers.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Annotated, Any

from conf.errors import ConfigError

HOME, SERVER = "~ and ~user are home folders", "a URL may be of a server that asks for a password"
Location = Annotated[str, HOME]
"""A local path or a URL without a password, kept as text; `conf.compose.typed` replaces `~` by the home folder."""
SourceLocation = Annotated[str, HOME, SERVER]
"""A location that is read from alone: web and file servers, which ask for a password in the URL, may hold it too."""

_DEEPEST = 32  # of lists in lists
_BLANKS = " \t\n"
_QUOTED = re.compile(r"""'(?:\\.|[^\\'])*'|"(?:\\.|[^\\"])*\"""", re.DOTALL)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]*://")
_NEARLY_URL = re.compile(r"\s*(s3|gs|gcs|az|abfss?|adl|hf|https?|s?ftp|ssh|smb|github|memory|zip):", re.IGNORECASE)
_PASSWORD = re.compile(r"([A-Za-z0-9+.-]+)://[^/?#]*:[^/?#]*@")
_SERVERS = ("http", "https", "ftp", "sftp", "ssh", "smb", "github")  # the last has org:repository@version there
_KEY = re.compile(rf"({_QUOTED.pattern}|[^:,{{}}\[\]]+?)[{_BLANKS}]*:", re.DOTALL)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


class TypedList(list[Any]):
    """A list, and the text that was typed, which a text key uses."""

    def __init__(self, items: Iterable[Any], text: str) -> None:
        super().__init__(items)
        self.text = text

    def __str__(self) -> str:
        return self.text


class TypedDict(dict[Any, Any]):
    """A dict, and the text that was typed."""

    def __init__(self, items: Iterable[tuple[Any, Any]], text: str) -> None:
        super().__init__(items)
        self.text = text

    def __str__(self) -> str:
        return self.text


def read_value(text: str) -> Any:
    """None, a bool, an int, a float, a `TypedList`, a `TypedDict`, or text."""
    collection = _collection(text, _after_blanks(text, 0), 0)
    if collection is not None and _after_blanks(text, collection[1]) == len(text):
        return collection[0]
    return _scalar(text)


def text_of(value: Any) -> str | None:
    """The text that was typed for a value; None if it has none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float | TypedList | TypedDict):
        return str(value)
    return None


def at_home(path: str) -> str:
    """A path or URL with a leading `~` or `~user` replaced by the home folder."""
    return os.path.expanduser(path)  # noqa: PTH111  (a Path would shorten s3://, and fail where there is no such user)


def is_url(text: str) -> bool:
    """Whether a text is a URL or a chain of them (`zip://a.png::s3://bucket/b.zip`); any other is a local path."""
    return _URL.match(text) is not None


def check_no_typing_error(key: str, text: str) -> None:
    """Raise ConfigError for a local path that must have been meant as a URL: `s3:/bucket/x`, ` s3://bucket/x`."""
    if not is_url(text) and (nearly := _NEARLY_URL.match(text)) is not None:
        url = f"{nearly[1]}://{text[nearly.end() :].lstrip('/')}"
        raise ConfigError(key, text, f"{url}, or ./{text.strip()} for a local path of that name")


def check_no_password(key: str, text: str, *, of_server: bool = False) -> None:
    """Raise ConfigError for a URL that holds a password: stores read theirs elsewhere, and may print the URL.

    Args:
        key: configuration key that named it.
        text: a URL, a chain of them, or a local path, which is accepted.
        of_server: whether to accept passwords of servers that ask for one in the URL.
    """
    for link in text.split("::") if is_url(text) else ():
        match = _PASSWORD.match(link)
        if match is not None and not (of_server and match[1].lower() in _SERVERS):
            raise ConfigError(key, text, "a local path, or a URL without password: credentials are of the environment")


def is_utf8(text: str) -> bool:
    """Whether files in UTF-8 can hold a text: it has no halves of characters (surrogates).

    Python makes them of bytes of a command line that are not UTF-8, and of `"\\ud800"` in JSON.
    """
    return _HALF_CHARACTER.search(text) is None


def check_utf8(key: str, text: str) -> None:
    """Raise ConfigError for a text or path that recipes, reports, tokenizers and tables could not hold."""
    if not is_utf8(text):
        raise ConfigError(key, text, "text in UTF-8; a file or folder whose name is not must be renamed")


def local_path(text: str, key: str) -> Path:
    """A path of this machine.

    Raises:
        ConfigError: if it is a URL, of which `Path` would make a folder called `s3:`, is not in UTF-8, or cannot be
            looked at.
    """
    check_utf8(key, text)
    if is_url(text):
        raise ConfigError(key, text, "a local path, not a URL")
    check_no_typing_error(key, text)
    path = Path(at_home(text))
    try:
        path.resolve()
        path.exists()
    except RuntimeError:
        raise ConfigError(key, text, "a path, not a link that leads back to itself") from None
    except ValueError:
        raise ConfigError(key, text, "a path; this one holds a zero byte") from None
    except OSError as error:
        raise ConfigError(key, text, f"a path that can be looked at ({error.strerror})") from error
    return path


def plain_value(value: Any) -> Any:
    """The same value in plain lists and dicts, without the text that was typed."""
    if isinstance(value, dict):
        return {key: plain_value(item) for key, item in value.items()}
    return [plain_value(item) for item in value] if isinstance(value, list) else value


def _scalar(text: str) -> Any:
    if _QUOTED.fullmatch(text):
        return _unquoted(text)
    if text in ("null", "true", "false"):
        return {"null": None, "true": True, "false": False}[text]
    if (match := _NUMBER.fullmatch(text)) is None:
        return text
    try:
        number = float(text) if match[2] else int(text)
    except ValueError:  # more digits than Python reads
        return text
    return number if str(number) == text else text  # what would be printed differently, as 0.50, stays text


def _unquoted(text: str) -> str:
    """The text between quotes; backslashes count only before a quote, `\\'` for the quote itself."""
    quote = text[0]
    return re.sub(rf"(\\+)(?={quote}|\Z)", lambda match: match[1][: len(match[1]) // 2], text[1:-1])


def _after_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _collection(text: str, start: int, depth: int) -> tuple[Any, int] | None:
    """The list or dict that begins at `start`, and where it ends; None if none does."""
    closing = {"[": "]", "{": "}"}.get(text[start : start + 1])
    if closing is None or depth > _DEEPEST:
        return None
    keys: list[Any] = []
    items: list[Any] = []
    at = _after_blanks(text, start + 1)
    empty = text[at : at + 1] == closing
    while not empty and text[at : at + 1] != closing:
        at = _after_blanks(text, at + 1 if items else at)
        if closing == "}":
            if (match := _KEY.match(text, at)) is None or (key := _key(match[1])) in keys:
                return None
            keys.append(key)
            at = match.end()
        if (item := _item(text, at, depth)) is None:
            return None
        items.append(item[0])
        at = item[1]
        if text[at] not in ("," + closing):
            return None
    typed = text[start : at + 1]
    value = TypedList(items, typed) if closing == "]" else TypedDict(zip(keys, items, strict=True), typed)
    return value, at + 1


def _key(text: str) -> int | str:
    value = _scalar(text)
    return value if type(value) is int or isinstance(value, str) else text


def _item(text: str, start: int, depth: int) -> tuple[Any, int] | None:
    """The value that begins at `start` in a list or dict, and the place of the comma or bracket after it."""
    start = _after_blanks(text, start)
    collection = _collection(text, start, depth + 1)
    if collection is None and (quoted := _QUOTED.match(text, start)):
        collection = _unquoted(quoted[0]), quoted.end()
    if collection is not None:
        end = _after_blanks(text, collection[1])
        if text[end : end + 1] in (",", "]", "}"):
            return collection[0], end
    opened = 0
    for at in range(start, len(text)):
        if text[at] in "[{":
            opened += 1
        elif opened == 0 and text[at] in ",]}":
            item = text[start:at].rstrip(_BLANKS)
            return (_scalar(item), at) if item else None
        elif text[at] in "]}":
            opened -= 1
    return None


def parse_size(size: object) -> tuple[int, int]:
    """(width, height) in pixels, from `256` or `384x256`.

    Raises:
        ConfigError: if it is neither.
    """
    match = re.fullmatch(r"([0-9]{1,9})(?:x([0-9]{1,9}))?", str(size))
    if match is None:
        raise ConfigError("size", size, "pixels a side, as 256, or width x height, as 384x256")
    return int(match[1]), int(match[2] or match[1])


def check_named(key: str, path: PurePath) -> None:
    """Raise ConfigError unless a path ends with a name: temporary files beside it could not be renamed to it."""
    if path.name in ("", ".."):
        raise ConfigError(key, path, f"a path that ends with a name, such as {path / 'new'}")


def check_whole(key: str, value: int | None, lowest: int, highest: int) -> None:
    """Raise ConfigError unless a number that was given is in its range."""
    if value is not None and not lowest <= value <= highest:
        raise ConfigError(key, value, f"a whole number from {lowest} to {highest}")
