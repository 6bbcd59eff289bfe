"""Everything in one process, the same services with direct calls (`gatepost start --single-process`).

For small hosts and for tests. As root it becomes mail_owner once its ports are open, so it cannot deliver to other
users.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable

from gatepost.anvil import Anvil
from gatepost.control.operations import Operations
from gatepost.ipc.messages import DeliveryDone, DeliveryRequest
from gatepost.master.delivery_worker import DeliveryWorker
from gatepost.master.dispatcher import WorkerDispatcher
from gatepost.master.foundation import Foundation
from gatepost.master.listeners import BACKLOG
from gatepost.master.logfile import reopen
from gatepost.master.plan import Plan
from gatepost.master.privileges import drop_to
from gatepost.master.queue_service import QueueService
from gatepost.master.servers import STOP_PATIENCE, Connections, LinkedRates, server_environment
from gatepost.master.worker_delivery import make_agents
from gatepost.master.worker_queue import SWITCH_INTERVAL, QueueParts, lock_store
from gatepost.master.workers import ProcessLog, run_loop, set_name


class DirectDelivery:
    """The Dispatcher of a single process: its own DeliveryWorker."""

    def __init__(self) -> None:
        self.worker: DeliveryWorker | None = None

    def send(self, request: DeliveryRequest) -> None:
        assert self.worker is not None
        self.worker.deliver(request)


def run_single(plan: Plan, on_serving: Callable[[], object]) -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    set_name("single")
    if plan.owner is not None:
        drop_to(plan.owner)
    sys.setswitchinterval(SWITCH_INTERVAL)
    failed: list[Exception] = []
    run_loop(_serve(plan, on_serving, failed))
    return 1 if failed else 0


async def _serve(plan: Plan, on_serving: Callable[[], object], failed: list[Exception]) -> None:
    loop = asyncio.get_running_loop()
    lock = lock_store(plan)
    log = ProcessLog(plan, loop).log
    over = asyncio.Event()
    master_log = log.program("master")

    def stop(number: int) -> None:
        master_log.info(f"terminating on signal {number}")
        over.set()

    def refuse_reload() -> None:
        reopen(plan.settings, plan.log_descriptor)
        master_log.error("reload: a single process takes a changed configuration over by stop and start only")

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGHUP, refuse_reload)
    loop.add_signal_handler(signal.SIGUSR1, reopen, plan.settings, plan.log_descriptor)

    def store_failed(failure: Exception) -> None:
        failed.append(failure)
        log.program("qmgr").fatal(str(failure))
        over.set()

    foundation = Foundation(plan.configuration, log)
    dispatcher = DirectDelivery()
    parts = QueueParts(plan, foundation, log, dispatcher, store_failed)

    def report(done: DeliveryDone) -> None:
        loop.call_soon(parts.manager.delivered, done)  # not from within the dispatch that it may have come of

    worker = DeliveryWorker("delivery", os.getpid(), make_agents(plan, foundation, "delivery", parts.queue), report)

    dispatcher.worker = worker
    anvil = Anvil(foundation.settings.anvil_rate_time_unit)
    operations = Operations(parts.store, parts.commit, parts.manager, time.time, loop.call_soon)
    service = QueueService(
        parts.manager,
        WorkerDispatcher(lambda transport: False),
        anvil,
        operations,
        flush_log=log.flush,
        monotonic=time.monotonic,
        expected=(),
    )
    assert plan.control_socket is not None
    servers: list[asyncio.Server] = [
        await loop.create_unix_server(service.control_protocol, sock=plan.control_socket, backlog=100)
    ]
    rates = LinkedRates(*_counters(anvil, loop))
    everything: list[Connections] = []
    for listener in plan.listeners:
        connections = Connections(max(1, listener.service.maxproc or foundation.settings.gatepost_smtpd_session_limit))
        everything.append(connections)
        env = server_environment(foundation, listener.service, parts.cleanup, rates, parts.store.free, connections.busy)
        for row in listener.sockets:
            for sock in row:
                servers.append(await loop.create_server(connections.factory(env), sock=sock, backlog=BACKLOG))
    on_serving()
    await over.wait()
    for server in servers:
        server.close()
    await asyncio.gather(*[connections.gone(lambda: True) for connections in everything])
    parts.manager.dispatching = False
    try:
        await asyncio.wait_for(worker.idle.wait(), STOP_PATIENCE)
    except TimeoutError:
        pass
    await worker.close()
    if not failed:
        await parts.manager.quiesce()
        parts.close()
    log.flush()
    os.close(lock)


def _counters(
    anvil: Anvil, loop: asyncio.AbstractEventLoop
) -> tuple[Callable[[str, str, str], "asyncio.Future[tuple[int, int]] | None"], Callable[[str, str, str], None]]:
    def count(what: str, service: str, client: str) -> "asyncio.Future[tuple[int, int]]":
        future: asyncio.Future[tuple[int, int]] = loop.create_future()
        future.set_result(anvil.count(what, service, client, time.monotonic()))
        return future

    def tell(what: str, service: str, client: str) -> None:
        anvil.count(what, service, client, time.monotonic())

    return count, tell
