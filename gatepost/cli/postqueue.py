"""postqueue(1) and mailq: list the queue, flush it."""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice

import msgspec

from gatepost.cli.options import CommandLineError, ManualPage
from gatepost.cli.selecting import SELECTING, add_selecting, selection_of
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.control.access import queue_session
from gatepost.control.client import ControlError, QueueManagerDown
from gatepost.control.listing import external, shown_recipients
from gatepost.mail.hostname import valid_hostname, valid_mailhost_literal
from gatepost.mail.queue_id import valid_queue_id
from gatepost.queue.selection import Selection
from gatepost.queue.store import Listed

UNAVAILABLE = 69
"""EX_UNAVAILABLE of sysexits(3): every failure of this command, as with Postfix."""

_USAGE = "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site"
_DESCRIPTION = (
    """\
Lists the queue or has deferred mail tried now. While the mail system is down, a user who may read the queue gets the
listing from the queue itself; the other acts need a running mail system.

In the traditional listing, `*` after a queue ID means that the message is being delivered, `!` that it is on hold, `#`
that it will be returned at its next attempt (postsuper -e).
Size is in octets; the reasons are those of the last attempt.

In the JSON listing each line is one object: queue_name (incoming, active, deferred, hold, corrupt), queue_id,
arrival_time (seconds since 1970), message_size, forced_expire, sender, and recipients: an array of objects
with address and, after a failed attempt, delay_reason.

-p, -j and -f can be limited by the options --sender to --newer-than, and --queue.

"""
    + SELECTING
)
_MARKS = {"incoming": "", "active": "*", "deferred": "", "hold": "!", "corrupt": ""}
_BOOLEANS = ("false", "true")
_REASON_WIDTH = 78
_HEAD_SHORT = "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n"
_HEAD_LONG = "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n"
_INDENT_SHORT = " " * 41
_INDENT_LONG = " " * 47

_AT_ONCE = 256
"""Messages per write: a page of the store."""
_FLUSHED_AT_ONCE = 5000
"""Queue IDs in one request."""


def mailq(arguments: list[str], directory: str) -> int:
    """The command mailq: postqueue -p."""
    return main(arguments if "--help" in arguments else ["-p", *arguments], directory)


def _parser() -> ManualPage:
    parser = ManualPage(
        "postqueue",
        "list or flush the mail queue",
        "[-c DIR] -p | -j | -f | -i ID | -s SITE\n"
        "[-c DIR] -p | -j | -f [--queue QUEUE] [--sender ADDRESS] ...",
        _DESCRIPTION,
        f"0: done. {UNAVAILABLE}: not done; standard error tells why.",
    )
    parser.add_argument("-p", action="store_true", help="list the queue in the traditional form (mailq)")
    parser.add_argument("-j", action="store_true", help="list the queue, one JSON object per line")
    parser.add_argument("-f", action="store_true", help="try to deliver all deferred mail now")
    parser.add_argument("-i", metavar="ID", help="try to deliver this deferred message now")
    parser.add_argument("-s", metavar="SITE", help="try to deliver all deferred mail for this domain now")
    add_selecting(parser)
    parser.add_argument("--queue", metavar="QUEUE", action="append", default=[], help="that are in this queue")
    parser.add_argument("-v", action="count", help="accepted; no effect")
    return parser


def main(arguments: list[str], directory: str) -> int:
    """Run postqueue; the exit status."""
    settings: Settings | None = None
    try:
        options = _parser().parse_args(arguments)
        acts = options.p + options.j + options.f + (options.i is not None) + (options.s is not None)
        if acts > 1:  # as in Postfix, whose log does not tell of this
            raise CommandLineError("one act at a time")
        settings = Configuration.read(directory).settings
        if not acts:
            raise CommandLineError("nothing to be done")
        selection = _selection(options)
        if options.p or options.j:
            _list(settings, selection, as_json=options.j)
        else:
            _flush(settings, options.i, options.s, selection)
    except CommandLineError:
        return _fatal(_USAGE, settings)
    except (ConfigError, ControlError) as error:
        return _fatal(str(error), settings)
    return 0


def _selection(options: argparse.Namespace) -> Selection | None:
    """Raises ControlError."""
    try:
        selection = selection_of(options, options.queue, time.time())
    except CommandLineError as error:
        raise ControlError(str(error)) from None
    if selection is None and options.queue:
        selection = Selection(queues=frozenset(options.queue))
    if selection is not None and not (options.p or options.j or options.f):
        raise ControlError("options that select go with -p, -j and -f")
    return selection


def _fatal(text: str, settings: Settings | None) -> int:
    if settings is None:
        print(f"postqueue: fatal: {text}", file=sys.stderr)
        return UNAVAILABLE
    # For this only: what it needs takes its time to import.
    from gatepost.cli.report import Report

    say = Report("postqueue", settings)
    say.fatal(text)
    say.close()
    return UNAVAILABLE


