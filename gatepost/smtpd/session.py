"""One SMTP session: who the client is, what it has said so far, and what is counted of it.

The session knows no sockets: it is driven by `connection.py` with the events of `protocol.smtp_server`, and answers
through that protocol object.
"""

import ssl
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from gatepost.mail.reply import Reply
from gatepost.maillog import lines
from gatepost.net.tls_pump import TlsFailure, TlsTransport
from gatepost.protocol.smtp_server import SmtpServerProtocol
from gatepost.restrictions.facts import (
    NAME_PERMANENT,
    Client,
    Effects,
    SessionFacts,
)
from gatepost.restrictions.reply import consistent
from gatepost.sasl.server import Binding, no_binding
from gatepost.smtpd.authentication import Dialogue
from gatepost.smtpd.environment import RatedEvent, ServerEnvironment
from gatepost.smtpd.parameters import Parameters
from gatepost.smtpd.replies import FixedReply
from gatepost.smtpd.transaction import Chunk, MailTransaction
from gatepost.tables.maps import Maps
from gatepost.tables.match_list import MatchList
from gatepost.tables.table import LookupTemporaryFailure

Chunking = Literal["", "chunks", "error"]
"""BDAT: not begun; under way; a chunk was refused, so are all that follow until RSET or LAST."""

Upgrade = Callable[[ssl.SSLContext, float], Awaitable[TlsTransport | TlsFailure]]

_RATES: dict[RatedEvent, str] = {
    "mail": "Message delivery request rate",
    "rcpt": "Recipient address rate",
    "auth": "AUTH command rate",
    "newtls": "New TLS session rate",
}


