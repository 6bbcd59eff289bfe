"""Between structs and rows of the queue file (queue/schema.py): what a batch writes, what a message is read from."""

import zlib
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gatepost.mail.envelope import TRACE, Message, Recipient
from gatepost.mail.queue_id import queue_id_number
from gatepost.queue.chunks import CHUNK, ChunkState, decode_state, encode_state
from gatepost.queue.schema import EXPIRE, REQUEUE, WARN_SENT
from gatepost.queue.store import Batch, QueueName, Stored

_encoder = msgspec.json.Encoder()
_message_decoder = msgspec.json.Decoder(Message)
_recipients_decoder = msgspec.json.Decoder(list[Recipient])


class Damaged(Exception):
    """A stored message does not agree with its lengths or checksums; the text says in what."""


class WaitingRow(msgspec.Struct, array_like=True):
    """A row of `waiting`; for a fresh message, the row it would have."""

    number: int
    queue_id: str
    queue: QueueName
    next_attempt: float | None
    flags: int
    state: str | None


@dataclass(slots=True)
class Marks:
    """What a batch writes beside plain new messages and removals, as JSON for the trigger `other_marks_written`."""

    waiting: list[WaitingRow] = field(default_factory=list)
    tried: list[int] = field(default_factory=list)
    chunks: list[tuple[int, int, list[Recipient]]] = field(default_factory=list)
    chunk_states: list[tuple[int, int, str | None]] = field(default_factory=list)
    files: list[tuple[int, str, int]] = field(default_factory=list)
    flushed: list[tuple[str, int, int]] = field(default_factory=list)
    listed: list[tuple[str, int]] = field(default_factory=list)
    reserved: int | None = None

    def __bool__(self) -> bool:
        lists = self.waiting or self.chunks or self.chunk_states or self.files or self.flushed
        return bool(lists) or self.reserved is not None


def json_text(value: object) -> str:
    return _encoder.encode(value).decode()


def message_rows(messages: list[Message], marks: Marks) -> tuple[str, bytes]:
    """The JSON and the octets from which the trigger writes new messages; what is special about them goes to `marks`.

    Raises ValueError for a queue ID that is none, or text that is not Unicode.
    """
    rows = []
    parts = []
    offset = 1
    encode = _encoder.encode
    for message in messages:
        number = queue_id_number(message.queue_id)
        if number is None:
            raise ValueError(f"{message.queue_id}: not a queue ID")
        recipients = message.recipients
        if message.content_file or message.hold or len(recipients) > CHUNK:
            _note_special(message, number, marks)
        content = message.content
        envelope = encode(msgspec.structs.replace(message, content=b"", recipients=recipients[:CHUNK]))
        parts.append(envelope)
        parts.append(content)
        behind = offset + len(envelope)
        rows.append((
            number, message.queue_id, message.arrival, len(recipients), zlib.crc32(envelope),
            offset, len(envelope), behind, len(content),
        ))  # fmt: skip
        offset = behind + len(content)
    return encode(rows).decode(), b"".join(parts)


