"""The shell around a session: an asyncio.Protocol that moves octets, waits, and keeps the time.

No task per connection or command: the coroutine of a command is stepped once, and what suspends (a DNS question, the
commit of a message) is stepped again when the future that it waits for is done. No timer per connection either: all
whose deadlines fall into the same part of a second share one. It is moved lazily: activity only notes the new deadline,
and the timer, when it goes off, looks at that.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import Coroutine
from typing import Any, cast

from gatepost.mail.reply import Reply
from gatepost.net import stepping
from gatepost.net.client_hello import HelloReader
from gatepost.net.tls_pump import TlsFailure, TlsTransport, start_tls
from gatepost.protocol.smtp_server import NEED_DATA, Command, Content, Response, SmtpServerProtocol
from gatepost.restrictions.facts import Client, SessionFacts
from gatepost.smtpd import commands_auth, commands_data
from gatepost.smtpd.commands import execute
from gatepost.smtpd.commands_tls import wrap
from gatepost.smtpd.deadlines import Deadlines, Timed
from gatepost.smtpd.environment import ServerEnvironment
from gatepost.smtpd.session import Session

STEPS = 100
"""Commands of one client that are executed in one turn of the event loop."""

INPUT_HIGH = 256 * 1024
"""Octets of unread input at which the client is no longer read from while a reply is owed."""

_NOBODY = Client("unknown", "unknown")


class SmtpConnection(asyncio.Protocol):
    """One client. `connections` holds all that are open (for shutdown and limits), `tasks` something per who waits."""

    __slots__ = (
        "_blocked", "_busy", "_deadline", "_due", "_eof", "_lost", "_paused", "connections", "env", "loop",
        "protocol", "session", "tasks", "transport",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(
        self,
        env: ServerEnvironment,
        loop: asyncio.AbstractEventLoop,
        connections: set["SmtpConnection"],
        tasks: set[Any],
    ) -> None:
        self.env = env
        self.loop = loop
        self.connections = connections
        self.tasks = tasks
        params = env.stressed if env.stressed is not None and env.is_stressed() else env.parameters
        limit, transcripts = params.line_length_limit, env.transcripts
        self.protocol = SmtpServerProtocol(limit) if transcripts is None else transcripts.protocol(limit)
        self.session = Session(env, self.protocol, params, SessionFacts(_NOBODY))
        if env.tls is not None:
            self.session.upgrade = self._upgrade
        self._busy = False  # a command waits for something
        self._blocked = False  # the client does not read our replies
        self._paused = False  # we do not read the client's input
        self._eof = False
        self._lost = False
        self._deadline = 0.0
        self._due: set[Timed] | None = None  # those whose time comes with ours

    @property
    def blocked(self) -> bool:
        """Does the client not read what it is told?"""
        return self._blocked

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        writes, wire = self.env.writes, cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.transport = wire if writes is None else writes.over(wire)
        self.connections.add(self)
        try:
            self._begin()
        except Exception:
            # Out of memory, as a rule. The event loop would tell of it, and leave the client without a word for good.
            self.transport.abort()
            raise

    def _begin(self) -> None:
        self._deadline = self.loop.time() + self.session.params.smtpd_timeout
        self._watch()
        if self.env.tells_server_address:
            facts = self.session.facts
            facts.server_address, facts.server_port = plain_address(self.transport.get_extra_info("sockname"))
            facts.stress = "yes" if self.session.params is self.env.stressed else ""
        address, port = plain_address(self.transport.get_extra_info("peername"))
        tls = self.env.tls
        if self._start(self.session.begin(address, port, wrap if tls is not None and tls.wrapper else None)):
            self._advance()

    def data_received(self, data: bytes) -> None:
        self.protocol.receive_data(data)
        if self._busy or self._blocked:
            if self.protocol.buffered > INPUT_HIGH and not self._paused:
                self._paused = True
                self.transport.pause_reading()
            return
        self._deadline = self.loop.time() + self.session.params.smtpd_timeout
        self._advance()

    def eof_received(self) -> bool:
        self._eof = True
        if not self._busy and not self._blocked:
            self._advance()
        # What the client has sent before may still be answered.
        return True

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        if not self._busy and not self._lost:
            self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._due is not None:
            self._due.discard(self)
            self._due = None
        # What ends a handshake is told by those who wait for that.
        if isinstance(exc, TlsFailure) and self.session.facts.encrypted and self.env.tls is not None:
            self.env.tls.broken(exc)
        if not self._busy:
            self._end()

    # TLS.

    def _upgrade(self, context: ssl.SSLContext, limit: float) -> "asyncio.Future[TlsTransport | TlsFailure]":
        """Go on in TLS; the session waits for what comes of it, and nothing that it has not answered yet counts."""
        self._flush()
        # A port that begins with TLS has been sent no commands: what is there belongs to the handshake.
        first = b"" if self.session.stage == "STARTTLS" else self.protocol.sent_ahead(self.protocol.buffered)
        self.protocol.drop_input()
        self._paused = self._blocked = False
        future: asyncio.Future[TlsTransport | TlsFailure] = self.loop.create_future()

        def done(transport: TlsTransport, failure: TlsFailure | None) -> None:
            self.transport = transport
            if not future.done():
                future.set_result(failure or transport)

        tls = self.env.tls

        def shake(first: bytes, limit: float) -> None:
            kind = TlsTransport if tls is None else tls.transport
            start_tls(self.transport, self, context, server_side=True, done=done, limit=limit, first=first, kind=kind)

        def fail(failure: TlsFailure) -> None:
            if not future.done():
                future.set_result(failure)

        if self._eof or self._lost:
            fail(TlsFailure("lost connection", lost=True))
        elif tls is not None and tls.prepare is not None:
            HelloReader(self.transport, self, tls.prepare, shake, fail).read(first, limit)
        else:
            shake(first, limit)
        return future

    # Stepping.

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> bool:
        """True if the coroutine has come to its end; else `_resume` is called when it has."""
        try:
            waited = coroutine.send(None)
        except StopIteration:
            pass
        except Exception as fault:
            self._fault(fault)
        else:
            self._busy = True
            stepping.carry_on(coroutine, waited, self.tasks, self._resume)
            self._flush()
            return False
        if self.session.closing:
            self._close()
        return True

    def _fault(self, fault: Exception) -> None:
        """A fault of ours costs one session, and is told; the client may come back."""
        session = self.session
        self.loop.call_exception_handler(
            {"message": f"SMTP session of {session.facts.client.namaddr}", "exception": fault}
        )
        if not session.closing:
            session.data_error()

    def _resume(self, fault: Exception | None) -> None:
        if fault is not None:
            self._fault(fault)
        self._busy = False
        if self._lost:
            self._end()
            return
        if self.session.closing:
            self._close()
        else:
            self._deadline = self.loop.time() + self.session.params.smtpd_timeout
        if self._paused and self.protocol.buffered <= INPUT_HIGH:
            self._paused = False
            self.transport.resume_reading()
        self._advance()

    def _advance(self) -> None:
        """Take events until the protocol wants more input, a command suspends, or the session ends; then write."""
        protocol, session = self.protocol, self.session
        steps = 0
        while not session.closing and not self._blocked and not self._busy:
            steps += 1
            if steps > STEPS:
                # Other clients have their turn, and this one has to take its replies first.
                self._flush()
                self.loop.call_soon(self._advance)
                return
            event = protocol.next_event()
            if type(event) is Command:
                if not self._start(execute(session, event)):
                    return
            elif type(event) is Content:
                commands_data.content(session, event)
                if event.last and not self._start(commands_data.end_of_content(session)):
                    return
            elif type(event) is Response:
                if not self._start(commands_auth.respond(session, event)):
                    return
            elif event is NEED_DATA and self._eof:
                self._client_gone()
                return
            else:
                break
        self._flush()

    def _flush(self) -> None:
        data = self.protocol.data_to_send()
        if data and not self._lost and not self.transport.is_closing():
            self.transport.write(data)

    # The end.

    def _client_gone(self) -> None:
        if self.session.connected and not self.session.closing:
            self.session.lost("lost connection")
        self.session.closing = True
        self._close()

    def _close(self) -> None:
        self._flush()
        self.session.end()
        if not self._lost:
            self.transport.close()

    def _end(self) -> None:
        """The transport is gone."""
        session = self.session
        if session.connected:
            if not session.closing:
                session.lost("lost connection")
            session.closing = True
            session.end()
        session.upgrade = None  # or we and our session would hold each other
        self.connections.discard(self)

    def _watch(self) -> None:
        deadlines = self.env.deadlines
        if deadlines is None:
            deadlines = self.env.deadlines = Deadlines(self.loop)
        self._due = deadlines.watch(self, self._deadline)

    def deadline_passed(self) -> None:
        """The deadline that we had when our timer was set."""
        self._due = None
        if self._lost:
            return
        now = self.loop.time()
        if self._busy:
            # It is our time that passes, not the client's.
            self._deadline = now + self.session.params.smtpd_timeout
        if now < self._deadline:
            self._watch()
            return
        session = self.session
        if session.closing:
            # The client does not take the last reply.
            self.transport.abort()
            return
        host = session.params.myhostname
        session.lost("timeout")
        session.refuse_at_once(Reply(421, "4.4.2", f"{host} Error: timeout exceeded", "none"))
        self._close()

    def shut_down(self) -> None:
        """The server stops: an idle client is told so, one whose command is under way gets its answer first."""
        session = self.session
        if self._busy or session.closing:
            if self.transport.get_protocol() is not self:
                self.transport.abort()  # a handshake is under way: there is nobody yet who could be told anything
            return
        # RFC 5321 3.8: no server closes a connection without it. Postfix's processes just die.
        text = f"{session.params.myhostname} Service not available, closing transmission channel"
        self.protocol.send_reply(Reply(421, "4.3.2", text).encode())
        session.close()
        self._close()


def plain_address(name: Any) -> tuple[str, str]:
    """Address and port of a socket as they are logged: `::ffff:` addresses are IPv4, link-local ones without zone."""
    if not isinstance(name, tuple):
        return "unknown", "0"
    address: str = name[0]
    if ":" in address or "%" in address:
        parsed = ipaddress.ip_address(address.partition("%")[0])
        mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
        address = str(mapped) if mapped is not None else str(parsed)
    return address, str(name[1])