class Session(msgspec.Struct, eq=False):
    """State between commands. `access_denied`: the client was refused at connect, only QUIT is served.

    `stage` is the word for `lost connection after ...`. `errors`, `junk`: counted towards the limits. `sticky_size`,
    `sticky_ret`: parameters of a refused MAIL, which Postfix keeps until the transaction is reset.
    """

    env: ServerEnvironment
    protocol: SmtpServerProtocol
    params: Parameters
    facts: SessionFacts
    transaction: MailTransaction | None = None
    recipient: str | None = None  # the first accepted one
    stage: str = "CONNECT"
    counts: dict[str, list[int]] = msgspec.field(default_factory=dict)
    errors: int = 0
    junk: int = 0
    overshoot: int = 0
    closing: bool = False
    connected: bool = False  # the client has been logged and counted
    access_denied: Reply | None = None
    chunking: Chunking = ""
    sticky_size: int = 0
    sticky_ret: str = ""
    rate_limited: bool | None = None
    bare_newline_bound: bool | None = None
    peer: str = ""  # the address that the connection comes from, whatever XCLIENT says
    forwarded: Client | None = None
    forwarded_id: str = ""
    forwarded_local: bool | None = None  # XFORWARD SOURCE=
    # May the connection itself, whatever XCLIENT says, use XFORWARD? None: a table cannot tell.
    forwarder: bool | None = False
    last_chunk: Chunk | None = None
    counted_address: str = ""  # for which anvil(8) has counted the connection
    # Have the connection go on in TLS, within so many seconds; None: the listener has none.
    upgrade: Upgrade | None = None
    dialogue: Dialogue | None = None  # of AUTH: the one under way, or the last
    binding: Binding = no_binding  # of SASL, to the TLS there is
    tls_lines: str = ""  # of the Received: header
    unwelcome: Reply | None = None  # all that this client will hear: it has not the certificate that it must have
    own_params: Parameters | None = None  # those of the listener, where the client has others (EHLO keywords)
    unmarked: bool = False  # the reply under way is no error although its code is one

    # The client.

    async def begin(self, address: str, port: str, wrap: "Callable[[Session], Awaitable[bool]] | None" = None) -> None:
        """A connection from `address` (plain form): find its name, judge it, greet it.

        `wrap`: shakes hands before all else; False: that was the end.
        """
        env, params = self.env, self.params
        facts = self.facts
        self.peer = address
        name, status, reverse, reverse_status = "unknown", NAME_PERMANENT, "unknown", NAME_PERMANENT
        if params.smtpd_peername_lookup:
            found = await env.client_name(address)
            name, status = found.name, found.name_status
            reverse, reverse_status = found.reverse_name, found.reverse_name_status
            if found.warning:
                env.log.warning(found.warning)
        self.set_client(Client(name, address, port, status, reverse, reverse_status))
        self.connected = True
        xforward_hosts = env.lists.xforward_hosts
        if xforward_hosts is not None:
            try:
                self.forwarder = await xforward_hosts.match_host(name, address)
            except LookupTemporaryFailure:
                self.forwarder = None
        env.log.info(lines.connect_from(facts.client.namaddr))
        try:
            if wrap is not None and not await wrap(self):
                return
            if env.lists.discarded_keywords is not None:
                try:
                    await self.find_keywords(env.lists.discarded_keywords)
                except LookupTemporaryFailure:
                    pass  # EHLO will tell
            if await self._too_many_connections():
                return
            await self.greet()
        except LookupTemporaryFailure:
            self.data_error()

    async def find_keywords(self, maps: Maps) -> None:
        """smtpd_discard_ehlo_keyword_address_maps: what is found there counts instead of smtpd_discard_ehlo_keywords.

        Raises LookupTemporaryFailure.
        """
        own = self.own_params = self.own_params or self.params
        self.params = own
        found = await maps.find(self.facts.client.address)
        if found is not None:
            self.params = own.discarding(found.value)

    def set_client(self, client: Client) -> None:
        if self.params.smtpd_client_port_logging:
            client.namaddr = f"{client.name}[{client.address}]:{client.port}"
        self.facts.client = client
        self.rate_limited = None
        self.bare_newline_bound = None

    async def greet(self) -> None:
        """The 220, or the refusal of the client list."""
        refusal = await self.env.policy.client(self.facts)
        if self.hung_up():
            return
        self.access_denied = refusal
        if refusal is not None:
            await self.answer(refusal)
            self.errors += 1
        else:
            await self.answer(self.params.greeting)

    async def _too_many_connections(self) -> bool:
        env, params, client = self.env, self.params, self.facts.client
        if not params.any_client_limit or not await self.is_rate_limited():
            return False
        self.counted_address = client.address
        counted = await env.rates.connect(env.service, client.address)
        if counted is None:
            return False
        for count, limit, what in (
            (counted[0], params.smtpd_client_connection_count_limit, "Connection concurrency"),
            (counted[1], params.smtpd_client_connection_rate_limit, "Connection rate"),
        ):
            if 0 < limit < count:
                env.log.warning(lines.limit_exceeded(what, count, client.namaddr, env.service))
                text = f"{params.myhostname} Error: too many connections from {client.address}"
                await self.answer(Reply(421, "4.7.0", text))
                return True
        return False

    async def too_many(self, event: RatedEvent, limit: int) -> bool:
        """Count one event of the client (anvil(8)); over the limit, warn."""
        if not await self.is_rate_limited():
            return False
        env, client = self.env, self.facts.client
        counted = await env.rates.rate(event, env.service, client.address)
        if counted is None or counted <= limit:
            return False
        env.log.warning(lines.limit_exceeded(_RATES[event], counted, client.namaddr, env.service))
        return True

    async def is_rate_limited(self) -> bool:
        """Do the anvil(8) limits bind this client? Not if it may use XCLIENT, nor if it is among the exceptions."""
        if self.rate_limited is None:
            lists = self.env.lists
            self.rate_limited = not (await self._is_in(lists.xclient_hosts) or await self._is_in(lists.rate_exceptions))
        return self.rate_limited

    async def _is_in(self, hosts: MatchList | None) -> bool:
        """Is the client on the list, as far as one can tell now?"""
        client = self.facts.client
        try:
            return hosts is not None and await hosts.match_host(client.name, client.address)
        except LookupTemporaryFailure:
            return False

    def may_xforward(self) -> bool:
        """May this connection use XFORWARD? If a table could not tell: a warning, and LookupTemporaryFailure."""
        if self.forwarder is None:
            self.env.log.warning(lines.unknown_offer("XFORWARD", self.facts.client.namaddr))
            raise LookupTemporaryFailure("smtpd_authorized_xforward_hosts")
        return self.forwarder

    async def must_end_lines(self) -> bool:
        """Does smtpd_forbid_bare_newline bind this client?"""
        if self.bare_newline_bound is None:
            if self.params.smtpd_forbid_bare_newline == "no":
                self.bare_newline_bound = False
            else:
                client, excluded = self.facts.client, self.env.lists.bare_newline_exclusions
                self.bare_newline_bound = excluded is None or not await excluded.match_host(client.name, client.address)
        return self.bare_newline_bound

    # Replies.

    async def answer(self, reply: Reply) -> None:
        """Give the reply that is owed, after a pause if the client has made many errors."""
        if self.errors >= self.params.smtpd_soft_error_limit and self.params.smtpd_error_sleep_time:
            await self.env.sleep(self.params.smtpd_error_sleep_time)
        if reply.code >= 400 and self.env.footer is not None:
            reply = await self.env.footer.after(reply, self.facts)
        self.answer_now(reply)

    def answer_now(self, reply: Reply) -> None:
        """Without the pause; none is due while there are no errors, and without the footer of a refusal."""
        code = reply.code
        if code < 400:
            self.protocol.send_reply(reply.wire if type(reply) is FixedReply else reply.encode())
            return
        if self.env.transcripts is not None and not self.unmarked:
            self.env.transcripts.failed(self.protocol, reply, self.stage, self.facts.client.namaddr)
        if code >= 500 and self.params.soft_bounce:
            dsn = "4" + reply.dsn[1:] if reply.dsn.startswith("5") else reply.dsn
            reply = Reply(code - 100, dsn, reply.text)
        self.protocol.send_reply(reply.encode())
        if code == 421 or code == 521:
            self.close()

    def refuse_at_once(self, reply: Reply) -> None:
        """A refusal with its footer, where nothing can be awaited."""
        if self.env.footer is not None:
            reply = self.env.footer.after_at_once(reply, self.facts)
        self.answer_now(reply)

    def close(self) -> None:
        """Hang up once the replies are out."""
        self.closing = True
        self.protocol.close()

    def hung_up(self) -> bool:
        """An access(5) HANGUP: no reply, the end."""
        if self.facts.effects.hangup:
            self.close()
            return True
        return False

    def data_error(self) -> None:
        """A table that the server needs cannot tell: it is not worth going on."""
        reply = Reply(421, "4.3.0", f"{self.params.myhostname} Server local data error", "data")
        facts = self.facts
        self.env.log.info(lines.local_data_error(facts.queue_id, self.stage, facts.client.namaddr, reply.line()))
        self.refuse_at_once(reply)

    async def too_many_errors(self) -> None:
        """smtpd_hard_error_limit is reached."""
        await self.answer(Reply(421, "4.7.0", f"{self.params.myhostname} Error: too many errors", "protocol"))
        self.env.log.info(lines.too_many_errors(self.stage, self.facts.client.namaddr))
        if self.env.transcripts is not None:
            self.env.transcripts.aborted(self.protocol, "too many errors")

    def reject_line(self, reply: Reply) -> None:
        """Log a refusal that is not one of the access policy."""
        facts = self.facts
        reply = consistent(reply, soft_bounce=self.params.soft_bounce)
        self.env.log.info(
            lines.reject(
                facts.queue_id, "reject", facts.stage, facts.client.namaddr, reply.line(),
                facts.sender, facts.recipient, facts.protocol, facts.helo_name,
            )
        )  # fmt: skip

    def started(self, command: str) -> list[int]:
        """One more command of this kind; its counts: the good ones (to be raised at its end), and all."""
        counted = self.counts.setdefault(command, [0, 0])
        counted[1] += 1
        return counted

    def bare_newline_line(self, stage: str) -> str:
        facts = self.facts
        text = "bare <LF> received"
        return lines.reject(
            facts.queue_id, "reject", stage, facts.client.namaddr, text,
            facts.sender, facts.recipient, facts.protocol, facts.helo_name,
        )  # fmt: skip

    # The transaction.

    def reset(self) -> None:
        """Drop the transaction and what Postfix forgets with it (RSET, HELO, EHLO, the end of a message)."""
        if self.transaction is not None:
            self.transaction.abandon()
            self.transaction = None
        facts = self.facts
        facts.sender = facts.recipient = self.recipient = None
        facts.recipient_count = 0
        facts.size = 0
        facts.queue_id = ""
        facts.smtputf8 = False
        facts.sasl_sender = None
        facts.effects = Effects()
        if facts.policy_leases is not None:
            facts.policy_leases.end()
            facts.policy_leases = None
            facts.instance = ""
        self.chunking = ""
        self.sticky_size = 0
        self.sticky_ret = ""
        self.overshoot = 0
        self.forwarded = None
        self.forwarded_id = ""
        self.forwarded_local = None

    # The end.

    def lost(self, reason: str) -> None:
        """The client went away (`lost connection`) or was too slow (`timeout`)."""
        log, namaddr = self.env.log, self.facts.client.namaddr
        transaction = self.transaction
        if self.env.transcripts is not None:
            self.env.transcripts.aborted(self.protocol, reason)
        if self.stage in ("DATA content", "BDAT content"):
            octets = self.protocol.buffered
            if transaction is not None and transaction.content is not None:
                octets += transaction.octets + transaction.content.undecided
            log.info(lines.ended_in_data(reason, self.stage.split()[0], octets, namaddr))
        elif self.stage == "END-OF-MESSAGE" and reason == "lost connection":
            pass
        elif reason == "timeout":
            log.info(lines.timeout(self.stage, namaddr))
        else:
            log.info(lines.lost_connection(self.stage, namaddr))

    def end(self) -> None:
        """The connection is over: the last line of the session."""
        if not self.connected:
            return
        self.connected = False
        if self.dialogue is not None:
            self.dialogue.abandon()
        if self.transaction is not None:
            self.reset()
        if self.counted_address:
            self.env.rates.disconnect(self.env.service, self.counted_address)
        if self.env.transcripts is not None:
            self.env.transcripts.over(self.protocol, self.facts.client.namaddr, self.facts.warned_of)
        self.env.log.info(lines.disconnect_from(self.facts.client.namaddr, self.counts))
