"""gatepost explain: why a session would be accepted or refused."""

import argparse
import asyncio
import os
import pwd
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import msgspec

from gatepost.audit.explain.asked import Asked
from gatepost.audit.explain.decision_files import Decision
from gatepost.audit.explain.inquiry import STAGES, Explained, explain
from gatepost.audit.explain.log_line import Told, told_by
from gatepost.audit.explain.meaning import meaning
from gatepost.audit.explain.recorder import NotedResolver, Recorder
from gatepost.audit.explain.replay import without_probes
from gatepost.audit.explain.report import text_report
from gatepost.audit.place import where_set
from gatepost.cleanup.memory_writer import MemoryWriter
from gatepost.cleanup.pipeline import MailCleanup
from gatepost.cli.explain_message import history, history_report, is_queue_id
from gatepost.cli.explain_past import described, explained_then, past_report, remembered, time_of, today_report
from gatepost.cli.options import CommandLineError, ManualPage
from gatepost.cli.terminal import Paint, show
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.master_cf import Service
from gatepost.config.settings import Settings
from gatepost.control.acting_as import acting_as
from gatepost.dns.names import client_name
from gatepost.mail.hostname import valid_hostaddr
from gatepost.maillog.sink import MailLog, MemoryOutput
from gatepost.master.foundation import Foundation
from gatepost.master.privileges import owner_of
from gatepost.master.servers import server_environment, unprotected_policy
from gatepost.master.services import smtpd_services
from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.restrictions.facts import NAME_OK, NAME_PERMANENT, Client
from gatepost.smtpd.environment import CountedRates
from gatepost.tables.noted import NotedTables

DESCRIPTION = """\
Explains why the server would accept or refuse a session: stage by stage and list by list, each restriction with its
answer and the reason for it, the entries of tables with file and line, and what name service said; then the reply that
the client gets, and the smallest changes that would alter it.

The session is described by options, or by a LINE of the mail log that tells of a refusal (in quotes). It is judged by
the code that serves SMTP, with the configuration and tables as they are now; nothing is sent to anybody, but tables,
policy services and name servers are asked.

Refusals are kept for a while (gatepost_decision_log). For a LINE of which that is so, and with --past, it is told what
was decided then, with the tables and the name service of that moment, and whether it would be the same today.

Of a QUEUEID it shows the lines of the log with what they mean, and where the message is now. Other lines of the log are
put into plain words.

A `*` marks the restriction that refused.
"""
EXIT_STATUS = """\
0: it would be accepted. 1: it would be refused; nothing is known of the message. 2: an error in the configuration.
64: wrong command line.
"""


