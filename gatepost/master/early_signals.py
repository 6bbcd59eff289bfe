"""Signals that come before there is who heeds them (signal(7)).

Python would raise KeyboardInterrupt at SIGINT wherever it just is, and in some places (what runs while an object is
collected) an exception is lost: somebody pressed Ctrl-C, and the mail system goes on to start. And SIGHUP or SIGUSR1
would kill a master whose process ID can be read already, but that does not serve yet.
"""

import contextlib
import signal
from collections.abc import Iterator

_LATER = (signal.SIGHUP, signal.SIGUSR1)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """SIGINT ends this process at once, as SIGTERM does: there is nothing to lose yet. What asks for a reload or a new
    log waits until `release_signals`. To be entered before there is a second thread, which would take what this one
    does not.
    """
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _LATER)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler or signal.SIG_DFL)


def release_signals() -> None:
    """Those that heed them are there."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _LATER)
