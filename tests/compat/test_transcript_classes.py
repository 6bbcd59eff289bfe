"""Whose fault a refusal is: the classes of notify_classes under which the postmaster reads of a session, Postfix's and
ours.
"""

import contextlib
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import pytest

from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.scenarios.peers import Peer
from tests.scenarios.server import MASTER_CF, Gatepost, free_port, temporary_folder, until

CLASSES = ("bounce", "data", "policy", "protocol", "resource", "software")
MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.ours.example
mydestination = ours.example
mynetworks = 127.0.0.1
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps = inline:{ known@ours.example=x }
relay_domains = x.example, r.example
relay_recipient_maps = inline:{ @x.example=x, twice@r.example=x }
virtual_alias_domains = alias.example
virtual_alias_maps =
virtual_mailbox_domains = box.example
virtual_mailbox_maps = inline:{ known@box.example=x }
relocated_maps = inline:{ {moved@x.example = new@elsewhere.example} }
transport_maps = inline:{ mail.ours.example=smtp:[127.0.0.1]:PEER, x.example=discard:, r.example=discard:
  {no@x.example = error:5.1.1 no such user} {plain@x.example = error:go away} {later@x.example = error:4.1.1 later}
  {wait@x.example = retry:4.3.0 not now} {bare@x.example = error:} {known@ours.example = error:5.1.1 gone}
  {known@box.example = error:5.1.1 gone} {error.example = error:5.1.2 no such domain} }
