"""`make run`: what a newcomer sees, and types after it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatepost.cli.starter import write_configuration
from tests.scenarios.server import REPOSITORY, WAIT, as_user, free_port, system_user, temporary_folder, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a user whose home is written to")


class Newcomer:
    """Runs the starter in `folder`; mail for root goes to the new user, too."""

    def __init__(self, folder: Path, user: str, home: Path, prefix: list[str]) -> None:
        self.port = free_port()
        self.home = home
        self.prefix = prefix
        self.folder = folder / "run"
        if not prefix:
            write_configuration(self.folder, self.port)
            with open(self.folder / "main.cf", "a") as main_cf:
                main_cf.write(f"alias_maps = inline:{{ root={user} }}\n")
        self.output = folder / "screen"
        with open(self.output, "wb") as screen:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "gatepost.cli.starter", "--port", str(self.port), str(self.folder)],
                cwd=REPOSITORY,
                stdout=screen,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until(lambda: "daemon started" in self.screen() or self.process.poll() is not None, "the start")

    def screen(self) -> str:
        return self.output.read_text()

    def commands(self) -> list[str]:
        """What the hints tell to type."""
        return re.findall(r"^  (\S.*(?:\\\\\n.*)?)$", self.screen().partition("daemon started")[0], re.M)

    def type(self, command: str) -> str:
        done = subprocess.run(
            [*self.prefix, "sh", "-c", command], cwd="/", capture_output=True, text=True, timeout=WAIT, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr + self.screen()
        return done.stdout

    def stop(self) -> int:
        """Ctrl-C."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(WAIT)


@pytest.fixture(params=["root", "ordinary"])
def newcomer(request: pytest.FixtureRequest) -> Iterator[Newcomer]:
    user = f"gp{os.getpid()}s"
    with temporary_folder() as folder, system_user(user, folder / "home") as entry:
        prefix: list[str] = []
        if request.param == "ordinary":
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            prefix = as_user(user)
        made = Newcomer(folder, user, folder / "home", prefix)
        yield made
        made.stop()


def test_the_first_message_and_the_first_change(newcomer: Newcomer) -> None:
    send, check, reload = newcomer.commands()
    newcomer.type(send)
    inbox = newcomer.home / "Maildir" / "new"
    until(lambda: inbox.exists() and len(list(inbox.iterdir())) == 1, f"the message\n{newcomer.screen()}")
    assert "Subject: first\n" in next(inbox.iterdir()).read_text()
    until(lambda: ": removed" in newcomer.screen(), "the log on the screen")

    told = newcomer.type(check)
    assert "mynetworks" in told
    assert "not supported yet" not in told
    main_cf = newcomer.folder / "main.cf"
    text = main_cf.read_text().replace("inet_interfaces = loopback-only", "inet_interfaces = all")
    main_cf.write_text(
        text.replace("\nmynetworks = 127.0.0.0/8", "\nmynetworks = 127.0.0.0/8 !192.168.87.1 192.168.87.0/24")
    )
    newcomer.type(reload)
    until(lambda: "reload -- version" in newcomer.screen() or "error" in newcomer.screen(), "the reload")
    assert "error" not in newcomer.screen(), newcomer.screen()
    newcomer.type(send)
    until(lambda: len(list(inbox.iterdir())) == 2, f"the second message\n{newcomer.screen()}")
    assert newcomer.stop() in (0, 130)
    assert "warning" not in newcomer.screen() and "Traceback" not in newcomer.screen(), newcomer.screen()


def test_a_port_that_is_taken(newcomer: Newcomer) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gatepost.cli.starter", "--port", str(newcomer.port), str(newcomer.folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"gatepost: fatal: something listens on port {newcomer.port} already (make run PORT=...)\n"
