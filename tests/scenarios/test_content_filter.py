"""A content filter behind the queue, with the lines of Postfix's FILTER_README: in, through it, in again, and out."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.peers import Peer
from tests.scenarios.server import MASTER_CF, Gatepost, free_port, temporary_folder, until

HOST = "127.0.86.1"
MAIN_CF = """\
myhostname = mail.ours.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.86.1
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
smtpd_peername_lookup = no
smtpd_sender_restrictions = check_sender_access inline:{{ {{ straight@s.example = FILTER smtp:[127.0.86.2]:{peer} }} }}
relay_domains = list.example
relay_recipient_maps = inline:{{ {{ all@list.example = x }} }}
virtual_alias_maps = inline:{{ {{ all@list.example = one@far.example, two@far.example }} }}
transport_maps = inline:{{ {{ bad.example = smtp:[127.0.86.2]:{peer} }}, {{ far.example = smtp:[127.0.86.2]:{peer} }},
  {{ s.example = smtp:[127.0.86.2]:{peer} }} }}
content_filter = scan:{host}:{filter}
receive_override_options = no_address_mappings
gatepost_dns_servers = 127.0.0.1:9
disable_dns_lookups = yes
"""
# FILTER_README, "Advanced content filter: requesting that all mail is filtered", but for hosts and ports.
FILTER_CF = """\
scan      unix  -       -       n       -       10      smtp
    -o smtp_send_xforward_command=yes
    -o disable_mime_output_conversion=yes
    -o smtp_generic_maps=
{back}    inet  n       -       n       -       10      smtpd
    -o content_filter=
    -o receive_override_options=no_unknown_recipient_checks,no_header_body_checks,no_milters
    -o smtpd_helo_restrictions=
    -o smtpd_client_restrictions=
    -o smtpd_sender_restrictions=
    -o smtpd_relay_restrictions=
    -o smtpd_recipient_restrictions=permit_mynetworks,reject
    -o mynetworks=127.0.0.0/8
    -o smtpd_authorized_xforward_hosts=127.0.0.0/8
