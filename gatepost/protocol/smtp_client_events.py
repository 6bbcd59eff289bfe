"""What the client's side of an SMTP session waits for, and what happens in it (smtp_client)."""

import enum

import msgspec

from gatepost.protocol.smtp_reply import SmtpReply


class Stage(enum.Enum):
    """What the session waits for. The value is Postfix's wording in `lost connection with HOST while ...`."""

    # The limits of each stage are looked up by it, several times for a message.
    __hash__ = object.__hash__

    GREETING = "receiving the initial server greeting"
    EHLO = "performing the EHLO handshake"
    HELO = "performing the HELO handshake"
    LHLO = "performing the LHLO handshake"
    STARTTLS = "receiving the STARTTLS response"
    TLS = "performing the TLS handshake"
    IDLE = "waiting for the next message"
    XFORWARD_CLIENT = "sending XFORWARD name/address"
    XFORWARD_SESSION = "sending XFORWARD protocol/helo_name"
    MAIL = "sending MAIL FROM"
    RCPT = "sending RCPT TO"
    DATA = "sending DATA command"
    CONTENT = "sending message body"
    END = "sending end of data -- message may be sent more than once"
    RSET = "sending final RSET"
    CLOSED = "sending QUIT"


class Kind(enum.Enum):
    """What happened."""

    NEED_DATA = 0  # nothing until more octets come
    READY = 1  # the handshake is done: `capabilities` are known, a transaction may start
    REFUSED = 2  # greeting, EHLO or HELO was refused, or STARTTLS where it is a must; `stage` tells which
    MAIL = 3  # reply to MAIL FROM
    RCPT = 4  # reply to RCPT TO number `recipient`
    DATA = 5  # reply to DATA
    CONTENT = 6  # the server waits for the content
    END = 7  # reply to the end of the content: the transaction is done
    OVER = 8  # the transaction is done without content
    STRAY = 9  # a reply nobody asked for (421 on an idle session): the session is of no more use
    STARTTLS = 11  # the server waits for the TLS handshake; `encrypted` goes on
    NO_TLS = 12  # the session must be encrypted, and cannot be
    LOGIN = 13  # reply to AUTH, or to what answers a challenge (smtp_client_login)
    ANSWER = 10  # LMTP: reply to the end of the content for RCPT TO number `recipient`, where END is yet to come


class Event(msgspec.Struct, frozen=True):
    """One event. `recipient` counts from 0 in the order of start_transaction."""

    kind: Kind
    reply: SmtpReply | None = None
    recipient: int = -1
