"""What is explained is what the server answers: every command of the dialogues that a session can be asked about.

The dialogues' replies are the server's own (tests/dialogs) and Postfix's (tests/compat).
"""

import dataclasses
import re
import time
from collections.abc import Iterator

import msgspec
import pytest

from gatepost.audit.explain.asked import Asked
from gatepost.audit.explain.inquiry import Explained, Stage, explain
from gatepost.audit.explain.recorder import Recorder
from gatepost.protocol import xtext
from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.restrictions.facts import NAME_OK, NAME_PERMANENT, NAME_TEMPORARY, Client
from gatepost.smtpd.words import printable
from gatepost.tables.noted import NotedTables
from tests.dialogs.dialog import Dialog, Handshake, all_dialogs
from tests.dialogs.test_dialogs import BASE, ZONE
from tests.policy_server import PolicyServer
from tests.smtpd.world import World

FOLDERS = ("access", "dns", "failing_tables", "footer", "logins", "mixed", "policy", "relay", "restrictions",
           "syntax", "tls", "verify")  # fmt: skip
LEAST = 1000
NOT_ASKED = {
    "dns/inet_interfaces_connected.smtp": "the address of the connection itself counts, not what XCLIENT says",
    "dns/inet_interfaces_other.smtp": "as before",
    "mixed/all_permit.smtp": "as before",
    "restrictions/bounce_forms.smtp": "how many recipients came before this one",
    "restrictions/codes_bounce.smtp": "as before",
    "restrictions/multi_recipient_bounce.smtp": "as before",
    "policy/restarted.smtp": "what the policy server has told before",
    "policy/fail_then_next.smtp": "as before",
    "policy/no_delay_client.smtp": "the first connection is one that XCLIENT changes, and asks, too",
    "tls/required_errors.smtp": "how many errors came before",
    "tls/wrapper_plaintext.smtp": "whether the client speaks TLS",
    "verify/in_progress.smtp": "what probes have told meanwhile",
}
"""Dialogues in which an answer depends on more than one session with one recipient."""
_CLIENT = re.compile(r"(\S+) \[([^\]]+)\]((?: \S+)*)")
_MAIL = re.compile(r"MAIL FROM: ?<([^>]*)>( BODY=\S+| SMTPUTF8| RET=\S+| ENVID=\S+)*", re.I)
_RCPT = re.compile(r"RCPT TO: ?<([^>]*)>( NOTIFY=\S+| ORCPT=\S+)*", re.I)
_LOGIN = re.compile(r"XCLIENT LOGIN=(\S+)", re.I)


class Case(msgspec.Struct):
    """One question about a session, and the reply of the dialogue."""

    asked: Asked
    stage: Stage
    reply: str


def _client(dialog: Dialog) -> Client:
    """As XCLIENT makes it; without that, who connects to a World."""
    found = _CLIENT.fullmatch(dialog.client)
    if found is None:
        return Client("localhost", "127.0.0.1", "0", NAME_OK, "localhost", NAME_OK)
    name, address, more = found.groups()
    options = dict(word.split("=", 1) for word in more.split())
    if name == "unknown":
        status = NAME_TEMPORARY if options.get("status") == "temp" else NAME_PERMANENT
        reverse = options.get("reverse", "unknown").replace("[UNAVAILABLE]", "unknown")
        return Client(name, address, "0", status, reverse, NAME_OK if reverse != "unknown" else status)
    return Client(name, address, "0", NAME_OK, options.get("reverse", name), NAME_OK)


