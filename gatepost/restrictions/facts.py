"""What the restrictions see of a session, and what they leave behind for the message."""

from typing import Literal

import msgspec

from gatepost.mail.reply import Reply
from gatepost.net.policy_client import Leases
from gatepost.tables.maps import Maps

# Status of a client's name (smtpd_peer): as in the digits of `client NAME ADDR 2|4|5|6` of smtpd-check.
NAME_OK = 2
NAME_TEMPORARY = 4
NAME_PERMANENT = 5
NAME_FORGED = 6


class Client(msgspec.Struct):
    """Who is connected: verified `name` (or `unknown`), address without brackets, unverified `reverse_name`."""

    name: str
    address: str
    port: str = "0"
    name_status: int = NAME_OK
    reverse_name: str = "unknown"
    reverse_name_status: int = NAME_PERMANENT
    namaddr: str = ""  # `name[address]`, or with `:port` if smtpd_client_port_logging

    def __post_init__(self) -> None:
        if not self.namaddr:
            self.namaddr = f"{self.name}[{self.address}]"


class Effects(msgspec.Struct):
    """What access(5) results leave with the message of this transaction.

    `hangup`: close the connection without any reply. The server starts each transaction with fresh effects.
    `absent`: (reply class, tables, what was asked for) where steady tables had nothing: not asked for each recipient.
    """

    hold: bool = False
    discard: bool = False
    filter: str = ""
    redirect: str = ""
    bcc: list[str] = msgspec.field(default_factory=list)
    prepend: list[str] = msgspec.field(default_factory=list)
    hangup: bool = False
    absent: set[tuple[str, Maps, str]] | None = None


class DnsListing(msgspec.Struct, frozen=True):
    """What a DNS list answers for a name that is on it: addresses, and the text that goes with them."""

    addresses: tuple[str, ...]
    text: str


class Pending(msgspec.Struct):
    """A deferral that one stage has raised and that waits for a permit in a later one."""

    defer_if_permit: Reply | None = None


class Encryption(msgspec.Struct, frozen=True):
    """What is told of a session's TLS: `TLSv1.3`, OpenSSL's name of the cipher, the bits of the key in use.

    `subject`, `issuer`: names in the client's certificate, empty if it is not trusted.
    """

    protocol: str
    cipher: str
    keysize: int
    subject: str = ""
    issuer: str = ""


class SessionFacts(msgspec.Struct):
    """One SMTP session as the restrictions see it. The server keeps it up to date; the evaluator owns `*_pending`.

    `stage` is the word for log lines: CONNECT HELO EHLO MAIL RCPT DATA BDAT END-OF-MESSAGE VRFY ETRN. `sender` is None
    before MAIL. Addresses are internal (unquoted) forms as the client gave them: not rewritten, since the replies and
    the log show them so. `recipient` is the one that is judged now; between RCPT commands the first accepted one, or
    None. `recipient_count` counts accepted recipients. `dns_listings`: what DNS lists have answered for a name in this
    session (None: not on the list), kept by the restrictions that ask them. `warned_of`: error classes of what
    warn_if_reject has let pass.
    """

    client: Client
    protocol: str = "SMTP"  # or ESMTP, as logged
    stage: str = "CONNECT"
    helo_name: str | None = None
    sender: str | None = None
    recipient: str | None = None
    recipient_count: int = 0
    etrn_name: str | None = None
    size: int = 0  # octets: SIZE= or, at END-OF-MESSAGE, what arrived
    queue_id: str = ""
    instance: str = ""
    smtputf8: bool = False
    sasl_method: str = ""
    sasl_username: str = ""
    sasl_sender: str | None = None
    fingerprints: tuple[str, str] | tuple[()] = ()  # of the client's certificate, and of its public key
    ccert_name: str = ""  # its common name
    ccert_trusted: bool = False
    encrypted: bool = False
    encryption: Encryption | None = None  # more about it, for policy services
    sent_ahead: bool = False  # improper pipelining was seen (reject_unauth_pipelining)
    server_address: str = ""  # asked for only if there is a policy service: it costs a system call
    server_port: str = ""
    stress: str = ""
    effects: Effects = msgspec.field(default_factory=Effects)
    warned_of: tuple[str, ...] = ()
    client_pending: Pending = msgspec.field(default_factory=Pending)
    helo_pending: Pending = msgspec.field(default_factory=Pending)
    sender_pending: Pending = msgspec.field(default_factory=Pending)
    policy_leases: Leases | None = None  # the connections to policy servers that this transaction has used
    connected_from: str = ""  # the address that the connection comes from, if XCLIENT has named another client
    dns_listings: dict[str, DnsListing | Literal["trouble"] | None] | None = None
