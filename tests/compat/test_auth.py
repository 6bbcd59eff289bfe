"""AUTH beside the real Postfix, with the same Dovecot or saslauthd behind both: equal replies and log lines."""

import asyncio
import base64
import re
from collections.abc import Awaitable, Iterator
from pathlib import Path

import pytest

from tests.compat.real_postfix import RealPostfix, need_postfix, without
from tests.dovecot_auth import USERS, Dovecot, ScriptedDovecot
from tests.dovecot_auth import missing as dovecot_missing
from tests.saslauthd import Saslauthd
from tests.saslauthd import missing as saslauthd_missing
from tests.smtpd.world import World, until

BASE = """
compatibility_level = 3.6
myhostname = mail.ours.example
mydomain = ours.example
myorigin = ours.example
mydestination = ours.example
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_hard_error_limit = 100
smtpd_soft_error_limit = 100
smtpd_client_connection_count_limit = 0
smtpd_forbid_unauth_pipelining = no
smtpd_forbid_bare_newline = normalize
default_transport = discard
local_transport = discard
smtpd_sasl_auth_enable = yes
"""
ALL = {"smtpd_authorized_xclient_hosts": "static:all"}
LISTENERS: dict[str, dict[str, str]] = {
    "plain": {},
    "xclient": ALL,
    "broken": {"broken_sasl_auth_clients": "yes"},
    "noplain": {"smtpd_sasl_security_options": "noanonymous, noplaintext"},
    "mutual": {"smtpd_sasl_security_options": "mutual_auth"},
    "tlsonly": {"smtpd_tls_auth_only": "yes"},
    "off": {"smtpd_sasl_auth_enable": "no"},
    "helo": {"smtpd_helo_required": "yes"},
    "discard": {"smtpd_discard_ehlo_keywords": "auth"},
    "filter": {"smtpd_sasl_mechanism_filter": "!plain, static:all"},
    "exceptions": {"smtpd_sasl_exceptions_networks": "127.0.0.1, 192.0.2.0/24", **ALL},
    "rate": {"smtpd_client_auth_rate_limit": "2", "smtpd_client_event_limit_exceptions": ""},
    "inet": {},
    "soft": {"soft_bounce": "yes"},
    "few": {"smtpd_hard_error_limit": "3"},
    "relay": {
        "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
        "smtpd_sender_restrictions": "reject_sender_login_mismatch",
        "smtpd_sender_login_maps": "inline:{{joe@x.example=joe},{ann@x.example=ann@x.example}}",
    },
}


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def plain(name: str, password: str, authorization: str = "") -> str:
    return b64(f"{authorization}\0{name}\0{password}")


def submitted(text: str) -> list[str]:
    return [f"MAIL FROM:<a@x.example> AUTH={text}", "RCPT TO:<b@ours.example>", "RSET"]


GOOD = f"AUTH PLAIN {plain('joe', 'secret')}"
BAD = f"AUTH PLAIN {plain('joe', 'bad')}"
MAIL = ["MAIL FROM:<joe@x.example>", "RCPT TO:<b@else.example>", "RSET"]
ODD_NAMES = ["j" * 150, "jöe", "a b", "%s", "j\x7f", "a\tb"]
SUBMITTERS = ["<>", "a", "a+40b", "a+zz", "a\x01", "a;b", "<a@b>"]
NO_BASE64 = ["!!!", "AA=A", "====", "=A==", "AA==AAAA", "A===", "AAAA====", "AGpvZQBzZWNyZXQ", "  AAAA", "\xff", "="]