"""


class FilterProgram(Peer):
    """Takes mail, and gives it back to `back` with one header more."""

    def __init__(self, back: tuple[str, int]) -> None:
        super().__init__(HOST)
        self.back = back
        self.replies["EHLO"] = "250-filter.example\r\n250 XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT"

    def give_back(self) -> int:
        """Re-inject what has come since, as an SMTP client of the second listener; how many."""
        taken, self.messages = self.messages, []
        for message in taken:
            lines = [f"MAIL FROM:<{message.sender}>", *(f"RCPT TO:<{one}>" for one in message.recipients), "DATA"]
            with socket.create_connection(self.back, 30) as sock, sock.makefile("rwb") as stream:
                _reply(stream)
                forwarded = [line for line in self.commands if line.startswith("XFORWARD")]
                for line in ["EHLO filter.example", *forwarded, *lines]:
                    stream.write(f"{line}\r\n".encode())
                    stream.flush()
                    assert _reply(stream)[:1] in b"23", line
                content = ("X-Scanned: yes\n" + message.content).replace("\n", "\r\n")
                stream.write(content.encode() + b".\r\nQUIT\r\n")
                stream.flush()
                assert _reply(stream).startswith(b"250 2.0.0 Ok: queued as")
        return len(taken)


def _reply(stream: "object") -> bytes:
    while True:
        line: bytes = stream.readline()  # type: ignore[attr-defined]
        if line[3:4] != b"-":
            return line


class World:
    def __init__(self, folder: Path, *options: str, mode: str = "", extra: str = "") -> None:
        self.peer = Peer("127.0.86.2")
        self.back = free_port(HOST)
        self.filter = FilterProgram((HOST, self.back))
        self.port = free_port(HOST)
        master_cf = MASTER_CF.format(listen=f"{HOST}:{self.port}") + FILTER_CF.format(back=f"{HOST}:{self.back}")
        main_cf = MAIN_CF.format(host=HOST, peer=self.peer.port, filter=self.filter.port) + extra
        self.server = Gatepost(folder, main_cf, host=HOST, port=self.port, master_cf=master_cf + mode).start(*options)

    def stop(self) -> None:
        try:
            self.server.stop()
        finally:
            self.peer.stop()
            self.filter.stop()


@pytest.fixture(params=[(), ("--single-process",)], ids=["processes", "single"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with temporary_folder() as folder:
        made = World(folder, *request.param)
        yield made
        made.stop()


def test_mail_goes_through_the_filter_and_out(world: World) -> None:
    queue_id = world.server.send("ann@s.example", "all@list.example")
    line = world.server.wait_log(f"/scan/smtp.*{queue_id}: to=|smtp.*{queue_id}: to=")
    # As Postfix logs it: no alias is expanded before the filter, the relay is the filter.
    assert f"to=<all@list.example>, relay={HOST}[{HOST}]:{world.filter.port}, " in line
    assert "status=sent (250 2.0.0 Ok)" in line
    world.server.wait_log(f"{queue_id}: removed")
    assert world.filter.messages[0].recipients == ["all@list.example"]
    assert any(command.startswith("XFORWARD NAME=") for command in world.filter.commands)
    assert world.filter.give_back() == 1
    until(lambda: bool(world.peer.messages), "delivery")
    message = world.peer.messages[0]
    # After it they are; and there is no second round.
    assert sorted(message.recipients) == ["one@far.example", "two@far.example"]
    assert "X-Scanned: yes\n" in message.content
    world.server.wait_log(r"to=<one@far.example>, orig_to=<all@list.example>, relay=127\.0\.86\.2")
    assert not world.filter.messages


def test_a_filter_of_the_access_table_takes_precedence(world: World) -> None:
    world.server.send("straight@s.example", "joe@far.example")
    until(lambda: bool(world.peer.messages), "delivery")
    assert world.peer.messages[0].recipients == ["joe@far.example"]
    assert not world.filter.messages


def test_mail_waits_while_the_filter_is_down(world: World) -> None:
    world.filter.replies["CONNECT"] = ""
    queue_id = world.server.send("ann@s.example", "joe@far.example")
    line = world.server.wait_log(f"{queue_id}: to=")
    assert "status=deferred (lost connection" in line
    del world.filter.replies["CONNECT"]
    world.server.command("postqueue", "-f")
    until(lambda: bool(world.filter.messages), "the filter's turn")
    world.server.wait_log(f"{queue_id}: removed")


def test_notices_are_not_filtered_and_requeued_mail_is(world: World) -> None:
    world.peer.replies["RCPT TO:<joe@bad.example>"] = "550 5.1.1 No such user"
    world.server.send("ann@s.example", "joe@bad.example")
    until(lambda: bool(world.filter.messages), "the filter's turn")
    world.filter.give_back()
    # bad.example bounces behind the filter, and its notice goes out at once.
    until(lambda: bool(world.peer.messages), "the notice")
    assert world.peer.messages[0].recipients == ["ann@s.example"]
    assert "X-Scanned: yes" in world.peer.messages[0].content
    assert not world.filter.messages
    # pickup(8) has a content_filter, too: what is requeued goes through it, whatever way it had come.
    world.peer.replies["RCPT"] = "450 4.2.0 Not now"
    with socket.create_connection((HOST, world.back), 30) as sock, sock.makefile("rwb") as stream:
        _reply(stream)
        for line in ("EHLO x", "MAIL FROM:<ann@s.example>", "RCPT TO:<joe@far.example>", "DATA", "Subject: x\r\n\r\n."):
            stream.write(f"{line}\r\n".encode())
            stream.flush()
            reply = _reply(stream)
    queue_id = reply.decode().split()[-1]
    world.server.wait_log(f"{queue_id}: to=.*status=deferred")
    world.server.command("postsuper", "-r", queue_id)
    until(lambda: bool(world.filter.messages), "the filter's turn")
    assert world.filter.messages[0].recipients == ["joe@far.example"]


def test_what_is_wrong_is_told(world: World) -> None:
    world.server.write(
        (world.server.conf / "main.cf").read_text().replace("content_filter = scan:", "content_filter = nosuch:")
    )
    told = world.server.command("check", "-q", check=False).stdout
    assert re.search(r"main\.cf, line \d+: parameter content_filter: master\.cf has no transport nosuch", told), told
