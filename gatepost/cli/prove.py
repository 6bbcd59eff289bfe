"""gatepost prove: can a stranger relay?"""

import asyncio
import sys
from collections.abc import Iterator

import msgspec

from gatepost.audit.place import where_set
from gatepost.audit.strangers.inquiry import Answer, inquire
from gatepost.audit.strangers.report import json_report, text_report
from gatepost.cli.options import CommandLineError, ManualPage
from gatepost.cli.terminal import Paint, show
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.master.prove import ProvedListener, inquired, prove

DESCRIPTION = """\
Proves from the configuration that no stranger can relay, or shows a session by which one can. Every SMTP listener of
master.cf is looked at with its own settings: all restriction lists, classes, access tables and networks, for all
clients, HELO names, senders and recipients at once.

A stranger is a client that has not authenticated and shows no certificate, from an address, or with a verified name,
that nothing trusts. He may say whatever he likes: trust in a HELO name or a sender is trust in anybody. So is trust in
more than 2^24 public IPv4 addresses, or in an IPv6 /32.

Tables in files and in main.cf are read, entry by entry, as they are now. What regular expressions, databases and
policy services may answer cannot be listed: where a stranger would get in if they permitted him, the result depends on
them. Name service is assumed to say what a stranger wants it to say.
"""
EXIT_STATUS = (
    "0: proved for every listener. 1: refuted for one. 2: an error in the configuration. 3: it depends. "
    "64: wrong command line."
)
_STATUS = {"proved": 0, "depends": 3, "refuted": 1}
_GRAVITY = (1, 3, 0)


def _parser() -> ManualPage:
    parser = ManualPage(
        "gatepost prove", "prove that no stranger can relay", "[-c DIR] [--json]", DESCRIPTION, EXIT_STATUS
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per listener")
    return parser


def main(arguments: list[str], directory: str) -> int:
    """Run the proof; the exit status."""
    try:
        options = _parser().parse_args(arguments)
    except CommandLineError as error:
        print(f"gatepost prove: fatal: {error}", file=sys.stderr)
        return 64
    try:
        proof = prove(Configuration.read(directory), strangers=False)
        if not proof.listeners:
            for text in proof.errors:
                print(f"gatepost prove: {text}", file=sys.stderr)
            if not proof.errors:
                print("No listener: no mail comes in over SMTP.")
            return 2 if proof.errors else 0
        answers = asyncio.run(_all(proof.listeners))
    except ConfigError as error:
        print(f"gatepost prove: fatal: {error}", file=sys.stderr)
        return 2
    paint = Paint.for_output()
    for number, (listener, answer) in enumerate(zip(proof.listeners, answers, strict=True)):
        if options.json:
            print(_json(listener, answer))
        else:
            print("\n" * bool(number), end="")
            show(_text(listener, answer), lambda line: _painted(line, paint))
    statuses = {_STATUS[answer.outcome] for answer in answers}
    return next(status for status in _GRAVITY if status in statuses)


async def _all(listeners: list[ProvedListener]) -> list[Answer]:
    return [await inquire(inquired(listener)) for listener in listeners]


def _text(listener: ProvedListener, answer: Answer) -> Iterator[str]:
    service = listener.service
    addresses = ", ".join(map(str, listener.addresses)) or "no address"
    yield f"Listener {service.name} ({service.path}, line {service.line}), on {addresses}:"
    for line in text_report(
        answer, listener.lists["mynetworks"], lambda parameter: where_set(listener.settings, parameter)
    ):
        yield f"  {line}"


def _painted(line: str, paint: Paint) -> str:
    word = line.strip().partition(":")[0]
    colours = {"PROVED": paint.green, "REFUTED": paint.red, "DEPENDS": paint.yellow}
    if word in colours:
        return colours[word](line)
    return paint.bold(line) if line.startswith("Listener") else line


def _json(listener: ProvedListener, answer: Answer) -> str:
    report = json_report(
        listener.service.name,
        answer,
        listener.lists["mynetworks"],
        lambda parameter: where_set(listener.settings, parameter),
    )
    return msgspec.json.encode(report).decode()
