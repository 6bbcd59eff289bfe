"""Sender, recipients and the facts that travel with a message from its acceptance to its last delivery."""

from typing import Literal

import msgspec

# NOTIFY= of RFC 3461 as bits; 0 = not given.
NOTIFY_NEVER = 1
NOTIFY_SUCCESS = 2
NOTIFY_FAILURE = 4
NOTIFY_DELAY = 8

# Message.trace as bits; 0 = none of these.
PROBE = 256  # only to find out whether the address is good: delivered to nobody, returned to nobody (verify(8))
PROBE_UNCACHED = 512  # of that, a failure is not kept (address_verify_negative_cache = no)
TRACE = 1024  # its sender is told what the first attempt to deliver it comes to (sendmail -v)
VERIFY = 2048  # delivered to nobody; its sender is told what would become of every recipient (sendmail -bv)
UNDELIVERED = PROBE | VERIFY
"""Those of which nothing is delivered."""

Body = Literal["", "7bit", "8bitmime"]
Ret = Literal["", "FULL", "HDRS"]


class Recipient(msgspec.Struct, array_like=True):
    """One envelope recipient.

    `address` is the internal (unquoted) form after rewriting and alias expansion; `original` what the client gave
    (empty: the same); `notify` NOTIFY bits; `orcpt` as `rfc822;user@dom`, xtext decoded (RFC 3461).
    """

    address: str
    original: str = ""
    notify: int = 0
    orcpt: str = ""


class Origin(msgspec.Struct, array_like=True):
    """Where a message came from; local submission has an empty `address`."""

    name: str = ""
    address: str = ""
    port: str = ""
    reverse_name: str = ""
    helo: str = ""
    protocol: str = ""
    login: str = ""
    # The rewriting context of its headers: local (append our domain) or remote.
    context: Literal["local", "remote"] = "remote"


class Message(msgspec.Struct, array_like=True):
    """A finished message: what cleanup makes, the store keeps and the queue manager schedules.

    `arrival` is wall-clock seconds. `size` is the number of content octets with LF line ends, `data_size` what they
    take in a queue file of Postfix: the size that the log, the listings and SMTP's SIZE= give
    (`size` if not given).
    Content is `content` if it has at most INLINE_LIMIT octets, else the file `content_file` in the store's folder
    (then `content` is empty). `checksum` is zlib.crc32 of the content.
    `verp`: the two delimiters if each recipient has a sender address of its own (rewrite/verp.py), else empty.
    `filter`: empty if none. `hold`: goes to the hold queue. `warn_sent`: a delay notice went out. `expanded`: aliases
    that were recipients; their sender, who has asked for it, is to be told of that.
    `trace`: 0, or what it is sent for.
    """

    queue_id: str
    arrival: float
    sender: str
    recipients: list[Recipient]
    size: int
    content: bytes = b""
    content_file: str = ""
    checksum: int = 0
    origin: Origin = msgspec.field(default_factory=Origin)
    body: Body = ""
    smtputf8: bool = False
    ret: Ret = ""
    envid: str = ""
    filter: str = ""
    hold: bool = False
    warn_sent: bool = False
    trace: int = 0
    unused: str = ""  # the queue stores a message as an array: no place in it may go, new ones come at the end
    data_size: int = 0
    verp: str = ""
    expanded: tuple[Recipient, ...] = ()

    def __post_init__(self) -> None:
        if not self.data_size:
            self.data_size = self.size


INLINE_LIMIT = 128 * 1024
"""Content up to this many octets is kept in the store's own file, larger content in a file of its own."""
