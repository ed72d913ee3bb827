"""Signals that stop a command."""

import signal
import time
import weakref

import pytest

from process_painter.stop import stopped_as_by_ctrl_c


def test_a_signal_that_comes_where_nothing_can_be_raised_is_raised_a_moment_later() -> None:
    class Module:
        pass

    module = Module()
    kept = weakref.ref(module, lambda _: signal.raise_signal(signal.SIGTERM))  # as importlib's locks have them
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), stopped_as_by_ctrl_c():
        del module
        time.sleep(20)
    assert kept() is None and time.monotonic() - start < 15
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