def _note_special(message: Message, number: int, marks: Marks) -> None:
    if message.content_file:
        marks.files.append((number, message.content_file, message.size))
    if message.hold:
        marks.waiting.append(WaitingRow(number, message.queue_id, "hold", None, int(message.warn_sent), None))
        marks.tried.append(number)
    for first in range(CHUNK, len(message.recipients), CHUNK):
        marks.chunks.append((number, first // CHUNK, message.recipients[first : first + CHUNK]))


class MarkedMessages:
    """Applies a batch's done and deferred marks to the rows they change.

    `waiting` holds the present rows of the messages named, by queue ID, `chunk_states` the states of chunks beyond
    the first, by message number and chunk number.
    """

    def __init__(self, waiting: dict[str, WaitingRow], chunk_states: dict[tuple[int, int], str | None]) -> None:
        self._waiting = waiting
        self._stored_states = chunk_states
        self._states: dict[tuple[int, int], ChunkState] = {}

    def apply(self, batch: Batch, marks: Marks) -> None:
        """Add the changed rows to `marks`."""
        waiting = self._waiting
        for queue_id, indexes in batch.done:
            if row := waiting.get(queue_id):
                for index in indexes:
                    self._state(row, index).mark_done(1 << index % CHUNK)
        for deferral in batch.deferred:
            if row := waiting.get(deferral.queue_id):
                for index, dsn, text in deferral.reasons:
                    self._state(row, index).mark_deferred(index % CHUNK, dsn, text)
                if row.next_attempt is not None:
                    row.queue = "deferred"
                    row.next_attempt = deferral.next_attempt
                row.flags |= WARN_SENT if deferral.warn_sent else 0
                if deferral.sites:
                    marks.listed += [(site, row.number) for site in deferral.sites]
        self._write_states(marks)
        marks.waiting += waiting.values()
        marks.tried += [row.number for row in waiting.values()]

    def _state(self, row: WaitingRow, index: int) -> ChunkState:
        key = (row.number, index // CHUNK)
        state = self._states.get(key)
        if state is None:
            try:
                state = decode_state(row.state if key[1] == 0 else self._stored_states.get(key))
            except msgspec.DecodeError:
                # It must not hold up the batch; forgetting who was done means duplicates, never a loss.
                state = ChunkState()
            self._states[key] = state
        return state

    def _write_states(self, marks: Marks) -> None:
        rows = {row.number: row for row in self._waiting.values()}
        for (number, chunk), state in self._states.items():
            if chunk == 0:
                rows[number].state = encode_state(state)
            else:
                marks.chunk_states.append((number, chunk, encode_state(state)))


@dataclass(slots=True)
class MessageRow:
    """A message's columns as they are read, for `stored`."""

    queue_id: str
    recipients: int
    checksum: int
    envelope: bytes
    content: bytes | None
    content_length: int
    queue: QueueName | None
    next_attempt: float | None
    flags: int | None
    state: str | None
    arrival: float | None


COLUMNS = (
    "m.queue_id, m.recipients, m.checksum, m.envelope, {content}, length(m.content), "
    "w.queue, w.next_attempt, w.flags, w.state, f.arrival"
)
FROM = " FROM message AS m LEFT JOIN waiting AS w ON w.id = m.id LEFT JOIN fresh AS f ON f.id = m.id "


def stored(row: MessageRow, chunks: list[tuple[str, str | None]], *, check_content: bool) -> Stored:
    """The message in `row`, with the further `chunks` (recipients, state) of its recipients. Raises Damaged."""
    if zlib.crc32(row.envelope) != row.checksum:
        raise Damaged("envelope checksum mismatch")
    try:
        message = _message_decoder.decode(row.envelope)
        states = [decode_state(row.state)]
        for recipients, state in chunks:
            message.recipients += _recipients_decoder.decode(recipients)
            states.append(decode_state(state))
    except msgspec.DecodeError as error:
        raise Damaged(f"unreadable envelope: {error}") from None
    _check_lengths(row, message)
    if row.content is not None:
        if check_content and not message.content_file and zlib.crc32(row.content) != message.checksum:
            raise Damaged("content checksum mismatch")
        message.content = row.content
    open_recipients, reasons = _open_recipients(states, len(message.recipients)) if row.queue != "saved" else ([], {})
    if (message.expanded or message.trace) and (reasons or len(open_recipients) < row.recipients):
        message.expanded = ()
        message.trace &= ~TRACE
    flags = row.flags or 0
    message.warn_sent = bool(flags & WARN_SENT) or message.warn_sent
    next_attempt = row.arrival if row.queue is None else row.next_attempt
    return Stored(
        message, row.queue or "incoming", next_attempt or 0.0, open_recipients, reasons,
        expire=bool(flags & EXPIRE), requeue=bool(flags & REQUEUE),
    )  # fmt: skip


def chunk_recipients(text: str) -> list[Recipient]:
    """The recipients of a chunk. Raises Damaged."""
    try:
        return _recipients_decoder.decode(text)
    except msgspec.DecodeError as error:
        raise Damaged(f"unreadable recipients: {error}") from None


def _check_lengths(row: MessageRow, message: Message) -> None:
    if message.queue_id != row.queue_id:
        raise Damaged("envelope of another message")
    if len(message.recipients) != row.recipients:
        raise Damaged(f"{len(message.recipients)} of {row.recipients} recipients found")
    if row.content_length != (0 if message.content_file else message.size):
        raise Damaged(f"content has {row.content_length} of {message.size} octets")


def _open_recipients(states: list[ChunkState], count: int) -> tuple[list[int], dict[int, tuple[str, str]]]:
    if len(states) == 1 and not states[0].done and not states[0].reasons:
        return list(range(count)), {}
    numbers: list[int] = []
    reasons: dict[int, tuple[str, str]] = {}
    for chunk, state in enumerate(states):
        first = chunk * CHUNK
        numbers += [first + position for position in state.open(min(CHUNK, count - first))]
        for position, pair in state.waiting():
            reasons[first + position] = pair
    return numbers, reasons


def message_row(columns: tuple[Any, ...]) -> MessageRow:
    """The columns of COLUMNS. Raises Damaged when one has a type it cannot have."""
    row = MessageRow(*columns)
    if not (isinstance(row.envelope, bytes) and isinstance(row.queue_id, str)):
        raise Damaged("unreadable row")
    return row
