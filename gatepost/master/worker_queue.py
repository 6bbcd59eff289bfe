"""The queue manager's process."""

import asyncio
import fcntl
import os
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from gatepost.anvil import Anvil
from gatepost.control.authority import Authority
from gatepost.control.operations import Operations
from gatepost.maillog.sink import MailLog, ProgramLog
from gatepost.master.client_counts import Statistics, hand_on
from gatepost.master.control_door import ControlDoor
from gatepost.master.destination_memory import DestinationMemory
from gatepost.master.dispatcher import WorkerDispatcher
from gatepost.master.foundation import Foundation
from gatepost.master.host_clock import Jumps
from gatepost.master.notices import DirectQueue, make_cleanup, make_notifier
from gatepost.master.plan import Plan
from gatepost.master.queue_service import QueueService
from gatepost.master.services import pickup_settings, transports
from gatepost.master.sessions import STOP_PATIENCE
from gatepost.master.slow_start import told_if_slow
from gatepost.master.verification import VerifyService
from gatepost.master.workers import Worker
from gatepost.net.stepping import carry_out
from gatepost.qmgr.destination_policies import HealthyDispatcher, destination_policies
from gatepost.qmgr.flush import FastFlush
from gatepost.qmgr.inflow import InFlow
from gatepost.qmgr.manager import QueueManager
from gatepost.qmgr.ports import Dispatcher
from gatepost.qmgr.requeue import Requeue
from gatepost.qmgr.scheduler import Scheduler
from gatepost.queue.group_commit import GroupCommit
from gatepost.queue.mending import open_mended
from gatepost.queue.store import StoreFailure, StoreFull

SPACE_INTERVAL = 5.0
"""Seconds between two reports of free space to the smtpd workers."""

SWITCH_INTERVAL = 0.0005
"""Seconds: the writer thread gives up the GIL once per statement and must get it back soon (design, part 5)."""


