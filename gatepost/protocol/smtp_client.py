"""The client's side of an SMTP session: octets in, events out; commands in, octets out. No sockets, no clock.

How to use it: feed `receive_data`, then take `next_event` until it is NEED_DATA, then write `data_to_send`.
`stage` says what we are waiting for (for error texts and time limits).

    GREETING -> EHLO (-> HELO) (-> STARTTLS -> TLS -> EHLO) -> IDLE -> start_transaction -> MAIL, RCPT..., DATA
      -> CONTENT event: the caller sends the content, then calls content_sent -> END -> IDLE, or CLOSED

Where the server offers PIPELINING, MAIL, all RCPT and DATA go out together (RFC 2920); otherwise each waits for the
reply to the one before. Replies that arrive while content is owed wait until `content_sent`: some servers answer early.
A transaction that cannot come to content ends with OVER: by RSET if the session is to be kept, else by QUIT.
"""

from collections import deque

from gatepost.protocol.smtp_capabilities import NOTHING, Capabilities, parse_capabilities
from gatepost.protocol.smtp_client_events import Event, Kind, Stage
from gatepost.protocol.smtp_reply import ReplyReader, SmtpReply

NEED_DATA = Event(Kind.NEED_DATA)
_READY = Event(Kind.READY)
_CONTENT = Event(Kind.CONTENT)
_OVER = Event(Kind.OVER)

# Looking a member up costs more than a comparison; these are asked for with every message.
_MAIL_SENT, _RCPT_SENT, _DATA_SENT = Stage.MAIL, Stage.RCPT, Stage.DATA
_BODY, _BODY_SENT, _IDLE, _CLOSED, _TLS = Stage.CONTENT, Stage.END, Stage.IDLE, Stage.CLOSED, Stage.TLS

_QUIT = b"QUIT\r\n"
_RSET = b"RSET\r\n"
_DATA = b"DATA\r\n"
_END = b".\r\n"


