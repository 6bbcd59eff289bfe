"""postsuper(1): delete, hold, release, expire and requeue queued messages."""

import sys
import time
from collections.abc import Collection, Iterator
from itertools import islice
from typing import NamedTuple

import msgspec

from gatepost.cli.options import CommandLineError, ManualPage
from gatepost.cli.report import Report
from gatepost.cli.selecting import SELECTING, add_selecting, check_queues, selection_of
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.control.access import Session, queue_session
from gatepost.control.client import RESERVED, ControlError, Denied
from gatepost.control.listing import QUEUES, SAVED
from gatepost.mail.queue_id import valid_queue_id
from gatepost.maillog.lines import superuser_act
from gatepost.queue.selection import Selection


class Act(NamedTuple):
    """A request of the control socket; what is said of one message, and of their number."""

    request: str
    past: str
    title: str


Piece = tuple[list[str], list[str]]
"""Queue IDs, and what was given behind them as such and is none."""


class Asked(NamedTuple):
    """What was asked for, whether each message is reported, the answer, and what is no queue ID."""

    act: Act
    each: bool
    answer: Iterator[str]
    bad: list[str]


# In the order in which Postfix counts them at the end.
REQUEUE = Act("requeue", "requeued", "Requeued")
DELETE = Act("delete", "removed", "Deleted")
EXPIRE = Act("expire", "expired", "Force-expired")
HOLD = Act("hold", "placed on hold", "Placed on hold")
RELEASE = Act("release", "released from hold", "Released from hold")
ACTS = (REQUEUE, DELETE, EXPIRE, HOLD, RELEASE)

# In the order in which they are carried out.
OPTIONS = {
    "r": (REQUEUE,),
    "d": (DELETE,),
    "h": (HOLD,),
    "H": (RELEASE,),
    "e": (EXPIRE,),
    "f": (EXPIRE, RELEASE),
}
_TOLD_AT_ONCE = 500
"""Lines in one write."""
OTHER_QUEUES = ("maildrop", "defer", "bounce", "trace", "flush")
"""Of Postfix's. Here nothing is in them."""
_AT_ONCE = 5000
"""Queue IDs in one request."""
_HOUSEKEEPING = "psS"
_DESCRIPTION = (
    """\
Deletes, holds, releases, expires or requeues queued messages, whether the mail system runs or not. An act is on
stable storage when it is reported, on standard error and in the mail log.

ID is a queue ID, `-` for queue IDs on standard input (one per line), or ALL, in upper case. QUEUE limits the acts to
messages in that queue: incoming, active, deferred, hold or corrupt, and for -d also saved (what dont_remove keeps).
Without it -d, -e, -f and -r take all but corrupt and saved, -h all but hold, corrupt and saved. A message under
delivery is finished with for the recipients that are under way.

With one of the options --sender to --newer-than the acts need no ID: they are done to what these select. postqueue -p
shows what that is.

An expired message is returned to its sender at the next attempt (postqueue -f), without being tried again.

A requeued message gets another queue ID, and its addresses are rewritten and expanded again, as after a change of
tables; what was delivered is not sent again. While the mail system is down it waits for the next start.

Several options may stand together.

"""
    + SELECTING
)


def _parser() -> ManualPage:
    parser = ManualPage(
        "postsuper",
        "delete, expire, hold, release, requeue queued messages",
        "[-c DIR] [-d|-e|-f|-h|-H|-r ID]... [QUEUE...]\n"
        "[-c DIR] [-d|-e|-f|-h|-H|-r]... [--sender ADDRESS] ... [QUEUE...]",
        _DESCRIPTION,
        "0: done, though there may have been no such message. 1: not done, or not all; standard error tells why.",
    )
    for letter, text in (
        ("d", "delete this message"),
        ("h", "put this message on hold"),
        ("H", "release it, to be tried at once"),
        ("e", "return it at its next attempt"),
        ("f", "the same; if it is on hold, release it"),
        ("r", "requeue it"),
    ):
        parser.add_argument(f"-{letter}", metavar="ID", action="append", nargs="?", default=[], help=text)
    for letter in _HOUSEKEEPING:
        parser.add_argument(f"-{letter}", action="store_true", help="accepted; the queue needs no such repair")
    parser.add_argument("-v", action="count", help="accepted; no effect")
    add_selecting(parser)
    parser.add_argument("queues", nargs="*", metavar="QUEUE", help="only messages in this queue")
    return parser


def main(arguments: list[str], directory: str) -> int:
    """Run postsuper; the exit status."""
    settings: Settings | None = None
    try:
        options = _parser().parse_args(arguments)
        settings = Configuration.read(directory).settings
        acts = {letter: getattr(options, letter) for letter in OPTIONS if getattr(options, letter)}
        selection = selection_of(options, [], time.time())
        if selection is not None:
            check_queues(options.queues, (*QUEUES, *OTHER_QUEUES))
            named = frozenset((*_queues_taken_for_ids(acts), *options.queues))
            selection = msgspec.structs.replace(selection, queues=named)
        _check_ids(acts, selection)
        if selection is not None:
            _act({letter: [] for letter in acts}, sorted(selection.queues), settings, selection)
        elif acts:
            _act({letter: _ids(given) for letter, given in acts.items()}, options.queues, settings, None)
        else:
            check_queues(options.queues, [name for name in (*QUEUES, *OTHER_QUEUES) if name != "corrupt"])
    except Denied:
        _fatal(RESERVED, settings)
        return 1
    except (CommandLineError, ConfigError, ControlError) as error:
        _fatal(str(error), settings)
        return 1
    return 0


