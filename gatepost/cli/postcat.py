"""postcat(1): show a queued message by its queue ID."""

import argparse
import json
import sys
import time

from gatepost.config.configuration import Configuration
from gatepost.control.access import queue_session
from gatepost.control.client import ControlError


def main(arguments: list[str], directory: str) -> int:
    parser = argparse.ArgumentParser(prog="gatepost postcat", description="Show queued messages.", add_help=False)
    parser.add_argument("--help", action="help")
    parser.add_argument("-q", action="store_true", required=True, help="the arguments are queue IDs")
    parser.add_argument("-e", action="store_true", help="the envelope only")
    parser.add_argument("-h", action="store_true", dest="header", help="the message header only")
    parser.add_argument("-b", action="store_true", dest="body", help="the message body only")
    parser.add_argument("ids", nargs="+", metavar="ID")
    options = parser.parse_args(arguments)
    settings = Configuration.read(directory).settings
    everything = not (options.e or options.header or options.body)
    try:
        with queue_session(settings) as session:
            for line in session.ask("cat", *options.ids):
                show(json.loads(line), options.e or everything, options.header or everything, options.body or everything, everything)
    except ControlError as error:
        print(f"postcat: fatal: {error}", file=sys.stderr)
        return 1
    return 0


def show(item: dict[str, object], envelope: bool, header: bool, body: bool, titles: bool) -> None:
    out = sys.stdout.buffer
    queue_id = str(item["queue_id"])
    if envelope:
        lines = [f"*** ENVELOPE RECORDS {item['queue_name']}/{queue_id} ***"] if titles else []
        arrival = time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(float(str(item["arrival_time"]))))
        lines += [f"message_arrival_time: {arrival}", f"message_size: {item['message_size']}", f"sender: {item['sender']}"]
        for name in ("client_name", "client_address", "client_port", "helo_name", "protocol_name", "encoding", "envelope_id", "content_filter"):
            if item[name]:
                lines.append(f"named_attribute: {name}={item[name]}")
        for recipient in item["recipients"]:  # type: ignore[attr-defined]
            lines.append(f"original_recipient: {recipient['original']}")
            lines.append(f"{'done_recipient' if recipient['done'] else 'recipient'}: {recipient['address']}")
        out.write("\n".join(lines).encode() + b"\n")
    content = str(item["content"]).encode("latin-1")
    head, blank, rest = content.partition(b"\n\n")
    if titles:
        out.write(f"*** MESSAGE CONTENTS {item['queue_name']}/{queue_id} ***\n".encode())
    if header:
        out.write(head + (b"\n" if blank else b""))
    if body and blank:
        out.write((b"\n" if header else b"") + rest)
    if titles:
        out.write(f"*** HEADER EXTRACTED {item['queue_name']}/{queue_id} ***\n*** MESSAGE FILE END {item['queue_name']}/{queue_id} ***\n".encode())
    out.flush()
