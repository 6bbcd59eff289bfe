"""The way from a worker to the queue manager: over IPC, or by direct call in one process.

Both are QueueWriters (gatepost.cleanup.interface). A transaction that waits for its commit when the queue manager goes
away gets QueueUnavailable (451: it may be stored, a duplicate at worst); one that comes while there is no
connection waits for the next, up to RECONNECT_WAIT, but not for one of which master says that it cannot start.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from gatepost.cleanup.interface import LargeContent, QueueFull, QueueUnavailable
from gatepost.ipc.channel import Channel
from gatepost.ipc.messages import (
    Committed,
    Count,
    Counted,
    Flush,
    Flushing,
    Frame,
    Hello,
    IdRange,
    NeedIds,
    Refused,
    Space,
    Stop,
    Submit,
    Verified,
    Verify,
    Welcome,
)
from gatepost.mail.envelope import Message
from gatepost.mail.queue_id import long_queue_id, short_queue_id
from gatepost.master.large_content import LargeFile
from gatepost.master.unanswered import Unanswered
from gatepost.net.stepping import Signal

RANGE = 4000
"""Queue-ID numbers asked for at a time."""

RECONNECT_WAIT = 10.0
"""Seconds a submission waits for a lost queue manager's successor."""


class QueueIds:
    """Hands out queue IDs from durable ranges of numbers; a number is never used twice."""

    def __init__(self, long_ids: bool, clock: Callable[[], float], ask: Callable[[int], None]) -> None:
        self._long = long_ids
        self._clock = clock
        self._ask = ask
        self._next = self._end = 0
        self._spare: list[IdRange] = []
        self._asked = False

    def add(self, given: IdRange) -> None:
        self._spare.append(given)
        self._asked = False

    def new(self) -> str:
        if self._next == self._end:
            if not self._spare:
                self._need()
                raise QueueUnavailable("no queue IDs")
            given = self._spare.pop(0)
            self._next, self._end = given.first, given.first + given.count
        number = self._next
        self._next = number + 1
        if not self._spare and self._end - number < RANGE // 2:
            self._need()
        return long_queue_id(number, self._clock()) if self._long else short_queue_id(number)

    def _need(self) -> None:
        if not self._asked:
            self._asked = True
            self._ask(RANGE)

    def connection_lost(self) -> None:
        self._asked = False


def _none() -> QueueUnavailable:
    return QueueUnavailable("no queue manager")


