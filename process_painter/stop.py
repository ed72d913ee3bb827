"""Makes SIGTERM, which schedulers, services and containers send, do what Ctrl-C does."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_RAISE_AGAIN_S = 0.1


@contextmanager
def stopped_as_by_ctrl_c() -> Iterator[None]:
    """Context in which SIGTERM raises KeyboardInterrupt. If it has a handler already, nothing changes.

    Either signal may come while Python runs a callback that cannot raise, as it does after every import, and would be
    lost: it is then raised again a moment later.
    """
    is_main = threading.current_thread() is threading.main_thread()  # other threads may not change handlers
    if not is_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    previous_hook = sys.unraisablehook

    def raise_again(lost: "sys.UnraisableHookArgs") -> None:
        if lost.exc_type is KeyboardInterrupt:  # only the main thread gets one
            threading.Timer(_RAISE_AGAIN_S, signal.pthread_kill, [threading.get_ident(), signal.SIGTERM]).start()
        else:
            previous_hook(lost)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.unraisablehook = raise_again
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.unraisablehook = previous_hook
