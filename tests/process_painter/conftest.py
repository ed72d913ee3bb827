"""Tests of signals begin as a command does, without handlers of others, such as those that Ray leaves behind."""

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_handler_of_others() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)
