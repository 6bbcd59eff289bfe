"""The agent against Postfix's own smtp-sink(1)."""

import asyncio
import os
import random
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gatepost.delivery.lmtp import LmtpAgent
from gatepost.delivery.smtp import SmtpAgent
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.dns.fake import FakeResolver
from gatepost.ipc.messages import DeliveryRecipient, DeliveryRequest

SINK = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/lib/postfix/sbin")

pytestmark = pytest.mark.skipif(SINK is None, reason="smtp-sink is not installed")

Sink = Callable[..., int]


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    """Starts smtp-sink with options; returns its port."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> int:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = int(sock.getsockname()[1])
        # As root it insists on a user, and gives up its rights: the folder must be open to that user.
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        tmp_path.chmod(0o777)
        command = [str(SINK), *user, "-R", str(tmp_path), *options, f"127.0.0.1:{port}", "100"]
        processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            else:
                return port

    yield start
    for process in processes:
        process.terminate()
        process.wait()


def request(number: int, port: int, content: bytes, keep: bool) -> DeliveryRequest:
    return DeliveryRequest(
        request_id=number, epoch=1, queue_id=f"Q{number}", transport="smtp", nexthop=f"[127.0.0.1]:{port}",
        sender="s@me.example", recipients=[DeliveryRecipient(0, "a@x.example"), DeliveryRecipient(1, "b@x.example")],
        size=len(content), arrival=time.time(), active=time.time(), content=content, keep=keep,
    )  # fmt: skip


def new_agent(lines: list[str], kind: type[SmtpAgent] = SmtpAgent) -> SmtpAgent:
    params = SmtpParams(myhostname="me.example", helo_name="me.example")
    return kind(params, FakeResolver(), None, lines.append, lines.append, time.time, random.Random(1))


@pytest.mark.parametrize("options", [[], ["-p"], ["-e"], ["-8", "-p"]], ids=["esmtp", "lock-step", "helo", "bare"])
async def test_what_arrives_is_what_was_sent(options: list[str], sink: Sink, tmp_path: Path) -> None:
    port = sink("-d", "message.", *options)
    lines: list[str] = []
    agent = new_agent(lines)
    content = b"Subject: dots\n\n.\n..\nend\n"
    for number in range(3):
        done = await agent.deliver(request(number, port, content, keep=number < 2))
        assert [status.action for status in done.statuses] == ["sent", "sent"], lines
    await agent.close()
    files = sorted(tmp_path.glob("message.*"))
    assert len(files) == 3
    for file in files:
        text = file.read_bytes()
        assert re.search(rb"X-Rcpt-Args: <b@x.example>", text)
        assert content in text
    assert ", conn_use=3, " in lines[-1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["-r", "RCPT"], r"host \S+ said: 450 4\.3\.0 Error: command failed \(in reply to RCPT TO command\)"),
        (["-f", "MAIL"], r"host \S+ said: 500 5\.3\.0 Error: command failed \(in reply to MAIL FROM command\)"),
        (["-q", "DATA"], r"lost connection with 127\.0\.0\.1\[127\.0\.0\.1\] while sending DATA command"),
        (["-f", "CONNECT"], r"host 127\.0\.0\.1\[127\.0\.0\.1\] refused to talk to me: .*"),
    ],
)  # fmt: skip
async def test_failures(options: list[str], text: str, sink: Sink) -> None:
    port = sink(*options)
    done = await new_agent([]).deliver(request(1, port, b"Subject: x\n\nx\n", keep=False))
    assert len(done.statuses) == 2
    for status in done.statuses:
        assert re.fullmatch(text, status.text), status.text


@pytest.mark.parametrize("options", [["-L"], ["-L", "-p"]], ids=["pipelining", "lock-step"])
async def test_lmtp(options: list[str], sink: Sink, tmp_path: Path) -> None:
    port = sink("-d", "message.", *options)
    lines: list[str] = []
    agent = new_agent(lines, LmtpAgent)
    for number in range(3):
        done = await agent.deliver(request(number, port, b"Subject: x\n\n.x\n", keep=number < 2))
        assert [status.action for status in done.statuses] == ["sent", "sent"], lines
    await agent.close()
    assert len([*tmp_path.glob("message.*")]) == 3
    assert ", conn_use=3, " in lines[-1]


async def test_many_at_once(sink: Sink) -> None:
    port = sink()
    agent = new_agent([])
    content = b"Subject: x\n\n" + b"0123456789\n" * 400
    done = await asyncio.gather(*(agent.deliver(request(n, port, content, keep=True)) for n in range(60)))
    assert {status.action for one in done for status in one.statuses} == {"sent"}
    await agent.close()