def _fatal(text: str, settings: Settings | None) -> None:
    if settings is None:
        print(f"postsuper: fatal: {text}", file=sys.stderr)
    else:
        say = Report("postsuper", settings)
        say.fatal(text)
        say.close()


def _queues_taken_for_ids(acts: dict[str, list[str | None]]) -> list[str]:
    """`-d deferred --sender X`: the name of a queue is no ID here."""
    found = [given for ids in acts.values() for given in ids if given in QUEUES]
    for ids in acts.values():
        ids[:] = [None if given in QUEUES else given for given in ids]
    return [name for name in found if name]


def _check_ids(acts: dict[str, list[str | None]], selection: Selection | None) -> None:
    """Raises CommandLineError."""
    for letter, ids in acts.items():
        if selection is None and None in ids:
            raise CommandLineError(f"argument -{letter}: expected one argument")
        if selection is not None and any(given not in (None, "ALL") for given in ids):
            raise CommandLineError(f"argument -{letter}: either an ID, or options that select")
    if selection is not None and not acts:
        raise CommandLineError("nothing to be done to what is selected: -d, -e, -f, -h, -H or -r?")


def _act(wanted: dict[str, list[str]], queues: list[str], settings: Settings, selection: Selection | None) -> None:
    """Raises ControlError, and CommandLineError for a name that is none of a queue."""
    say = Report("postsuper", settings)
    known = (*QUEUES, *OTHER_QUEUES, SAVED) if wanted.keys() == {"d"} else (*QUEUES, *OTHER_QUEUES)
    counts = {act: 0 for act in ACTS if any(act in OPTIONS[letter] for letter in wanted)}
    try:
        with queue_session(settings) as session:
            for letter, queue_ids in wanted.items():
                pieces = _valid(queue_ids) if selection is None else _selected(session, selection)
                asked: Asked | None = None
                for some, bad in pieces:  # the next ones are selected while the queue manager has those before in hand
                    for act in OPTIONS[letter]:
                        if asked is not None:
                            _tell(asked, counts, say)
                            asked = None
                        named = _looked_at(act, some, queues, known)
                        answer = iter(()) if named is None else session.ask(act.request, ",".join(named), *some)
                        asked = Asked(act, some != ["ALL"], answer, bad)
                if asked is not None:
                    _tell(asked, counts, say)
    except (CommandLineError, Denied):
        counts.clear()
        raise
    finally:
        for act, number in counts.items():
            say.info(f"{act.title}: {number} message{'' if number == 1 else 's'}")
        say.close()


def _looked_at(act: Act, some: list[str], queues: list[str], known: Collection[str]) -> list[str] | None:
    """In which queues `some` are looked for, of those named; None: in none. As Postfix: nobody looks at the names
    before the first queue ID, and a message that is to be released is looked for on hold, whatever else is named.
    Raises CommandLineError.
    """
    if act is RELEASE and queues and some != ["ALL"]:
        return ["hold"] if some and "hold" in queues else None
    if not some:
        return None
    check_queues(queues, known)
    return queues


def _tell(asked: Asked, counts: dict[Act, int], say: Report) -> None:
    """Count what it was done to, and report each message if they were named. Raises ControlError."""
    act = asked.act
    some: list[str] = []

    def told() -> None:
        counts[act] += len(some)
        if asked.each:
            say.all([superuser_act(queue_id, act.past) for queue_id in some])
        some.clear()

    try:
        for queue_id in asked.answer:
            some.append(queue_id)
            if len(some) == _TOLD_AT_ONCE:
                told()
    finally:
        told()
    for queue_id in asked.bad:
        say.warning(f"invalid mail queue id: {queue_id}")


def _selected(session: Session, selection: Selection) -> Iterator[Piece]:
    """The queue IDs of what is selected, _AT_ONCE of them."""
    found = (item.queue_id for item in session.listing(selection))
    while some := list(islice(found, _AT_ONCE)):
        yield some, []


def _valid(queue_ids: list[str]) -> Iterator[Piece]:
    """ALL, or what there is of queue IDs, _AT_ONCE of them, and behind them what is none."""
    if "ALL" in queue_ids:
        yield ["ALL"], []
        return
    good: list[str] = []
    bad: list[str] = []
    for queue_id in queue_ids:
        valid = valid_queue_id(queue_id)
        if len(good) == _AT_ONCE or (valid and bad):
            yield good, bad
            good, bad = [], []
        (good if valid else bad).append(queue_id)
    if good or bad:
        yield good, bad


def _ids(given: list[str]) -> list[str]:
    """Queue IDs as given; `-` stands for those on standard input."""
    found: list[str] = []
    for item in given:
        found += (line.removesuffix("\n") for line in sys.stdin) if item == "-" else [item]
    return found
