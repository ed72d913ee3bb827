"""Every key of every command refuses `nan` and `inf`, text that is not UTF-8, and numbers too long to read."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from conf.compose import compose
from conf.errors import UserError
from conf.meant import leaves
from conf.value import text_of
from process_painter.console import VERBS
from tests.conf.test_defaults import COMMANDS as CONFIGURED

PARENTS = "data=a out=b base=c"
COMMANDS = [
    "app", "assemble out=a base=b motion=c", "dashboard project=a", "encode dataset=a out=b base=c",
    "evaluate generated=a reference=b out=c", "export out=a.mp4 picture=b.png format=mp4",
    "film out=a.mp4 picture=b.png", "gallery dataset=a", "status dataset=a", "verify dataset=a",
    "publish dataset=a repo=b/c", "ingest source.path=a layout=grid out=b",
    "paint prompt=a loras={ink:1.0} conditions={0:{path:a.png,strength:0.5}}",
    "paint prompt=a execution=strokes renderer=studio",
    "synth", "synth renderer=studio cluster=ray tracker=wandb", "synth renderer=region source=folder source.path=a",
    "synth renderer=oil source=webdataset source.path=a.tar", "synth renderer=ink source=parquet source.path=a.parquet",
    "synth renderer=bezier source=hf source.path=ann/walls",
    *(f"train stage={stage} {PARENTS}" for stage in ("motion", "spatial_lora")),
    *(f"train stage={stage} {PARENTS} motion=d" for stage in ("replication", "motion_lora")),
    *(f"train stage={stage} model=tiny data=a out=b" for stage in ("words", "codec", "agent")),
    f"train stage=base model=tiny {PARENTS}",
    f"train stage=motion model=wan22 optimizer=prodigy tracker=wandb {PARENTS}",
]  # fmt: skip
NO_NUMBERS = ("nan", "inf", "-inf")
LONG_NUMBERS = ("9" * 400, "-" + "9" * 5000)
NOT_UTF8 = "a\udcff"  # as a byte 0xff of a command line arrives


@pytest.mark.parametrize("command", COMMANDS)
def test_a_number_that_is_none_or_without_end_gets_nowhere(command: str) -> None:
    passed = [
        word
        for text in NO_NUMBERS
        for word in words_for(command, text)
        if not all(map(math.isfinite, numbers(configured(command, word))))
    ]
    assert not passed


@pytest.mark.parametrize("command", COMMANDS)
def test_more_digits_than_can_be_read_are_refused_or_text(command: str) -> None:
    for text in LONG_NUMBERS:
        for word in words_for(command, text):
            assert all(map(math.isfinite, numbers(configured(command, word)))), word


@pytest.mark.parametrize("command", COMMANDS)
def test_text_that_is_not_utf8_is_refused_by_every_key(command: str) -> None:
    assert not [word for word in words_for(command, NOT_UTF8) if configured(command, word) is not None]


def test_all_commands_are_looked_at() -> None:
    assert {command.split()[0] for command in COMMANDS} == set(CONFIGURED) == set(VERBS)
    for command in COMMANDS:
        assert configured(command) is not None, command


def configured(command: str, *words: str) -> Any:
    """The typed configuration of a command with more overrides; None if it is refused in one line."""
    name, *base = command.split()
    configure, _ = CONFIGURED[name]
    try:
        return configure(compose(name, [*base, *words]))
    except UserError:
        return None


def words_for(command: str, text: str) -> Iterator[str]:
    """Every key of a command with a text behind it; where it holds a list, with that at each place in turn."""
    name, *base = command.split()
    for key, value in leaves(compose(name, base)):
        if isinstance(value, list) and value:
            items = [text_of(item) or "null" for item in value]
            for place in range(len(items)):
                yield f"{key}=[{', '.join([*items[:place], text, *items[place + 1 :]])}]"
        else:
            yield f"{key}={text}"


def numbers(value: Any) -> Iterator[float]:
    """All floating-point numbers in a configuration, at any depth."""
    if dataclasses.is_dataclass(value):
        inside: Iterable[Any] = (getattr(value, field.name) for field in dataclasses.fields(value))
    elif isinstance(value, Mapping):
        inside = value.values()
    elif isinstance(value, list | tuple):
        inside = value
    else:
        inside = ()
        if isinstance(value, float):
            yield value
    for item in inside:
        yield from numbers(item)
