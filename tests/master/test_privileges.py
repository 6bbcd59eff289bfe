"""What a process that knows passwords gives up."""

import faulthandler
import os
import signal
import sys

import pytest

from gatepost.master.privileges import forbid_core_dumps


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
@pytest.mark.parametrize("forbidden", [True, False])
def test_no_core_file_is_left(forbidden: bool) -> None:
    pid = os.fork()
    if not pid:
        try:
            _be_dumpable()  # the process of the tests may have become another user's, and so be none
            if forbidden:
                forbid_core_dumps()
            os._exit(0 if _dumpable() is not forbidden else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def _be_dumpable() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE


def _dumpable() -> bool:
    """As the kernel has it (PR_GET_DUMPABLE)."""
    import ctypes

    return bool(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 1)


def test_a_process_that_aborts_still_ends() -> None:
    pid = os.fork()
    if not pid:
        try:
            faulthandler.disable()  # pytest's would tell of the abort as if a test had died
            forbid_core_dumps()
            os.kill(os.getpid(), signal.SIGABRT)
        finally:
            os._exit(2)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)