SESSIONS: list[tuple[str, list[str]]] = [
    ("plain", ["EHLO x", "AUTH", f"{GOOD} x", "AUTH FOO", "AUTH FOO AAAA", BAD, "AUTH PLAIN", "*", GOOD, GOOD, "AUTH"]),
    ("plain", ["EHLO x", "AUTH PLAIN", "", "AUTH PLAIN =", "AUTH PLAIN", b64("x"), "AUTH PLAIN", "QUIT", GOOD]),
    ("plain", ["EHLO x", "AUTH LOGIN", b64("joe"), b64("bad"), f"AUTH LOGIN {b64('joe')}", b64("secret"), *MAIL]),
    ("plain", ["EHLO x", "AUTH LOGIN", b64("joe"), "*", "AUTH LOGIN", "!", "auth login", b64("joe"), b64("secret")]),
    ("plain", ["HELO x", GOOD, "MAIL FROM:<a@x.example>", "RCPT TO:<b@ours.example>"]),
    ("plain", [GOOD, "EHLO x", GOOD, "RSET", GOOD]),
    ("plain", ["EHLO x", "MAIL FROM:<a@x.example>", GOOD, "RSET", GOOD]),
    ("plain", ["EHLO x", "AUTH PLAIN", "A" * 12290, "AUTH PLAIN", "A" * 12288, "AUTH PLAIN", "A" * 12287]),
    ("plain", ["EHLO x", f"AUTH PLAIN {'A' * 3000}", f"AUTH PLAIN {'A' * 2036}"]),
    ("plain", ["EHLO x", *(line for text in NO_BASE64 for line in ("AUTH PLAIN", text))]),
    ("plain", ["EHLO x", *(f"AUTH PLAIN {text}" for text in NO_BASE64 if "\xff" not in text)]),
    ("plain", ["EHLO x", "AUTH PLAIN", f"{plain('joe', 'secret')}\0 ", "AUTH PLAIN \xff", "NOOP"]),
    ("plain", ["EHLO x", *(f"AUTH PLAIN {plain(name, 'x')}" for name in ODD_NAMES)]),
    ("plain", ["EHLO x", f"AUTH PLAIN {plain('joe', 'secret', 'ann')}", f"AUTH PLAIN {plain('joe', 'secret', 'joe')}"]),
    ("plain", ["EHLO x", 'AUTH "PLAIN" x', "AUTH <PLAIN> x", "AUTH P\x02LAIN", f"AUTH {'X' * 120}", "AUTH PLA\tIN x"]),
    ("plain", ["EHLO x", "AUTH EXTERNAL =", "AUTH EXTERNAL", "", f"AUTH EXTERNAL {b64('joe')}", "AUTH ANONYMOUS AAAA"]),
    ("plain", ["EHLO x", "AUTH CRAM-MD5", "x", "AUTH CRAM-MD5", b64("joe 00"), "AUTH CRAM-MD5", "*"]),
    ("plain", ["EHLO x", "AUTH CRAM-MD5 AAAA", "*"]),
    ("plain", ["EHLO x", f"AUTH SCRAM-SHA-256 {b64('x')}", f"AUTH SCRAM-SHA-1 {b64('n,,n=joe,r=abc')}", "x"]),
    ("plain", ["EHLO x", f"AUTH PLAIN {plain('ann@x.example', 'pass word')}", *MAIL]),
    ("plain", ["EHLO x", GOOD, *(line for text in SUBMITTERS for line in submitted(text))]),
    ("plain", ["EHLO x", *submitted("a"), "MAIL FROM:<a@x.example> AUTH"]),
    ("plain", ["EHLO x", *(line for text in ("A", "==", "=", "A=A", "!A") for line in (
        BAD, f"AUTH PLAIN {text}", "AUTH FOO", BAD, "AUTH PLAIN", text, "AUTH FOO"))]),
    ("xclient", ["EHLO x", GOOD, "XCLIENT ADDR=192.0.2.9", "EHLO x", GOOD, "XCLIENT LOGIN=ann", "EHLO x", GOOD,
                 "MAIL FROM:<a@x.example>", "RCPT TO:<b@ours.example>", "RSET", "XCLIENT LOGIN=[UNAVAILABLE]", GOOD]),
    *((name, ["EHLO x", BAD, "AUTH LOGIN", "*", GOOD, *MAIL]) for name in LISTENERS),
    ("helo", [GOOD, "EHLO x", GOOD]),
    ("exceptions", ["EHLO x", "XCLIENT ADDR=203.0.113.4", "EHLO x", "XCLIENT ADDR=192.0.2.1", "EHLO x", GOOD]),
    ("relay", ["EHLO x", *MAIL, GOOD, "MAIL FROM:<ann@x.example>", "RCPT TO:<b@else.example>", "RSET", *MAIL]),
]  # fmt: skip
CYRUS: list[tuple[str, list[str]]] = [
    ("plain", ["EHLO x", "AUTH", "AUTH FOO", "AUTH PLAIN", "*", "AUTH PLAIN", "!!!", "AUTH PLAIN !!!", "AUTH PLAIN"]),
    ("plain", ["EHLO x", BAD, "AUTH LOGIN", b64("joe"), b64("bad"), "AUTH LOGIN", "!", "AUTH LOGIN", b64("joe"), "*"]),
    ("plain", ["EHLO x", "auth plain " + GOOD.split()[2], *MAIL, GOOD]),
    ("plain", ["EHLO x", f"AUTH LOGIN {b64('joe')}", b64("secret"), *MAIL]),
    ("plain", ["EHLO x", f"AUTH PLAIN {plain('joe', 'secret', 'joe')}", *MAIL]),
    ("plain", ["EHLO x", f"AUTH PLAIN {plain('j' * 150, 'x')}", f"AUTH PLAIN {plain('jöe', 'x')}", "AUTH CRAM-MD5"]),
    ("domain", ["EHLO x", GOOD, *MAIL]),
    ("domain", ["EHLO x", f"AUTH LOGIN {b64('joe@x.example')}", b64("secret"), *MAIL]),
]

