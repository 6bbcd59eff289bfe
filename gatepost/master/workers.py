"""What each kind of worker does, from its fork to its end."""

import asyncio
import contextlib
import os
import signal
import socket
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from gatepost.maillog.sink import MailLog
from gatepost.master.leash import AWAY, BACK, DRAIN, STOP, MasterEnd, WorkerEnd
from gatepost.master.plan import Plan
from gatepost.master.privileges import drop_to
from gatepost.master.services import transports
from gatepost.master.sessions import STOP_PATIENCE
from gatepost.master.supervisor import Entry
from gatepost.net.allocation import collect_rarely, keep_freed_memory
from gatepost.queue.store import StoreFailure

try:
    from uvloop import new_event_loop as new_fast_loop
except ImportError:
    new_fast_loop = None  # type: ignore[assignment]


LOG_DELAY = 0.02
"""Seconds that log lines may wait for others to be written with: a write for each costs more than the line."""


class ProcessLog:
    """A process's log, written LOG_DELAY after its first line that waits, and before any frame to another process.

    What nobody expected goes there, too.
    """

    def __init__(self, plan: Plan, loop: asyncio.AbstractEventLoop) -> None:
        self.log: MailLog = plan.new_log()
        self.log.wake = self._wake
        self._loop = loop
        self._armed = False
        loop.set_exception_handler(self._fault)

    def _wake(self) -> None:
        if not self._armed:
            self._armed = True
            self._loop.call_later(LOG_DELAY, self._flush)

    def _flush(self) -> None:
        self._armed = False
        self.log.flush()

    def _fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception that nobody expected: a fault of ours, which must be seen and ends nothing else."""
        exc = context.get("exception")
        if isinstance(exc, StoreFailure):  # told of as fatal: this process is about to end
            return
        where = "".join(traceback.format_exception(exc)[-3:]).replace("\n", " ") if exc is not None else ""
        self.log.program("master").error(f"panic: {context['message']}: {where}")


class Worker:
    """A worker's surroundings: its loop, its log, its leash. The work itself is in gatepost.master.worker_*."""

    def __init__(self, plan: Plan, leash: socket.socket) -> None:
        self.plan = plan
        self.loop = asyncio.get_running_loop()
        self.log = ProcessLog(plan, self.loop).log
        self.over = asyncio.Event()  # stop or drain was asked for
        self.hurry = False  # stop, not drain
        self.orphaned = False  # master is gone
        self.on_outage: Callable[[bool], None] = lambda away: None  # the queue manager cannot start; it serves again
        self._leash = WorkerEnd(leash, plan.log_descriptor, self._word, self._orphaned)
        self._leash.watch(self.loop)

    def serve(self) -> None:
        """Tell master that we serve."""
        self._leash.ready()

    async def before_over(self, event: asyncio.Event) -> None:
        """Until this has come, or it is over."""
        waiting = [self.loop.create_task(event.wait()), self.loop.create_task(self.over.wait())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()

    def _word(self, word: bytes) -> None:
        if word in (AWAY, BACK):
            self.on_outage(word == AWAY)
        elif word in (DRAIN, STOP):
            self.hurry = self.hurry or word == STOP
            self.over.set()

    def _orphaned(self) -> None:
        """master is gone: nobody would start us anew, so end."""
        self.orphaned = True
        self.hurry = True
        self.over.set()

    async def finished(self, idle: asyncio.Event) -> None:
        """Until what is under way has ended; a stop waits for STOP_PATIENCE only."""
        await self.over.wait()
        waiting = self.loop.create_task(idle.wait())
        while not waiting.done():
            await asyncio.wait([waiting], timeout=STOP_PATIENCE if self.hurry else 1.0)
            if self.hurry:
                break
        waiting.cancel()


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop if it is installed (gatepost[speed]), else on asyncio's own loop."""
    keep_freed_memory()
    collect_rarely()
    with asyncio.Runner(loop_factory=new_fast_loop) as runner:
        runner.run(main)


def take_long_turns() -> None:
    """Let a worker that is woken wait until the one that woke it has done what it has at hand (sched(7), SCHED_BATCH).

    Measured with 50 sessions on two processors: an eighth less CPU per message, since each turn has more to do and
    there are fewer of them. An idle processor is taken at once, so that a quiet system is as quick as before.
    """
    with contextlib.suppress(OSError, AttributeError):  # not allowed here, or not Linux
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def set_name(name: str) -> None:
    """What ps and top show of this process."""
    Path("/proc/self/comm").write_text(f"gp:{name}"[:15])


def _entry(
    plan: Plan,
    name: str,
    work: Callable[[Plan, socket.socket], Coroutine[Any, Any, None]],
    *,
    privileged: bool = False,
    slot: int | None = None,
    commands: bool = False,
) -> Entry:
    def entry(leash: socket.socket) -> None:
        set_name(name)
        plan.keep_listening(slot, commands=commands)
        if not privileged:
            take_long_turns()
        if plan.opener is not None:
            plan.opener.become("" if privileged else name)
        if plan.owner is not None and not privileged:
            drop_to(plan.owner)
        run_loop(work(plan, leash))

    return entry


def smtpd_entry(plan: Plan, slot: int) -> Entry:
    from gatepost.master.worker_smtpd import serve_smtpd

    return _entry(plan, "smtpd", lambda plan, leash: serve_smtpd(plan, slot, leash), slot=slot)


def queue_entry(plan: Plan, live_workers: Callable[[], list[int]]) -> Entry:
    from gatepost.master.worker_queue import serve_queue

    def entry(leash: socket.socket) -> None:
        expected = live_workers()
        _entry(plan, "qmgr", lambda plan, leash: serve_queue(plan, leash, expected))(leash)

    return entry


def delivery_entry(plan: Plan, role: str) -> Entry:
    from gatepost.master.worker_delivery import serve_delivery

    return _entry(plan, role, lambda plan, leash: serve_delivery(plan, role, leash), privileged=role == "local")


def spawn_entry(plan: Plan) -> Entry:
    from gatepost.master.worker_spawn import serve_spawn

    return _entry(plan, "spawn", serve_spawn, privileged=True, commands=True)


def opener_entry(plan: Plan) -> Entry:
    """What opens files for the others, that only root may read."""

    def entry(leash: socket.socket) -> None:
        set_name("opener")
        _open_files(plan, leash)

    return entry


def fork_opener(plan: Plan) -> None:
    """Have it beside a process that is about to give up root and has no master. It ends with that process."""
    assert plan.opener is not None
    ours, theirs = socket.socketpair()
    plan.opener.leash = MasterEnd(ours)
    if os.fork() == 0:
        try:
            set_name("opener")
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
                signal.signal(number, signal.SIG_IGN)  # a terminal's reaches both, and this one must be the last
            _open_files(plan, theirs)
        finally:
            os._exit(0)
    theirs.close()
    plan.opener.become("single")


def _open_files(plan: Plan, leash: socket.socket | None) -> None:
    mail_log = plan.new_log()
    log = mail_log.program("master")

    def warn(text: str) -> None:
        log.warning(text)
        mail_log.flush()

    assert plan.opener is not None
    plan.opener.serve(leash, plan.log_descriptor, warn)


def local_needed(plan: Plan) -> bool:
    """Local delivery has a process of its own only as root, which becomes the recipient."""
    return os.geteuid() == 0 and any(service.program == "local" for service in transports(plan.configuration).values())
