"""gatepost route: where mail for an address goes, with which limits, and where each of these comes from."""

import asyncio
import contextlib
import os
import pwd
import sys
import time
from collections.abc import Iterator
from typing import cast

import msgspec

from gatepost.audit.route import Delivery, Explanation, Parts, RouteExplainer
from gatepost.audit.route_tls import Policed
from gatepost.cleanup.interface import QueueWriter
from gatepost.cli.options import CommandLineError, ManualPage
from gatepost.cli.terminal import Paint, show
from gatepost.config.configuration import Configuration
from gatepost.config.master_cf import Service
from gatepost.control.acting_as import acting_as
from gatepost.control.client import ControlError, resting_nexthops
from gatepost.ipc.messages import Sick
from gatepost.mail.address import parse_path
from gatepost.maillog.sink import MailLog, MemoryOutput
from gatepost.master.foundation import Foundation
from gatepost.master.notices import make_cleanup
from gatepost.master.privileges import owner_of
from gatepost.master.services import smtpd_services, transports
from gatepost.master.smtp_tls import tls_policies
from gatepost.qmgr.destination_policies import destination_policies
from gatepost.tables.noted import NotedTables

USAGE, NO_USER, UNAVAILABLE, CANNOT_TELL = 64, 67, 69, 75
"""EX_USAGE, EX_NOUSER, EX_UNAVAILABLE and EX_TEMPFAIL of sysexits(3)."""

DESCRIPTION = """\
Explains where mail for ADDRESS would go if it came in now: what rewriting, canonical maps and virtual aliases make of
it, the class of its domain, transport and next hop, the TLS security level on the way there, and the limits that hold
(deliveries at a time, recipients, rates, the retry schedule), each with the parameter or table entry that it comes
from, file and line where there are such.

The configuration is read, and the tables are asked, by the code that serves mail; no message is made, and the mail
system need not run. If it runs, next hops that are not well at present are told, too.

Not looked at: what a server's restrictions say about the address, FILTER and REDIRECT in access tables, BCCs, and what
local aliases and .forward files make of a local user.
"""
EXIT_STATUS = """\
0: it would be delivered, or discarded. 1: the configuration cannot be used. 64: wrong command line. 67: for one
recipient at least it would come back. 69: it would wait, for there is no such transport, it is put off, or no TLS
would do. 75: a table cannot be asked now, so that the answer is not known.
"""


def _parser() -> ManualPage:
    parser = ManualPage(
        "gatepost route",
        "where mail for an address goes, and why",
        "[-c DIR] [--sender ADDRESS] [--json] ADDRESS...",
        DESCRIPTION,
        EXIT_STATUS,
    )
    parser.add_argument("--sender", metavar="ADDRESS", default="", help="who sends it (else: the null sender, <>)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line for each ADDRESS")
    parser.add_argument("addresses", metavar="ADDRESS", nargs="+", help="a recipient, as an SMTP client would give it")
    return parser


def main(arguments: list[str], directory: str) -> int:
    """Explain; the exit status."""
    try:
        options = _parser().parse_args(arguments)
        addresses = [_internal(address) for address in options.addresses]
        sender = _internal(options.sender) if options.sender not in ("", "<>") else ""
    except CommandLineError as error:
        print(f"gatepost route: fatal: {error}", file=sys.stderr)
        return USAGE
    configuration = Configuration.read(directory)
    errors = configuration.check()
    for mistake in errors:
        print(f"gatepost route: fatal: {mistake}", file=sys.stderr)
    if errors:
        return 1
    output = MemoryOutput()
    log = MailLog(output, "postfix", os.getpid())
    owner: pwd.struct_passwd | None = owner_of(configuration.settings) if os.geteuid() == 0 else None
    with acting_as(owner):  # as the workers are, when they open tables
        explanations = asyncio.run(_explain(configuration, log, addresses, sender))
    log.flush()
    for line in dict.fromkeys(output.lines):
        print(f"gatepost route: {line}", file=sys.stderr)
    sick = _sick(configuration)
    paint = Paint.for_output()
    for explanation in explanations:
        if options.json:
            print(_json(explanation, sick))
        else:
            show(_lines(explanation, sick), lambda line: _painted(line, paint))
    return max(map(_status, explanations))


def _internal(address: str) -> str:
    """Raises CommandLineError."""
    try:
        address = os.fsencode(address).decode()  # whatever the locale has made of it
    except UnicodeDecodeError:
        raise CommandLineError(f"bad address: {address!a}: not UTF-8") from None
    text = address if address.startswith("<") else f"<{address}>"
    found = parse_path(text, strict=False, allow_empty=False)
    if not found:
        raise CommandLineError(f"bad address: {address}")
    return found


