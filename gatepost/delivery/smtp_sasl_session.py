"""Sessions that may have to log in."""

from typing import Any, cast

from gatepost.delivery.smtp_output import ContentReader
from gatepost.delivery.smtp_session import SmtpSession
from gatepost.delivery.smtp_transaction import SmtpTransaction
from gatepost.protocol.smtp_client_events import Event, Kind
from gatepost.protocol.smtp_client_login import LoginProtocol
from gatepost.protocol.smtp_reply import SmtpReply

_LOGIN = Kind.LOGIN


class LoginSession(SmtpSession):
    """Its protocol is a LoginProtocol. `adds_auth`: smtp_send_dummy_mail_auth, in a session that has logged in."""

    def _begin(self) -> None:
        super()._begin()
        self.adds_auth = False
        self._said: SmtpReply | None = None

    @property
    def login(self) -> LoginProtocol:
        """The protocol."""
        return cast(LoginProtocol, self.core)

    @property
    def ssl_object(self) -> Any:
        """The ssl.SSLObject; None in plaintext."""
        return self._transport.get_extra_info("ssl_object") if self.encrypted and self._transport is not None else None

    async def say(self, line: str) -> SmtpReply:
        """Send a line of the login; the server's reply. Raises SessionLost, LocalDataError."""
        self._woken = False
        self.login.send_login(line)
        self._write(self.core.data_to_send())
        self._arm()
        if self.core.ahead:
            self.data_received(b"")
        await self._wait()
        assert self._said is not None  # what else wakes raises
        return self._said

    async def send(self, transaction: SmtpTransaction, content: bytes | ContentReader, *, keep: bool) -> None:
        if self.adds_auth:
            transaction.mail_line = transaction.mail_line.removesuffix(b"\r\n") + b" AUTH=<>\r\n"  # RFC 4954 5
        await super().send(transaction, content, keep=keep)

    def _handle(self, event: Event) -> None:
        if event.kind is _LOGIN:
            self._said = event.reply
            self._woken = True
        else:
            super()._handle(event)
