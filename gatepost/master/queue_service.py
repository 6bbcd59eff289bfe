"""The queue manager's process: frames from the workers in, answers out."""

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Any, cast

from gatepost.anvil import Anvil, Event
from gatepost.control.operations import Operations
from gatepost.ipc.channel import Channel
from gatepost.ipc.messages import (
    Ask,
    Committed,
    Count,
    Counted,
    DeliveryDone,
    DeliveryRequest,
    Draining,
    Flow,
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
from gatepost.master.dispatcher import WorkerDispatcher
from gatepost.net.stepping import carry_out
from gatepost.qmgr.inflow import InFlow
from gatepost.qmgr.manager import QueueManager
from gatepost.queue.store import StoreFull
from gatepost.verify.service import Answer, Verifier

FIRST_REPORTS_WAIT = 10.0
"""Seconds to wait for the delivery workers of an earlier queue manager to tell what they have under way."""


class Peer:
    """One connected worker. `requests`: what it works on, by request number."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.role = ""
        self.load = 0
        self.requests: dict[int, tuple[str, str]] = {}
        self.connections: dict[tuple[str, str], int] = {}
        self.stored: list[int] = []
        self.wanted_ids = 0  # that there was no space to set aside

    def deliver(self, request: DeliveryRequest) -> None:
        self.channel.send(request)


class QueueService:
    """Joins channels, QueueManager, Anvil and control operations.

    `expected`: process IDs of the delivery workers that live already. What they have under way is not dispatched again:
    dispatching begins when each of them has told, or has ended. `warn` writes to the log.
    """

    def __init__(
        self,
        manager: QueueManager,
        dispatcher: WorkerDispatcher,
        anvil: Anvil,
        operations: Operations,
        *,
        flush_log: Callable[[], None],
        monotonic: Callable[[], float],
        expected: Iterable[int],
        verifier: Verifier | None = None,
        in_flow: InFlow | None = None,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.manager = manager
        self._dispatcher = dispatcher
        self._anvil = anvil
        self._operations = operations
        self._flush_log = flush_log
        self._monotonic = monotonic
        self._expected = set(expected)
        self._verifier = verifier
        self._in_flow = in_flow
        if in_flow is not None:
            in_flow.listener = self.tell_flow
        self._warn = warn
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.get_running_loop()
        self._peers: dict[Channel, Peer] = {}
        self._answers: list[Peer] = []
        self._gone: asyncio.Event | None = None
        self._timer: asyncio.TimerHandle | None = None
        manager.on_pumped = self._arm
        self._loop.call_later(FIRST_REPORTS_WAIT if self._expected else 0, self._begin)
        for pid in list(self._expected):
            self._watch(pid)

    def protocol(self) -> Channel:
        """For create_unix_server: one Channel per worker."""
        return Channel(self._frame, self._lost, self._flush_log, self._opened)

    def _watch(self, pid: int) -> None:
        """A worker that ends, as those of an earlier configuration do, has nothing more to tell."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._loop.call_soon(self._told, pid)
            return
        except OSError:
            return  # an old kernel: then FIRST_REPORTS_WAIT has to do

        def ended() -> None:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
            self._told(pid)

        self._loop.add_reader(descriptor, ended)

    def _told(self, pid: int) -> None:
        self._expected.discard(pid)
        if not self._expected:
            self._begin()

    def _begin(self) -> None:
        if not self.manager.dispatching:
            self.manager.begin()

    def _arm(self) -> None:
        """Wake the manager when its next timer is due."""
        wait = self.manager.seconds_to_wake()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(wait, self.manager.pump_soon) if wait is not None else None

    def _opened(self, channel: Channel) -> None:
        self._peers[channel] = Peer(channel)

    def _frame(self, channel: Channel, frame: Frame) -> None:
        peer = self._peers[channel]
        if isinstance(frame, Submit):
            self._submit(peer, frame)
        elif isinstance(frame, DeliveryDone):
            self._dispatcher.finished(peer, frame.request_id)
            self.manager.delivered(frame)
        elif isinstance(frame, Count):
            self._count(peer, frame)
        elif isinstance(frame, NeedIds):
            self._give_ids(peer, frame.count)
        elif isinstance(frame, Hello):
            self._hello(peer, frame)
        elif isinstance(frame, Draining):
            self._dispatcher.retire(peer)
            channel.send(frame)
        elif isinstance(frame, Verify):
            carry_out(self._verify(channel, frame), self._tasks)
        elif isinstance(frame, Flush):
            self.flush(frame.domain)
            channel.send(Flushing(frame.ticket))

    def _hello(self, peer: Peer, hello: Hello) -> None:
        peer.role = hello.role
        peer.channel.send(Welcome(self.manager.epoch))
        if hello.ids:
            self._give_ids(peer, hello.ids)
        peer.channel.send(Space(self.manager.store.free()))
        if self._in_flow is not None and (self._in_flow.behind or self._in_flow.full):
            peer.channel.send(Flow(self._in_flow.behind, self._in_flow.full))
        for service, client, connections in hello.connections:
            peer.connections[service, client] = connections
            self._anvil.resume(service, client, connections, self._monotonic())
        if hello.role in ("delivery", "local"):
            for claim in hello.running:
                self._dispatcher.claim(peer, claim.request_id, "", "")
            self.manager.recover(hello.finished, hello.running)
            if not hello.draining:
                self._dispatcher.add(peer)
            self._told(hello.pid)

    def _give_ids(self, peer: Peer, count: int) -> None:
        try:
            first = self.manager.store.reserve(count)
        except StoreFull as failure:
            if not peer.wanted_ids:
                self._warn(f"no queue IDs can be set aside: {failure}")
            peer.wanted_ids = count
        else:
            peer.wanted_ids = 0
            peer.channel.send(IdRange(first, count))

    # --- intake ---------------------------------------------------------------------------------------------------

    def _submit(self, peer: Peer, submit: Submit) -> None:
        ticket = submit.ticket

        def done(failure: Exception | None) -> None:
            if failure is None:
                if not peer.stored:
                    if not self._answers:
                        self._loop.call_soon(self._answer)
                    self._answers.append(peer)
                peer.stored.append(ticket)
            else:
                peer.channel.send(Refused([ticket], isinstance(failure, StoreFull)))

        self.manager.submit(submit.message, done)

    def _answer(self) -> None:
        """One Committed per worker for everything one commit has stored."""
        answers, self._answers = self._answers, []
        for peer in answers:
            peer.channel.send(Committed(peer.stored))
            peer.stored = []

    def tell_space(self) -> None:
        free = self.manager.store.free()
        for peer in self._peers.values():
            if peer.role == "smtpd":
                peer.channel.send(Space(free))
            if peer.wanted_ids:
                self._give_ids(peer, peer.wanted_ids)

    def tell_flow(self, behind: bool, full: bool) -> None:
        """In-flow control has changed its mind."""
        for peer in self._peers.values():
            if peer.role == "smtpd":
                peer.channel.send(Flow(behind, full))

    # --- anvil ----------------------------------------------------------------------------------------------------

    def _count(self, peer: Peer, count: Count) -> None:
        what, key = count.what, (count.service, count.client)
        connections = rate = 0
        if what == "disconnect":
            left = peer.connections.pop(key, 0)
            if left > 1:
                peer.connections[key] = left - 1
            if left:
                self._anvil.disconnect(*key)
        else:
            connections, rate = self._anvil.count(cast(Event, what), *key, self._monotonic())
            if what == "connect":
                peer.connections[key] = peer.connections.get(key, 0) + 1
        if count.ticket:
            peer.channel.send(Counted(count.ticket, connections, rate))

    # --- address verification -------------------------------------------------------------------------------------

    async def _verify(self, channel: Channel, asked: Verify) -> None:
        answer = Answer("trouble", "")
        try:
            if self._verifier is not None:
                answer = await self._verifier.verify(asked.address, asked.wait)
        finally:  # after a fault of ours, too: a session waits for it, and for nothing else
            channel.send(Verified(asked.ticket, answer.outcome, answer.reason))

    # --- fast flush ----------------------------------------------------------------------------------------------

    def flush(self, domain: str) -> None:
        """Begin to have what is listed for this domain tried."""
        self._operations.answer(Ask(0, "flush-listed", [domain]), lambda part: None)

    def look_at_lists(self) -> None:
        """To be called now and then."""
        self._operations.refresh()

    # --- the end of a worker --------------------------------------------------------------------------------------

    def _lost(self, channel: Channel) -> None:
        peer = self._peers.pop(channel)
        if self._gone is not None and not self._peers:
            self._gone.set()
        for key, connections in peer.connections.items():
            self._anvil.disconnect(*key, connections)
        if peer.role in ("delivery", "local"):
            unfinished = list(peer.requests)
            self._dispatcher.remove(peer)
            self.manager.lost(unfinished)

    async def left_alone(self, patience: float) -> None:
        """Until the last worker has gone; at most `patience` seconds."""
        self._gone = asyncio.Event()
        if self._peers:
            try:
                await asyncio.wait_for(self._gone.wait(), patience)
            except TimeoutError:
                pass

    async def dismiss(self, patience: float) -> None:
        """Answer what has come, take nothing more: each worker closes its connection and waits for the next queue
        manager.
        """
        self.manager.dispatching = False
        if self._verifier is not None:
            self._verifier.dismiss()
        for peer in self._peers.values():
            peer.channel.send(Stop())
        await self.left_alone(patience)
        for peer in list(self._peers.values()):
            peer.channel.close()
