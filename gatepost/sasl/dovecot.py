"""`smtpd_sasl_type = dovecot`: Dovecot's authentication service decides, and knows the mechanisms."""

from gatepost.sasl import base64_text, dovecot_protocol
from gatepost.sasl.dovecot_connection import DovecotConnection, DovecotService, Lost
from gatepost.sasl.dovecot_protocol import Answer
from gatepost.sasl.security import Properties, SecurityOptions, allowed
from gatepost.sasl.server import (
    KEPT,
    BackEndUnavailable,
    Challenge,
    Exchange,
    Failed,
    Peers,
    Step,
    Success,
)

_LOST = Failed("Connection lost to authentication server", temporary=True, username=KEPT)
_CANNOT_CONNECT = Failed("Can't connect to authentication server", temporary=True, username=KEPT)
_NO_MECHANISM = Failed("Invalid authentication mechanism", username=KEPT)
_BACK_END_ERROR = "Authentication backend error"


class DovecotServer:
    """`smtp_service` is smtpd_sasl_service, which Dovecot calls the protocol."""

    def __init__(self, service: DovecotService, smtp_service: str) -> None:
        self.service = service
        self._smtp_service = smtp_service

    async def mechanisms(self, options: SecurityOptions, peers: Peers) -> tuple[str, ...]:
        return _allowed(await self.service.mechanisms(), options)

    async def start(
        self, mechanism: str, initial: str | None, options: SecurityOptions, peers: Peers
    ) -> tuple[Step, Exchange | None]:
        service = self.service
        try:
            known = _allowed(await service.mechanisms(), options)
            if mechanism.upper() not in (name.upper() for name in known):
                return _NO_MECHANISM, None
            if initial == base64_text.NOTHING:
                initial = ""
            elif initial is not None and not base64_text.valid(initial):
                return _no_base64("initial", initial), None
            connection = await service.connection()
        except BackEndUnavailable:
            return _CANNOT_CONNECT, None
        number = connection.number()
        request = dovecot_protocol.authenticate(number, mechanism, self._fields(peers), initial)
        try:
            answer = await connection.ask(number, request)
        except Lost:
            return _LOST, None
        exchange = DovecotExchange(connection, number)
        return exchange.judged(answer), exchange

    def close(self) -> None:
        self.service.close()

    def _fields(self, peers: Peers) -> list[str]:
        fields = [f"service={self._smtp_service}", "nologin"]
        if peers.encrypted:
            fields.append("secured")
        for name, value in (
            ("lip", peers.server_address),
            ("rip", peers.client_address),
            ("lport", peers.server_port),
            ("rport", peers.client_port),
        ):
            if value and value != "unknown":
                fields.append(f"{name}={value}")
        if peers.certificate_name:
            fields += ["valid-client-cert", f"cert_username={peers.certificate_name}"]
        return fields


def _no_base64(which: str, text: str) -> Failed:
    """Of what has the right signs in a wrong order it is Dovecot that tells Postfix so, and names nobody."""
    asked = base64_text.SIGNS(text)
    return Failed(f"Invalid base64 data in {which} response", username=None if asked else KEPT)


def _allowed(mechanisms: dict[str, Properties], options: SecurityOptions) -> tuple[str, ...]:
    return tuple(name for name, properties in mechanisms.items() if allowed(properties, options))


class DovecotExchange:
    """One request to the service."""

    def __init__(self, connection: DovecotConnection, number: int) -> None:
        self._connection = connection
        self._number = number

    async def step(self, response: str) -> Step:
        if not base64_text.valid(response):
            self.abort()
            return _no_base64("continued", response)
        try:
            answer = await self._connection.ask(self._number, dovecot_protocol.go_on(self._number, response))
        except Lost:
            return _LOST
        return self.judged(answer)

    def abort(self) -> None:
        # Postfix just forgets the request; Dovecot would keep it until it has waited for long enough.
        self._connection.tell(dovecot_protocol.cancel(self._number))

    def judged(self, answer: Answer) -> Step:
        if answer.verb == "CONT":
            if answer.text is None:
                self.abort()
                return Failed(_BACK_END_ERROR, username=KEPT, warning="missing Dovecot server CONT reply field")
            return Challenge(answer.text)
        username = answer.fields.get("user")
        if answer.verb == "OK":
            if not username:
                return Failed(_BACK_END_ERROR, warning="missing Dovecot server OK username field")
            return Success(username)
        temporary = "temp" in answer.fields or answer.fields.get("code") == "temp_fail"
        return Failed(answer.fields.get("reason", ""), temporary, username)
