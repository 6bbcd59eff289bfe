"""The programs that people send mail with: each one's message arrives."""

import os
import shutil
import smtplib
import subprocess
from collections.abc import Iterator

import pytest

from tests.scenarios.peers import Peer, Received
from tests.scenarios.server import WAIT, Gatepost, temporary_folder, until

MAIN_CF = """\
myhostname = relay.home.example
mydestination =
mynetworks = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
relayhost = [127.0.0.1]:{port}
"""


class World:
    def __init__(self) -> None:
        self._folder = temporary_folder()
        self.folder = self._folder.__enter__()
        self.peer = Peer()
        self.server = Gatepost(self.folder, MAIN_CF.format(port=self.peer.port)).start()
        self.address = f"127.0.0.1:{self.server.port}"

    def received(self, sender: str) -> list[Received]:
        return [message for message in self.peer.messages if message.sender == sender]

    def stop(self) -> None:
        try:
            self.server.stop()
        finally:
            self.peer.stop()
            self._folder.__exit__(None, None, None)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    yield made
    made.stop()


def program(name: str) -> str:
    """Where it is. Not installed: the test is skipped, in CI it fails."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        assert not os.environ.get("CI"), f"{name} is not installed"
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str, text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=WAIT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_swaks(world: World) -> None:
    shown = run(
        program("swaks"),
        "--server",
        world.address,
        "--from",
        "swaks@home.example",
        "--to",
        "bob@far.example,carol@far.example",
        "--header",
        "Subject: from swaks",
        "--body",
        "Text of swaks.\n.\n..dots",
        "--ehlo",
        "swaks.example",
    )
    assert "<-  250 2.0.0 Ok: queued as " in shown
    until(lambda: len(world.received("swaks@home.example")) == 1, "the message")
    (message,) = world.received("swaks@home.example")
    assert message.recipients == ["bob@far.example", "carol@far.example"]
    assert "Subject: from swaks" in message.content and "Text of swaks.\n.\n..dots\n" in message.content


def test_swaks_pipelined(world: World) -> None:
    run(
        program("swaks"),
        "--server",
        world.address,
        "--from",
        "pipe@home.example",
        "--to",
        "bob@far.example",
        "--pipeline",
    )
    until(lambda: len(world.received("pipe@home.example")) == 1, "the message")


def test_smtp_source(world: World) -> None:
    run(
        program("smtp-source"),
        "-s",
        "5",
        "-m",
        "40",
        "-l",
        "5000",
        "-f",
        "source@home.example",
        "-t",
        "bob@far.example",
        world.address,
    )
    run(
        program("smtp-source"),
        "-d",
        "-s",
        "2",
        "-m",
        "10",
        "-r",
        "3",
        "-f",
        "source3@home.example",
        "-t",
        "bob@far.example",
        world.address,
    )
    until(lambda: len(world.received("source@home.example")) == 40, "40 messages")
    until(lambda: len(world.received("source3@home.example")) == 10, "10 messages")
    assert all(len(m.recipients) == 3 for m in world.received("source3@home.example"))
    assert all(len(m.content) >= 5000 for m in world.received("source@home.example"))


def test_curl(world: World) -> None:
    path = world.folder / "letter"
    path.write_text("Subject: from curl\r\n\r\nText of curl.\r\n")
    run(
        program("curl"),
        "--silent",
        "--show-error",
        f"smtp://{world.address}/curl.example",
        "--mail-from",
        "curl@home.example",
        "--mail-rcpt",
        "bob@far.example",
        "--upload-file",
        str(path),
    )
    until(lambda: len(world.received("curl@home.example")) == 1, "the message")
    assert world.received("curl@home.example")[0].content.endswith("\nText of curl.\n")


def test_msmtp(world: World) -> None:
    run(
        program("msmtp"),
        "--file=/dev/null",
        "--host=127.0.0.1",
        f"--port={world.server.port}",
        "--from=msmtp@home.example",
        "--auth=off",
        "--tls=off",
        "bob@far.example",
        text="Subject: from msmtp\n\nText of msmtp.\n",
    )
    until(lambda: len(world.received("msmtp@home.example")) == 1, "the message")
    assert "Text of msmtp.\n" in world.received("msmtp@home.example")[0].content


def test_smtplib(world: World) -> None:
    with smtplib.SMTP("127.0.0.1", world.server.port, timeout=WAIT) as client:
        assert client.verify("bob@far.example")[0] == 252
        refused = client.sendmail(
            "smtplib@home.example",
            ["bob@far.example", "Bob <carol@far.example>"],
            "Subject: from smtplib\r\n\r\n.Text\r\n.\r\nof smtplib: grüß\r\n".encode(),
            mail_options=["BODY=8BITMIME"],
        )
        assert refused == {}
        # And once more over the same session.
        client.sendmail("smtplib2@home.example", "bob@far.example", "Subject: second\n\nText\n")
    until(lambda: len(world.received("smtplib2@home.example")) == 1, "the second message")
    until(lambda: len(world.received("smtplib@home.example")) == 1, "the first message")
    (message,) = world.received("smtplib@home.example")
    assert message.recipients == ["bob@far.example", "carol@far.example"]
    assert message.content.endswith("\n.Text\n.\nof smtplib: grüß\n")