class QueueLink:
    """A worker's connection to the queue manager, made again whenever it is lost."""

    def __init__(
        self,
        path: str,
        hello: Callable[[], Hello],
        *,
        queue_directory: str,
        content_owner: int = -1,
        long_ids: bool,
        clock: Callable[[], float],
        flush_log: Callable[[], None],
        on_frame: Callable[[Frame], None] | None = None,
        on_welcome: Callable[[Welcome], None] | None = None,
        on_unanswered: Callable[[bool, int, int], object] = lambda too_much, messages, octets: None,
    ) -> None:
        self._path = path
        self._unanswered = Unanswered(on_unanswered)
        self._hello = hello
        self._queue_directory = queue_directory
        self._content_owner = content_owner
        self._flush_log = flush_log
        self._on_frame = on_frame
        self._on_welcome = on_welcome
        self._channel: Channel | None = None
        self._leaving: Channel | None = None  # a queue manager that is about to end: nothing new goes there
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[Any] | Signal] = {}
        self._unsent: list[Submit] = []
        self._greeted = False  # our Hello is out, its answer is not here
        self._early: list[Frame] = []
        self._uncounted: list[Count] = []  # what anvil is to be told once there is one
        self._awaited = False  # the queue manager has ended in an orderly way: it has a successor
        self.out = False  # there is no queue manager, and none can start
        self._connections: dict[tuple[str, str], int] = {}  # of whom anvil was told, by service and client
        self._ticket = 0
        self._space = 1 << 62
        self._stopping = False
        self._connector: asyncio.Task[None] | None = None
        self.ids = QueueIds(long_ids, clock, lambda count: self.send(NeedIds(count)))
        self.ready = asyncio.Event()  # there are queue IDs, or nobody who could give any
        self._welcomed = asyncio.Event()

    def start(self) -> None:
        self._connector = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        pause = 0.01
        while not self._stopping:
            try:
                await self._loop.create_unix_connection(
                    lambda: Channel(self._frame, self._lost, self._flush_log, self._opened), self._path
                )
                return
            except OSError:
                await asyncio.sleep(pause)
                pause = min(1.0, pause * 2)

    def _opened(self, channel: Channel) -> None:
        hello = self._hello()
        hello.connections = [(*client, count) for client, count in self._connections.items()]
        channel.send(hello)
        self._greeted = True

    @property
    def connected(self) -> bool:
        """Is there a queue manager that has answered our Hello?"""
        return self._channel is not None

    @property
    def greeted(self) -> bool:
        """Has a queue manager our Hello, answered or not?"""
        return self._greeted

    def outage(self, begins: bool) -> None:
        """The queue manager cannot start: what waits for it is refused. Or it serves again."""
        self.out = begins
        if not begins or self._channel is not None:
            return
        self._awaited = False
        self.ready.set()
        unsent, self._unsent = self._unsent, []
        uncounted, self._uncounted = self._uncounted, []
        self._uncounted = [Count(0, count.what, count.service, count.client) for count in uncounted]
        for ticket in [submit.ticket for submit in unsent] + [count.ticket for count in uncounted]:
            self._fail(ticket, _none())

    async def reach(self) -> None:
        """Until there is one; at most RECONNECT_WAIT."""
        try:
            await asyncio.wait_for(self._welcomed.wait(), RECONNECT_WAIT)
        except TimeoutError:
            pass

    def send(self, frame: Frame) -> None:
        """Send, or keep for the queue manager that has our Hello but has not answered yet; else the frame is dropped.

        (The next Hello tells what matters of it.)
        """
        if self._channel is not None:
            self._channel.send(frame)
        elif self._greeted:
            self._early.append(frame)

    def _frame(self, channel: Channel, frame: Frame) -> None:
        if isinstance(frame, Committed):
            waiting = self._waiting
            for ticket in frame.tickets:
                future = waiting.pop(ticket, None)
                self._unanswered.answered(ticket)
                if future is not None and not future.done():
                    future.set_result(None)
            if self._leaving is not None:
                self._leave()
        elif isinstance(frame, Refused):
            for ticket in frame.tickets:
                self._fail(ticket, QueueFull() if frame.full else QueueUnavailable())
            if self._leaving is not None:
                self._leave()
        elif isinstance(frame, IdRange):
            self.ids.add(frame)
            self.ready.set()
        elif isinstance(frame, Counted):
            future = self._waiting.pop(frame.ticket, None)
            if future is not None and not future.done():
                future.set_result((frame.count, frame.rate))
            if self._leaving is not None:
                self._leave()
        elif isinstance(frame, (Verified, Flushing)):
            future = self._waiting.pop(frame.ticket, None)
            if future is not None and not future.done():
                future.set_result(frame)
            if self._leaving is not None:
                self._leave()
        elif isinstance(frame, Space):
            self._space = frame.free
        elif isinstance(frame, Welcome):
            self._channel, self._awaited, self.out = channel, False, False
            early: list[Frame] = [*self._early, *self._unsent]
            self._early, self._unsent = [], []
            for frame_ in early:
                channel.send(frame_)
            uncounted, self._uncounted = self._uncounted, []
            for count in uncounted:
                self._count(channel, count)
            if self._on_welcome is not None:
                self._on_welcome(frame)
            self._welcomed.set()
        elif isinstance(frame, Stop):
            self._channel, self._leaving, self._awaited = None, channel, not self.out
            self._welcomed.clear()
            self._leave()
        elif self._on_frame is not None:
            self._on_frame(frame)

    def _leave(self) -> None:
        """Close the connection to an ending queue manager once it has answered everything; then the next is found."""
        waiting_for_next = len(self._unsent) + sum(1 for count in self._uncounted if count.ticket)
        if self._leaving is not None and len(self._waiting) == waiting_for_next:
            self._leaving.close()

    def _fail(self, ticket: int, failure: Exception) -> None:
        future = self._waiting.pop(ticket, None)
        self._unanswered.answered(ticket)
        if future is not None and not future.done():
            future.set_exception(failure)

    def _lost(self, _: Channel) -> None:
        if self._leaving is None:
            self._awaited = False
            self._uncounted = [Count(0, count.what, count.service, count.client) for count in self._uncounted]
        self._channel = self._leaving = None
        self._welcomed.clear()
        self._greeted = False
        self._early.clear()
        self.ids.connection_lost()
        unsent = {submit.ticket for submit in self._unsent} | {count.ticket for count in self._uncounted}
        for ticket in [t for t in self._waiting if t not in unsent]:
            self._fail(ticket, QueueUnavailable("lost connection with the queue manager"))
        if not self._stopping:
            self.start()

    # QueueWriter

    def new_queue_id(self) -> str:
        if self.out and self._channel is None:
            raise _none()
        return self.ids.new()

    def submit(self, message: Message) -> Signal:
        self._ticket = ticket = self._ticket + 1
        future = Signal()
        self._waiting[ticket] = future
        self._unanswered.given(ticket, len(message.content))
        if self._channel is not None:
            self._channel.send(Submit(ticket, message))
        elif self.out:
            self._fail(ticket, _none())
        else:
            self._unsent.append(Submit(ticket, message))
            self._loop.call_later(RECONNECT_WAIT, self._give_up, ticket)
        return future

    def _give_up(self, ticket: int) -> None:
        before = len(self._unsent)
        self._unsent = [submit for submit in self._unsent if submit.ticket != ticket]
        if len(self._unsent) < before:
            self._fail(ticket, _none())

    def large_content(self, queue_id: str) -> LargeContent:
        return LargeFile(self._queue_directory, queue_id, self._content_owner)

    def free(self) -> int:
        return self._space

    # RateCounter

    def count(self, what: str, service: str, client: str) -> "asyncio.Future[tuple[int, int]] | None":
        """Tell anvil; a future of (simultaneous connections, rate), or None while it cannot be asked (then all is
        allowed). A queue manager that ends in an orderly way has a successor: that one is waited for.
        """
        if self._channel is None and not self._awaited:
            self._uncounted.append(Count(0, what, service, client))
            return None
        self._ticket = ticket = self._ticket + 1
        future: asyncio.Future[tuple[int, int]] = self._loop.create_future()
        self._waiting[ticket] = future
        self._tell_count(Count(ticket, what, service, client))
        return future

    def tell(self, what: str, service: str, client: str) -> None:
        self._tell_count(Count(0, what, service, client))

    def _tell_count(self, count: Count) -> None:
        if self._channel is not None:
            self._count(self._channel, count)
        else:
            self._uncounted.append(count)

    def _count(self, channel: Channel, count: Count) -> None:
        """What a Hello tells is what was told before."""
        channel.send(count)
        key = (count.service, count.client)
        if count.what == "connect":
            self._connections[key] = self._connections.get(key, 0) + 1
        elif count.what == "disconnect":
            left = self._connections.pop(key, 0)
            if left > 1:
                self._connections[key] = left - 1

    # Address verification

    def verify(self, address: str, wait: float) -> "asyncio.Future[Verified] | None":
        """Ask about an address, see Verify; None while nobody can be asked. The future raises QueueUnavailable."""
        if self._channel is None:
            return None
        self._ticket = ticket = self._ticket + 1
        future: asyncio.Future[Verified] = self._loop.create_future()
        self._waiting[ticket] = future
        self._channel.send(Verify(ticket, address, wait))
        return future

    # Fast flush

    def flush(self, domain: str) -> "asyncio.Future[Flushing] | None":
        """Have what waits for this domain tried, see Flush; None while nobody can be asked. Raises as verify's."""
        if self._channel is None:
            return None
        self._ticket = ticket = self._ticket + 1
        future: asyncio.Future[Flushing] = self._loop.create_future()
        self._waiting[ticket] = future
        self._channel.send(Flush(ticket, domain))
        return future

    async def close(self) -> None:
        self._stopping = True
        if self._connector is not None:
            self._connector.cancel()
        if self._channel is not None:
            self._channel.close()
