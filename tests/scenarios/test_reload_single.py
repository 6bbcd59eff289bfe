"""A reload where everything is one process: sessions, deliveries and the queue pass over it unhurt."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.scenarios.server import MASTER_CF, Sink, free_port, queue_id_of, smtp_sink_program, until
from tests.scenarios.test_reload import DENIED, World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.server.start("--single-process")
    yield made
    made.stop()


def reload(world: World) -> None:
    before = world.reloaded()
    world.server.command("reload")
    until(lambda: world.reloaded() > before, "the reload")


def test_an_open_session_goes_on_under_the_old_rules(world: World) -> None:
    server = world.server
    old = server.client()
    old.say("MAIL FROM:<ann@home.example>")
    server.write(world.main_cf("127.0.0.9"))
    reload(world)
    client = server.client()
    client.say("MAIL FROM:<ann@home.example>")
    assert client.say("RCPT TO:<bob@far.example>") == DENIED
    client.close()
    assert old.say("RCPT TO:<bob@far.example>") == "250 2.1.5 Ok"
    old.say("DATA")
    queue_id = queue_id_of(old.say("Subject: old\r\n\r\nText.\r\n."))
    server.wait_log(f"{queue_id}: removed")
    server.stop()
    assert old.reply().startswith("421 4.3.2 ") and old.reply() == ""
    old.close()
    assert not server.log_lines("panic|warning|error")


def test_a_delivery_under_way_is_not_begun_again(world: World) -> None:
    server = world.server
    world.peer.release.clear()
    queue_ids = [server.send("ann@home.example", "bob@far.example") for _ in range(2)]
    until(lambda: world.peer.commands.count("DATA") == 2, "DATA")
    for _ in range(2):
        reload(world)
    queue_ids.append(server.send("ann@home.example", "bob@far.example"))
    until(lambda: world.peer.commands.count("DATA") == 3, "DATA")
    world.peer.release.set()
    for queue_id in queue_ids:
        server.wait_log(f"{queue_id}: removed")
    assert len(world.peer.messages) == 3
    assert server.command("mailq").stdout == "Mail queue is empty\n"


def test_deferred_mail_goes_where_the_new_configuration_says(world: World) -> None:
    server = world.server
    server.write(world.main_cf("127.0.0.1", port=free_port()))
    reload(world)
    queue_id = server.send("ann@home.example", "bob@far.example")
    server.wait_log(f"{queue_id}: to=.*status=deferred")
    server.write(world.main_cf("127.0.0.1"))
    reload(world)
    server.command("postqueue", "-f")
    server.wait_log(f"{queue_id}: removed")


def test_a_mistake_is_named_and_the_old_configuration_goes_on(world: World) -> None:
    server = world.server
    server.write(world.main_cf("127.0.0.1") + "smtpd_timeout = 5 bananas\n")
    assert server.command("reload", check=False).returncode == 1
    os.kill(server.master_pid(), signal.SIGHUP)
    server.wait_log(r"postfix/master\[\d+\]: error: reload: .*smtpd_timeout.*; the old configuration goes on")
    queue_id = server.send("ann@home.example", "bob@far.example")
    server.wait_log(f"{queue_id}: removed")


def test_a_listener_comes_and_one_goes(world: World) -> None:
    server = world.server
    first, second = server.port, free_port()
    server.write(world.main_cf("127.0.0.1"), MASTER_CF.format(listen=f"127.0.0.1:{second}"))
    reload(world)
    server.port = second
    server.send("ann@home.example", "bob@far.example")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", first), 5)
    server.write(world.main_cf("127.0.0.1"), MASTER_CF.format(listen=f"127.0.0.1:{first}"))
    reload(world)
    server.port = first
    server.send("ann@home.example", "bob@far.example")


@pytest.mark.skipif(
    smtp_sink_program() is None and not os.environ.get("CI"), reason="smtp-source (Debian's postfix) is not installed"
)
def test_reloads_under_load_lose_nothing_and_refuse_nothing(world: World) -> None:
    server = world.server
    sink = Sink(world.folder / "sink")
    messages = 1500
    try:
        server.write(world.main_cf("127.0.0.1", port=sink.port))
        reload(world)
        load = subprocess.Popen(
            ["/usr/sbin/smtp-source", "-s", "8", "-m", str(messages), "-l", "2000", "-f", "ann@home.example",
             "-t", "bob@far.example", f"127.0.0.1:{server.port}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        reloads = 0
        while load.poll() is None and reloads < 8:
            os.kill(server.master_pid(), signal.SIGHUP)
            reloads += 1
            until(lambda done=reloads: world.reloaded() > done, "the reload")
            time.sleep(0.02)  # else nothing but reloads would happen
        output, _ = load.communicate(timeout=60)
        assert load.returncode == 0 and output == b"", output
        assert reloads > 1
        until(lambda: len(sink.messages()) >= messages, "all messages")
        until(lambda: server.command("mailq").stdout == "Mail queue is empty\n", "an empty queue")
        ids = [re.findall(r"with E?SMTP id (\w+)", text)[-1] for text in sink.messages()]
        assert len(set(ids)) == len(ids) == messages, f"{reloads} reloads"
        assert len(server.log_lines(": removed")) == messages
        assert not server.log_lines("reject|panic|lost connection")
    finally:
        sink.stop()