class SmtpClientProtocol:
    """One session. Bytes from the server never make it raise.

    `helo_name`: what we call ourselves. `ehlo`: `always`, `if ESMTP` (is in the greeting) or `never`.
    `ignored_keywords`: EHLO keywords to overlook, lower case. `pix`: smtp_pix_workarounds, for servers whose greeting a
    PIX firewall has covered with asterisks; `behind_pix` is true then. `starttls`: `never`; `may`, if it is offered;
    `must`, or there will be no session; `cannot`, though it must.
    """

    hello = Stage.EHLO

    __slots__ = (
        "_accepted", "_ahead", "_ehlo", "_events", "_expected", "_fresh", "_helo_name", "_ignored", "_keep", "_out",
        "_queue", "_reader", "_recipient", "_refused_mail", "_starttls", "behind_pix", "capabilities", "greeting",
        "pix", "stage", "warnings",
    )  # fmt: skip

    def __init__(
        self,
        helo_name: str,
        *,
        ehlo: str = "always",
        ignored_keywords: frozenset[str] = frozenset(),
        pix: frozenset[str] = frozenset(),
        starttls: str = "never",
    ) -> None:
        self.behind_pix = False
        self._starttls = starttls
        self.pix = pix
        self._ahead: list[tuple[Stage, bytes]] = []
        self.stage = Stage.GREETING
        self.capabilities: Capabilities = NOTHING
        self.greeting: SmtpReply | None = None
        self.warnings: list[str] = []  # `bad EHLO SIZE limit`: argument; the caller logs and clears
        self._helo_name = helo_name.encode("utf-8")
        self._ehlo = ehlo
        self._ignored = ignored_keywords
        self._reader = ReplyReader()
        self._out: list[bytes] = []
        self._expected: deque[Stage] = deque((Stage.GREETING,))  # replies we wait for, first one first
        self._queue: deque[tuple[Stage, bytes]] = deque()  # commands that wait for their turn (no PIPELINING)
        self._events: deque[Event] = deque()
        self._keep = False
        self._accepted = 0
        self._recipient = 0
        self._refused_mail = False
        self._fresh = True

    @property
    def ignored(self) -> frozenset[str]:
        """The EHLO keywords that are overlooked."""
        return self._ignored

    @property
    def oddities(self) -> list[tuple[str, str]]:
        """Strange lines in replies, see ReplyReader."""
        return self._reader.oddities

    @property
    def idle(self) -> bool:
        """May a transaction start? No reply is outstanding and no unread input is there; before the first transaction
        there may be some: it counts as its replies, as in Postfix.
        """
        return self.stage is _IDLE and not self._expected and (self._fresh or not self._reader.pending)

    @property
    def ahead(self) -> bool:
        """Is there input that came before it was asked for?"""
        return self._reader.pending

    @property
    def endless(self) -> bool:
        """Does the server send more than anybody needs? Then drop the connection."""
        return self._reader.endless

    @property
    def recipient(self) -> int:
        """The number of the recipient whose reply is next."""
        return self._recipient

    def receive_data(self, data: bytes) -> None:
        """Take octets from the server."""
        self._reader.receive_data(data)

    def data_to_send(self) -> bytes:
        """The octets to write now; empty if there are none."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    def next_event(self) -> Event:
        """What happened next; NEED_DATA if nothing has."""
        while True:
            if self._events:
                return self._events.popleft()
            stage = self.stage
            if stage is _BODY or stage is _CLOSED or stage is _TLS or (stage is _IDLE and self._fresh):
                return NEED_DATA
            reply = self._reader.next_reply()
            if reply is None:
                return NEED_DATA
            self._take_reply(reply)

    def early_reply(self) -> SmtpReply | None:
        """A refusal (4xx, 5xx) that came while content was still owed: for a caller whose connection broke."""
        reply = self._reader.next_reply() if self.stage in (Stage.CONTENT, Stage.END) else None
        return reply if reply is not None and reply.code // 100 in (4, 5) else None

    def start_transaction(self, mail: bytes, recipients: list[bytes], *, keep: bool, probe: bool = False) -> None:
        """Send MAIL, RCPT and DATA. `mail`, `recipients`: complete command lines with CRLF.

        `keep`: the session is wanted again after it; otherwise QUIT follows at the earliest moment. `probe`: no DATA
        is sent; the transaction ends with OVER once all replies to RCPT are there (and that to RSET, to `keep` it).
        To be called only when `idle`.
        """
        if not self.idle:
            raise RuntimeError(f"transaction started in {self.stage}")
        self._keep = keep
        self._accepted = self._recipient = 0
        self._refused_mail = self._fresh = False
        self.stage = Stage.MAIL
        if self._ahead:
            self._send_ahead()
        if probe:
            self._start_probe(mail, recipients)
            return
        if self.capabilities.pipelining:
            self._out.append(mail if not recipients else mail + b"".join(recipients) + _DATA)
            self._expected.extend((_MAIL_SENT, *[_RCPT_SENT] * len(recipients), _DATA_SENT))
            return
        self._queue.append((Stage.MAIL, mail))
        self._queue.extend((Stage.RCPT, line) for line in recipients)
        self._queue.append((Stage.DATA, _DATA))
        self._send_next()

    def send_ahead(self, commands: list[tuple[Stage, bytes]]) -> None:
        """The next transaction begins with these (XFORWARD). Refusals of them are oddities."""
        self._ahead = commands

    def _send_ahead(self) -> None:
        commands, self._ahead = self._ahead, []
        if self.capabilities.pipelining:
            self.stage = commands[0][0]
            self._expected.extend(stage for stage, _ in commands)
            self._out.extend(line for _, line in commands)
        else:
            self._queue.extend(commands)

    def _take_ahead(self, stage: Stage, reply: SmtpReply) -> None:
        if reply.code // 100 != 2:
            command = "name/address" if stage is Stage.XFORWARD_CLIENT else "helo/protocol"
            self.oddities.append(("refused", f"{reply.one_line} (in reply to XFORWARD {command} command)"))
        if self._expected:
            self.stage = self._expected[0]
        else:
            self._send_next()

    def _start_probe(self, mail: bytes, recipients: list[bytes]) -> None:
        lines = [(Stage.MAIL, mail), *((Stage.RCPT, line) for line in recipients)]
        if self._keep:
            lines.append((Stage.RSET, _RSET))
        if not self.capabilities.pipelining:
            self._queue.extend(lines)
            self._send_next()
            return
        self._expected.extend(stage for stage, _ in lines)
        self._out.append(b"".join(line for _, line in lines) + (b"" if self._keep else _RSET + _QUIT))

    def content_sent(self) -> bytes:
        """The content has been handed to the network, with a CRLF at its end; returns what ends it.

        The caller writes the returned octets (together with the content, if it likes).
        """
        if self.stage is not Stage.CONTENT:
            raise RuntimeError(f"content sent in {self.stage}")
        self.stage = Stage.END
        self._expected.append(Stage.END)
        # RFC 2920 3.1: QUIT may follow the final dot at once. Its reply is nothing to wait for.
        return _END + _QUIT if self.capabilities.pipelining and not self._keep else _END

    def quit(self) -> bytes:
        """End the session: the octets to write (none where QUIT would be a part of the content)."""
        farewell = _QUIT if self.stage not in (Stage.CONTENT, Stage.CLOSED) else b""
        self._close()
        return farewell

    def abandon(self) -> None:
        """The connection is dropped without a farewell."""
        self._close()

    # What each reply leads to.

    def _take_reply(self, reply: SmtpReply) -> None:
        if not self._expected:
            self._close()
            self._events.append(Event(Kind.STRAY, reply))
            return
        stage = self._expected.popleft()
        if reply.code == 421:
            self._keep = False  # RFC 5321 3.8: the server closes the connection
        if stage is _RCPT_SENT:
            self._take_rcpt(reply)
        elif stage is _MAIL_SENT:
            self._take_mail(reply)
        elif stage is _DATA_SENT:
            self._take_data(reply)
        elif stage is _BODY_SENT:
            self._take_end(reply)
        elif stage is Stage.RSET:
            self._done(_OVER)
        elif stage is Stage.XFORWARD_CLIENT or stage is Stage.XFORWARD_SESSION:
            self._take_ahead(stage, reply)
        else:
            self._take_handshake(stage, reply)

    def _take_handshake(self, stage: Stage, reply: SmtpReply) -> None:
        positive = reply.code // 100 == 2
        if stage is Stage.GREETING and positive:
            self.greeting = reply
            self._greet(self._hello(reply))
        elif (stage is Stage.EHLO or stage is Stage.LHLO) and positive:
            # Of lines that are no replies nothing is said before we know that they upset the order of replies.
            self._reader.oddities[:] = [odd for odd in self._reader.oddities if odd[0] != "stray"]
            self.capabilities = parse_capabilities(reply, self._ignored, self.warnings.append)
            self._protect()
        elif stage is Stage.HELO and positive:
            self.capabilities = Capabilities(hostname=(reply.text[4:].split(None, 1) or [""])[0])
            self._protect()
        elif stage is Stage.STARTTLS and positive:
            self.stage = Stage.TLS
            self._events.append(Event(Kind.STARTTLS))
        elif stage is Stage.STARTTLS and self._starttls == "may":
            self._ready()
        elif stage is Stage.EHLO and reply.code != 421:
            self._greet(Stage.HELO)
        else:
            self._events.append(Event(Kind.REFUSED, reply))

    def _hello(self, greeting: SmtpReply) -> Stage:
        """What answers the greeting."""
        if self.pix and not greeting.text.strip("20 *\t\n"):
            self.behind_pix = True
            if "disable_esmtp" in self.pix:
                return Stage.HELO
        esmtp = self._ehlo == "always" or (self._ehlo != "never" and "ESMTP" in greeting.text.upper().split())
        return Stage.EHLO if esmtp else Stage.HELO

    def _greet(self, stage: Stage) -> None:
        self.stage = stage
        self._expected.append(stage)
        self._out.append(stage.name.encode() + b" " + self._helo_name + b"\r\n")

    def _protect(self) -> None:
        """We know what the server offers: is it TLS, and do we want that?"""
        wanted = self._starttls
        if self.capabilities.starttls and wanted in ("may", "must"):
            self.stage = Stage.STARTTLS
            self._expected.append(Stage.STARTTLS)
            self._out.append(b"STARTTLS\r\n")
        elif wanted in ("must", "cannot"):
            self._events.append(Event(Kind.NO_TLS))
        else:
            self._ready()

    def encrypted(self) -> None:
        """The TLS handshake is done. What was said before, read or not, counts for nothing (RFC 3207 4.2)."""
        self._starttls = "never"
        self._reader = ReplyReader()
        self.capabilities = NOTHING
        if self.stage is Stage.TLS:
            self._greet(self.hello)

    def _ready(self) -> None:
        self.stage = Stage.IDLE
        self._events.append(_READY)

    def _take_mail(self, reply: SmtpReply) -> None:
        self._refused_mail = reply.code // 100 != 2
        self._events.append(Event(Kind.MAIL, reply))
        if self._expected:
            self.stage = self._expected[0]
        elif self._refused_mail:
            self._abort()
        else:
            self._send_next()

    def _take_rcpt(self, reply: SmtpReply) -> None:
        # Once MAIL is refused, whatever is said about the recipients means nothing.
        if not self._refused_mail:
            if reply.code // 100 == 2:
                self._accepted += 1
            self._events.append(Event(Kind.RCPT, reply, self._recipient))
        self._recipient += 1
        if self._expected:
            self.stage = self._expected[0]
        elif not self._queue:  # a probe, and the session is not wanted any more
            if not self.capabilities.pipelining:
                self._out.append(_QUIT)
            self._close()
            self._events.append(_OVER)
        elif not self._accepted and self._queue[0][0] is Stage.DATA:
            self._abort()
        else:
            self._send_next()

    def _take_data(self, reply: SmtpReply) -> None:
        accepted = self._accepted and not self._refused_mail
        if accepted:
            self._events.append(Event(Kind.DATA, reply))
        if reply.code // 100 != 3:
            self._abort()
        elif accepted:
            self.stage = Stage.CONTENT
            self._events.append(_CONTENT)
        else:
            # RFC 2920 3.1: the server said 354 though it has no recipient: send an empty message, which it must refuse.
            self._end_in_vain()

    def _end_in_vain(self) -> None:
        if self._keep:
            self._out.append(_END)
            self.stage = Stage.RSET
            self._expected.append(Stage.RSET)
        else:
            self._out.append(_END + _QUIT)
            self._close()
            self._events.append(_OVER)

    def _abort(self) -> None:
        """No content will follow: take back what the server has of the transaction."""
        self._queue.clear()
        if self._keep:
            self._out.append(_RSET)
            self.stage = Stage.RSET
            self._expected.append(Stage.RSET)
        else:
            self._out.append(_RSET + _QUIT if self.capabilities.pipelining else _QUIT)
            self._close()
            self._events.append(_OVER)

    def _take_end(self, reply: SmtpReply) -> None:
        self._events.append(Event(Kind.END, reply))
        if self._keep:
            self.stage = Stage.IDLE
            return
        if not self.capabilities.pipelining:
            self._out.append(_QUIT)
        self._close()

    def _done(self, event: Event) -> None:
        self.stage = Stage.IDLE
        self._events.append(event)

    def _close(self) -> None:
        self.stage = Stage.CLOSED
        self._expected.clear()
        self._queue.clear()

    def _send_next(self) -> None:
        stage, line = self._queue.popleft()
        self.stage = stage
        self._expected.append(stage)
        self._out.append(line)
