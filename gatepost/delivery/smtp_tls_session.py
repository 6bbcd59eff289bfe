"""Sessions that are to be encrypted: by STARTTLS, or from the first octet."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

from gatepost.delivery.smtp_addresses import Target
from gatepost.delivery.smtp_delivery import Failure
from gatepost.delivery.smtp_demand import Demand
from gatepost.delivery.smtp_session import NoTls, SmtpSession
from gatepost.delivery.smtp_tls import NO_ENGINE, NOT_STARTED, ClientHandshake, SmtpTls
from gatepost.net.tls_pump import TlsFailure, TlsTransport, start_tls
from gatepost.protocol.smtp_client_events import Event, Kind, Stage
from gatepost.protocol.smtp_reply import SmtpReply

_STARTTLS, _NO_TLS, _READY = Kind.STARTTLS, Kind.NO_TLS, Kind.READY


class EncryptedSession(SmtpSession):
    """`tls`: what this connection must be like, set before it is connected. `wrapped`: TLS comes first of all.

    `encrypted` once the handshake is over, and the server is who it should be. `shaking`: it is under way.
    """

    tls: ClientHandshake
    wrapped = False
    shaking = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.wrapped:
            self._shake_hands()

    def quit(self) -> None:
        if self.shaking:
            self.abort()
        else:
            super().quit()

    def _handle(self, event: Event) -> None:
        kind = event.kind
        if kind is _STARTTLS:
            self.forget_input()
            self._shake_hands()
        elif kind is _NO_TLS:
            self.fault = self._why_not()
            self._woken = True
        elif kind is Kind.REFUSED and self.core.stage is Stage.STARTTLS:
            self.fault = self._refused_tls(event.reply)
            self._woken = True
        else:
            if kind is _READY and self.encrypted and isinstance(self._transport, TlsTransport):
                self.tls.keep_session(self._transport)
            super()._handle(event)

    def _why_not(self) -> Failure:
        if self.core.capabilities.starttls:
            return NO_ENGINE
        return Failure("4.7.4", f"TLS is required, but was not offered by host {self.target.namaddr}")

    def _refused_tls(self, reply: SmtpReply | None) -> Failure:
        assert reply is not None
        text = f"TLS is required, but host {self.target.namaddr} refused to start TLS: {reply.one_line}"
        return Failure(reply.dsn, text, reply.one_line, self.target.host)

    def _shake_hands(self) -> None:
        """Nothing more is said in plaintext, whatever comes of it."""
        context = self.tls.context()
        if context is None:
            self._give_up()
            return
        transport = cast(asyncio.Transport, self._transport)
        self.shaking = True
        try:
            self._transport = start_tls(
                transport, self, context, server_side=False, server_hostname=self.tls.server_name,
                session=self.tls.session(context, self.core.capabilities.hostname), done=self._shaken,
                limit=self._limits[Stage.TLS], kind=self.tls.transport,
            )  # fmt: skip
        except ValueError:
            self.shaking = False
            self._give_up()

    def _give_up(self) -> None:
        self.abort()
        self._lose(NoTls(NOT_STARTED))

    def _shaken(self, transport: TlsTransport, failure: TlsFailure | None) -> None:
        self.shaking = False
        if failure is not None:
            self.core.abandon()
            self.tls.failed(failure)
            self._lose(NoTls(NOT_STARTED))
            return
        self.fault = self.tls.judge(transport)
        if self.fault is None:
            self.encrypted = True
            self.lasting = self.tls.policy.reuse
            self.core.encrypted()
            self._write(self.core.data_to_send())
            self._arm()
            return
        self._woken = True
        self.data_received(b"")

    def _expire(self) -> None:
        if self.shaking:
            self._timer = None
            self._arm()  # the handshake has a limit of its own
        else:
            super()._expire()

    def _listen_once_more(self, ear: socket.socket) -> None:
        if not self.encrypted:
            super()._listen_once_more(ear)

    def forget_input(self) -> None:
        """What the server has said behind its reply to STARTTLS is no part of what it says under TLS."""


def encrypted_session(kind: type[SmtpSession], tls: SmtpTls) -> Callable[..., SmtpSession]:
    """What makes sessions of this kind that are encrypted; the demand comes before the other arguments."""
    bases = (EncryptedSession,) if kind is SmtpSession else (kind, EncryptedSession)
    made = type("ChosenEncryptedSession", bases, {"wrapped": tls.params.wrappermode})

    def session(demand: Demand, target: Target, *arguments: Any) -> SmtpSession:
        encrypted = cast(EncryptedSession, made(target, *arguments))
        encrypted.tls = tls.handshake(demand.policy, target, demand.nexthop)
        return encrypted

    return session
