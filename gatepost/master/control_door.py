"""The control socket's end in the queue manager. Every user of this host may connect: the kernel tells who it is, the
authority what he may ask, and nobody but root and the mail system's own user can take up much of our time or memory.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from gatepost.control.authority import Authority
from gatepost.control.operations import Operations
from gatepost.ipc.channel import Channel
from gatepost.ipc.messages import Ask, Frame, Hello, Part
from gatepost.net.stepping import carry_out

CONNECTIONS = 10
"""At a time, of one user."""
QUESTIONS = 4
"""Under way at a time, of one connection."""
LONGEST_QUESTION = 256 * 1024
"""Octets of a frame; thousands of queue IDs."""


class ControlDoor:
    """Joins the commands' channels and the operations on the queue."""

    def __init__(self, operations: Operations, authority: Authority, flush_log: Callable[[], None]) -> None:
        self._operations = operations
        self._authority = authority
        self._flush_log = flush_log
        self._tasks: set[asyncio.Task[Any]] = set()
        self._strangers: dict[Channel, int] = {}
        self._connections: Counter[int] = Counter()
        self._questions: Counter[Channel] = Counter()

    def protocol(self) -> Channel:
        """For create_unix_server: one Channel per command."""
        return Channel(self._heard, self._lost, self._flush_log, self._opened)

    def _opened(self, channel: Channel) -> None:
        uid = channel.peer_user()
        if self._authority.trusts(uid):
            return
        self._strangers[channel] = uid
        self._connections[uid] += 1
        channel.max_frame = LONGEST_QUESTION
        if self._connections[uid] > CONNECTIONS:
            channel.close()

    def _lost(self, channel: Channel) -> None:
        uid = self._strangers.pop(channel, None)
        if uid is not None:
            self._questions.pop(channel, None)
            self._connections[uid] -= 1
            if not self._connections[uid]:
                del self._connections[uid]

    def _heard(self, channel: Channel, frame: Frame) -> None:
        """Nothing but Ask is heard here."""
        if isinstance(frame, Ask):
            uid = self._strangers.get(channel)
            if uid is None:
                self._operations.answer(frame, channel.send, channel.later)
            elif self._questions[channel] >= QUESTIONS:
                channel.close()
            else:
                self._questions[channel] += 1
                carry_out(self._answer(channel, uid, frame), self._tasks)
        elif not isinstance(frame, Hello):
            channel.close()

    async def _answer(self, channel: Channel, uid: int, ask: Ask) -> None:
        def send(part: Part) -> None:
            if (part.last or part.error) and channel in self._strangers:
                self._questions[channel] -= 1
            channel.send(part)

        refusal = await self._authority.refusal(uid, ask.what)
        if refusal:
            send(Part(ask.ticket, [], last=True, error=refusal, denied=True))
        else:
            self._operations.answer(ask, send, channel.later)
