"""saslauthd's protocol (saslauthd(8)): name, password, service and realm go in, `OK` or `NO` with a reason comes out.

A connection for each question; strings have their length before them, in two octets.
"""

import asyncio

from gatepost.net.connect import ConnectFailure, connect_unix

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