# What we do otherwise, each with its reason (docs/sasl.md).
OURS = (
    # What a client sends is not shown where it may be a password.
    (re.compile(r"(request longer than \d+: (?:AUTH [A-Z]+)?).*"), r"\1..."),
)


async def talk(port: int, lines: list[str]) -> list[str]:
    """What the server answers to each line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    said = [await _reply(reader)]
    for line in [*lines, "QUIT"]:
        writer.write(line.encode("utf-8" if "ö" in line else "latin-1") + b"\r\n")
        said.append(await _reply(reader))
        if not said[-1]:
            break
    writer.close()
    return said


async def _reply(reader: asyncio.StreamReader) -> str:
    lines = []
    try:
        while line := (await asyncio.wait_for(reader.readline(), 30)).decode("latin-1"):
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                break
    except ConnectionError:
        pass
    return "\n".join(lines)


def normal(lines: list[str]) -> list[str]:
    """Without queue IDs, what is random, and what only one side's other programs say."""
    found = []
    for line in lines:
        line = re.sub(r"\b(?=[0-9A-F]*\d)[0-9A-F]{9,14}: ", "QID: ", line)
        line = re.sub(r"^334 P[A-Za-z0-9+/]{30,}=*", "334 CHALLENGE", line)
        line = re.sub(r"^334 cj1[A-Za-z0-9+/]{30,}=*", "334 SCRAM", line)
        line = re.sub(r"for service \S+$", "for service SERVICE", line)
        for pattern, ours in OURS:
            line = pattern.sub(ours, line)
        found.append(line)
    return found


Session = tuple[list[str], list[str]]
"""What is said, and what is logged."""


class Theirs:
    """A real Postfix's sessions, and what it logs of each."""

    def __init__(self, postfix: RealPostfix) -> None:
        self.postfix = postfix

    async def play(self, name: str, lines: list[str]) -> Session:
        seen = len(self._log(name))
        said = await talk(self.postfix.ports[name], lines)
        await until(lambda: any("disconnect from" in line for line in self._log(name)[seen:]), 30)
        return normal(said), normal(self._log(name)[seen:])

    def _log(self, name: str) -> list[str]:
        tag = f" {name}/smtpd["
        return [line.split("]: ", 1)[1] for line in self.postfix.log().splitlines() if tag in line]


async def ours(main_cf: str, lines: list[str]) -> Session:
    world = World(main_cf, base=BASE, service="smtp")
    async with world:
        said = await talk(world.port, lines)
        await world.idle()
        return normal(said), normal(world.take_log())


async def equal(one: Awaitable[Session], other: Awaitable[Session]) -> None:
    """Dovecot has pauses where logins fail: both take them at the same time."""
    (said, log), (their_said, their_log) = await asyncio.gather(one, other)
    assert said == their_said
    assert log == their_log


def assignments(parameters: dict[str, str]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in parameters.items())


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    need_postfix()
    if reason := dovecot_missing():
        without(reason)
    with Dovecot() as server:
        yield server


