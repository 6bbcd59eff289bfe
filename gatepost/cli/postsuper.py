"""postsuper(1): delete, hold and release queued messages."""

import argparse
import sys

from gatepost.config.configuration import Configuration
from gatepost.control.access import queue_session
from gatepost.control.client import ControlError
from gatepost.maillog.lines import superuser_act

ACTS = {"d": ("delete", "removed", "Deleted"), "h": ("hold", "placed on hold", "Placed on hold"), "H": ("release", "released from hold", "Released from hold")}


def main(arguments: list[str], directory: str) -> int:
    parser = argparse.ArgumentParser(prog="gatepost postsuper", description="Delete, hold or release queued mail. ID is a queue ID, ALL, or - for IDs on standard input.")
    for letter, (act, _, _) in ACTS.items():
        parser.add_argument(f"-{letter}", metavar="ID", action="append", default=[], help=f"{act} this message")
    parser.add_argument("queues", nargs="*", metavar="QUEUE", help="only messages in these queues (with ALL)")
    options = parser.parse_args(arguments)
    settings = Configuration.read(directory).settings
    if not any(getattr(options, letter) for letter in ACTS):
        parser.error("nothing to do: give -d, -h or -H")
    try:
        with queue_session(settings) as session:
            for letter, (act, past, title) in ACTS.items():
                wanted = ids(getattr(options, letter))
                if not wanted:
                    continue
                done = list(session.ask(act, *(["ALL", *options.queues] if "ALL" in wanted else wanted)))
                for queue_id in done:
                    print(f"postsuper: {superuser_act(queue_id, past)}", file=sys.stderr)
                if done:
                    print(f"postsuper: {title}: {len(done)} message{'s' if len(done) > 1 else ''}", file=sys.stderr)
    except ControlError as error:
        print(f"postsuper: fatal: {error}", file=sys.stderr)
        return 1
    return 0


def ids(given: list[str]) -> list[str]:
    """Queue IDs as given; `-` stands for those on standard input."""
    return [queue_id for item in given for queue_id in (sys.stdin.read().split() if item == "-" else [item])]
