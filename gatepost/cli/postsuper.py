"""postsuper(1): delete, hold, release, expire and requeue queued messages."""

import sys
from collections.abc import Iterator
from typing import NamedTuple

from gatepost.cli.options import CommandLineError, ManualPage
from gatepost.cli.report import Report
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.control.access import queue_session
from gatepost.control.client import ControlError
from gatepost.control.operations import QUEUES
from gatepost.mail.queue_id import valid_queue_id
from gatepost.maillog.lines import superuser_act


class Act(NamedTuple):
    """A request of the control socket; what is said of one message, and of their number."""

    request: str
    past: str
    title: str


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
_AT_ONCE = 5000
"""Queue IDs in one request."""
_HOUSEKEEPING = "psS"
_DESCRIPTION = """\
Deletes, holds, releases, expires or requeues queued messages, whether the mail system runs or not. An act is on
stable storage when it is reported, on standard error and in the mail log.

ID is a queue ID, `-` for queue IDs on standard input (one per line), or ALL, in upper case. QUEUE limits the acts to
messages in that queue: incoming, active, deferred, hold or corrupt. Without it -d, -e, -f and -r take all but
corrupt, -h all but hold and corrupt. A message under delivery is finished with for the recipients that are under way.

An expired message is returned to its sender at the next attempt (postqueue -f), without being tried again.

A requeued message gets another queue ID, and its addresses are rewritten and expanded again, as after a change of
tables; what was delivered is not sent again. While the mail system is down it waits for the next start.

Several options may stand together.
"""


def _parser() -> ManualPage:
    parser = ManualPage(
        "postsuper",
        "delete, expire, hold, release, requeue queued messages",
        "[-c DIR] [-d|-e|-f|-h|-H|-r ID]... [QUEUE...]",
        _DESCRIPTION,
        "0: done, though there may have been no such message. 1: not done, or not all; standard error tells why.",
    )
    parser.add_argument("-d", metavar="ID", action="append", default=[], help="delete this message")
    parser.add_argument("-h", metavar="ID", action="append", default=[], help="put this message on hold")
    parser.add_argument("-H", metavar="ID", action="append", default=[], help="release it, to be tried at once")
    parser.add_argument("-e", metavar="ID", action="append", default=[], help="return it at its next attempt")
    parser.add_argument("-f", metavar="ID", action="append", default=[], help="the same; if it is on hold, release it")
    parser.add_argument("-r", metavar="ID", action="append", default=[], help="requeue it")
    for letter in _HOUSEKEEPING:
        parser.add_argument(f"-{letter}", action="store_true", help="accepted; the queue needs no such repair")
    parser.add_argument("-v", action="count", help="accepted; no effect")
    parser.add_argument("queues", nargs="*", metavar="QUEUE", help="only messages in this queue")
    return parser


def main(arguments: list[str], directory: str) -> int:
    """Run postsuper; the exit status."""
    try:
        options = _parser().parse_args(arguments)
        for name in options.queues:
            if name not in QUEUES:
                raise CommandLineError(f"invalid directory name: {name}")
        settings = Configuration.read(directory).settings
        wanted = {letter: _ids(getattr(options, letter)) for letter in OPTIONS if getattr(options, letter)}
        if wanted:
            _act(wanted, options.queues, settings)
    except (CommandLineError, ConfigError, ControlError) as error:
        print(f"postsuper: fatal: {error}", file=sys.stderr)
        return 1
    return 0


def _act(wanted: dict[str, list[str]], queues: list[str], settings: Settings) -> None:
    say = Report("postsuper", settings)
    counts = {act: 0 for act in ACTS if any(act in OPTIONS[letter] for letter in wanted)}
    try:
        with queue_session(settings) as session:
            for letter, queue_ids in wanted.items():
                for some in _valid(queue_ids, say):
                    for act in OPTIONS[letter]:
                        for queue_id in session.ask(act.request, ",".join(queues), *some):
                            counts[act] += 1
                            if some != ["ALL"]:
                                say.info(superuser_act(queue_id, act.past))
    finally:
        for act, number in counts.items():
            say.info(f"{act.title}: {number} message{'' if number == 1 else 's'}")
        say.close()


def _valid(queue_ids: list[str], say: Report) -> Iterator[list[str]]:
    """ALL, or what there is of queue IDs, _AT_ONCE of them."""
    if "ALL" in queue_ids:
        yield ["ALL"]
        return
    good = []
    for queue_id in queue_ids:
        if valid_queue_id(queue_id):
            good.append(queue_id)
        else:
            say.warning(f"invalid mail queue id: {queue_id}")
    for first in range(0, len(good), _AT_ONCE):
        yield good[first : first + _AT_ONCE]


def _ids(given: list[str]) -> list[str]:
    """Queue IDs as given; `-` stands for those on standard input."""
    found: list[str] = []
    for item in given:
        found += (line.strip() for line in sys.stdin if line.strip()) if item == "-" else [item]
    return found
