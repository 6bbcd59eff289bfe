"""Mail through three servers, Gatepost or a third Postfix between two real ones: the same arrives, once."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import NamedTuple

from tests.compat.outgoing_contents import CHECKED, CONTENTS
from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.compat.scripted_sink import ScriptedSink
from tests.scenarios.server import MASTER_CF, Client, Gatepost, free_port, temporary_folder, until

MAIN_CF = """
compatibility_level = 3.6
myhostname = {name}.chain.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_forbid_bare_newline = normalize
local_recipient_maps =
message_size_limit = 20000000
relayhost = [127.0.0.1]:{port}
"""
OFFERS = "250-peer.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN"
AT_ONCE = 50  # smtp_destination_recipient_limit
SENDER = "sender@client.example"


class Mail(NamedTuple):
    """`mail`, `rcpt`: parameters of MAIL FROM and RCPT TO. `refused`: it gets to the last server only."""

    content: bytes = b"Subject: x\r\n\r\nhello\r\n"
    sender: str = SENDER
    recipients: tuple[str, ...] = ("someone@else.example",)
    mail: str = ""
    rcpt: str = ""
    refused: bool = False


LONG = b"".join(b"%06d %s\r\n" % (number, b"x" * (number % 970)) for number in range(6000))
MAILS = {
    **{f"content-{name}": Mail(content) for name, content in CONTENTS.items()},
    **{f"eight-{name}": Mail(content, mail=" BODY=8BITMIME") for name, content in CONTENTS.items()},
    "checked": Mail(CHECKED),
    "dots": Mail(b"Subject: x\r\n\r\n..\r\n...\r\n....x\r\n"),
    "nothing": Mail(b""),
    "large": Mail(b"Subject: x\r\n\r\n" + LONG),
    "line": Mail(b"Subject: x\r\n\r\n" + b"y" * 300_000 + b"\r\n"),
    "header": Mail(b"Subject: " + b"z" * 3000 + b"\r\n folded\r\n\tagain\r\n\r\nx\r\n"),
    "many": Mail(recipients=tuple(f"r{number:03}@else.example" for number in range(150))),
    "bounce": Mail(sender="", rcpt=" NOTIFY=NEVER"),
    "quoted": Mail(sender='"a b"@client.example', recipients=('"c\\"d"@else.example', "e+f@else.example")),
    "dsn": Mail(mail=" RET=HDRS ENVID=a+2Bb", rcpt=" NOTIFY=FAILURE,DELAY ORCPT=rfc822;x+2By@else.example"),
    "utf8": Mail("Subject: grüße\r\n\r\nä\r\n".encode(), mail=" SMTPUTF8", recipients=("jürgen@else.example",)),
    "utf8ascii": Mail(mail=" SMTPUTF8 BODY=8BITMIME"),
    "binary": Mail(b"Subject: x\r\n\r\n" + bytes(octet for octet in range(1, 256) if octet not in (10, 13)) + b"\r\n"),
    "hops": Mail(b"Received: x\r\n" * 47 + b"Subject: x\r\n\r\nx\r\n", rcpt=" NOTIFY=NEVER", refused=True),
}
COUNT = sum(-(-len(mail.recipients) // AT_ONCE) for mail in MAILS.values() if not mail.refused)


class Arrived(NamedTuple):
    """What the end was given, and what the server in between logged, in alphabetical order."""

    transactions: list[tuple[str, ...]]
    contents: list[bytes]
    log: list[str]


@contextmanager
def gatepost(main_cf: str) -> Iterator[tuple[int, Callable[[], str]]]:
    with temporary_folder() as folder:
        port = free_port()
        server = Gatepost(folder, main_cf, port=port, master_cf=MASTER_CF.format(listen=f"127.0.0.1:{port}"))
        server.start()
        try:
            yield port, server.log
        finally:
            server.stop()


@contextmanager
def postfix(main_cf: str) -> Iterator[tuple[int, Callable[[], str]]]:
    with RealPostfix({"in": {}}, main_cf) as server:
        yield server.ports["in"], server.log


Server = Callable[[str], AbstractContextManager[tuple[int, Callable[[], str]]]]


def through(middle: Server) -> Arrived:
    sink = ScriptedSink({"EHLO": OFFERS})
    try:
        with ExitStack() as stack:
            port, log = sink.port, None
            chain: list[tuple[str, Server]] = [("last", postfix), ("middle", middle), ("first", postfix)]
            for name, kind in chain:
                port, told = stack.enter_context(kind(MAIN_CF.format(name=name, port=port)))
                log = told if name == "middle" else log
            assert log is not None
            for name, mail in MAILS.items():
                submit(port, name, mail)
            until(lambda: len(sink.messages) >= COUNT and not sink.open, "the arrival of all mail", 90)
            until(lambda: len(re.findall("postfix/qmgr.*: removed", log())) >= len(MAILS), "the end of all mail", 30)
            return Arrived(transactions(sink), sorted(map(plain, sink.messages)), statuses(log()))
    finally:
        sink.stop()


def submit(port: int, name: str, mail: Mail) -> None:
    client = Client(port)
    client.say("EHLO client.example")
    client.say(f"MAIL FROM:<{mail.sender}>{mail.mail}")
    for recipient in mail.recipients:
        reply = client.say(f"RCPT TO:<{recipient}>{mail.rcpt}")
        assert reply.startswith("250"), reply
    client.say("DATA")
    client.sock.sendall(b"X-Case: " + name.encode() + b"\r\n" + mail.content + b".\r\n")
    reply = client.reply()
    client.close()
    assert " queued as " in reply, f"{name}: {reply}"


def transactions(sink: ScriptedSink) -> list[tuple[str, ...]]:
    """Each with its recipients; where there are many, they may come in more than one."""
    found: list[list[str]] = []
    for command in sink.commands:
        if command.startswith("MAIL"):
            found.append([re.sub(r" SIZE=\d+", "", command)])
        elif command.startswith("RCPT"):
            found[-1].append(command)
    return sorted((mail, *sorted(recipients)) for mail, *recipients in found)


def plain(message: bytes) -> bytes:
    """Without what the servers add."""
    message = re.sub(rb"(?m)^Received: (from|by).*\r\n([ \t].*\r\n)*", b"", message)
    return re.sub(rb"(?m)^(Message-Id|Date): .*\r\n", b"", message)


def statuses(log: str) -> list[str]:
    found = re.findall(r"postfix/smtp\[\d+\]: \w+: (to=.* status=.*)", log)
    found = [
        re.sub(r"relay=\S+|conn_use=\d+, |delay=\S+|delays=\S+|\[127[^ ]*|queued as \w+", "", line) for line in found
    ]
    return sorted(found)


def test_gatepost_between_two_postfixes() -> None:
    need_postfix()
    ours, theirs = through(gatepost), through(postfix)
    assert ours.log == theirs.log
    assert ours.transactions == theirs.transactions
    assert ours.contents == theirs.contents
    assert len(ours.contents) == COUNT
    assert any("too many hops" in line for line in ours.log)
