"""How a message enters the queue: the server opens an Incoming, writes content, and finishes it.

`QueueWriter` is the way to the store, implemented where the parts are joined (over IPC, or directly).
"""

from asyncio import Future
from collections.abc import Awaitable
from typing import Literal, Protocol

import msgspec

from gatepost.mail.envelope import Body, Message, Origin, Recipient, Ret


class QueueUnavailable(Exception):
    """The queue manager cannot be reached or could not store: 451 4.3.0. The message may have been stored."""


class QueueFull(Exception):
    """No space: 452 4.3.1. The message was not stored."""


class LargeContent(Protocol):
    """Content that is too large for a row: a file in the store's folder, synced (file and folder) by `finish`."""

    name: str

    def write(self, data: bytes) -> None:
        """Append; raises QueueFull when there is no space."""
        ...

    def finish(self) -> "Future[None]":
        """Sync in a thread; the future raises QueueFull or QueueUnavailable."""
        ...

    def abandon(self) -> None: ...


class QueueWriter(Protocol):
    """What `submit` returns ends only when the message is on stable storage; raises QueueUnavailable or QueueFull."""

    def new_queue_id(self) -> str:
        """A queue ID never used before; raises QueueUnavailable."""
        ...

    def submit(self, message: Message) -> Awaitable[None]: ...

    def large_content(self, queue_id: str) -> LargeContent: ...

    def free(self) -> int:
        """Octets of space left, as last heard of."""
        ...


class HeaderAddresses(Protocol):
    """Rewrites the addresses in headers."""

    def rewrite(self, name: bytes, header: bytes) -> bytes | None:
        """The logical header `header` (with its line end) rewritten, or None if it stays as it is."""
        ...


class Transaction(msgspec.Struct):
    """The envelope of one MAIL ... end-of-data, or of one locally made message.

    `received`: write a Received: header from `origin` (one without an address: as for mail made on this host).
    `prepend`: header lines (no line end) above it. `encrypted`: by TLS; `tls_lines`: what the
    Received: header says of that, with line ends; `login_shown`: it names who has logged in.
    `namaddr` is for cleanup's own log lines.
    Effects of access(5): hold, discard, filter, redirect, bcc.
    Addresses are internal forms; cleanup brings them to standard form itself where that has not been done.
    """

    sender: str
    recipients: list[Recipient]
    origin: Origin
    namaddr: str = ""
    body: Body = ""
    smtputf8: bool = False
    encrypted: bool = False
    tls_lines: str = ""
    login_shown: bool = False
    ret: Ret = ""
    envid: str = ""
    received: bool = True
    prepend: list[str] = msgspec.field(default_factory=list)
    hold: bool = False
    discard: bool = False
    filter: str = ""
    redirect: str = ""
    bcc: list[str] = msgspec.field(default_factory=list)
    # Internal mail (notices) skips filters and checks; `arrival` in wall-clock seconds, 0 = now.
    internal: bool = False
    trace: int = 0  # as in Message
    verp: str = ""  # as in Message
    # As in Message; found by cleanup.
    expanded: tuple[Recipient, ...] = ()
    # Virtual aliases are expanded (not with no_address_mappings in receive_override_options).
    mappings: bool = True
    arrival: float = 0.0
    # What tables make of the addresses in headers; cleanup's own.
    header_addresses: HeaderAddresses | None = None


Outcome = Literal["ok", "size", "hops", "content", "space", "write", "defer"]
"""ok; message too big; too many hops; refused by a content check; no space; cannot store now; not now (aliases)."""


class CleanupResult(msgspec.Struct, frozen=True):
    """`text` is the reply text where the outcome alone does not tell it (`DSN text`).

    With `ok`: the message, a probe, was not queued, because its address is known to be good; `text` says why.
    """

    outcome: Outcome
    text: str = ""


class Incoming(Protocol):
    """One message on its way in. `write` takes content with LF line ends, not dot-stuffed, in pieces of any size."""

    queue_id: str

    def begin(self, transaction: Transaction) -> None:
        """Call it before the first `write`, when the recipients are known: large content then streams into its file.

        Without it content is kept in memory until `finish`, since the headers of our own come first in the file, and
        the message ID of an abandoned message is not logged.
        """
        ...

    def write(self, data: bytes) -> None: ...

    async def finish(self, transaction: Transaction) -> CleanupResult:
        """Complete the headers, expand aliases, store durably. Only an `ok` allows `250`."""
        ...

    def abandon(self) -> None:
        """The client went away, or the transaction was reset."""
        ...


class Cleanup(Protocol):
    """`open` allots the queue ID (raises QueueUnavailable)."""

    def open(self) -> Incoming: ...