async def _explain(configuration: Configuration, log: MailLog, addresses: list[str], sender: str) -> list[Explanation]:
    """Raises ConfigError."""
    noted: list[NotedTables] = []

    def open_tables(env: object) -> NotedTables:
        tables = NotedTables(env)  # type: ignore[arg-type]
        noted.append(tables)
        return tables

    foundation = Foundation(configuration, log, open_tables)
    services = transports(configuration)
    policies = destination_policies(
        configuration.settings,
        foundation.tables,
        _smtp(configuration),
        lambda: foundation.dns,
        log.program("qmgr"),
        clock=time.time,
        monotonic=time.monotonic,
        spawn=lambda coroutine: coroutine.close(),
    )
    parts = Parts(
        configuration.settings,
        services,
        [(service, configuration.settings_for(service)) for service in smtpd_services(configuration)],
        noted[0],
        foundation.resolver,
        foundation.local_domains,
        foundation.classes,
        make_cleanup(foundation, cast(QueueWriter, None), log),  # nothing is written
        policies,
        lambda service: _policed(configuration, foundation, service),
    )
    explainer = RouteExplainer(parts)
    try:
        return [await explainer.explain(address, sender) for address in addresses]
    finally:
        foundation.tables.close()
        await foundation.dns.close()


def _policed(configuration: Configuration, foundation: Foundation, service: Service) -> Policed:
    """How a transport protects mail. Raises ConfigError."""
    settings, log = configuration.settings_for(service), foundation.mail_log.program(service.program)
    return Policed(settings, *tls_policies(foundation.tables, settings, service.program, log, foundation.dns))


def _smtp(configuration: Configuration) -> set[str]:
    return {name for name, service in transports(configuration).items() if service.program in ("smtp", "lmtp")}


def _sick(configuration: Configuration) -> list[Sick]:
    """Next hops that the running mail system has put behind the others; none if it does not run, or will not tell."""
    if not configuration.settings.gatepost_nexthop_rest_time:
        return []
    with contextlib.suppress(ControlError):
        return resting_nexthops(configuration.settings.gatepost_queue_directory)
    return []


def _of(delivery: Delivery, sick: list[Sick]) -> list[Sick]:
    sites = delivery.nexthop.replace(",", " ").split()
    return [one for one in sick if one.transport == delivery.transport and one.nexthop in sites]


def _status(explanation: Explanation) -> int:
    outcomes = {delivery.outcome for delivery in explanation.deliveries}
    if explanation.failure or "unknown" in outcomes:
        return CANNOT_TELL
    return UNAVAILABLE if "wait" in outcomes else NO_USER if "bounce" in outcomes else 0


def _json(explanation: Explanation, sick: list[Sick]) -> str:
    tree = msgspec.to_builtins(explanation)
    for delivery, built in zip(explanation.deliveries, tree.get("deliveries", ()), strict=True):
        if found := _of(delivery, sick):
            built["not_well"] = msgspec.to_builtins(found)
    return msgspec.json.encode(tree).decode()


def _lines(explanation: Explanation, sick: list[Sick]) -> Iterator[str]:
    yield f"{explanation.address}, from <{explanation.sender}>"
    for step in explanation.steps:
        yield f"  {step.what}: {step.value}{_from(str(step.origin))}"
    if explanation.failure:
        yield f"  cannot tell now: {explanation.failure}"
    for one in explanation.filters:
        place = f"{one.transport}:{one.nexthop}"
        yield f"  what comes in by {one.listener} goes to a filter first: {place}{_from(str(one.origin))}"
    for delivery in explanation.deliveries:
        yield f"  recipient {delivery.recipient}: {_OUTCOMES[delivery.outcome]}"
        if delivery.failure:
            yield f"    cannot tell now: {delivery.failure}"
        for step in delivery.steps:
            yield f"    {step.what}: {step.value}{_from(str(step.origin))}"
        for remark in delivery.remarks:
            yield f"    {remark}"
        for found in _of(delivery, sick):
            until = time.strftime("%H:%M:%S", time.localtime(found.until))
            yield f"    {found.nexthop} comes behind the others until {until}: {found.reason}"
        if delivery.limits:
            yield "    limits:"
        for limit in delivery.limits:
            yield f"      {limit.what}: {limit.value}{_from(str(limit.origin))}"


def _painted(line: str, paint: Paint) -> str:
    if not line.startswith(" "):
        return paint.bold(line)
    start, colon, word = line.rpartition(": ")
    if colon and start.startswith("  recipient "):
        colour = {_OUTCOMES["deliver"]: paint.green, _OUTCOMES["bounce"]: paint.red}.get(word, paint.yellow)
        return f"{start}: {colour(word)}"
    return line


_OUTCOMES = {
    "deliver": "delivered",
    "bounce": "comes back",
    "discard": "discarded",
    "wait": "waits",
    "unknown": "not known",
}


def _from(origin: str) -> str:
    return "" if origin == "default" else f"  [{origin}]"
