"""The other side, or name service, goes away in the middle of deliveries and comes back: nothing is lost."""

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.others import lasting
from tests.scenarios.peers import Peer
from tests.scenarios.server import Client, Dns, Gatepost, free_port, queue_id_of, until

MAIN_CF = """\
myhostname = relay.home.example
mydestination =
mynetworks = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
transport_maps = inline:{{ {transports} }}
gatepost_dns_servers = 127.0.0.1:{dns}
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
smtp_connect_timeout = 2s
smtp_helo_timeout = 2s
smtp_mail_timeout = 2s
smtp_rcpt_timeout = 2s
smtp_data_init_timeout = 2s
smtp_data_xfer_timeout = 2s
smtp_data_done_timeout = 2s
smtpd_timeout = 2s
smtp_host_lookup = dns
smtp_connection_cache_on_demand = no
notify_classes =
"""
LARGE = "Subject: large\r\n\r\n" + ("x" * 70 + "\r\n") * 30_000
SMALL = "Subject: small\r\n\r\nText.\r\n"
AFTER_CONTENT = "while sending end of data -- message may be sent more than once"
GONE = {
    # At which step the peer hangs up, and what is said of it.
    "CONNECT": "while receiving the initial server greeting",
    "EHLO": "while performing the EHLO handshake",
    "MAIL": "while sending MAIL FROM",
    "RCPT": "while sending RCPT TO",
    "DATA": "while sending DATA command",
    ".": AFTER_CONTENT,
}


