"""postqueue(1) and mailq: list the queue, flush it."""

import argparse
import json
import sys
import time
from collections.abc import Iterator

from gatepost.config.configuration import Configuration
from gatepost.control.access import queue_session
from gatepost.control.client import ControlError

HEADER = "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------"


def mailq(arguments: list[str], directory: str) -> int:
    return main(["-p", *arguments], directory)


def main(arguments: list[str], directory: str) -> int:
    parser = argparse.ArgumentParser(prog="gatepost postqueue", description="List or flush the mail queue.")
    act = parser.add_mutually_exclusive_group(required=True)
    act.add_argument("-p", action="store_true", help="list the queue in the traditional form (mailq)")
    act.add_argument("-j", action="store_true", help="list the queue, one JSON object per line")
    act.add_argument("-f", action="store_true", help="try to deliver all deferred mail now")
    act.add_argument("-i", metavar="ID", help="try to deliver one deferred message now")
    parser.add_argument("-v", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    settings = Configuration.read(directory).settings
    try:
        with queue_session(settings) as session:
            if options.f or options.i:
                for _ in session.ask("flush", *([options.i] if options.i else [])):
                    pass
            elif options.j:
                for line in session.ask("list"):
                    print(line)
            else:
                show(session.ask("list"))
    except ControlError as error:
        print(f"postqueue: fatal: {error}", file=sys.stderr)
        return 69
    return 0


def show(listing: Iterator[str]) -> None:
    """The traditional form, streamed, as showq(8) prints it."""
    messages = octets = 0
    for line in listing:
        item = json.loads(line)
        if not messages:
            print(HEADER)
        else:
            print()
        messages += 1
        octets += item["message_size"]
        print_item(item)
    if messages:
        print(f"\n-- {octets // 1024} Kbytes in {messages} Request{'s' if messages > 1 else ''}.")
    else:
        print("Mail queue is empty")


def print_item(item: dict[str, object]) -> None:
    mark = {"active": "*", "hold": "!"}.get(str(item["queue_name"]), " ")
    moment = time.strftime("%a %b %e %H:%M:%S", time.localtime(int(str(item["arrival_time"]))))
    queue_id = str(item["queue_id"])
    sender = str(item["sender"]) or "MAILER-DAEMON"
    if len(queue_id) > 10:  # long queue IDs
        print(f"{queue_id + mark:<17s} {item['message_size']:>8d} {moment}  {sender}")
    else:
        print(f"{queue_id + mark:<12s}{item['message_size']:>7d} {moment}  {sender}")
    reason = ""
    recipients: list[dict[str, str]] = item["recipients"]  # type: ignore[assignment]
    for recipient in sorted(recipients, key=lambda r: r.get("delay_reason", "")):
        why = recipient.get("delay_reason", "")
        if why and why != reason:
            reason = why
            text = f"({why})"
            print(f"{text:>76s}" if len(text) <= 76 else text)
        print(f"{'':40s} {recipient['address']}")