canonical_maps = pipemap:{inline:{cannot@tell.example=x},fail:x}
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{ ACCESS }
smtpd_restriction_classes = broken, unreadable, service, union, piped
union = check_recipient_access unionmap:{inline:{x.example=REJECT},pcre:{{/^no/ x}}}
piped = check_recipient_access pipemap:{pcre:{{/^x[.]example/ x}},inline:{x=REJECT}}
broken = check_sender_access fail:x
service = check_policy_service inet:127.0.0.1:1
unreadable = check_recipient_access pipemap:{inline:{x.example=x},fail:x}
smtpd_policy_service_try_limit = 1
smtpd_policy_service_max_idle = 1
smtpd_data_restrictions = check_sender_access inline:{ data@s.example=REJECT }
smtpd_end_of_data_restrictions = check_sender_access inline:{ end@s.example=REJECT }
smtpd_etrn_restrictions = check_etrn_access inline:{ no.example=REJECT }
smtpd_forbid_bare_newline = no
message_size_limit = 2000
smtpd_client_event_limit_exceptions =
smtpd_forbid_unauth_pipelining = no
"""
# What access(5) says of recipients in x.example.
ACCESS = {
    "reject": "REJECT", "unknown": "REJECT User unknown", "code": "554 5.1.1 User unknown in no table",
    "error": "451 4.3.0 Error: queue file write error", "space": "452 4.3.1 Insufficient system storage",
    "server": "451 4.3.5 Server configuration error", "lookup": "451 4.3.0 cannot look up",
    "syntax": "501 5.5.4 Syntax",
    "four": "450 4.2.2 full", "leave": "421 4.7.0 leave", "close": "521 5.7.1 leave", "defer": "DEFER",
    "later": "DEFER_IF_PERMIT later", "ifreject": "DEFER_IF_REJECT later, reject", "bad": "no_such_restriction",
    "badcode": "999 what", "restrictreject": "reject", "restrictdefer": "defer", "fqdn": "reject_non_fqdn_sender",
    "helo": "reject_invalid_helo_hostname", "pipe": "reject_unauth_pipelining", "unlisted": "reject_unlisted_sender",
    "multi": "reject_multi_recipient_bounce", "plain": "reject_plaintext_session", "broken": "broken",
    "unreadable": "unreadable", "service": "service", "warnreject": "warn_if_reject, reject",
    "warnbroken": "warn_if_reject, broken", "warnunlisted": "warn_if_reject, reject_unlisted_sender",
    "mismatch": "reject_sender_login_mismatch", "filter": "FILTER", "redirect": "REDIRECT", "hold": "HOLD",
    "discard": "DISCARD", "warn": "WARN", "ok": "OK", "prepend": "PREPEND", "bcc": "BCC",
    "hangup": "HANGUP", "union": "union", "piped": "piped", "unlistedrcpt": "reject_unlisted_recipient",
}  # fmt: skip
LEAVE = "the client is gone"
SILENCE = "the client says nothing"
HELLO = ["EHLO client.example"]
MAIL = [*HELLO, "MAIL FROM:<a@s.example>"]
RCPT = [*MAIL, "RCPT TO:<ok@x.example>"]
TEXT = "Subject: x\r\n\r\nx\r\n."
LISTENERS: dict[str, dict[str, str]] = {
    "base": {},
    "full": {"queue_minfree": "9000000000000000"},
    "lost": {"local_recipient_maps": "fail:x", "relay_recipient_maps": "fail:x", "virtual_mailbox_maps": "fail:x"},
    "at_once": {
        "smtpd_delay_reject": "no", "smtpd_helo_required": "yes", "smtpd_helo_restrictions": "reject_invalid_hostname",
        "smtpd_sender_restrictions": "reject_unlisted_sender, check_sender_access fail:x",
    },
    "trusted": {"smtpd_authorized_xclient_hosts": "127.0.0.0/8", "smtpd_authorized_xforward_hosts": "127.0.0.0/8"},
    "strict": {
        "smtpd_forbid_unauth_pipelining": "yes", "smtpd_forbid_bare_newline": "reject", "smtpd_recipient_limit": "1",
        "smtpd_recipient_overshoot_limit": "1", "smtpd_hard_error_limit": "3", "strict_rfc821_envelopes": "yes",
        "disable_vrfy_command": "yes", "smtpd_forbidden_commands": "SECRET", "smtpd_helo_required": "yes",
        "smtpd_client_auth_rate_limit": "1", "line_length_limit": "2048",
    },
    "rates": {"smtpd_client_message_rate_limit": "1", "smtpd_client_recipient_rate_limit": "1"},
    "crowd": {"smtpd_client_connection_rate_limit": "0", "smtpd_client_restrictions": "check_client_access fail:x"},
    "unset": {"smtpd_reject_unlisted_recipient": "no"},
    "soft": {"soft_bounce": "yes"},
    "closed": {"smtpd_delay_reject": "no", "smtpd_client_restrictions": "reject", "smtpd_helo_required": "yes"},
    "slow": {"smtpd_timeout": "1s"},
    "tables": {
        "smtpd_authorized_xclient_hosts": "fail:x", "smtpd_authorized_xforward_hosts": "fail:x",
        "smtpd_sender_login_maps": "fail:x", "smtpd_sender_restrictions": "reject_sender_login_mismatch",
    },
    "keywords": {"smtpd_discard_ehlo_keyword_address_maps": "fail:x"},
    "context": {"local_header_rewrite_clients": "fail:x"},
    "commands": {"smtpd_command_filter": "fail:x"},
    "tls": {
        "smtpd_tls_security_level": "encrypt", "smtpd_tls_cert_file": "/nonexistent", "smtpd_reject_footer": "see you",
    },
}  # fmt: skip
SESSIONS: dict[str, tuple[str, list[str]]] = {
    "fine": ("base", [*RCPT, "DATA", TEXT]),
    "relay": ("base", [*MAIL, "RCPT TO:<c@elsewhere.example>"]),
    **{f"access {name}": ("base", [*MAIL, f"RCPT TO:<a-{name}@x.example>"]) for name in ACCESS},
    "helo invalid": ("base", ["HELO @@", "MAIL FROM:<a@s.example>", "RCPT TO:<a-helo@x.example>"]),
    "sender fqdn": ("base", [*HELLO, "MAIL FROM:<a@b>", "RCPT TO:<a-fqdn@x.example>"]),
    "sender unlisted": ("base", [*HELLO, "MAIL FROM:<nobody@ours.example>", "RCPT TO:<a-unlisted@x.example>"]),
    "sender unlisted, warned": (
        "base", [*HELLO, "MAIL FROM:<nobody@ours.example>", "RCPT TO:<a-warnunlisted@x.example>"],
    ),
    "sender error": ("base", [*HELLO, "MAIL FROM:<no@x.example>", "RCPT TO:<a-unlisted@x.example>"]),
    **{f"transport {name}": ("base", [*MAIL, f"RCPT TO:<{name}@x.example>"])
       for name in ("no", "plain", "later", "wait", "bare", "moved")},
    "transport known": ("base", [*MAIL, "RCPT TO:<known@ours.example>"]),
    "transport box": ("base", [*MAIL, "RCPT TO:<known@box.example>"]),
    "transport domain": ("base", [*MAIL, "RCPT TO:<x@error.example>"]),
    "unknown local": ("base", [*MAIL, "RCPT TO:<nobody@ours.example>"]),
    "unknown relay": ("base", [*MAIL, "RCPT TO:<nobody@r.example>"]),
    "unknown alias": ("base", [*MAIL, "RCPT TO:<nobody@alias.example>"]),
    "unknown box": ("base", [*MAIL, "RCPT TO:<nobody@box.example>"]),
    "unknown asked": ("base", [*HELLO, "VRFY nobody@ours.example", "VRFY c@elsewhere.example"]),
    "known asked": ("base", [*HELLO, "VRFY ok@x.example"]),
    "refused at DATA": ("base", [*HELLO, "MAIL FROM:<data@s.example>", "RCPT TO:<ok@x.example>", "DATA"]),
    "refused at end": ("base", [*HELLO, "MAIL FROM:<end@s.example>", "RCPT TO:<ok@x.example>", "DATA", TEXT]),
    "refused ETRN": ("base", [*HELLO, "ETRN no.example"]),
    "ETRN": ("base", [*HELLO, "ETRN x.example", "ETRN else.example", "ETRN ,", "ETRN"]),
    "declared": ("base", [*HELLO, "MAIL FROM:<a@s.example> SIZE=9999999"]),
    "too large": ("base", [*RCPT, "DATA", "Subject: x\r\n\r\n" + ("z" * 90 + "\r\n") * 30 + "."]),
    "chunk too large": ("base", [*RCPT, "BDAT 3000 LAST\r\n" + "z" * 2998 + "\r"]),
    "chunk of nothing": ("base", [*RCPT, "BDAT 0"]),
    "chunk without words": ("base", [*RCPT, "BDAT x"]),
    "hops": ("base", [*RCPT, "DATA", "Received: x\r\n" * 55 + "\r\n."]),
    "not stored": ("base", [*HELLO, "MAIL FROM:<cannot@tell.example>", "RCPT TO:<ok@x.example>", "DATA", TEXT]),
    "lost in DATA": ("base", [*RCPT, "DATA", LEAVE]),
    "lost after refusal": ("base", [*MAIL, "RCPT TO:<nobody@ours.example>", LEAVE]),
    "syntax HELO": ("base", ["HELO"]),
    "syntax EHLO": ("base", ["EHLO"]),
    "syntax MAIL": ("base", [*HELLO, "MAIL a"]),
    "syntax RCPT": ("base", [*MAIL, "RCPT a"]),
    "bad sender": ("base", [*HELLO, "MAIL FROM:<a@@b>"]),
    "bad sender domain": ("base", [*HELLO, "MAIL FROM:<a@b..c>"]),
    "bad recipient": ("base", [*MAIL, "RCPT TO:<a@b..c>"]),
    "bad recipient form": ("base", [*MAIL, "RCPT TO:<>"]),
    "utf8": ("base", [*HELLO, "MAIL FROM:<a@gr\u00fcn.example>"]),
    "option": ("base", [*HELLO, "MAIL FROM:<a@s.example> FOO=BAR"]),
    "option RCPT": ("base", [*MAIL, "RCPT TO:<ok@x.example> FOO"]),
    "bad BODY": ("base", [*HELLO, "MAIL FROM:<a@s.example> BODY=9BIT"]),
    "bad RET": ("base", [*HELLO, "MAIL FROM:<a@s.example> RET=NOTHING"]),
    "bad SIZE": ("base", [*HELLO, "MAIL FROM:<a@s.example> SIZE=x"]),
    "bad ORCPT": ("base", [*MAIL, "RCPT TO:<ok@x.example> ORCPT=x"]),
    "XVERP": ("base", [*HELLO, "MAIL FROM:<a@s.example> XVERP=+="]),
    "nested": ("base", [*MAIL, "MAIL FROM:<b@s.example>"]),
    "no MAIL": ("base", [*HELLO, "RCPT TO:<ok@x.example>"]),
    "no RCPT": ("base", [*MAIL, "DATA"]),
    "no valid RCPT": ("base", [*MAIL, "RCPT TO:<nobody@ours.example>", "DATA"]),
    "DATA words": ("base", [*RCPT, "DATA x"]),
    "RSET words": ("base", [*HELLO, "RSET x"]),
    "unknown": ("base", [*HELLO, "FOO"]),
    "AUTH": ("base", [*HELLO, "AUTH PLAIN x"]),
    "STARTTLS": ("base", [*HELLO, "STARTTLS"]),
    "XCLIENT": ("base", [*HELLO, "XCLIENT NAME=x"]),
    "XFORWARD": ("base", [*HELLO, "XFORWARD NAME=x"]),
    "forbidden": ("base", ["GET / HTTP/1.0", "NOOP"]),
    "VRFY": ("base", [*HELLO, "VRFY"]),
    "VRFY bad": ("base", [*HELLO, "VRFY a@b..c"]),
    "NUL": ("base", ["NO\x00OP"]),
    "bad UTF-8": ("base", [*HELLO, "VRFY \udcff@x.example"]),
    "long": ("base", ["NOOP " + "x" * 3000]),
    "full": ("full", [*MAIL, "RCPT TO:<ok@x.example>"]),
    "cannot tell local": ("lost", [*MAIL, "RCPT TO:<known@ours.example>"]),
    "cannot tell relay": ("lost", [*MAIL, "RCPT TO:<twice@r.example>"]),
    "cannot tell box": ("lost", [*MAIL, "RCPT TO:<b@box.example>"]),
    "no HELO": ("at_once", ["MAIL FROM:<a@s.example>"]),
    "HELO at once": ("at_once", ["HELO @@"]),
    "sender at once": ("at_once", [*HELLO, "MAIL FROM:<nobody@ours.example>"]),
    "sender cannot tell": ("at_once", [*HELLO, "MAIL FROM:<a@s.example>"]),
    "XCLIENT syntax": ("trusted", ["XCLIENT"]),
    "XCLIENT name": ("trusted", ["XCLIENT FOO=x"]),
    "XCLIENT address": ("trusted", ["XCLIENT ADDR=x"]),
    "XCLIENT late": ("trusted", [*MAIL, "XCLIENT NAME=x"]),
    "XCLIENT proto": ("trusted", ["XCLIENT PROTO=x"]),
    "XFORWARD syntax": ("trusted", ["XFORWARD"]),
    "XFORWARD name": ("trusted", ["XFORWARD FOO=x"]),
    "XFORWARD source": ("trusted", ["XFORWARD SOURCE=x"]),
    "XFORWARD late": ("trusted", [*MAIL, "XFORWARD NAME=x"]),
    "pipelining": ("strict", ["EHLO x\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<ok@x.example>"]),
    "no HELO, strict": ("strict", ["MAIL FROM:<a@s.example>"]),
    "bare newline": ("strict", [*RCPT, "DATA", "Subject: x\n\r\nx\r\n."]),
    "bare command": ("strict", ["EHLO x", "NOOP\nNOOP"]),
    "recipients": ("strict", [*RCPT, "RCPT TO:<ok2@x.example>"]),
    "recipients over": ("strict", [*RCPT, *[f"RCPT TO:<ok{n}@x.example>" for n in range(3)]]),
    "errors": ("strict", [*HELLO, "FOO", "FOO", "FOO", "FOO"]),
    "envelope": ("strict", [*HELLO, "MAIL FROM:a@s.example"]),
    "VRFY disabled": ("strict", [*HELLO, "VRFY a@x.example"]),
    "forbidden word": ("strict", ["SECRET"]),
    "pipelined past DATA": ("base", [*RCPT, "DATA\r\nSubject: x\r\n\r\n."]),
    "much mail": ("rates", [*RCPT, "DATA", TEXT, "MAIL FROM:<a@s.example>"]),
    "many recipients": ("rates", [*RCPT, "RCPT TO:<ok@x.example>"]),
    "client cannot tell": ("crowd", RCPT),
    "not looked up": ("unset", [*MAIL, "RCPT TO:<no@x.example>", "RCPT TO:<nobody@ours.example>"]),
    "soft unknown": ("soft", [*MAIL, "RCPT TO:<nobody@ours.example>"]),
    "soft policy": ("soft", [*MAIL, "RCPT TO:<c@elsewhere.example>"]),
    "soft syntax": ("soft", ["FOO"]),
    "closed": ("closed", [*HELLO, "MAIL FROM:<a@s.example>", "NOOP", "RSET"]),
    "silent": ("slow", [SILENCE]),
    "silent in DATA": ("slow", [*RCPT, "DATA", SILENCE]),
    "silent after refusal": ("slow", [*MAIL, "RCPT TO:<nobody@ours.example>", SILENCE]),
    "XCLIENT cannot tell": ("tables", ["XCLIENT NAME=x"]),
    "XFORWARD cannot tell": ("tables", ["XFORWARD NAME=x"]),
    "EHLO cannot tell": ("tables", HELLO),
    "login cannot tell": ("tables", ["HELO x", "MAIL FROM:<a@s.example>", "RCPT TO:<ok@x.example>"]),
    "keywords cannot tell": ("keywords", HELLO),
    "context cannot tell": ("context", MAIL),
    "command cannot tell": ("commands", HELLO),
    "TLS needed": ("tls", MAIL),
    "no TLS": ("tls", [*HELLO, "STARTTLS"]),
    "ETRN unsaid": ("at_once", ["ETRN x.example"]),
    "DATA unsaid": ("base", [*HELLO, "DATA"]),
    "ETRN served": ("base", [*HELLO, "ETRN x.example"]),
    "ETRN not served": ("base", [*HELLO, "ETRN else.example"]),
    "ETRN syntax": ("base", [*HELLO, "ETRN ,"]),
    "ETRN late": ("base", [*MAIL, "ETRN x.example"]),
    "BDAT then DATA": ("base", [*RCPT, "BDAT 3\r\nx\r", "DATA"]),
    "BDAT then MAIL": ("base", [*RCPT, "BDAT 3\r\nx\r", "MAIL FROM:<b@s.example>"]),
    "BDAT unsaid": ("base", [*MAIL, "BDAT 3 LAST\r\nx\r"]),
    "EHLO again": ("base", [*RCPT, *HELLO, "RCPT TO:<ok@x.example>"]),
    "junk": ("strict", [*HELLO, *["NOOP"] * 110]),
}  # fmt: skip
ADDRESSES = {name: f"127.0.2.{number}" for number, name in enumerate(SESSIONS, 1)}


def listeners() -> dict[str, dict[str, str]]:
    """One for each class; by the mailbox one sees which it was, and whether it is that for bounces."""
    return {
        f"{name}-{kind}": {
            "syslog_name": "postfix",
            "notify_classes": kind,
            "error_notice_recipient": f"{kind}@mail.ours.example",
            "bounce_notice_recipient": f"bounced-{kind}@mail.ours.example",
            **options,
        }
        for name, options in LISTENERS.items()
        for kind in CLASSES
    }


def speak(port: int, address: str, lines: list[str]) -> str:
    """Play a session; the last reply."""
    reply = ""
    with (
        socket.create_connection(("127.0.0.1", port), 60, (address, 0)) as sock,
        sock.makefile("rb") as file,
        contextlib.suppress(OSError),
    ):
        for line in ["", *lines]:
            if line == LEAVE:
                return reply
            if line and line != SILENCE:
                sock.sendall(line.encode(errors="surrogateescape") + b"\r\n")
            said = list(_reply(file))
            if not said:
                return reply
            reply = said[-1]
        sock.sendall(b"QUIT\r\n")
        file.read()
    return reply


def _reply(file: BinaryIO) -> Iterator[str]:
    for raw in file:
        yield raw.decode(errors="replace").rstrip()
        if raw[3:4] != b"-":
            return


def play(ports: Mapping[str, int], peer: Peer, log: Callable[[], str]) -> dict[str, list[str]]:
    """Session -> its last reply, and whom the postmaster hears of it as."""
    peer.messages.clear()
    turns = [(name, kind) for name in SESSIONS for kind in CLASSES]

    def turn(name: str, kind: str) -> str:
        return speak(ports[f"{SESSIONS[name][0]}-{kind}"], ADDRESSES[name], SESSIONS[name][1])

    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda one: turn(*one), turns))

    def all_told() -> bool:
        text = log()
        came, left = (
            len(re.findall(rf"/smtpd\[\d+\]: {word} from unknown", text)) for word in ("connect", "disconnect")
        )
        taken, gone = (set(re.findall(rf"/qmgr\[\d+\]: (\w+): {word}", text)) for word in ("from=<", "removed"))
        posted = len(re.findall(r"from=<double-bounce@", text))
        return came == left >= len(turns) and taken <= gone and posted == len(peer.messages)

    until(all_told, "what the postmaster is told")
    found = {
        name: {re.sub(r"queued as \w+", "queued as ID", replies[turns.index((name, kind))]) for kind in CLASSES}
        for name in SESSIONS
    }
    told: dict[str, list[str]] = {name: sorted(found[name]) for name in SESSIONS}
    names = {address: name for name, address in ADDRESSES.items()}
    for message in peer.messages:
        client = re.search(r"^Subject: .*errors from unknown\[(\S+)\]", message.content, re.MULTILINE)
        assert client is not None, message.content
        told[names[client[1]]].append(message.recipients[0].partition("@")[0])
    return {name: sorted(lines) for name, lines in told.items()}


@pytest.fixture(scope="module")
def theirs_and_ours() -> Iterator[tuple[dict[str, list[str]], dict[str, list[str]]]]:
    need_postfix()
    peer = Peer()
    access = " ".join(f"{{ a-{name}@x.example = {action} }}" for name, action in ACCESS.items())
    main_cf = MAIN_CF.replace("PEER", str(peer.port)).replace("ACCESS", access)
    try:
        with RealPostfix(listeners(), main_cf) as postfix:
            theirs = play(postfix.ports, peer, postfix.log)
        with temporary_folder() as folder:
            ports = {name: free_port() for name in listeners()}
            lines = [MASTER_CF.partition("\n")[2]]
            for name, options in listeners().items():
                given = "".join(f"\n  -o {{ {key} = {value} }}" for key, value in options.items())
                lines.append(f"127.0.0.1:{ports[name]} inet n - n - - smtpd{given}\n")
            server = Gatepost(folder, main_cf, port=ports["base-data"], master_cf="".join(lines))
            server.start()
            try:
                ours = play(ports, peer, server.log)
            finally:
                server.stop()
    finally:
        peer.stop()
    yield theirs, ours


@pytest.mark.parametrize("session", SESSIONS)
def test_classes(session: str, theirs_and_ours: tuple[dict[str, list[str]], dict[str, list[str]]]) -> None:
    theirs, ours = theirs_and_ours
    assert ours[session] == theirs[session]