def _cases(dialog: Dialog) -> Iterator[Case]:
    """Those parts of a dialogue that are no more than a client, a HELO name, a sender and a recipient."""
    asked = Asked(_client(dialog))
    accepted = 0
    for command, reply in _exchanges(dialog):
        verb = command[:4].upper()
        stage: Stage | None = None
        login = _LOGIN.fullmatch(command)
        if login is not None and reply.startswith("220"):
            asked = Asked(asked.client, sasl_username=printable(xtext.decode(login[1])))
        elif verb in ("HELO", "EHLO") and command[5:].strip():
            asked = msgspec.structs.replace(asked, helo=command[5:].strip(), sender=None, recipient=None)
            asked.protocol, stage, accepted = "ESMTP" if verb == "EHLO" else "SMTP", "HELO", 0
        elif verb == "MAIL":
            found = _MAIL.fullmatch(command)
            if found is None or asked.sender is not None:
                return
            asked = msgspec.structs.replace(asked, sender=found[1], recipient=None)
            stage, accepted = "MAIL", 0
        elif verb == "RCPT":
            found = _RCPT.fullmatch(command)
            if found is None or asked.sender is None:
                return
            asked = msgspec.structs.replace(asked, recipient=found[1])
            stage = "RCPT"
            accepted += reply.startswith("2")
        elif verb == "DATA" and command.upper() == "DATA":
            if accepted != 1 or asked.recipient is None:
                return
            stage = "DATA"
        elif verb == "RSET":
            asked = msgspec.structs.replace(asked, sender=None, recipient=None)
        elif verb not in ("NOOP", "VRFY", "QUIT"):
            return
        if stage is not None:
            yield Case(msgspec.structs.replace(asked), stage, reply)
            if reply[:1] in ("4", "5"):
                if stage == "MAIL":
                    asked = msgspec.structs.replace(asked, sender=None)
                elif stage == "HELO":
                    return
        if stage == "DATA":
            return


def _exchanges(dialog: Dialog) -> Iterator[tuple[str, str]]:
    """Each command with its reply, all lines of it, up to a handshake: who asks cannot say what TLS has brought."""
    for sent, replies in dialog.exchanges():
        if isinstance(sent, Handshake):
            return
        lines = sent.decode("utf-8", "replace").split("\r\n")
        if len(lines) == 2 and replies:
            yield lines[0], "\n".join(replies)


async def _explained(dialog: Dialog, case: Case) -> Explained:
    async with PolicyServer(list(dialog.policy), listen=dialog.needs_policy_server) as policy:
        main_cf = "".join(f"{name} = {policy.placed(value)}\n" for name, value in dialog.parameters.items())
        world = World(main_cf, zone=ZONE, base=BASE)
        plain = world.env.policy
        assert isinstance(plain, AccessPolicy)
        tables = NotedTables(world.tables.env)
        recorder = Recorder(tables, lambda parameter: "main.cf", time.perf_counter)
        watched = AccessPolicy(plain.params, dataclasses.replace(plain.parts.ports, tables=tables), recorder.bind)
        env = dataclasses.replace(world.env, policy=watched)
        explained = await explain(env, recorder, case.asked, case.stage)
    return explained


def _same(told: Explained, case: Case) -> bool:
    wire = case.reply.removesuffix("\n<closed>")
    if told.stage == "CONNECT":
        return "access denied for" in wire  # who was refused when it connected hears that from then on
    if wire == "<closed>":
        return told.reply == "(the connection is closed without a word)"
    return told.stage == case.stage and told.reply == (wire if wire[:1] in ("4", "5") else "")


def _dialogs() -> Iterator[object]:
    for folder in FOLDERS:
        found = [dialog for dialog in all_dialogs() if dialog.name.startswith(folder + "/")]
        for part in range(0, len(found), 20):
            yield pytest.param(found[part : part + 20], id=f"{folder}-{part}")


@pytest.mark.parametrize("dialogs", list(_dialogs()))
async def test_what_is_explained_is_what_the_wire_says(dialogs: list[Dialog]) -> None:
    differences = []
    for dialog in dialogs:
        for case in _asked_of(dialog):
            told = await _explained(dialog, case)
            if not _same(told, case):
                differences.append(f"{dialog.name} {case.stage}: {case.asked}\n  wire: {case.reply}\n  told: {told}")
            elif told.reply:
                assert told.decisive >= 0 or told.implied, (dialog.name, told)
                if told.decisive >= 0:
                    _has_reason(told)
    assert not differences, "\n".join(differences)


def _has_reason(told: Explained) -> None:
    event = told.events[told.decisive]
    assert event.reason, event


def _asked_of(dialog: Dialog) -> list[Case]:
    """Accepted commands before RCPT say little."""
    if dialog.name in NOT_ASKED:
        return []
    cases = [case for case in _cases(dialog) if case.stage in ("RCPT", "DATA") or case.reply[:1] not in "23"]
    return cases[:1] if len(dialog.policy) > 1 else cases


def test_there_are_enough_of_them() -> None:
    cases = [case for dialog in all_dialogs() if dialog.name.split("/")[0] in FOLDERS for case in _asked_of(dialog)]
    assert len(cases) >= LEAST
    assert sum(case.reply[:1] in ("4", "5") for case in cases) >= LEAST // 2