@pytest.fixture(scope="module")
def postfix(dovecot: Dovecot) -> Iterator[Theirs]:
    main_cf = f"{BASE}smtpd_sasl_type = dovecot\nsmtpd_sasl_path = {dovecot.path}\n"
    listeners = {**LISTENERS, "inet": {"smtpd_sasl_path": f"inet:127.0.0.1:{dovecot.port}"}}
    with RealPostfix(listeners, main_cf) as server:
        yield Theirs(server)


def _name(case: object) -> str:
    return case if isinstance(case, str) else ""


@pytest.mark.parametrize(("name", "lines"), SESSIONS, ids=_name)
async def test_postfix_with_dovecot_says_the_same(
    name: str, lines: list[str], dovecot: Dovecot, postfix: Theirs
) -> None:
    path = f"inet:127.0.0.1:{dovecot.port}" if name == "inet" else dovecot.path
    parameters = {"smtpd_sasl_type": "dovecot", "smtpd_sasl_path": path, **LISTENERS[name]}
    await equal(ours(assignments(parameters), lines), postfix.play(name, lines))


ANSWERS: list[list[bytes | None]] = [
    [b"OK\tID\tuser=joe\n"], [b"OK\tID\n"], [b"OK\tID\tuser=joe\tuser=ann\tx=y\n"], [b"OK\tID\tuser=j\x01e\xc3\xa4\n"],
    [b"FAIL\tID\n"], [b"FAIL\tID\tuser=joe\treason=Go away now\n"], [b"FAIL\tID\tuser=joe\treason=\n"],
    [b"FAIL\tID\tuser=joe\treason=a\x01b\xff\xc3\xa4\n"], [b"FAIL\tID\tuser=joe\tcode=user_disabled\n"],
    [b"FAIL\t999\tuser=x\nFAIL\tID\tuser=joe\n"], [b"WHAT\tID\nFAIL\tID\tuser=joe\n"], [b"\n\nFAIL\tID\tuser=joe\n"],
    [b"CONT\tID\tVXNl\n", b"FAIL\tID\n"], [b"CONT\tID\n"], [b"CONT\tID\t\n", b"FAIL\tID\n"],
    [b"CONT\tID\t!!x y\n", b"OK\tID\tuser=joe\n"], [None, b"OK\tID\tuser=joe\n"],
]  # fmt: skip


async def test_whatever_dovecot_says() -> None:
    """One Postfix, one listener: what the service says, by a script."""
    need_postfix()
    lines = ["EHLO x", GOOD, "AAAA", "NOOP", *MAIL]
    async with ScriptedDovecot([]) as server:
        main_cf = f"smtpd_sasl_type = dovecot\nsmtpd_sasl_path = {server.path}\n"
        with RealPostfix({"scripted": {}}, BASE + main_cf) as real:
            theirs = Theirs(real)
            for answers in ANSWERS:
                server.answers = [*answers]
                found = await ours(main_cf, lines)
                server.answers = [*answers]
                assert found == await theirs.play("scripted", lines), answers


@pytest.fixture(scope="module")
def saslauthd() -> Iterator[Saslauthd]:
    need_postfix()
    if reason := saslauthd_missing():
        without(reason)
    with Saslauthd({**USERS, "joe": "secret"}) as service:
        yield service


@pytest.fixture(scope="module")
def cyrus(saslauthd: Saslauthd) -> Iterator[Theirs]:
    listeners = {"plain": {}, "domain": {"smtpd_sasl_local_domain": "loc.example"}}
    with RealPostfix(listeners, BASE) as server:
        # Debian's Postfix looks here, and nowhere else.
        saslauthd.conf(server.folder / "config" / "sasl")
        yield Theirs(server)


@pytest.mark.parametrize(("name", "lines"), CYRUS, ids=_name)
async def test_postfix_with_saslauthd_says_the_same(
    name: str, lines: list[str], saslauthd: Saslauthd, cyrus: Theirs, tmp_path: Path
) -> None:
    saslauthd.conf(tmp_path / "sasl")
    parameters = {"cyrus_sasl_config_path": str(tmp_path / "sasl")}
    if name == "domain":
        parameters["smtpd_sasl_local_domain"] = "loc.example"
    await equal(ours(assignments(parameters), lines), cyrus.play(name, lines))
