"""Everything in one process, the same services with direct calls (`gatepost start --single-process`).

For small hosts and for tests. As root it becomes mail_owner once its ports are open, so it cannot deliver to other
users.

A reload makes a new Generation beside the old one, on the same store. New connections go to the new one; sessions of
the old finish under their own rules. What the old queue manager knows is written down before the new one begins, and
deliveries under way are told to it, as by workers that meet a new queue manager.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, cast

from gatepost.anvil import Anvil, Event
from gatepost.control.operations import Operations
from gatepost.ipc.channel import Channel
from gatepost.ipc.messages import Claim, DeliveryDone, DeliveryRequest, Result
from gatepost.mail.envelope import Message
from gatepost.maillog.sink import MailLog
from gatepost.master.accepting import Accepting
from gatepost.master.client_counts import Statistics
from gatepost.master.control_door import ControlDoor
from gatepost.master.decision_log import DecisionLog
from gatepost.master.delivery_worker import DeliveryWorker
from gatepost.master.dispatcher import WorkerDispatcher
from gatepost.master.early_signals import release_signals
from gatepost.master.foundation import Foundation
from gatepost.master.leash import LOG
from gatepost.master.logfile import reopen
from gatepost.master.plan import Plan
from gatepost.master.privileges import drop_to
from gatepost.master.queue_service import QueueService
from gatepost.master.reload import reason, renewed
from gatepost.master.servers import LinkedRates, pause, server_environment
from gatepost.master.sessions import STOP_PATIENCE, Connections
from gatepost.master.worker_delivery import make_agents
from gatepost.master.worker_queue import SPACE_INTERVAL, SWITCH_INTERVAL, QueueParts, lock_store, new_epoch
from gatepost.master.workers import ProcessLog, fork_opener, run_loop, set_name
from gatepost.queue.store import StoreFailure, StoreFull
from gatepost.smtpd.environment import ServerEnvironment
from gatepost.smtpd.intake import Intake

Stored = Callable[[Exception | None], None]


class DirectDelivery:
    """The Dispatcher of a single process: its own DeliveryWorker."""

    def __init__(self) -> None:
        self.worker: DeliveryWorker | None = None

    def send(self, request: DeliveryRequest) -> None:
        assert self.worker is not None
        self.worker.deliver(request)


class Generation:
    """What one configuration is made of: queue manager, deliveries, listeners. Raises ConfigError; nothing runs yet."""

    def __init__(self, plan: Plan, parts: QueueParts, worker: DeliveryWorker, accepting: Accepting) -> None:
        self.plan = plan
        self.parts = parts
        self.worker = worker
        self.accepting = accepting
        self.service: QueueService | None = None
        self.door: ControlDoor | None = None
        self.intake = Intake(0, pause)
        self.listeners: list[tuple[Connections, ServerEnvironment]] = []
        self.decisions: DecisionLog | None = None

    async def listen(self) -> None:
        """Take connections. The sockets stay with the plan: the next generation may want them. Raises OSError, then it
        takes none.
        """
        try:
            for listener, (connections, env) in zip(self.plan.listeners, self.listeners, strict=True):
                factory = connections.factory(env)
                for sock in (sock for row in listener.sockets for sock in row):
                    self.accepting.listen(sock.dup(), factory)
        except OSError:
            await self.accepting.close()
            raise

    async def sessions_gone(self, hurry: Callable[[], bool]) -> None:
        await asyncio.gather(*[connections.gone(hurry) for connections, _ in self.listeners])
        for _, env in self.listeners:
            if env.sasl is not None:
                env.sasl.server.close()
        if self.decisions is not None:
            await self.decisions.close()


class SingleProcess:
    """The present Generation, and those that finish what they have."""

    def __init__(self, plan: Plan, log: MailLog, lock: int) -> None:
        self.over = asyncio.Event()
        self.failed: list[Exception] = []
        self._log = log
        self._master_log = log.program("master")
        self._lock = lock
        self._loop = asyncio.get_running_loop()
        self._anvil = anvil = Anvil(plan.settings.anvil_rate_time_unit, time.time)
        self._statistics = Statistics(anvil, log.program("anvil"), plan.settings.anvil_status_update_time)
        self._rates = LinkedRates(*_counters(anvil, self._loop), log.program("smtpd").warning)
        self._workers: list[DeliveryWorker] = []  # with deliveries under way, the present one last
        self._draining: set[asyncio.Task[None]] = set()  # each ends with the last session of a Generation
        self._retiring: set[asyncio.Task[None]] = set()
        self._held: list[tuple[Message, Stored]] | None = None  # new mail, between two queue managers
        self._postponed: list[Callable[[], object]] = []  # what acts on mail, meanwhile
        self._operations: Operations | None = None
        self._missed: list[DeliveryDone] = []  # results, meanwhile
        self._reload_wanted = asyncio.Event()
        self._now = self._make(plan, None)

    async def serve(self, on_serving: Callable[[], object]) -> None:
        """Until `over`."""
        plan = self._now.plan
        assert plan.control_socket is not None
        control = await self._loop.create_unix_server(self._control, sock=plan.control_socket, backlog=100)
        self._begin(self._now)
        await self._now.listen()
        reloading = self._loop.create_task(self._reloads())
        on_serving()
        while not self.over.is_set():
            self._now.parts.look()
            if self._now.service is not None:
                self._now.service.look_at_lists()
            try:
                await asyncio.wait_for(self.over.wait(), SPACE_INTERVAL)
            except TimeoutError:
                pass
        self._reload_wanted.set()
        await reloading
        control.close()
        await self._stop()

    # --- generations ----------------------------------------------------------------------------------------------

    def _make(self, plan: Plan, earlier: QueueParts | None) -> Generation:
        foundation = Foundation(plan.configuration, self._log, files=plan.files("single"))
        dispatcher = DirectDelivery()
        epoch = new_epoch(self._lock, time.time())
        parts = QueueParts(plan, foundation, self._log, dispatcher, self._store_failed, epoch, earlier)
        parts.queue.submit_to = self._submit

        agents = make_agents(plan, foundation, "delivery", parts.queue)
        dispatcher.worker = worker = DeliveryWorker("delivery", os.getpid(), agents, self._report)
        made = Generation(plan, parts, worker, Accepting(self._log.program("smtpd").warning))
        made.intake = Intake(plan.settings.in_flow_delay, pause)
        made.decisions = DecisionLog.of(plan.configuration, 1, self._log.program("smtpd").warning)
        for number, listener in enumerate(plan.listeners):
            load = plan.load_of(number, 0, self._master_log.warning)
            connections = Connections(load, made.accepting.session_gone)
            verify = parts.verification.verifier.verify
            env = server_environment(
                foundation,
                listener.service,
                parts.cleanup,
                self._rates,
                parts.store.free,
                connections.stressed,
                verify,
                self._flush,
                made.intake,
                ticket_secret=plan.ticket_secret,
            )
            made.listeners.append((connections, env))
            if made.decisions is not None:
                made.decisions.watch(env.policy, listener.service)
        return made

    def _begin(self, made: Generation) -> None:
        """Its queue manager is the one from now on."""
        parts = made.parts
        parts.begin()
        parts.in_flow.listener = made.intake.told
        made.intake.told(parts.in_flow.behind, parts.in_flow.full)
        self._workers.append(made.worker)
        if self._operations is None:
            timer = self._loop.call_later
            self._operations = Operations(
                parts.store, parts.commit, parts.manager, time.time, self._later, parts.fast_flush, timer
            )
        self._operations.succeeded(parts.manager, parts.fast_flush)
        made.service = QueueService(
            parts.manager,
            WorkerDispatcher(lambda transport: False),
            self._anvil,
            self._operations,
            flush_log=self._log.flush,
            monotonic=time.monotonic,
            expected=(),
        )
        made.door = ControlDoor(self._operations, parts.authority, self._log.flush)

    def _later(self, step: Callable[[], object]) -> None:
        """In a later turn of the loop in which there is a queue manager: who acts on mail takes it away from that."""
        if self._held is None:
            self._loop.call_soon(step)
        else:
            self._postponed.append(step)

    def _submit(self, message: Message, done: Stored) -> None:
        if self._held is None:
            self._now.parts.manager.submit(message, done)
        else:
            self._held.append((message, done))

    async def _flush(self, domain: str) -> bool:
        service = self._now.service
        if service is not None:
            service.flush(domain)
        return service is not None

    def _report(self, done: DeliveryDone) -> None:
        if self._held is None:
            self._loop.call_soon(self._delivered, done)  # not from within the dispatch that it may have come of
        else:
            self._missed.append(done)  # now: it is not under way any more, and the next turn may be the successor's

    def _delivered(self, done: DeliveryDone) -> None:
        if self._held is None:
            self._now.parts.manager.delivered(done)
        else:
            self._missed.append(done)

    def _control(self) -> Channel:
        assert self._now.door is not None
        return self._now.door.protocol()

    def _store_failed(self, failure: Exception) -> None:
        if self.failed:
            return
        self.failed.append(failure)
        self._log.program("qmgr").fatal(str(failure))
        self.over.set()

    # --- reload ---------------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Soon. What is asked while one is under way is done once more after it."""
        self.rotate()
        self._reload_wanted.set()

    def rotate(self) -> None:
        plan = self._now.plan
        fresh = reopen(plan.settings, plan.log_descriptor)
        if fresh >= 0 and plan.opener is not None and plan.opener.leash is not None:
            plan.opener.leash.tell(LOG, fresh)

    async def _reloads(self) -> None:
        while not self.over.is_set():
            self._reload_wanted.clear()
            await self._reload_wanted.wait()
            if not self.over.is_set():
                await self._reload()

    async def _reload(self) -> None:
        old = self._now
        try:
            plan = renewed(old.plan)
            old.plan.listeners = plan.listeners  # what was not wanted any more is closed
            self._log.syslog_name = plan.settings.syslog_name
            new = self._make(plan, old.parts)
            await new.listen()
        except Exception as error:  # ConfigError, OSError; a fault of ours, too, must not be the end of reloads
            self._log.syslog_name = old.plan.settings.syslog_name
            self._master_log.error(f"reload: {reason(error)}; the old configuration goes on")
            return
        self._anvil.time_unit = plan.settings.anvil_rate_time_unit
        self._statistics.interval = plan.settings.anvil_status_update_time
        await old.accepting.close()
        await self._hand_over(old, new)
        version, directory = plan.settings.mail_version, plan.configuration.directory
        self._master_log.info(f"reload -- version {version}, configuration {directory}")
        self._start(old.sessions_gone(self.over.is_set), self._draining)
        self._start(self._retire(old.worker), self._retiring)

    def _start(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
        task = self._loop.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _hand_over(self, old: Generation, new: Generation) -> None:
        """From one queue manager to the next. New mail waits for the moment in which there is none."""
        old.parts.manager.dispatching = False
        await old.parts.settled(STOP_PATIENCE)
        held: list[tuple[Message, Stored]] = []
        self._held = held
        await old.parts.manager.quiesce()
        old.parts.memory.save()
        manager = new.parts.manager
        running: list[Claim] = [claim for worker in self._workers for claim in worker.hello().running]
        finished = [Result(done.queue_id, done.statuses) for done in self._missed]
        manager.recover(finished, running)
        self._held, self._missed = None, []
        self._now = new
        self._begin(new)
        for message, done in held:
            manager.submit(message, done)
        postponed, self._postponed = self._postponed, []
        for step in postponed:
            self._loop.call_soon(step)

    async def _retire(self, worker: DeliveryWorker) -> None:
        await worker.idle.wait()
        self._workers.remove(worker)
        await worker.close()

    # --- the end --------------------------------------------------------------------------------------------------

    async def _stop(self) -> None:
        now = self._now
        await now.accepting.close()
        await asyncio.gather(now.sessions_gone(lambda: True), *self._draining)
        parts = now.parts
        parts.manager.dispatching = False
        try:
            await asyncio.wait_for(asyncio.gather(*[worker.idle.wait() for worker in self._workers]), STOP_PATIENCE)
        except TimeoutError:
            pass
        for task in self._retiring:
            task.cancel()
        for worker in self._workers:
            await worker.close()
        if not self.failed:
            await parts.end()
        self._statistics.end()


def run_single(plan: Plan, on_serving: Callable[[], object]) -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    set_name("single")
    if plan.owner is not None:
        plan.prepare_files(always=True)
        fork_opener(plan)
        drop_to(plan.owner)
    sys.setswitchinterval(SWITCH_INTERVAL)
    failed: list[Exception] = []
    run_loop(_serve(plan, on_serving, failed))
    return 1 if failed else 0


async def _serve(plan: Plan, on_serving: Callable[[], object], failed: list[Exception]) -> None:
    loop = asyncio.get_running_loop()
    lock = lock_store(plan)
    log = ProcessLog(plan, loop).log
    try:
        single = SingleProcess(plan, log, lock)
    except (StoreFailure, StoreFull) as failure:
        log.program("qmgr").fatal(str(failure))
        log.flush()
        failed.append(failure)
        return

    def stop(number: int) -> None:
        log.program("master").info(f"terminating on signal {number}")
        single.over.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGHUP, single.reload)
    loop.add_signal_handler(signal.SIGUSR1, single.rotate)
    release_signals()
    await single.serve(on_serving)
    failed.extend(single.failed)
    log.flush()
    os.close(lock)


def _counters(
    anvil: Anvil, loop: asyncio.AbstractEventLoop
) -> tuple[Callable[[str, str, str], "asyncio.Future[tuple[int, int]] | None"], Callable[[str, str, str], None]]:
    def count(what: str, service: str, client: str) -> "asyncio.Future[tuple[int, int]]":
        future: asyncio.Future[tuple[int, int]] = loop.create_future()
        future.set_result(anvil.count(cast(Event, what), service, client, time.monotonic()))
        return future

    def tell(what: str, service: str, client: str) -> None:
        anvil.disconnect(service, client)

    return count, tell
