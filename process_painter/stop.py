"""Being told to stop: SIGTERM, which schedulers, services and containers send, does what Ctrl-C does."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_AGAIN_S = 0.1


@contextmanager
def stopped_as_by_ctrl_c() -> Iterator[None]:
    """Context in which SIGTERM raises KeyboardInterrupt. Where somebody handles it already, nothing changes.

    Either signal may come while Python runs a callback that cannot raise, as it does after every import, and would be
    lost there: it is then raised again a moment later.
    """
    is_main = threading.current_thread() is threading.main_thread()  # others may not change handlers
    if not is_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    tell = sys.unraisablehook

    def raise_again(lost: "sys.UnraisableHookArgs") -> None:
        if lost.exc_type is KeyboardInterrupt:  # of this thread: no other gets one
            threading.Timer(_AGAIN_S, signal.pthread_kill, [threading.get_ident(), signal.SIGTERM]).start()
        else:
            tell(lost)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.unraisablehook = raise_again
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.unraisablehook = tell
