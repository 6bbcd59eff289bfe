"""Sessions that go wrong, played to Postfix and to us: the postmaster gets the same mail about them."""

import re
from collections.abc import Callable

import pytest

from tests.certificates import certificates, placed
from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.scenarios.peers import Peer
from tests.scenarios.server import Client, Gatepost, temporary_folder, until

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.ours.example
mydestination =
mynetworks = 127.0.0.9
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
local_recipient_maps =
alias_maps =
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_hard_error_limit = 12
smtpd_forbid_bare_newline = normalize
smtpd_forbid_unauth_pipelining = yes
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{ soft@x.example=no_such_restriction }
relay_domains = x.example
virtual_alias_domains = alias.example
virtual_alias_maps =
transport_maps = inline:{ mail.ours.example=smtp:[127.0.0.1]:%(port)d, x.example=discard: }
message_size_limit = 2000
smtpd_history_flush_threshold = 24
notify_classes = %(classes)s
smtpd_tls_security_level = may
smtpd_tls_cert_file = CERTS/rsa.pem
smtpd_tls_key_file = CERTS/rsa.key
"""
MAIL = ["EHLO <x>", "MAIL FROM:<a@b.example>"]
SIZE = ["RCPT TO:<ok@x.example>", "DATA", "Subject: hi\r\n\r\n" + ("z" * 90 + "\r\n") * 30 + "."]
TLS = "the handshake"
SESSIONS: dict[str, list[str]] = {
    "fine": [*MAIL, "RCPT TO:<ok@x.example>", "DATA", "Subject: hi\r\n\r\nText.\r\n."],
    "relay": [*MAIL, "RCPT TO:<c@elsewhere.example>"],
    "protocol": ["HELO x", "FOO BAR \x07 baz", "MAIL FROM:a b", "RCPT TO:<x>", "MAIL FROM:<>", "DATA", "AUTH PLAIN"],
    "ours": [*MAIL, "RCPT TO:<soft@x.example>"],
    "long": ["EHLO " + "x" * 120, "VRFY c@elsewhere.example", "EXPN " + "word " * 30, "ETRN foo", "NOOP", "RSET"],
    "size": [*MAIL, *SIZE],
    "declared": ["EHLO x", "MAIL FROM:<a@b.example> SIZE=99999999"],
    "unlisted": [*MAIL, "RCPT TO:<c@alias.example>", "RCPT TO:<ok@x.example>"],
    "twice": [*MAIL, "RCPT TO:<c@elsewhere.example>", "RSET", "NOOP", "NOOP", "RSET", "NOOP", "NOOP", "EHLO x", "BAD"],
    "errors": ["EHLO x", *["NONSENSE"] * 11, "LAST"],
    "dropped": [*MAIL, "RCPT TO:<c@elsewhere.example>", ""],
    "tls": [*MAIL, "STARTTLS", TLS, "RCPT TO:<ok@x.example>", "EHLO <x>", "STARTTLS", "FOO"],
    "last": ["HELO last", "MAIL FROM:<>", "RCPT TO:<c@elsewhere.example>", "NONSENSE", *SIZE],
}  # fmt: skip


def play(port: int, peer: Peer, log: Callable[[], str], mails: int) -> list[str]:
    """The mails about all sessions, in alphabetical order, when there are so many and no other is under way."""
    peer.messages.clear()
    for lines in SESSIONS.values():
        client = Client(port)
        for line in lines:
            if line == TLS:
                client.sock = certificates().client_context().wrap_socket(client.sock)
                client.file = client.sock.makefile("rb")
            elif line:
                client.say(line)
        if lines[-1]:
            client.close()
        else:
            client.file.close()
            client.sock.close()

    def all_told() -> bool:
        text = log()
        active, gone = (set(re.findall(rf"/qmgr\[\d+\]: (\w+): {word}", text)) for word in ("from=<", "removed"))
        return len(peer.messages) >= mails and active <= gone

    until(all_told, f"{mails} mails")
    return sorted(normalised(message.content) + message.rcpts[0] for message in peer.messages)


def normalised(content: str) -> str:
    """Without queue IDs and dates."""
    content = re.sub(r"(?m)^(Date:|\tid \w+;).*", r"\1", content)
    content = re.sub(r"queued as \w+", "queued as ID", content)
    content = re.sub(r"\tid \w+;", "\tid ID;", content)
    return re.sub(r"(?m)^Message-Id: .*", "Message-Id:", content)


@pytest.mark.parametrize(
    ("classes", "mails"),
    [
        ("bounce, data, policy, protocol, resource, software\nbounce_notice_recipient = bounces", 13),
        ("policy", 6),
        ("protocol", 6),
        ("bounce", 3),
        ("bounce\nheader_from_format = obsolete", 3),
    ],
)
def test_the_postmaster_reads_what_postfix_writes(classes: str, mails: int) -> None:
    need_postfix()
    peer = Peer()
    main_cf = placed(MAIN_CF % {"port": peer.port, "classes": classes})
    try:
        with RealPostfix({"postfix": {}}, main_cf) as postfix:
            theirs = play(postfix.ports["postfix"], peer, postfix.log, mails)
        with temporary_folder() as folder:
            server = Gatepost(folder, main_cf)
            server.start()
            try:
                ours = play(server.port, peer, server.log, mails)
            finally:
                server.stop()
    finally:
        peer.stop()
    assert ours == theirs
    assert len(theirs) == mails


def test_with_the_usual_classes_our_own_faults_are_told() -> None:
    peer = Peer()
    main_cf = MAIN_CF % {"port": peer.port, "classes": "resource, software"}
    with temporary_folder() as folder:
        server = Gatepost(folder, main_cf)
        server.start()
        try:
            for name in ("relay", "ours"):
                client = Client(server.port)
                for line in SESSIONS[name]:
                    client.say(line)
                client.close()
            until(lambda: bool(peer.messages), "the postmaster's mail")
        finally:
            server.stop()
            peer.stop()
    (mail,) = peer.messages
    assert (mail.sender, mail.recipients) == ("double-bounce@mail.ours.example", ["postmaster@mail.ours.example"])
    assert "Subject: Postfix SMTP server: errors from unknown[127.0.0.1]\n" in mail.content
    assert " In:  RCPT ...\n Out: 451 4.3.5 Server configuration error\n" in mail.content
