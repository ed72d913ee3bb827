"""Several jobs from one command line: `-m seed=0,1,2 renderer=oil,ink` is six."""

import fnmatch
import hashlib
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conf.errors import ConfigError, UserError
from conf.value import check_named, is_url

_MOST_JOBS = 10_000
_LONGEST_NAME = 200  # bytes of a folder's name; file systems take 255, and logs and temporary files have more
_FUNCTION = re.compile(r"(range|glob|choice)\((.*)\)", re.DOTALL)
_OTHER_FUNCTION = re.compile(r"(range|glob|choice|interval|shuffle|sort|tag|extend_list)\(.*\)", re.DOTALL)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Job:
    """One combination of values.

    Attributes:
        settings: `key=value`, one for each key.
        swept: key -> value as typed, of the keys that differ between jobs.
    """

    settings: tuple[str, ...]
    swept: Mapping[str, str]

    @property
    def name(self) -> str:
        """Its swept keys and values, as a file name: `seed=0,renderer=oil`."""
        text = ",".join(f"{key}={value}" for key, value in self.swept.items())
        name = re.sub(r"[^\w.,=+@-]", "_", text)
        if name == text and len(name.encode()) <= _LONGEST_NAME:
            return name
        beginning = name.encode()[: _LONGEST_NAME - 9].decode(errors="ignore")
        return f"{beginning}-{hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:8]}"


def jobs_of(settings: Sequence[str], choices: Callable[[str], Sequence[str]]) -> list[Job]:
    """All combinations, in the order in which Hydra runs them: the last swept key changes first.

    Args:
        settings: `key=value`, where a value may be `a,b`, `choice(a,b)`, `range(start,stop,step)` or, for a group,
            `glob(pattern)`. Commas in quotes and brackets belong to one value.
        choices: function from a group to its names; empty for what is no group.

    Raises:
        UserError: if a value names no job, a key is swept twice, or there are too many jobs.
    """
    for word in settings:
        if "=" not in word:
            raise UserError(f"{word}: not understood; use key=value, in quotes where the value has blanks")
    values = [_distinct(word, _values(word, choices)) for word in settings]
    keys = [word.partition("=")[0] for word in settings]
    swept = [index for index, several in enumerate(values) if len(several) > 1]
    for index in swept:
        if keys.count(keys[index]) > 1:
            raise UserError(f"{settings[index]}: {keys[index]} is set twice; set it once, as {keys[index]}=a,b")
    combinations = itertools.product(*values)
    count = math.prod(map(len, values))
    if count > _MOST_JOBS:
        raise UserError(f"-m: {count} jobs; allowed: at most {_MOST_JOBS}")
    return [
        Job(
            tuple(f"{key}={value}" for key, value in zip(keys, chosen, strict=True)),
            {keys[index].lstrip("+"): chosen[index] for index in swept},
        )
        for chosen in combinations
    ]


def sweep_folder(out: str, *, file: bool) -> Path:
    """Where the jobs of a sweep write: `outputs/x` itself, or `film` beside a file `film.mp4`.

    Raises:
        ConfigError: if it is a URL.
    """
    if is_url(out):
        raise ConfigError("out", out, "a local path, with --multirun")
    if file:
        check_named("out", Path(out))
    return Path(out).with_suffix("") if file else Path(out)


def in_own_folder(job: Job, out: str, *, file: bool) -> Job:
    """A job that writes to a place of its own: `outputs/x/seed=0`, or `film/seed=0.mp4`."""
    if not job.swept or "out" in job.swept:
        return job
    own_out = sweep_folder(out, file=file) / (job.name + (Path(out).suffix if file else ""))
    return Job((*(word for word in job.settings if word.partition("=")[0] != "out"), f"out={own_out}"), job.swept)


def _distinct(word: str, values: list[str]) -> list[str]:
    """The values that a word lists, none of them twice: both jobs would write to the same folder."""
    repeated = next((value for number, value in enumerate(values) if value in values[:number]), None)
    if repeated is not None:
        raise UserError(f"{word}: lists {repeated} twice")
    return values


def _values(word: str, choices: Callable[[str], Sequence[str]]) -> list[str]:
    """The values that a word lists; one if it is not a sweep."""
    key, _, text = word.partition("=")
    function_call = _FUNCTION.fullmatch(text.strip())
    if function_call is None:
        values = _split(text)
        for value in values:
            if _OTHER_FUNCTION.fullmatch(value.strip()):
                allowed = "a,b, or choice(a,b), range(start,stop) or glob(pattern) alone; or text in quotes"
                raise UserError(f"{word}: {value.strip()} is not understood; allowed: {allowed}")
        return values
    function, arguments = function_call.groups()
    if function == "glob":
        names = choices(key.lstrip("+").partition("@")[0])
        matching = [name for name in names if fnmatch.fnmatchcase(name, arguments)]
        if not matching:
            available = ", ".join(names) or f"none, as {key} is no group such as renderer"
            raise UserError(f"{word}: no choice fits; there are {available}")
        return matching
    parts = _split(arguments)
    if function == "choice":
        return parts
    try:
        numbers = range(*(int(part) for part in parts))
    except (TypeError, ValueError):
        raise UserError(f"{word}: not understood; use range(start,stop) or range(start,stop,step)") from None
    if not numbers:
        raise UserError(f"{word}: no number is in this range")
    if numbers[_MOST_JOBS:]:  # looked at before they are written out, as they may be more than memory holds
        raise UserError(f"{word}: more than {_MOST_JOBS} jobs; allowed: at most {_MOST_JOBS}")
    return [str(number) for number in numbers]


def _split(text: str) -> list[str]:
    """Split a text at the commas outside quotes and brackets, without the blanks around values."""
    parts, open_brackets, quote, start = [], "", "", 0
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote and text[at - 1] != "\\" else quote
        elif letter in "'\"":
            quote = letter
        elif letter in _CLOSING:
            open_brackets += _CLOSING[letter]
        elif open_brackets and letter == open_brackets[-1]:
            open_brackets = open_brackets[:-1]
        elif letter == "," and not open_brackets:
            parts.append(text[start:at])
            start = at + 1
    if quote or open_brackets:
        return [text]  # an apostrophe or a lone bracket: it is text
    return [part.strip() for part in (*parts, text[start:])] if parts else [text]
