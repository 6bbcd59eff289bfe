"""Which delivery worker gets a request (design, part 6).

Requests to one destination go to the same worker while it has few of them, so that connections are reused; what is
more goes to the least busy one.
"""

from collections.abc import Callable
from typing import Protocol

from gatepost.ipc.messages import DeliveryRequest

AFFINITY = 32
"""Requests to one destination that its worker may have under way before others are asked."""


class DeliveryPeer(Protocol):
    """A delivery worker as the queue manager sees it."""

    role: str
    load: int
    requests: dict[int, tuple[str, str]]

    def deliver(self, request: DeliveryRequest) -> None: ...


class WorkerDispatcher:
    """Requests for transports in `local_transports` go to the `local` worker when there is one. With no worker, they
    wait for the first.
    """

    def __init__(self, is_local: Callable[[str], bool]) -> None:
        self._is_local = is_local
        self._workers: dict[str, list[DeliveryPeer]] = {"delivery": [], "local": []}
        self._homes: dict[tuple[str, str], DeliveryPeer] = {}
        self._busy: dict[tuple[int, str, str], int] = {}
        self._waiting: list[DeliveryRequest] = []
        self.separate_local = False

    def add(self, worker: DeliveryPeer) -> None:
        self._workers[worker.role].append(worker)
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self.send(request)

    def retire(self, worker: DeliveryPeer) -> None:
        """The worker gets no more requests; those that it has go on."""
        if worker in self._workers[worker.role]:
            self._workers[worker.role].remove(worker)
        self._homes = {place: home for place, home in self._homes.items() if home is not worker}

    def remove(self, worker: DeliveryPeer) -> None:
        """The worker is gone."""
        self.retire(worker)
        for request_id in list(worker.requests):
            self._count_down(worker, request_id)

    def claim(self, worker: DeliveryPeer, request_id: int, transport: str, nexthop: str) -> None:
        """Note a request that the worker already has."""
        place = (transport, nexthop)
        worker.load += 1
        worker.requests[request_id] = place
        key = (id(worker), *place)
        self._busy[key] = self._busy.get(key, 0) + 1

    def send(self, request: DeliveryRequest) -> None:
        role = "local" if self.separate_local and self._is_local(request.transport) else "delivery"
        workers = self._workers[role]
        if not workers:
            self._waiting.append(request)
            return
        place = (request.transport, request.nexthop)
        worker = self._homes.get(place)
        if worker is None or self._busy.get((id(worker), *place), 0) >= AFFINITY:
            worker = min(workers, key=lambda w: w.load) if len(workers) > 1 else workers[0]
            self._homes[place] = worker
        self.claim(worker, request.request_id, request.transport, request.nexthop)
        worker.deliver(request)

    def finished(self, worker: DeliveryPeer, request_id: int) -> None:
        if request_id in worker.requests:
            self._count_down(worker, request_id)

    def _count_down(self, worker: DeliveryPeer, request_id: int) -> None:
        place = worker.requests.pop(request_id)
        worker.load -= 1
        key = (id(worker), *place)
        left = self._busy[key] - 1
        if left:
            self._busy[key] = left
            return
        del self._busy[key]
        if self._homes.get(place) is worker:
            del self._homes[place]
