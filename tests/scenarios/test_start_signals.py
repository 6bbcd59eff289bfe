"""Signals that come while the mail system starts: none is lost, none means something else than later."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator

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


@pytest.fixture
def gatepost() -> Iterator[Gatepost]:
    with temporary_folder() as folder:
        made = Gatepost(folder, "mynetworks = 127.0.0.0/8\n")
        yield made
        made.stop(kill=True)


def start(gatepost: Gatepost, name: str, mode: str) -> "subprocess.Popen[bytes]":
    options = ["--single-process"] if mode == "single" else []
    return gatepost.launch(*options, program=[sys.executable, "-c", EARLY.format(name=name)])


@pytest.mark.parametrize("mode", ["processes", "single"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_end_before_the_beginning(name: str, mode: str, gatepost: Gatepost) -> None:
    process = start(gatepost, name, mode)
    assert process.wait(WAIT) in (0, -signal.Signals[name]), gatepost.output()
    assert "Traceback" not in gatepost.output()


@pytest.mark.parametrize("mode", ["processes", "single"])
def test_a_reload_before_it_serves(mode: str, gatepost: Gatepost) -> None:
    start(gatepost, "SIGHUP", mode)
    gatepost.wait_log(r"reload -- version")
    until(gatepost.greets, "greeting")
    gatepost.stop()
    assert not re.search("Traceback|warning|error", gatepost.output())


@pytest.mark.parametrize("mode", ["processes", "single"])
def test_a_rotated_log_before_it_serves(mode: str, gatepost: Gatepost) -> None:
    start(gatepost, "SIGUSR1", mode)
    until(gatepost.greets, "greeting")
    gatepost.stop()
    assert not re.search("Traceback|warning|error", gatepost.output())
