"""Signals that come before there is who heeds them (signal(7)).

Python would raise KeyboardInterrupt at SIGINT wherever it just is, and in some places (what runs while an object is
collected) an exception is lost: somebody pressed Ctrl-C, and the mail system goes on to start. And SIGHUP or SIGUSR1
would kill a master whose process ID can be read already, but that does not serve yet.
"""

import signal

_LATER = (signal.SIGHUP, signal.SIGUSR1)


def end_at_once() -> None:
    """SIGINT ends this process as SIGTERM does, wherever it is: there is nothing to lose yet."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def hold_signals() -> None:
    """What asks for a reload or a new log waits until `release_signals`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _LATER)


def release_signals() -> None:
    """Those that heed them are there."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _LATER)