class StubbornPeer:
    """Takes connections, and answers until DATA; then it never reads again (`deaf`), or resets the connection."""

    def __init__(self, *, deaf: bool) -> None:
        self._deaf = deaf
        self._sockets: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._server.accept()
                self._sockets.append(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock.makefile("rb") as file:
            sock.sendall(b"220 stubborn ESMTP\r\n")
            for line in file:
                if line.startswith(b"DATA"):
                    sock.sendall(b"354 Go\r\n")
                    break
                sock.sendall(b"250 Ok\r\n")
            if not self._deaf:
                file.readline()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
            else:
                threading.Event().wait(60)

    def stop(self) -> None:
        for sock in (self._server, *self._sockets):
            sock.close()


class World:
    """Mail to bob@NAME.example goes to the peer of that name, large mail with its sender's name `large`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.peers = {step: Peer(**{step: ""}) for step in GONE}
        self.names = {step: f"gone{number}" for number, step in enumerate(GONE)}
        self.silent = Peer()
        self.silent.release.clear()
        self.deaf, self.reset = StubbornPeer(deaf=True), StubbornPeer(deaf=False)
        self.refused = free_port()
        ports = {self.names[step]: peer.port for step, peer in self.peers.items()}
        ports |= {
            "silent": self.silent.port, "deaf": self.deaf.port, "reset": self.reset.port, "refused": self.refused,
        }  # fmt: skip
        self.mx = Peer(port=0)
        self.zone = "far.example MX 10 mx.far.example\nmx.far.example A 127.0.0.1\nodd.example GARBAGE\n"
        self.dns = Dns(folder, self.zone)
        transports = " ".join(f"{{ {name}.example = smtp:[127.0.0.1]:{port} }}" for name, port in ports.items())
        for domain in ("far", "odd"):
            transports += f" {{ {domain}.example = smtp:{domain}.example:{self.mx.port} }}"
        self.server = Gatepost(folder, MAIN_CF.format(transports=transports, dns=self.dns.port)).start()

    def sent(self, queue_id: str) -> None:
        self.server.wait_log(f"{queue_id}: removed")
        assert len(self.server.log_lines(f"{queue_id}: to=.*status=sent")) == 1

    def stop(self) -> None:
        try:
            self.server.stop()
        finally:
            self.dns.stop()
            for peer in (*self.peers.values(), self.silent, self.deaf, self.reset, self.mx):
                peer.stop()
        assert "panic" not in self.server.log()
        assert "status=bounced" not in self.server.log()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with lasting(World) as made:
        yield made


def test_a_peer_that_hangs_up_at_each_step(world: World) -> None:
    """Small and large mail; deferred with the step, and delivered when the peer is well again."""
    server = world.server
    ids = {
        (step, size): server.send(f"{size}@home.example", f"bob@{name}.example", LARGE if size == "large" else SMALL)
        for step, name in world.names.items()
        for size in ("small", "large")
    }
    for (step, _), queue_id in ids.items():
        line = server.wait_log(rf"{queue_id}: to=.*status=deferred")
        where = r"127\.0\.0\.1\[127\.0\.0\.1\]"
        assert re.search(
            rf"dsn=4\.4\.2, status=deferred \(lost connection with {where} {re.escape(GONE[step])}\)$"
            r"|status=deferred \(delivery temporarily suspended: lost connection with ",
            line,
        ), line
    for peer in world.peers.values():
        peer.replies.clear()
    for (step, size), queue_id in ids.items():
        world.sent(queue_id)
        arrived = [m for m in world.peers[step].messages if m.sender == f"{size}@home.example"]
        # Only who has got all of it, and whose answer was lost, gets it twice.
        assert len(arrived) == 1 or step == ".", (step, size)
        assert all(m.content.count("x" * 70) == (30_000 if size == "large" else 0) for m in arrived)


def test_a_peer_that_never_reads_and_one_that_resets(world: World) -> None:
    server = world.server
    deaf = server.send("large@home.example", "bob@deaf.example", LARGE * 4)
    reset = server.send("large@home.example", "bob@reset.example", LARGE)
    silent = server.send("small@home.example", "bob@silent.example")
    where = r"with 127\.0\.0\.1\[127\.0\.0\.1\] "
    for queue_id, what in (
        (deaf, rf"conversation {where}timed out while sending message body"),
        (reset, rf"lost connection {where}while sending (message body|end of data.*)"),
        (silent, rf"conversation {where}timed out while {re.escape(AFTER_CONTENT.removeprefix('while '))}"),
    ):
        line = server.wait_log(rf"{queue_id}: to=.*status=deferred")
        assert re.search(rf"dsn=4\.4\.2, status=deferred \({what}\)$", line), line
    for queue_id in (deaf, reset):
        server.command("postsuper", "-d", queue_id)
    world.silent.release.set()
    world.sent(silent)


def test_many_that_are_refused(world: World) -> None:
    """A hundred messages for a port where nobody listens: a few attempts, then they wait together."""
    server = world.server
    client = server.client()
    ids = [queue_id_of(client.send("ann@home.example", "bob@refused.example")) for _ in range(100)]
    client.close()
    for queue_id in ids:
        server.wait_log(rf"{queue_id}: to=.*status=deferred \(.*Connection refused\)")
    peer = Peer(port=world.refused)
    try:
        for queue_id in ids:
            world.sent(queue_id)
        assert len(peer.messages) == len(ids)
    finally:
        peer.stop()


def test_name_service_goes_away_and_comes_back(world: World) -> None:
    """While it is away, or talks nonsense, mail waits; it is never returned."""
    server = world.server
    world.sent(server.send("ann@home.example", "bob@far.example"))
    odd = server.send("ann@home.example", "bob@odd.example")
    server.wait_log(
        rf"{odd}: to=.*dsn=4\.4\.3, status=deferred \(Host or domain name not found\. Name service error for "
    )
    world.dns.stop()
    server.command("reload")  # what is known already would do
    until(lambda: len(server.log_lines("reload -- version")) == 1, "the reload")
    waiting = [server.send("ann@home.example", f"bob{number}@far.example") for number in range(5)]
    for queue_id in waiting:
        server.wait_log(rf"{queue_id}: to=.*dsn=4\.4\.3, status=deferred \(.*Name service error for name=far\.example ")
    world.zone = world.zone.replace("odd.example GARBAGE", "odd.example MX 10 mx.far.example")
    world.dns = Dns(world.folder, world.zone, port=world.dns.port)
    for queue_id in (*waiting, odd):
        world.sent(queue_id)


def test_clients_that_go_away(world: World) -> None:
    """In the middle of content, by a reset, or without a word: nothing of it is stored, the others go on."""
    server = world.server
    stages = ["EHLO", "MAIL", "RCPT", "DATA", "content"]
    lines = ["EHLO c.example", "MAIL FROM:<ann@home.example>", "RCPT TO:<bob@far.example>", "DATA"]
    silent: list[Client] = []
    for number in range(len(stages)):
        for reset in (True, False):
            client = Client(server.port)
            for line in lines[: number + 1]:
                assert client.say(line)[0] in "23"
            if stages[number] == "content":
                client.sock.sendall(LARGE[:1_000_000].encode())
            if reset:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.file.close()
                client.sock.close()
            else:
                silent.append(client)
    for client in silent:
        assert client.reply() == "421 4.4.2 relay.home.example Error: timeout exceeded"
        client.hang_up()
    until(lambda: len(server.log_lines("timeout after")) >= len(silent), "a line for each that is silent")
    until(
        lambda: len(server.log_lines("lost connection after (EHLO|MAIL|RCPT|DATA)")) >= len(stages), "lost connections"
    )
    until(lambda: not any((server.queue / "content").iterdir()), "no content files")
    world.sent(server.send("ann@home.example", "bob@far.example"))