def _parser() -> ManualPage:
    parser = ManualPage(
        "gatepost explain",
        "why a session is accepted or refused",
        "[-c DIR] QUEUEID\n[-c DIR] LINE\n[-c DIR] --client ADDRESS [--from ADDRESS] [--to ADDRESS]",
        DESCRIPTION,
        EXIT_STATUS,
    )
    parser.add_argument("line", nargs="?", metavar="LINE", help="a line of the mail log, or a queue ID")
    parser.add_argument("--client", metavar="ADDRESS", help="the client's address")
    parser.add_argument("--client-name", metavar="NAME", help="its verified name, or unknown (else: DNS is asked)")
    parser.add_argument("--helo", metavar="NAME", help="what it says at EHLO (else: its name)")
    parser.add_argument("--sasl", metavar="USER", default="", help="it has logged in as this user")
    parser.add_argument("--tls", action="store_true", help="it uses TLS")
    parser.add_argument("--from", metavar="ADDRESS", dest="sender", help="the sender; <> is the null sender")
    parser.add_argument("--to", metavar="ADDRESS", dest="recipient", help="the recipient")
    parser.add_argument("--stage", metavar="STAGE", default="END-OF-MESSAGE", help=f"the last one: {' '.join(STAGES)}")
    parser.add_argument("--listener", metavar="NAME", default="", help="of master.cf (else: the first smtpd)")
    parser.add_argument("--past", action="store_true", help="the last refusal of such a session that is kept")
    parser.add_argument("--now", action="store_true", help="LINE: as it would be today, not as it was")
    parser.add_argument("--log", metavar="FILE", default="", help="QUEUEID: the mail log (else: maillog_file)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser


_TAG = re.compile(r"(\S+)/smtpd\[\d+\]: ")


class _Question(msgspec.Struct):
    client: str
    name: str | None
    helo: str | None
    sender: str | None
    recipient: str | None
    sasl: str
    tls: bool
    stage: str
    listener: str
    protocol: str = "ESMTP"
    logged: bool = False  # it is told by a line of the log
    reply: str = ""  # what that line says
    moment: float | None = None  # when it was written
    past: bool = False
    known: Client | None = None


def main(arguments: list[str], directory: str) -> int:
    """Explain; the exit status."""
    try:
        options = _parser().parse_args(arguments)
        if options.line is not None and is_queue_id(options.line):
            return _message(options, directory)
        if options.line is not None and told_by(options.line) is None and (said := meaning(options.line)):
            show(said)
            return 0
        question = _question(options)
        configuration = Configuration.read(directory)
        errors = configuration.check()
        if errors:
            raise errors[0]
        service = _listener(configuration, question.listener, options.line or "")
    except CommandLineError as error:
        print(f"gatepost explain: fatal: {error}", file=sys.stderr)
        return 64
    except ConfigError as error:
        print(f"gatepost explain: fatal: {error}", file=sys.stderr)
        return 2
    owner: pwd.struct_passwd | None = owner_of(configuration.settings) if os.geteuid() == 0 else None
    with acting_as(owner):  # as the workers are, when they open tables
        decision = _remembered(configuration, question) if question.past else None
        if decision is not None:
            _as_then(question, decision)
            if not options.listener and decision.listener in [each.name for each in smtpd_services(configuration)]:
                service = _listener(configuration, decision.listener)
        elif options.past:
            print("gatepost explain: nothing is kept of such a session", file=sys.stderr)
            return 1
        explained, asked = asyncio.run(_explained(configuration, service, question))
    if options.json:
        print(_json(explained, asked, decision))
        return 1 if explained.reply else 0
    if decision is not None:
        lines = [*past_report(decision, configuration), *today_report(explained_then(decision), explained)]
    else:
        lines = list(_text(explained, asked, service, configuration.settings_for(service)))
        lines += _compared(explained, question)
    paint = Paint.for_output()
    show(lines, lambda line: _painted(line, paint))
    return 1 if explained.reply else 0


def _message(options: argparse.Namespace, directory: str) -> int:
    """Of a queue ID. Raises ConfigError."""
    found = history(Configuration.read(directory).settings, options.line, options.log)
    if options.json:
        print(msgspec.json.encode(found).decode())
    else:
        paint = Paint.for_output()
        show(
            history_report(found, time.time()),
            lambda line: paint.bold(line) if line.startswith(("Message ", "Now: ")) else line,
        )
    return 0 if found.lines or found.queued is not None else 1


def _remembered(configuration: Configuration, question: _Question) -> Decision | None:
    return remembered(
        configuration, question.client, question.sender, question.recipient, question.reply, question.moment
    )


def _as_then(question: _Question, decision: Decision) -> None:
    """The record knows more of the session than a line of the log."""
    asked = decision.asked
    question.known = asked.client
    question.helo, question.sender, question.recipient = asked.helo, asked.sender, asked.recipient
    question.protocol, question.sasl, question.tls = asked.protocol, asked.sasl_username, asked.encrypted
    question.logged = True


def _compared(explained: Explained, question: _Question) -> Iterator[str]:
    """A line of the log of which nothing is kept: is it what comes out today?"""
    if question.reply[:1] in ("4", "5") and not explained.reply.startswith(question.reply):
        yield ""
        yield "The line of the log tells of another answer:"
        yield f"  {question.reply}"
        yield "  Since then the configuration, a table or the answer of name service has changed; or more counted than"
        yield "  this session: earlier recipients, rates, policy services. Nothing is kept of that decision."


def _question(options: argparse.Namespace) -> _Question:
    """Raises CommandLineError."""
    told: Told | None = None
    if options.line is not None:
        told = told_by(options.line)
        if told is None:
            raise CommandLineError("the line is of no kind that is known (quotes around it?)")
    elif options.client is None:
        raise CommandLineError("--client, or a line of the log, is needed")
    stage = options.stage.upper()
    if stage not in STAGES:
        raise CommandLineError(f"--stage: one of {', '.join(STAGES)}")
    question = _Question(
        told.address if told else options.client,
        told.name if told else options.client_name,
        told.helo if told else options.helo,
        told.sender if told else _address(options.sender),
        told.recipient if told else _address(options.recipient),
        told.login if told else options.sasl,
        options.tls,
        stage,
        options.listener,
        told.protocol if told else "ESMTP",
        told is not None,
        told.reply if told else "",
        time_of(options.line, time.time()) if told else None,
        options.past or (told is not None and not options.now),
    )
    if not valid_hostaddr(question.client):
        raise CommandLineError(f"--client: no address: {question.client}")
    return question


def _address(text: str | None) -> str | None:
    """An address of the command line, without the brackets that it may have."""
    return text[1:-1] if text is not None and text.startswith("<") and text.endswith(">") else text


def _listener(configuration: Configuration, name: str, line: str = "") -> Service:
    """The one of that name; else the one that writes lines like this (syslog_name); else the first."""
    services = smtpd_services(configuration)
    tag = _TAG.search(line)
    if not name and tag is not None:
        for service in services:
            if configuration.settings_for(service).syslog_name == tag[1]:
                return service
    for service in services:
        if name in ("", service.name):
            return service
    raise CommandLineError(f"no such listener: {name}" if services else "master.cf has no smtpd listener")


async def _explained(configuration: Configuration, service: Service, question: _Question) -> tuple[Explained, Asked]:
    """Raises ConfigError."""
    output = MemoryOutput()
    log = MailLog(output, "postfix", os.getpid())
    noted: list[NotedTables] = []

    def open_tables(env: object) -> NotedTables:
        noted.append(NotedTables(env))  # type: ignore[arg-type]
        return noted[-1]

    foundation = Foundation(configuration, log, open_tables)
    settings = configuration.settings_for(service)
    recorder = Recorder(noted[0], partial(where_set, settings), time.perf_counter, without_probes)
    plain = unprotected_policy(foundation, service)
    ports = replace(plain.parts.ports, dns=NotedResolver(foundation.dns, recorder.asked_dns))
    policy = AccessPolicy(plain.params, ports, recorder.bind)
    cleanup = MailCleanup(
        foundation.settings, MemoryWriter(), log.program("cleanup"), foundation.rewriter, foundation.virtual_aliases
    )
    env = server_environment(
        foundation, service, cleanup, CountedRates(time.monotonic), lambda: 1 << 50, lambda: False, policy=policy
    )
    try:
        asked = await _asked(foundation, question)
        explained = await explain(env, recorder, asked, question.stage)  # type: ignore[arg-type]
        log.flush()
        explained.log = list(output.lines)
        return explained, asked
    finally:
        foundation.tables.close()
        await foundation.dns.close()


async def _asked(foundation: Foundation, question: _Question) -> Asked:
    if question.known is not None:
        client = question.known
    elif question.name is None:
        found = await client_name(question.client, foundation.dns, foundation.hosts)
        client = Client(
            found.name, question.client, "0", found.name_status, found.reverse_name, found.reverse_name_status
        )
    else:
        status = NAME_PERMANENT if question.name == "unknown" else NAME_OK
        client = Client(question.name, question.client, "0", status, question.name, status)
    sender = question.sender
    if question.recipient is not None and sender is None:
        sender = ""
    return Asked(
        client,
        _helo_of(client) if question.helo is None and not question.logged else question.helo,
        sender,
        question.recipient,
        question.protocol,
        question.sasl,
        question.tls,
    )


def _helo_of(client: Client) -> str:
    return client.name if client.name != "unknown" else f"[{client.address}]"


def _text(explained: Explained, asked: Asked, service: Service, settings: Settings) -> Iterator[str]:
    first, *more = described(asked)
    yield f"{first}, at listener {service.name}"
    yield from more
    yield ""
    yield from text_report(explained, asked, partial(where_set, settings))


def _painted(line: str, paint: Paint) -> str:
    text = line.strip()
    if text.startswith("-> PERMIT"):
        return paint.green(line)
    if text.startswith("* "):
        return paint.red(line)
    word, colon, rest = line.partition(":")
    if colon and word in ("Answer", "Why", "What would change it", "Today"):
        return paint.bold(word + colon) + rest
    return paint.bold(line) if line.startswith(("Client ", "Recorded on ")) else line


def _json(explained: Explained, asked: Asked, decision: Decision | None) -> str:
    report = {
        "client_name": asked.client.name,
        "client_address": asked.client.address,
        "helo": asked.helo,
        "sender": asked.sender,
        "recipient": asked.recipient,
        **msgspec.to_builtins(explained),
        "recorded": msgspec.to_builtins(decision),
    }
    return msgspec.json.encode(report).decode()
