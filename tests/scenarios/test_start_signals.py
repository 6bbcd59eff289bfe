"""Signals that come while the mail system starts: none is lost, none means something else than later."""

import re
import signal
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.scenarios.server import WAIT, Gatepost, temporary_folder, until

EARLY = """
import os, signal, sys, weakref
from gatepost.cli.program import run
from gatepost.master.daemon import Daemon

serve = Daemon.run


class Thing:
    pass


def early(daemon, **how):
    def collected(reference):
        # What a signal raises here goes nowhere: Python ignores the exceptions of such a callback.
        os.kill(os.getpid(), signal.{name})
        for _ in range(1000):
            pass

    thing = Thing()
    reference = weakref.ref(thing, collected)
    del thing
    return serve(daemon, **how)


Daemon.run = early
sys.exit(run("gatepost", sys.argv[1:]))
"""


@pytest.fixture(params=["processes", "single"])
def starting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Gatepost]]:
    """Starts a mail system that gets the signal of that name as early as that."""
    options = ["--single-process"] if request.param == "single" else []
    with temporary_folder() as folder:
        gatepost = Gatepost(folder, "mynetworks = 127.0.0.0/8\n")

        def start(name: str) -> Gatepost:
            monkeypatch.setattr("tests.scenarios.server.GATEPOST", [sys.executable, "-c", EARLY.format(name=name)])
            gatepost.launch(*options)
            return gatepost

        yield start
        gatepost.stop(kill=True)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_end_before_the_beginning(name: str, starting: Callable[[str], Gatepost]) -> None:
    gatepost = starting(name)
    assert gatepost.process is not None
    assert gatepost.process.wait(WAIT) in (0, -signal.Signals[name]), gatepost.output()
    assert "Traceback" not in gatepost.output()


def test_a_reload_before_it_serves(starting: Callable[[str], Gatepost]) -> None:
    gatepost = starting("SIGHUP")
    until(gatepost.greets, "greeting")
    gatepost.wait_log(r"reload -- version")
    gatepost.stop()
    assert not re.search("Traceback|warning|error", gatepost.output())


def test_a_rotated_log_before_it_serves(starting: Callable[[str], Gatepost]) -> None:
    gatepost = starting("SIGUSR1")
    until(gatepost.greets, "greeting")
    gatepost.stop()
    assert not re.search("Traceback|warning|error", gatepost.output())
