"""Jobs of a sweep."""

import signal
import subprocess
import time

import pytest

from process_painter.job import _waited_for
from process_painter.stop import stopped_as_by_ctrl_c


def test_who_tells_a_sweep_to_stop_tells_its_job_which_may_save_and_end() -> None:
    start = time.monotonic()
    with stopped_as_by_ctrl_c():
        handler = signal.getsignal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            _waited_for(subprocess.Popen(["sh", "-c", "kill -TERM $PPID; exec sleep 30"], stdout=subprocess.PIPE))
        assert signal.getsignal(signal.SIGTERM) == handler
    assert time.monotonic() - start < 25
