"""The structs that pass between processes. Plain values; every frame is one of these (msgpack, tagged arrays)."""

from typing import Literal

import msgspec

from gatepost.mail.envelope import Body, Message, Origin, Ret
from gatepost.mail.status import RecipientStatus


class Claim(msgspec.Struct, array_like=True):
    """A request that a worker still works on for an earlier queue manager: the message and its recipients' numbers."""

    request_id: int
    epoch: int
    queue_id: str
    indexes: list[int]


class Result(msgspec.Struct, array_like=True):
    """What a worker reported lately, said again after a lost queue manager, which may not have written it down."""

    queue_id: str
    statuses: list[RecipientStatus]


class Hello(msgspec.Struct, tag=1, array_like=True):
    """First frame of a worker. `role`: smtpd, delivery, local, control.

    `epoch` is that of the queue manager it had before (0: none); `running` and `finished` what it does and has lately
    done for that one. `ids`: how many queue-ID numbers it wants. `draining`: it takes no new requests. `connections`:
    how many each client (service, address) has open, as far as anvil was told of them.
    """

    role: str
    pid: int
    epoch: int = 0
    running: list[Claim] = msgspec.field(default_factory=list)
    finished: list[Result] = msgspec.field(default_factory=list)
    ids: int = 0
    draining: bool = False
    connections: list[tuple[str, str, int]] = msgspec.field(default_factory=list)


class Welcome(msgspec.Struct, tag=2, array_like=True):
    """The queue manager's answer: its epoch, a number that is new at each of its starts."""

    epoch: int


class IdRange(msgspec.Struct, tag=3, array_like=True):
    """A durable range of queue-ID numbers for the receiver's use."""

    first: int
    count: int


class NeedIds(msgspec.Struct, tag=4, array_like=True):
    """A worker's range runs low."""

    count: int


class Submit(msgspec.Struct, tag=5, array_like=True):
    """Store this message; the answer carries the same ticket."""

    ticket: int
    message: Message


class Committed(msgspec.Struct, tag=6, array_like=True):
    """These tickets are on stable storage."""

    tickets: list[int]


class Refused(msgspec.Struct, tag=7, array_like=True):
    """Not stored; `full`: for lack of space (452 4.3.1), else 451 4.3.0."""

    tickets: list[int]
    full: bool


class DeliveryRecipient(msgspec.Struct, array_like=True):
    """A recipient of a request; `index` is its number in the message."""

    index: int
    address: str
    original: str = ""
    notify: int = 0
    orcpt: str = ""


class DeliveryRequest(msgspec.Struct, tag=8, array_like=True):
    """Deliver one message to recipients that share transport and nexthop.

    `content` is there unless `content_file` names a file that has it; `checksum` is that file's CRC-32. `arrival`,
    `active` (entered the active queue): wall-clock seconds. `keep`: the destination is busy, so keep the connection for
    reuse.
    `size`: data_size of the message. `trace`: as in Message; of a PROBE agents find out what they can without
    delivering it.
    """

    request_id: int
    epoch: int
    queue_id: str
    transport: str
    nexthop: str
    sender: str
    recipients: list[DeliveryRecipient]
    size: int
    arrival: float
    active: float
    content: bytes = b""
    content_file: str = ""
    body: Body = ""
    smtputf8: bool = False
    ret: Ret = ""
    envid: str = ""
    keep: bool = False
    origin: Origin = msgspec.field(default_factory=Origin)
    trace: int = 0
    checksum: int = 0


class Sick(msgspec.Struct):
    """A next hop that failed: since when, until when it comes behind the others (wall clock), and why."""

    transport: str
    nexthop: str
    since: float
    until: float
    reason: str


class DeliveryDone(msgspec.Struct, tag=9, array_like=True):
    """The end of a request: one status per recipient.

    `site_failure` is the reason when the destination itself failed (no connection, refused greeting): negative
    feedback; empty: the destination answered. `site_dsn` is its DSN. `sites`: of a list of next hops those that were
    tried, each with the reason why it was of no use (empty: it was of use). `damaged`: the content file has not the
    octets that were stored. `transport_failure`: why the transport is of no use, whatever is to be delivered.
    """

    request_id: int
    epoch: int
    queue_id: str
    statuses: list[RecipientStatus]
    site_failure: str = ""
    site_dsn: str = ""
    pass_to: str = ""
    sites: list[tuple[str, str]] = msgspec.field(default_factory=list)
    damaged: bool = False
    transport_failure: str = ""


class Count(msgspec.Struct, tag=10, array_like=True):
    """Client rate accounting (anvil(8)): `what` is connect, disconnect, mail, rcpt, auth, newtls; `ticket` 0 = no
    answer wanted.
    """

    ticket: int
    what: str
    service: str
    client: str


class Counted(msgspec.Struct, tag=11, array_like=True):
    """Answer to Count: simultaneous connections and the rate in this time unit."""

    ticket: int
    count: int
    rate: int


class Ask(msgspec.Struct, tag=12, array_like=True):
    """A control request: `what` names the operation, `arguments` are its own."""

    ticket: int
    what: str
    arguments: list[str] = msgspec.field(default_factory=list)


class Part(msgspec.Struct, tag=13, array_like=True):
    """A piece of the answer to Ask: `lines` (text or JSON), `last` ends it; `error` is for people, `denied`: who asks
    may not.
    """

    ticket: int
    lines: list[str]
    last: bool = False
    error: str = ""
    denied: bool = False


class Space(msgspec.Struct, tag=14, array_like=True):
    """Free octets of the store, told to the smtpd workers now and then (queue_minfree)."""

    free: int


class Stop(msgspec.Struct, tag=17, array_like=True):
    """Finish what is under way and end."""


class Draining(msgspec.Struct, tag=18, array_like=True):
    """A delivery worker that is about to end wants no more requests. The queue manager says it back, behind all that it
    has sent: nothing comes after it.
    """


class Verify(msgspec.Struct, tag=30, array_like=True):
    """What is known of this address? If nothing is, the answer may take `wait` seconds, for a probe to tell."""

    ticket: int
    address: str
    wait: float


class Verified(msgspec.Struct, tag=31, array_like=True):
    """Answer to Verify: `outcome` ok, bad, unknown (or not known yet), trouble; and the reason."""

    ticket: int
    outcome: Literal["ok", "bad", "unknown", "trouble"]
    reason: str


class Flush(msgspec.Struct, tag=40, array_like=True):
    """Try what fast flush has listed for this domain (ETRN)."""

    ticket: int
    domain: str


class Flushing(msgspec.Struct, tag=41, array_like=True):
    """Answer to Flush: it is being done."""

    ticket: int


class Flow(msgspec.Struct, tag=42, array_like=True):
    """To the smtpd workers, when it changes: is the writer `behind`, is the active queue `full` (qmgr/inflow.py)?"""

    behind: bool
    full: bool


class Down(msgspec.Struct, tag=43, array_like=True):
    """To who asks on the control socket, by master: there is no queue manager that could answer; why, for people."""

    reason: str


Frame = (
    Hello
    | Welcome
    | IdRange
    | NeedIds
    | Submit
    | Committed
    | Refused
    | DeliveryRequest
    | DeliveryDone
    | Count
    | Counted
    | Ask
    | Part
    | Space
    | Stop
    | Draining
    | Verify
    | Verified
    | Flush
    | Flushing
    | Flow
    | Down
)


def framed(frame: Frame) -> bytes:
    """As it goes over a socket: its length in four octets, then the array."""
    data = msgspec.msgpack.encode(frame)
    return len(data).to_bytes(4, "big") + data