class QueueParts:
    """The store and the queue manager on it; with `earlier` (a reload in one process) on the store that is open."""

    def __init__(
        self,
        plan: Plan,
        foundation: Foundation,
        log: MailLog,
        dispatcher: Dispatcher,
        on_failure: Callable[[StoreFailure], None],
        epoch: int,
        earlier: "QueueParts | None" = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        settings = foundation.settings
        self.tasks: set[asyncio.Task[Any]] = set()
        self.look_ups: set[asyncio.Task[Any]] = set()  # that nobody waits for
        program = log.program("qmgr")
        if earlier is None:
            self.store = open_mended(
                plan.queue_directory,
                log_at_once(log, program),
                on_failure=lambda failure: loop.call_soon_threadsafe(on_failure, failure),
            )
            self.commit = GroupCommit(
                self.store, loop.call_soon_threadsafe, on_failure, in_this_loop=loop.call_soon
            )
            self.in_flow = InFlow(program.warning, program.info)
            self.commit.on_backlog = self.in_flow.writer_behind
            self.jumps = Jumps(plan.queue_directory / "private", self.commit, program.warning)
        else:
            self.store, self.commit, self.jumps = earlier.store, earlier.commit, earlier.jumps
            self.in_flow = earlier.in_flow
        self.queue = DirectQueue(self.store, str(plan.queue_directory), long_ids=settings.enable_long_queue_ids)
        self.cleanup = make_cleanup(foundation, self.queue, log)
        self.verification: VerifyService = VerifyService(
            foundation, self.cleanup, log, None if earlier is None else earlier.verification
        )
        tables = foundation.tables.logged_by(program.warning, program.error)
        self.fast_flush = FastFlush(settings, tables, self.store, time.time)
        services = transports(plan.configuration)
        policies = destination_policies(
            settings,
            tables,
            {name for name, service in services.items() if service.program in ("smtp", "lmtp")},
            lambda: foundation.dns,
            program,
            clock=time.time,
            monotonic=time.monotonic,
            spawn=lambda coroutine: carry_out(coroutine, self.look_ups),
        )
        if policies.health is not None:
            dispatcher = HealthyDispatcher(dispatcher, policies.health)
        self.manager = QueueManager(
            settings,
            self.store,
            self.commit,
            foundation.resolver,
            Scheduler.from_settings(settings, services, program),
            dispatcher,
            make_notifier(foundation, self.cleanup, log),
            program,
            epoch=epoch,
            jumps=self.jumps,
            clock=time.time,
            monotonic=time.monotonic,
            spawn=self._spawn,
            call_soon=loop.call_soon,
            requeue=Requeue(
                pickup_settings(plan.configuration), self.store, self.cleanup, log.program("pickup"), user=os.geteuid()
            ),
            probe_resolver=foundation.probe_resolver,
            report_probe=self.verification.report,
            fast_flush=self.fast_flush,
            on_full=self.in_flow.active_full,
            policies=policies,
        )
        self.queue.submit_to = self.manager.submit
        self.authority = Authority(settings, tables, os.geteuid())
        self.memory = DestinationMemory(
            plan.queue_directory / "private", self.manager.scheduler, policies.health, time.time, time.monotonic,
            program.warning,
        )  # fmt: skip

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        carry_out(coroutine, self.tasks)

    def begin(self) -> None:
        """This queue manager is the one from now on."""
        self.memory.restore()
        self.jumps.stored_due = self.manager.stored_due
        if (retry := self.manager.policies.retry) is not None:
            self.jumps.shifted = retry.shift

    def look(self) -> None:
        """To be called now and then."""
        self.jumps.look()
        self.memory.look()

    async def settled(self, patience: float) -> None:
        """Until what was begun has ended (routing, notices); at most `patience` seconds."""
        end = asyncio.get_running_loop().time() + patience
        while self.tasks and (left := end - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self.tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    async def end(self) -> None:
        """Finish what was begun (within STOP_PATIENCE), keep what is known of destinations, and close the store."""
        await self.settled(STOP_PATIENCE)
        await self.manager.quiesce()
        self.memory.save()
        for task in self.look_ups:
            task.cancel()
        self.verification.verifier.close()
        self.commit.close()
        self.store.close()


def log_at_once(log: MailLog, program: ProgramLog) -> Callable[[str], None]:
    """Warnings that do not wait for others: what comes next may take long, and nobody serves meanwhile."""

    def warn(text: str) -> None:
        program.warning(text)
        log.flush()

    return warn


def lock_store(plan: Plan) -> int:
    """Wait until an earlier queue manager has closed the store. A lock that cannot be opened is the end."""
    path = plan.queue_directory / "private" / "store.lock"
    log = plan.new_log()
    say = log.program("qmgr")

    def tell() -> None:
        say.warning("an earlier queue manager has not closed the queue yet: waiting for it")
        log.flush()

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        reason = f"{path}: {error.strerror}"
        say.fatal(reason)
        log.flush()
        raise SystemExit(reason) from error
    with told_if_slow(tell):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def new_epoch(lock: int, now: float) -> int:
    """A number that no queue manager of this store had, kept in the file of the lock. `now`: wall-clock seconds.

    By it workers tell the requests of an earlier queue manager from those of its successor, which may start within the
    same second, or after the clock was set back.
    """
    before = os.pread(lock, 20, 0).strip()
    epoch = max(int(now), int(before) + 1 if before.isdigit() else 0)
    os.pwrite(lock, b"%-20d" % epoch, 0)
    return epoch


def worker_dispatcher(plan: Plan) -> WorkerDispatcher:
    kinds = {name: service.program for name, service in transports(plan.configuration).items()}
    dispatcher = WorkerDispatcher(lambda transport: kinds.get(transport) == "local")
    dispatcher.separate_local = plan.owner is not None and "local" in kinds.values()
    return dispatcher


async def serve_queue(plan: Plan, leash: socket.socket, expected: list[int]) -> None:
    sys.setswitchinterval(SWITCH_INTERVAL)
    lock = lock_store(plan)
    worker = Worker(plan, leash)
    foundation = Foundation(plan.configuration, worker.log, files=plan.files("qmgr"))
    settings = foundation.settings
    failed: list[StoreFailure] = []

    def store_failed(failure: StoreFailure) -> None:
        """Final: nobody gets 250 any more from this process; the next one reads the store anew."""
        if failed:
            return
        failed.append(failure)
        worker.log.program("qmgr").fatal(str(failure))
        worker.hurry = True
        worker.over.set()

    dispatcher = worker_dispatcher(plan)
    try:
        parts = QueueParts(plan, foundation, worker.log, dispatcher, store_failed, new_epoch(lock, time.time()))
    except (StoreFailure, StoreFull) as failure:
        worker.log.program("qmgr").fatal(str(failure))
        worker.log.flush()
        raise SystemExit(str(failure)) from failure
    loop = worker.loop
    operations = Operations(
        parts.store, parts.commit, parts.manager, time.time, loop.call_soon, parts.fast_flush, loop.call_later
    )
    anvil = Anvil(settings.anvil_rate_time_unit, time.time)
    hand_on_counts = hand_on(anvil, plan.queue_directory / "private", time.monotonic())
    statistics = Statistics(anvil, worker.log.program("anvil"), settings.anvil_status_update_time)
    service = QueueService(
        parts.manager,
        dispatcher,
        anvil,
        operations,
        flush_log=worker.log.flush,
        monotonic=time.monotonic,
        expected=expected,
        verifier=parts.verification.verifier,
        in_flow=parts.in_flow,
        warn=worker.log.program("qmgr").warning,
    )
    door = ControlDoor(operations, parts.authority, worker.log.flush)
    assert plan.queue_socket is not None and plan.control_socket is not None
    servers = [
        await loop.create_unix_server(service.protocol, sock=plan.queue_socket, backlog=1024),
        await loop.create_unix_server(door.protocol, sock=plan.control_socket, backlog=100),
    ]
    parts.begin()
    worker.serve()
    try:
        await tell_space(worker, service, parts)
    except StoreFailure as failure:
        store_failed(failure)
    if worker.orphaned and not failed:
        # master would stop us last. What the others have yet to report must not be lost with us.
        parts.manager.dispatching = False
        await service.left_alone(2 * STOP_PATIENCE)
    for server in servers:
        server.close()
    if not failed:
        await service.dismiss(STOP_PATIENCE)
        if not worker.hurry:
            hand_on_counts()
        await parts.end()
    statistics.end()
    worker.log.flush()
    os.close(lock)
    if failed:
        raise SystemExit(str(failed[0]))


async def tell_space(worker: Worker, service: QueueService, parts: QueueParts) -> None:
    """Tell free space now and then, and look at the clock, and for flush lists, until it is over."""
    while not worker.over.is_set():
        service.tell_space()
        parts.look()
        service.look_at_lists()
        try:
            await asyncio.wait_for(worker.over.wait(), SPACE_INTERVAL)
        except TimeoutError:
            pass
