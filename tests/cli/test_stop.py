import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cli.stopped_queue import StoppedQueue


@pytest.mark.parametrize("command", ["stop", "reload"])
def test_without_a_running_system(stopped: StoppedQueue, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert stopped.run(command) == 1
    assert capsys.readouterr() == ("", f"gatepost {command}: fatal: the mail system is not running\n")


def test_status_without_a_running_system(stopped: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    assert stopped.run("status") == 1
    assert capsys.readouterr().out == "the mail system is not running\n"


# Holds master's lock, as master does; tells of SIGHUP and SIGUSR1, ends at SIGTERM.
STAND_IN = """
import fcntl, os, signal, sys
lock = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX)
os.pwrite(lock, b"%10d\\n" % os.getpid(), 0)
signal.signal(signal.SIGHUP, lambda *_: print("reload", flush=True))
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def master(stopped: StoppedQueue) -> Iterator[subprocess.Popen[str]]:
    lock = str(stopped.queue / "pid" / "master.pid")
    with subprocess.Popen([sys.executable, "-c", STAND_IN, lock], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_stop_waits_for_the_end(
    stopped: StoppedQueue, master: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert stopped.run("stop") == 0
    assert capsys.readouterr().err == "gatepost stop: stopping the mail system\n"
    assert master.wait() == -signal.SIGTERM
    descriptor = os.open(stopped.queue / "pid" / "master.pid", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


def test_status_of_a_running_system(
    stopped: StoppedQueue, master: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert stopped.run("status") == 0
    assert capsys.readouterr().out == f"the mail system is running: PID: {master.pid}\n"


def test_reload_tells_master(
    stopped: StoppedQueue, master: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert stopped.run("reload") == 0
    assert capsys.readouterr().err == "gatepost reload: refreshing the mail system\n"
    assert master.stdout is not None
    assert master.stdout.readline() == "reload\n"


def test_reload_refuses_what_check_calls_a_fault(
    stopped: StoppedQueue, master: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with (stopped.config / "main.cf").open("a") as file:
        file.write("mynetworks = 192.168.1.1/24\n")
    assert stopped.run("reload") == 1
    fault, *_, last = capsys.readouterr().err.splitlines()
    assert fault.startswith(f"gatepost reload: fatal: {stopped.config}/main.cf, line ")
    assert "non-null host address bits" in fault
    assert last == "gatepost reload: the old configuration goes on"


def test_logrotate_needs_a_log_file(stopped: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    assert stopped.run("logrotate") == 1
    assert "cannot rename" in capsys.readouterr().err


def test_logrotate_of_a_stopped_system(stopped: StoppedQueue) -> None:
    stopped.log.write_text("a line\n")
    assert stopped.run("logrotate") == 0
    assert not stopped.log.exists()
    (aside,) = stopped.log.parent.glob("maillog.*")
    assert aside.suffix == ".gz"


@pytest.mark.parametrize("command", ["stop", "reload", "status", "logrotate"])
def test_a_wrong_command_line(stopped: StoppedQueue, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert stopped.run(command, "what") == 64
    assert capsys.readouterr().err == f"gatepost {command}: fatal: unrecognized arguments: what\n"