def _list(settings: Settings, selection: Selection | None, *, as_json: bool) -> None:
    with _unless_down("Queue report unavailable"), queue_session(settings) as session:
        listing = session.listing(selection)
        items = map(json_line, listing) if as_json else traditional(listing, long_ids=settings.enable_long_queue_ids)
        some = list(islice(items, _AT_ONCE))
        if not session.running:
            print("postqueue: warning: Mail system is down -- accessing queue directly", file=sys.stderr)
        while some:
            sys.stdout.write("".join(some))
            some = list(islice(items, _AT_ONCE))


@contextmanager
def _unless_down(what: str) -> Iterator[None]:
    """Say what could not be done in the words of Postfix. Raises ControlError."""
    try:
        yield
    except QueueManagerDown as down:
        raise ControlError(f"{what} - {down}") from down


def _flush(settings: Settings, queue_id: str | None, site: str | None, selection: Selection | None) -> None:
    if queue_id is not None and not valid_queue_id(queue_id):
        raise ControlError(f'Cannot flush queue ID - invalid name: "{queue_id}"')
    if site is not None and not (valid_mailhost_literal(site) if site.startswith("[") else valid_hostname(site)):
        raise ControlError(f'Cannot flush mail queue - invalid destination: "{_shortened(site)}"')
    with _unless_down("Cannot flush mail queue"), queue_session(settings) as session:
        if not session.running:
            raise ControlError("Cannot flush mail queue - mail system is down")
        if selection is not None:
            found = (item.queue_id for item in session.listing(selection))
            while some := list(islice(found, _FLUSHED_AT_ONCE)):
                _drain(session.ask("flush", *some))
        elif site is not None:
            _drain(session.ask("flush-site", site))
        else:
            _drain(session.ask("flush", *filter(None, [queue_id])))


def _shortened(site: str) -> str:
    return site if len(site) <= 100 else f"{site[:100]}..."


def _drain(lines: Iterator[str]) -> None:
    for _ in lines:
        pass


def json_line(item: Listed) -> str:
    """One message as `postqueue -j` prints it, with its line end."""
    recipients = ", ".join(_json_recipient(address, why) for address, why in shown_recipients(item))
    return (
        f'{{"queue_name": {_json_text(item.queue)}, "queue_id": {_json_text(item.queue_id)}, '
        f'"arrival_time": {int(item.arrival)}, "message_size": {item.size}, '
        f'"forced_expire": {_BOOLEANS[item.forced_expire]}, '
        f'"sender": {_json_text(external(item.sender) or "MAILER-DAEMON")}, "recipients": [{recipients}]}}\n'
    )


def _json_text(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _json_recipient(address: str, why: str) -> str:
    if why:
        return f'{{"address": {_json_text(address)}, "delay_reason": {_json_text(why)}}}'
    return f'{{"address": {_json_text(address)}}}'


def traditional(listing: Iterable[Listed], *, long_ids: bool) -> Iterator[str]:
    """The listing as mailq prints it: its head, each message, the sum."""
    lines_of = _lines_long if long_ids else _lines_short
    messages = octets = 0
    for item in listing:
        if not messages:
            yield _HEAD_LONG if long_ids else _HEAD_SHORT
        messages += 1
        octets += item.size
        yield lines_of(item)
    if messages:
        yield f"-- {octets // 1024} Kbytes in {messages} Request{'s' if messages > 1 else ''}.\n"
    else:
        yield "Mail queue is empty\n"


def _lines_short(item: Listed) -> str:
    name = item.queue_id + _MARKS[item.queue] + ("#" if item.forced_expire else "")
    sender = external(item.sender) or "MAILER-DAEMON"
    return f"{name:<11} {item.size:>7} {_time(int(item.arrival))}  {sender}\n{_recipients(item, _INDENT_SHORT)}\n"


def _lines_long(item: Listed) -> str:
    name = item.queue_id + _MARKS[item.queue] + ("#" if item.forced_expire else "")
    sender = external(item.sender) or "MAILER-DAEMON"
    return f"{name:<17} {item.size:>8} {_time(int(item.arrival))} {sender}\n{_recipients(item, _INDENT_LONG)}\n"


def _recipients(item: Listed, indent: str) -> str:
    if len(item.recipients) == 1:  # as most have
        address, why = item.recipients[0]
        return f"{_reason(why)}{indent}{external(address)}\n" if why else f"{indent}{external(address)}\n"
    lines = ""
    reason = ""
    for address, why in shown_recipients(item):
        if why and why != reason:
            reason = why
            lines += _reason(why)
        lines += f"{indent}{address}\n"
    return lines


@lru_cache(maxsize=1024)
def _reason(why: str) -> str:
    return f"({why})".rjust(_REASON_WIDTH) + "\n"


@lru_cache(maxsize=4096)
def _time(arrival: int) -> str:
    return time.strftime("%a %b %e %H:%M:%S", time.localtime(arrival))
