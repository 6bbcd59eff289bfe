"""Options that select messages by what a listing tells of them (postqueue, postsuper)."""

import argparse
import re
from collections.abc import Collection, Iterable

import msgspec

from gatepost.cli.options import CommandLineError
from gatepost.control.listing import QUEUES
from gatepost.queue.selection import Selection

SELECTING = """\
Messages can be selected by what the listing tells of them: all conditions must hold, except that of several --sender,
or of several --recipient and --domain, one will do. ADDRESS is an address, @DOMAIN for any address of a domain, or
either with * for any text; <> is the null sender; letter case does not matter. SIZE is in octets, or has one of k, M
and G behind it. AGE is in seconds, or has one of s, m, h, d and w behind it: 2d, 90m.
"""

_MULTIPLES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def add_selecting(parser: argparse.ArgumentParser) -> None:
    """Give a parser these options."""
    for option, name, text in (
        ("--sender", "ADDRESS", "of this sender"),
        ("--recipient", "ADDRESS", "that wait for this recipient"),
        ("--domain", "DOMAIN", "that wait for a recipient of this domain"),
    ):
        parser.add_argument(option, metavar=name, action="append", default=[], help=text)
    parser.add_argument("--reason", metavar="TEXT", help="that wait for a reason that has this text in it")
    parser.add_argument("--larger-than", metavar="SIZE", help="of more octets")
    parser.add_argument("--smaller-than", metavar="SIZE", help="of fewer octets")
    parser.add_argument("--older-than", metavar="AGE", help="that arrived earlier than so long ago")
    parser.add_argument("--newer-than", metavar="AGE", help="that arrived since")


def selection_of(
    options: argparse.Namespace, queues: list[str], now: float, other_queues: tuple[str, ...] = ()
) -> Selection | None:
    """What the options select, None if none of them is given. `now`: wall-clock seconds. Raises CommandLineError, for
    names of queues too that are none, and not among `other_queues`.
    """
    domains = ["@" + domain.removeprefix("@") for domain in options.domain]
    check_queues(queues, (*QUEUES, *other_queues))
    selection = Selection(
        senders=tuple(options.sender),
        recipients=(*options.recipient, *domains),
        reason=options.reason or "",
        larger=_number("--larger-than", options.larger_than, _MULTIPLES),
        smaller=_number("--smaller-than", options.smaller_than, _MULTIPLES),
        before=_ago(now, _number("--older-than", options.older_than, _SECONDS)),
        after=_ago(now, _number("--newer-than", options.newer_than, _SECONDS)),
    )
    if "" in (*selection.senders, *selection.recipients):
        raise CommandLineError("an empty ADDRESS: the null sender is <>")
    if selection == Selection():
        return None
    return msgspec.structs.replace(selection, queues=frozenset(queues))


def check_queues(queues: Iterable[str], known: Collection[str]) -> None:
    """Raises CommandLineError for the first name that is none of a queue."""
    for name in queues:
        if name not in known:
            raise CommandLineError(f"invalid directory name: {name}")


def _ago(now: float, seconds: int | None) -> float | None:
    return None if seconds is None else now - seconds


def _number(option: str, text: str | None, units: dict[str, int]) -> int | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,15})([a-z]?)", text.lower(), re.A)
    if found is None or found[2] not in units:
        raise CommandLineError(f"{option} {text}: not a number, with one of {', '.join(filter(None, units))} behind it")
    return int(found[1]) * units[found[2]]
