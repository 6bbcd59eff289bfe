"""A delivery worker: requests from the queue manager to the agents, their results back."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gatepost.delivery.interface import DeliveryAgent
from gatepost.ipc.messages import Claim, DeliveryDone, DeliveryRequest, Draining, Frame, Hello, Result, Welcome
from gatepost.mail.status import RecipientStatus
from gatepost.net.stepping import carry_out, carry_out_taskless
from gatepost.qmgr.suspended import UNAVAILABLE

REMEMBERED = 5.0
"""Seconds for which results are kept after they were reported: a queue manager that dies may not have written them
down. It writes marks within 100 ms of quiet, or with the next commit.
"""


class DeliveryWorker:
    """`agents`: transport name -> agent. `report` sends a DeliveryDone to the queue manager, if there is one at
    present (`connected`).
    """

    def __init__(
        self,
        role: str,
        pid: int,
        agents: Mapping[str, DeliveryAgent],
        report: Callable[[DeliveryDone], None],
        connected: Callable[[], bool] = lambda: True,
    ) -> None:
        self.role = role
        self.pid = pid
        self.epoch = 0
        self.draining = False
        self.released = asyncio.Event()  # the queue manager knows that we are draining
        self._told_draining = False
        self.unreported = False  # a result was there while no queue manager was: its Hello will tell the next one
        self.agents = agents
        self._report = report
        self._connected = connected
        self._running: dict[int, DeliveryRequest] = {}
        self._recent: deque[tuple[float, DeliveryDone]] = deque()
        self._tasks: set[Any] = set()
        self.idle = asyncio.Event()
        self.idle.set()

    def hello(self) -> Hello:
        """What this worker tells a (new) queue manager."""
        running = [
            Claim(r.request_id, r.epoch, r.queue_id, [p.index for p in r.recipients]) for r in self._running.values()
        ]
        self._told_draining = self.draining
        finished = [Result(done.queue_id, done.statuses) for _, done in self._recent]
        return Hello(self.role, self.pid, self.epoch, running, finished, draining=self.draining)

    def frame(self, frame: Frame) -> None:
        if isinstance(frame, DeliveryRequest):
            self.deliver(frame)
        elif isinstance(frame, Draining):
            self.released.set()

    def welcomed(self, welcome: Welcome) -> None:
        self.epoch = welcome.epoch
        self.unreported = False
        if self._told_draining:
            self.released.set()

    def deliver(self, request: DeliveryRequest) -> None:
        self._running[request.request_id] = request
        self.idle.clear()
        agent = self.agents.get(request.transport)
        work = self._deliver(request, agent)
        if agent is None or agent.taskless:
            carry_out_taskless(work, self._tasks)
        else:
            carry_out(work, self._tasks)

    async def _deliver(self, request: DeliveryRequest, agent: DeliveryAgent | None) -> None:
        if agent is None:
            done = await self._unavailable(request)
        else:
            try:
                done = await agent.deliver(request)
            except Exception:
                # A fault of ours in one delivery: its recipients wait, the others go on. The loop's handler logs it.
                self._finished(self._all(request, "4.3.0", "unknown mail transport error"))
                raise
        self._finished(done)

    async def _unavailable(self, request: DeliveryRequest) -> DeliveryDone:
        """As Postfix, which has the retry service defer it."""
        dsn, text = UNAVAILABLE
        if (retry := self.agents.get("retry")) is not None:
            done = await retry.deliver(msgspec.structs.replace(request, nexthop=f"{dsn} {text}"))
        else:
            done = self._all(request, dsn, text)
        done.transport_failure = text
        return done

    def _all(self, request: DeliveryRequest, dsn: str, text: str) -> DeliveryDone:
        statuses = [RecipientStatus(r.index, "deferred", dsn, "none", text) for r in request.recipients]
        return DeliveryDone(request.request_id, request.epoch, request.queue_id, statuses)

    def _finished(self, done: DeliveryDone) -> None:
        del self._running[done.request_id]
        now = time.monotonic()
        recent = self._recent
        recent.append((now, done))
        # While there is no queue manager, nobody hears of results: all are kept for the next one.
        while recent[0][0] < now - REMEMBERED and self._connected():
            recent.popleft()
        self._report(done)
        if not self._running:
            self.idle.set()

    async def close(self) -> None:
        for agent in set(self.agents.values()):
            await agent.close()
