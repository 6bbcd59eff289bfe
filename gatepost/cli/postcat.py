"""postcat(1): show a queued message by its queue ID."""

import shutil
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from gatepost.cli.options import CommandLineError, ManualPage
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.control.access import queue_session
from gatepost.control.client import ControlError
from gatepost.control.showing import ShownMessage, decode_shown
from gatepost.mail.envelope import Message
from gatepost.mail.headers import header_end

_HEADER_LIMIT = 1 << 20
"""Octets in which the end of a header is looked for."""

_ENCODINGS = {"7bit": "7bit", "8bitmime": "8bit"}
_RET_FLAGS = {"FULL": 1, "HDRS": 2}
_DESCRIPTION = """\
Shows queued messages, whether the mail system runs or not: envelope, header and body, or what -e, -h and -b choose
among them. `postcat -qbh ID` is the message as it will be delivered.

The arguments are queue IDs (-q): there are no queue files that could be named otherwise.
"""


def _parser() -> ManualPage:
    parser = ManualPage(
        "postcat",
        "show queued messages",
        "[-c DIR] -q [-e] [-h] [-b] ID...",
        _DESCRIPTION,
        "0: shown. 1: not shown; standard error tells why.",
    )
    parser.add_argument("-q", action="store_true", help="the arguments are queue IDs")
    parser.add_argument("-e", action="store_true", help="the envelope: times, sender, client, recipients")
    parser.add_argument("-h", action="store_true", dest="header", help="the message header")
    parser.add_argument("-b", action="store_true", dest="body", help="the message body")
    parser.add_argument("-v", action="count", help="accepted; no effect")
    parser.add_argument("ids", nargs="*", metavar="ID", help="queue ID")
    return parser


def main(arguments: list[str], directory: str) -> int:
    """Run postcat; the exit status."""
    try:
        options = _parser().parse_args(arguments)
        if not options.q:
            raise CommandLineError("specify -q and queue IDs: there are no queue files to be shown by name")
        settings = Configuration.read(directory).settings
        everything = not (options.e or options.header or options.body)
        with queue_session(settings) as session:
            for line in session.ask("cat", *options.ids):
                show(
                    decode_shown(line),
                    envelope=options.e or everything,
                    header=options.header or everything,
                    body=options.body or everything,
                    out=sys.stdout.buffer,
                )
    except (CommandLineError, ConfigError, ControlError) as error:
        print(f"postcat: fatal: {error}", file=sys.stderr)
        return 1
    return 0


def show(item: ShownMessage, *, envelope: bool, header: bool, body: bool, out: BinaryIO) -> None:
    """Write the parts that are wanted. Titles stand between them when the envelope is one. Raises ControlError."""
    name = f"{item.queue_name}/{item.message.queue_id}"

    def title(text: str) -> None:
        if envelope:
            out.write(f"*** {text} {name} ***\n".encode())

    title("ENVELOPE RECORDS")
    if envelope:
        out.writelines(f"{line}\n".encode() for line in envelope_lines(item))
    title("MESSAGE CONTENTS")
    if header or body:
        with _content(item) as stream:
            start = stream.read(_HEADER_LIMIT)
            end = header_end(start)
            if header:
                out.write(start[:end])
            if body:
                out.write(start[end:])
                shutil.copyfileobj(stream, out)
    title("HEADER EXTRACTED")
    title("MESSAGE FILE END")
    out.flush()


def _content(item: ShownMessage) -> BinaryIO:
    if not item.content_path:
        return BytesIO(item.message.content)
    try:
        return Path(item.content_path).open("rb")
    except OSError as exc:
        raise ControlError(f"open {item.content_path}: {exc.strerror}") from exc


def envelope_lines(item: ShownMessage) -> Iterator[str]:
    """The envelope in the form and order of Postfix's own command; what it does not keep is left out."""
    message = item.message
    arrival = time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(message.arrival))
    numbers = (message.data_size, 0, len(message.recipients), 0, message.data_size, int(message.smtputf8))
    yield "message_size: " + " ".join(f"{number:15d}" for number in numbers)
    yield f"message_arrival_time: {arrival}"
    yield f"create_time: {arrival}"
    for name, value in _named(message):
        if name == "sender":
            yield f"sender: {value}"
        elif value:
            yield f"named_attribute: {name}={value}"
    if message.filter:
        yield f"content_filter: {message.filter}"
    if message.verp:
        yield f"verp_delimiters: {message.verp}"
    still_open = set(item.open)
    for number, recipient in enumerate(message.recipients):
        if recipient.orcpt:
            yield f"named_attribute: dsn_orig_rcpt={recipient.orcpt}"
        if recipient.notify:
            yield f"named_attribute: notify_flags={recipient.notify}"
        yield f"original_recipient: {recipient.original or recipient.address}"
        yield f"{'recipient' if number in still_open else 'done_recipient'}: {recipient.address}"


def _named(message: Message) -> Iterator[tuple[str, object]]:
    origin = message.origin
    yield "log_ident", message.queue_id
    yield "rewrite_context", origin.context
    yield "envelope_id", message.envid
    yield "ret_flags", _RET_FLAGS.get(message.ret, 0)
    yield "sender", message.sender
    yield "encoding", _ENCODINGS.get(message.body, "")
    yield "log_client_name", origin.name
    yield "log_client_address", origin.address
    yield "log_client_port", origin.port
    yield "log_message_origin", f"{origin.name}[{origin.address}]" if origin.address else "local"
    yield "log_helo_name", origin.helo
    yield "log_protocol_name", origin.protocol
    yield "client_name", origin.name
    yield "reverse_client_name", origin.reverse_name
    yield "client_address", origin.address
    yield "client_port", origin.port
    yield "helo_name", origin.helo
    yield "protocol_name", origin.protocol
    if origin.address:
        yield "client_address_type", 10 if ":" in origin.address else 2  # AF_INET6, AF_INET
    yield "sasl_username", origin.login
