"""saslauthd's protocol (saslauthd(8)): name, password, service and realm go in, `OK` or `NO` with a reason comes out.

A connection for each question; strings have their length before them, in two octets.
"""

import asyncio

from gatepost.net.connect import ConnectFailure, connect_unix
from gatepost.sasl import base64_text
from gatepost.sasl.cyrus_config import CyrusConfig
from gatepost.sasl.exchange import CannotTell, MechanismExchange
from gatepost.sasl.mechanism import Secret
from gatepost.sasl.plain_mechanisms import Login, Plain
from gatepost.sasl.scram import Hash
from gatepost.sasl.security import MECHANISMS, SecurityOptions, allowed
from gatepost.sasl.server import Exchange, Failed, Peers, Step

CONNECT_LIMIT = 10.0
ANSWER_LIMIT = 60.0
"""Seconds. PAM may ask servers far away, and waits before it says no."""

_LONGEST = 0xFFFF


class SaslauthdUnavailable(Exception):
    """It cannot be asked; the message says why, without what was asked."""


def request(*fields: str) -> bytes:
    """Raises ValueError for a field that is too long."""
    out = []
    for field in fields:
        data = field.encode()
        if len(data) > _LONGEST:
            raise ValueError("too long")
        out.append(len(data).to_bytes(2) + data)
    return b"".join(out)


class _Question(asyncio.Protocol):
    def __init__(self) -> None:
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= 2 and len(self._buffer) >= 2 + int.from_bytes(self._buffer[:2]):
            length = int.from_bytes(self._buffer[:2])
            self._settle(self._buffer[2 : 2 + length].decode("utf-8", "replace").partition("\0")[0])

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle(None)

    def give_up(self) -> None:
        self._settle(None)

    def _settle(self, answer: str | None) -> None:
        if self.answer.done():
            return
        if answer is None:
            self.answer.set_exception(SaslauthdUnavailable("no answer"))
        else:
            self.answer.set_result(answer)


async def verify(path: str, username: str, password: str, service: str, realm: str) -> bool:
    """Does saslauthd at the Unix socket `path` know this password? Raises SaslauthdUnavailable.

    May be awaited where there is no task.
    """
    try:
        data = request(username, password, service, realm)
    except ValueError:
        return False
    question = _Question()
    try:
        await connect_unix(question, path, limit=CONNECT_LIMIT)
    except ConnectFailure as failure:
        raise SaslauthdUnavailable(f"cannot connect to saslauthd server: {failure}") from None
    timer = asyncio.get_running_loop().call_later(ANSWER_LIMIT, question.give_up)
    try:
        question.transport.write(data)
        answer = await question.answer
    finally:
        timer.cancel()
        question.transport.abort()
    if answer[:2] not in ("OK", "NO"):
        raise SaslauthdUnavailable("saslauthd gave no answer that is one")
    return answer[:2] == "OK"


# In the words of Cyrus SASL's library.
_BAD_BASE64 = Failed("another step is needed in authentication")
_NO_MECHANISM = "no mechanism available"
_NEEDS_ENCRYPTION = "encryption needed to use mechanism"
_REMARKS_OF_PLAIN = {
    "authentication failure": "SASL authentication failure: Password verification failed",
    "bad protocol / cancel": "SASL authentication failure: Can only find author (no password)",
}


class SaslauthdServer:
    """`smtpd_sasl_type = cyrus` with saslauthd. `domain` (smtpd_sasl_local_domain) is the realm of who names none."""

    def __init__(self, config: CyrusConfig, *, service: str, domain: str) -> None:
        self.config = config
        self._service = service
        self._domain = domain

    async def mechanisms(self, options: SecurityOptions, peers: Peers) -> tuple[str, ...]:
        return tuple(name for name in self.config.mechanisms if allowed(MECHANISMS[name], options))

    async def start(
        self, mechanism: str, initial: str | None, options: SecurityOptions, peers: Peers
    ) -> tuple[Step, Exchange | None]:
        name = mechanism.upper()
        if name not in self.config.mechanisms:
            warning = f"SASL authentication failure: Couldn't find mech {printable_name(mechanism)}"
            return Failed(_NO_MECHANISM, warning=warning), None
        if not allowed(MECHANISMS[name], options):
            return Failed(_NEEDS_ENCRYPTION), None
        data = None if initial is None else b"" if initial == base64_text.NOTHING else base64_text.decode(initial)
        if data is None and initial is not None:
            return _BAD_BASE64, None
        if name == "PLAIN":
            exchange = MechanismExchange(self, name, Plain(), _BAD_BASE64, _REMARKS_OF_PLAIN)
        else:
            exchange = MechanismExchange(self, name, Login(), _BAD_BASE64)
        return await exchange.begin(data), exchange

    def close(self) -> None:
        pass  # each question has its own connection

    async def check(self, username: str, password: str) -> tuple[str, bool]:
        name, at, realm = username.rpartition("@")
        if not at:
            name, realm = username, self._domain
        known_as = f"{name}@{realm}" if realm else name
        try:
            return known_as, await verify(self.config.socket, name, password, self._service, realm)
        except SaslauthdUnavailable as failure:
            raise CannotTell(f"SASL authentication failure: {failure}") from None

    async def secret_of(self, username: str, name: Hash | None) -> tuple[str, Secret | None]:
        raise AssertionError("saslauthd tells no secrets")

    async def known(self, username: str) -> tuple[str, str | None]:
        raise AssertionError("saslauthd tells nothing without a password")


def printable_name(mechanism: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in mechanism)
