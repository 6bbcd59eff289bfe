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
# Of a queue file's records: types, the length of data that is shown in another form, and names of lines of content.
_TYPES = {
    "message_size": "C", "message_arrival_time": "T", "create_time": "A", "named_attribute": "A", "sender": "S",
    "content_filter": "L", "verp_delimiters": "V", "original_recipient": "O", "recipient": "R", "done_recipient": "D",
}  # fmt: skip
_LENGTHS = {"message_arrival_time": len("1700000000 000000"), "create_time": len("create_time=1700000000")}
_NAMES = {"N": b"regular_text: ", "L": b"unterminated_text: "}
_LINE_LIMIT = 2048
_DESCRIPTION = """\
Shows queued messages, whether the mail system runs or not: envelope, header and body, or what -e, -h and -b choose
among them. `postcat -qbh ID` is the message as it will be delivered.

The arguments are queue IDs (-q): there are no queue files that could be named otherwise.
"""


def _parser() -> ManualPage:
    parser = ManualPage(
        "postcat",
        "show queued messages",
        "[-c DIR] -q [-bdehov] ID...",
        _DESCRIPTION,
        "0: shown. 1: not shown; standard error tells why.",
    )
    parser.add_argument("-q", action="store_true", help="the arguments are queue IDs")
    parser.add_argument("-e", action="store_true", help="the envelope: times, sender, client, recipients")
    parser.add_argument("-h", action="store_true", dest="header", help="the message header")
    parser.add_argument("-b", action="store_true", dest="body", help="the message body")
    parser.add_argument("-d", action="store_true", dest="types", help="the decimal type of each record before it")
    parser.add_argument(
        "-o", action="store_true", dest="offsets", help="where each record would begin in a queue file of Postfix"
    )
    parser.add_argument("-v", action="count", dest="names", help="the names of records before lines of content, too")
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
        records = Records(sys.stdout.buffer, types=options.types, offsets=options.offsets, names=bool(options.names))
        with queue_session(settings) as session:
            for line in session.ask("cat", *options.ids):
                show(
                    decode_shown(line),
                    envelope=options.e or everything,
                    header=options.header or everything,
                    body=options.body or everything,
                    records=records,
                )
    except (CommandLineError, ConfigError, ControlError) as error:
        print(f"postcat: fatal: {error}", file=sys.stderr)
        return 1
    return 0


class Records:
    """Writes a message as the records of one of Postfix's queue files, or as plain text where nobody asks for more.

    `types`: the decimal type of each record stands before it; `offsets`: where it would begin; `names`: what it is.
    """

    def __init__(self, out: BinaryIO, *, types: bool = False, offsets: bool = False, names: bool = False) -> None:
        self.out = out
        self._types, self._offsets, self._names = types, offsets, names
        self._offset = 0

    @property
    def plain(self) -> bool:
        """Is content to be shown as it is?"""
        return not (self._types or self._offsets or self._names)

    def begin(self) -> None:
        """Another message."""
        self._offset = 0

    def title(self, kind: str, text: str, *, shown: bool) -> None:
        """The mark between two parts of a file."""
        if shown:
            self._put(kind, f"*** {text} ***\n".encode())
        if kind:
            self._offset += 2

    def field(self, line: str, *, shown: bool) -> None:
        """A record of the envelope."""
        name, _, value = line.partition(": ")
        if shown:
            self._put(_TYPES[name], f"{line}\n".encode(errors="surrogateescape"))
        self._skip(_LENGTHS.get(name) or len(value.encode(errors="surrogateescape")))

    def content(self, text: bytes, *, shown: bool) -> None:
        """Whole lines of the message."""
        for rest in text.removesuffix(b"\n").split(b"\n") if text else ():
            while len(rest) > _LINE_LIMIT:
                self._text("L", rest[:_LINE_LIMIT], b"\n" if self._names or self._offsets else b"", shown=shown)
                rest = rest[_LINE_LIMIT:]
            self._text("N", rest, b"\n", shown=shown)

    def _skip(self, length: int) -> None:
        """A record with so many octets of data is over."""
        self._offset += 2 + length + (length > 127) + (length > 16383)

    def skip_content(self, message: Message) -> None:
        """All of a message's content, which is not shown."""
        self._offset += message.data_size

    def _text(self, kind: str, text: bytes, end: bytes, *, shown: bool) -> None:
        if shown:
            self._put(kind, (_NAMES[kind] if self._names else b"") + text + end)
        self._skip(len(text))

    def _put(self, kind: str, line: bytes) -> None:
        if self._offsets and kind:
            self.out.write(b"%9d " % self._offset)
        if self._types and kind:
            self.out.write(b"%3d " % ord(kind))
        self.out.write(line)


def show(item: ShownMessage, *, envelope: bool, header: bool, body: bool, records: Records) -> None:
    """Write the parts that are wanted. Titles stand between them when the envelope is one. Raises ControlError."""
    name = f"{item.queue_name}/{item.message.queue_id}"
    records.begin()
    records.title("", f"ENVELOPE RECORDS {name}", shown=envelope)
    for line in envelope_lines(item):
        records.field(line, shown=envelope)
    records.title("M", f"MESSAGE CONTENTS {name}", shown=envelope)
    if header or body:
        with _content(item) as stream:
            _show_content(stream, records, header=header, body=body)
    else:
        records.skip_content(item.message)
    records.title("X", f"HEADER EXTRACTED {name}", shown=envelope)
    records.title("E", f"MESSAGE FILE END {name}", shown=envelope)
    records.out.flush()


def _show_content(stream: BinaryIO, records: Records, *, header: bool, body: bool) -> None:
    start = stream.read(_HEADER_LIMIT)
    end = header_end(start)
    if records.plain:
        if header:
            records.out.write(start[:end])
        if body:
            records.out.write(start[end:])
            shutil.copyfileobj(stream, records.out)
        return
    start += stream.readline()
    records.content(start[:end], shown=header)
    records.content(start[end:], shown=body)
    while piece := stream.read(_HEADER_LIMIT):
        records.content(piece + stream.readline(), shown=body)


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
        if recipient.notify:
            yield f"named_attribute: notify_flags={recipient.notify}"
        if recipient.orcpt:
            yield f"named_attribute: dsn_orig_rcpt={recipient.orcpt}"
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
