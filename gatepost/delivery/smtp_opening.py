"""New sessions: from a server's address to a session that is past EHLO, or to why there is none."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from gatepost.delivery.interface import Log
from gatepost.delivery.smtp_addresses import Target
from gatepost.delivery.smtp_connect import Connector, ignored_line
from gatepost.delivery.smtp_delivery import Failure, SmtpDelivery, take_left
from gatepost.delivery.smtp_demand import Demand
from gatepost.delivery.smtp_handshake import Handshake
from gatepost.delivery.smtp_sasl_session import LoginSession
from gatepost.delivery.smtp_session import LocalDataError, NoTls, SessionLost, SmtpSession
from gatepost.delivery.smtp_transaction import SmtpTransaction
from gatepost.delivery.smtp_transcript import ClientTranscripts
from gatepost.net.connect import ConnectFailure
from gatepost.protocol.smtp_reply import SmtpReply
from gatepost.tables.table import LookupTemporaryFailure

if TYPE_CHECKING:  # they import what only those need who encrypt or log in
    from gatepost.delivery.smtp_sasl import SmtpLogin
    from gatepost.delivery.smtp_tls import SmtpTls


class SessionOpener:
    """`transaction`: how the transport tells recipients of failures. `clock` gives wall-clock seconds. `tls`: None
    without TLS; `login`: None where no server is logged in to.
    """

    def __init__(
        self,
        connector: Connector,
        handshake: Handshake,
        transaction: type[SmtpTransaction],
        log: Log,
        clock: Callable[[], float],
        transcripts: ClientTranscripts | None,
        tls: "SmtpTls | None" = None,
        login: "SmtpLogin | None" = None,
    ) -> None:
        self._tls = tls
        self._login = login
        self._connector = connector
        self._handshake = handshake
        self._transaction = transaction
        self._log = log
        self._clock = clock
        self._transcripts = transcripts

    async def open(self, delivery: SmtpDelivery, target: Target, demand: Demand) -> SmtpSession | None:
        """A session in which mail may be sent, as demanded, or None; then the recipients that are left know why."""
        session = await self._connected(delivery, target, demand)
        if session is None:
            return None
        try:
            reply = await session.handshake()
            failure = await self._judge(session, delivery, reply)
        except SessionLost as lost:
            delivery.attempt.connected()
            await self.may_give_up(session, delivery, encrypted=True)
            self._transaction(delivery, target, 0).lost(lost.stage, timed_out=lost.timed_out)
            return None
        except NoTls as unable:
            delivery.attempt.connected()
            await self._fail_without_tls(delivery, session, unable.failure)
            return None
        except LocalDataError:
            self._handshake.warn_about(session, delivery.request.queue_id)
            delivery.attempt.connected()
            self._transaction(delivery, target, 0).local_error()
            self._leave(session, delivery, data_error=True)
            return None
        except asyncio.CancelledError:
            session.abort()
            raise
        if failure is None:
            return session
        delivery.attempt.connected()
        delivery.fail_site(take_left(delivery), target, failure)
        self._leave(session, delivery)
        return None

    async def _judge(self, session: SmtpSession, delivery: SmtpDelivery, reply: SmtpReply | None) -> Failure | None:
        """Why no mail is sent in this session, after its handshake, or None. May raise as `handshake` does."""
        self._look_at(session, delivery)
        hands = self._handshake
        failure = session.fault
        if failure is None and reply is not None:
            failure = hands.refused(session, reply)
        if failure is None:
            failure = hands.looped(session, delivery.request.nexthop)
        if failure is None and isinstance(session, LoginSession) and self._login is not None:
            failure = await self._login.log_in(session, delivery.request)
        return failure

    async def may_give_up(self, session: SmtpSession, delivery: SmtpDelivery, *, encrypted: bool) -> None:
        """TLS has failed, before (not `encrypted`) or after its handshake: old mail may go in plaintext (`may`).

        Not where there is a password for the server: whoever breaks TLS would be sent it.
        """
        if self._tls is None or session.encrypted is not encrypted:
            return
        if self._login is None or not await self._login.knows(session.target, delivery.request, session.demand.nexthop):
            self._tls.may_give_up(session, delivery)

    async def _connected(self, delivery: SmtpDelivery, target: Target, demand: Demand) -> SmtpSession | None:
        try:
            session = await self._connector.open(target, demand)
        except LookupTemporaryFailure:
            self._connector.warn_of_keywords(target, delivery.request.queue_id)
            self._transaction(delivery, target, 0).local_error()
            return None
        except ConnectFailure as exc:
            text = f"connect to {target.namaddrport}: {exc}"
            self._log(text)
            delivery.why = Failure("4.4.1", text)
            return None
        if session is None:
            delivery.why = Failure("4.4.0", "server configuration error")
        return session

    async def _fail_without_tls(self, delivery: SmtpDelivery, session: SmtpSession, failure: Failure) -> None:
        """Where TLS is no must, the destination is not held to be dead: old mail may get there in plaintext."""
        if self._tls is None or session.demand.policy.required:
            delivery.fail_site(take_left(delivery), session.target, failure)
        else:
            await self.may_give_up(session, delivery, encrypted=False)
            delivery.fail(take_left(delivery), session.target, failure)

    def _look_at(self, session: SmtpSession, delivery: SmtpDelivery) -> None:
        """Log what deserves it in the server's greeting and offers."""
        hands, core = self._handshake, session.core
        hands.warn_about(session, delivery.request.queue_id)
        if core.behind_pix:
            hands.work_around(session, delivery.request, self._clock())
        if core.ignored and core.capabilities.keywords and (line := ignored_line(core.ignored)):
            self._log(line)
        if self._tls is not None:
            self._tls.look_at(session)

    def _leave(self, session: SmtpSession, delivery: SmtpDelivery, *, data_error: bool = False) -> None:
        session.quit()
        if self._transcripts is not None:
            self._transcripts.over(session, delivery.request, data_error=data_error)
