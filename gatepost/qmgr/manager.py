"""The queue manager: from stored to delivered, bounced or deferred (qmgr(8)).

Every message passes: submit -> committed -> activate -> routed -> scheduled -> dispatched -> delivered() per request ->
Conclusion.pass_over, which removes it, defers it or has a notice sent. Only marks in the store say what is final;
losing one means a duplicate, never a loss.
"""

import asyncio
from collections.abc import Callable, Sequence

from gatepost.bounce.notify import Notifier
from gatepost.config.settings import Settings
from gatepost.ipc.messages import Claim, DeliveryDone, Result
from gatepost.mail.address_quoting import quote_822_local
from gatepost.mail.envelope import NOTIFY_SUCCESS, UNDELIVERED, Message
from gatepost.mail.status import RecipientStatus
from gatepost.maillog import lines
from gatepost.maillog.sink import ProgramLog
from gatepost.qmgr.active import ActiveMessage, Running
from gatepost.qmgr.claims import Claims
from gatepost.qmgr.clock_jumps import ClockJumps
from gatepost.qmgr.conclusion import Conclusion
from gatepost.qmgr.destination_policies import NO_POLICIES, DestinationPolicies
from gatepost.qmgr.flush import FastFlush
from gatepost.qmgr.ports import Dispatcher, Spawn
from gatepost.qmgr.probes import Probes, Report, to_nobody
from gatepost.qmgr.recent_starts import RecentStarts
from gatepost.qmgr.recipients import RecipientLimits
from gatepost.qmgr.refill import NEVER, Refill
from gatepost.qmgr.requests import DAMAGED, content_of, delivery_request, passed_on
from gatepost.qmgr.requeue import Requeue
from gatepost.qmgr.route import Router
from gatepost.qmgr.scheduler import Scheduler, Start
from gatepost.qmgr.suspended import CRASHED, UNAVAILABLE, Suspended
from gatepost.qmgr.tracing import Tracing
from gatepost.queue.group_commit import GroupCommit
from gatepost.queue.store import FLUSHED, Store, Stored
from gatepost.rewrite.resolve import AddressResolver

CONTENT_IN_MEMORY = 64 * 1024 * 1024
"""Octets of content kept at hand for dispatch; what is beyond is read from the store when its turn comes."""


class QueueManager:
    """Owns the active queue. No sockets, no processes: those call in and are called through the ports.

    `epoch` is new at each start; `clock` gives wall-clock, `monotonic` monotonic seconds.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        commit: GroupCommit,
        resolver: AddressResolver,
        scheduler: Scheduler,
        dispatcher: Dispatcher,
        notices: Notifier,
        log: ProgramLog,
        *,
        epoch: int,
        clock: Callable[[], float],
        jumps: ClockJumps,
        monotonic: Callable[[], float],
        spawn: Spawn,
        call_soon: Callable[[Callable[[], None]], object],
        requeue: Requeue | None = None,
        probe_resolver: AddressResolver | None = None,
        report_probe: Report = to_nobody,
        fast_flush: FastFlush | None = None,
        policies: DestinationPolicies = NO_POLICIES,
        on_full: Callable[[bool], None] | None = None,
    ) -> None:
        self.store, self.commit = store, commit
        self.scheduler, self.epoch = scheduler, epoch
        self.active: dict[str, ActiveMessage] = {}
        if scheduler.clog is not None:
            scheduler.clog.active = self.active.__len__
        self.running: dict[int, Running] = {}
        self.dispatching = False  # until every live delivery worker has reported
        self.content_octets = 0
        self.on_pumped: Callable[[], None] | None = None
        self._dispatcher, self._log = dispatcher, log
        self._clock, self._monotonic = clock, monotonic
        self._spawn, self._call_soon, self._requeue = spawn, call_soon, requeue
        pending_limit = settings.address_verify_pending_request_limit
        self._probes = Probes(probe_resolver or resolver, pending_limit, report_probe, self.active, log, clock)
        self._tracing = Tracing(confirm=settings.confirm_delay_cleared)
        self._router = Router(settings, resolver, scheduler, log, self._probes, policies)
        self.policies = policies
        self._conclusion = Conclusion(
            settings, store, commit, notices, log, clock=clock, spawn=spawn, forget=self._forget,
            deferred_until=self.stored_due, jumps=jumps, fast_flush=fast_flush, retry=policies.retry,
        )  # fmt: skip
        self._claims = Claims(
            store, self.active, lambda m, open_: self.activate(m, open_, route=False), self._route_soon
        )
        self._refill = Refill(
            store, commit, self.active, settings.qmgr_message_active_limit, settings.queue_run_delay, clock, jumps,
            self._reactivate, self.pump_soon, on_full,
        )  # fmt: skip
        self._limits = RecipientLimits(settings, scheduler, store.recipients, self._route_soon, monotonic)
        # Request numbers begin where no earlier queue manager's were: a worker's old ones are never taken for new.
        self._request_id = epoch << 32
        self._recent = RecentStarts()
        self._pump_due = False

    # --- in -------------------------------------------------------------------------------------------------------

    def submit(self, message: Message, done: Callable[[Exception | None], None]) -> None:
        """Store a message; `done(None)` only when it is on stable storage."""
        uncommitted, queue_id = self._refill.uncommitted, message.queue_id
        uncommitted.add(queue_id)

        def committed(failure: Exception | None) -> None:
            arrives = queue_id in uncommitted and not message.hold
            uncommitted.discard(queue_id)
            done(failure)
            if failure is not None or not arrives:
                return
            if self._refill.room():
                self.activate(message, range(len(message.recipients)))
            else:
                self._refill.wait()

        self.commit.submit(message, committed)

    def begin(self) -> None:
        """All delivery workers have told what they do: dispatch from now on."""
        self.dispatching = True
        self._claims.route_rest()
        self.pump_soon()

    async def quiesce(self) -> None:
        """Start nothing more; returns when all that was noted is on stable storage."""
        self.dispatching = False
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.commit.flush(lambda failure: settled.set_result(None))
        await settled

    def _reactivate(self, stored: Stored) -> None:
        if not stored.open:
            self._conclusion.finished(stored.message.queue_id)
        elif stored.requeue and self._requeue is not None:
            self._spawn(self._take_in_anew(stored, self._requeue))
        elif stored.expire:
            self._give_up(stored)
        else:
            if stored.next_attempt == FLUSHED:
                self.scheduler.flushed.add(stored.message.queue_id)
            self.activate(stored.message, stored.open)

    def _give_up(self, stored: Stored) -> None:
        """Forced expiration: who has been tried is not tried again (postsuper(1), -e)."""
        entry = self.activate(stored.message, stored.open, route=False)
        entry.expire = True
        tried = {index: stored.reasons[index] for index in stored.open if index in stored.reasons}
        if len(tried) < len(stored.open):
            self._route_soon(entry, [index for index in stored.open if index not in tried])
        self.settle(entry, [RecipientStatus(i, "deferred", dsn, "none", text) for i, (dsn, text) in tried.items()])

    async def _take_in_anew(self, stored: Stored, requeue: Requeue) -> None:
        queue_id, now = stored.message.queue_id, self._clock()
        self.active[queue_id] = entry = ActiveMessage(stored.message, now, len(stored.open))
        outcome = await requeue(stored)
        if outcome == "taken":
            self.commit.removed(queue_id)
            self._forget(entry)
            return
        if outcome == "damaged":
            self._damaged(entry)
        self._conclusion.defer(entry, now)

    def activate(self, message: Message, open_: Sequence[int], *, route: bool = True) -> ActiveMessage:
        """Begin a pass over the recipients `open_`."""
        entry = ActiveMessage(message, self._clock(), len(open_))
        self.active[message.queue_id] = entry
        count = len(open_)
        open_ = self._limits.first(entry, open_) if route else self._limits.all(entry, open_)
        if message.warn_sent or message.trace or message.expanded:
            self._tracing.begin(entry)
        if message.content:
            if self.content_octets + message.size > CONTENT_IN_MEMORY:
                message.content = b""
            else:
                self.content_octets += message.size
        sender = message.sender and quote_822_local(message.sender)
        self._log.info(lines.queue_active(message.queue_id, sender, message.data_size, count))
        if route:
            self._spawn(self._route(entry, open_))
        return entry

    def _route_soon(self, entry: ActiveMessage, indexes: list[int]) -> None:
        self._spawn(self._route(entry, indexes))

    async def _route(self, entry: ActiveMessage, indexes: Sequence[int]) -> None:
        await self._router.route(entry, indexes, self._monotonic())
        self.pump_soon()
        if not entry.unsettled:
            self._conclusion.pass_over(entry)
        elif entry.unread is not None and entry.unsettled == len(entry.unread):  # nothing was to be done
            self._call_soon(lambda: self._limits.settled(entry, []))

    def _forget(self, entry: ActiveMessage) -> None:
        message = entry.message
        del self.active[message.queue_id]
        if self.scheduler.flushed:
            self.scheduler.flushed.discard(message.queue_id)
        self._refill.left(message.queue_id)
        self._limits.held -= entry.counted
        if message.content:
            self.content_octets -= message.size

    # --- timers ---------------------------------------------------------------------------------------------------

    def seconds_to_wake(self) -> float | None:
        """Until the next timer of the scheduler or of stored mail."""
        if not self.dispatching:
            return None
        waits = []
        wake = self.scheduler.wake_at()
        if wake is not None:
            waits.append(wake - self._monotonic())
        due = self._refill.wake_at()
        if due != NEVER:
            waits.append(due - self._clock())
        return max(0.0, min(waits)) if waits else None

    def stored_due(self, when: float) -> None:
        """Stored mail becomes due at `when` (wall clock)."""
        if self._refill.due_at(when):
            self.pump_soon()

    # --- out ------------------------------------------------------------------------------------------------------

    def pump_soon(self) -> None:
        """Dispatch once in this turn of the loop, after everything that happens in it."""
        if not self._pump_due:
            self._pump_due = True
            self._call_soon(self.pump)

    def pump(self) -> None:
        """Start what the scheduler lets start now."""
        self._pump_due = False
        if not self.dispatching:
            return
        self._refill.if_due()
        now = self._monotonic()
        for start in self.scheduler.next_requests(now):
            self._dispatch(start, now)
        for suspended in self.scheduler.suspended(now):
            self._defer_suspended(suspended)
        if self.on_pumped is not None:
            self.on_pumped()

    def _dispatch(self, start: Start, now: float) -> None:
        entry = self.active.get(start.message_id)
        content = None if entry is None else content_of(entry, self.store)
        if entry is None or content is None:
            self.scheduler.finished(start, None, self._monotonic(), tells=False)
            if entry is not None:
                self._damaged(entry)
                self.settle(entry, [RecipientStatus(i, "deferred", "4.3.0", "none", DAMAGED) for i in start.indexes])
            return
        keep = self._recent.note(start.transport, start.nexthop, now) or start.more_waiting
        self._send(entry, start, start.indexes, start.transport, start.nexthop, content, keep)

    def _send(
        self, entry: ActiveMessage, start: Start | None, indexes: list[int], transport: str, nexthop: str,
        content: bytes, keep: bool,
    ) -> None:  # fmt: skip
        self._request_id = request_id = self._request_id + 1
        self.running[request_id] = (entry, start, indexes)
        self._dispatcher.send(
            delivery_request(entry, indexes, transport, nexthop, content, request_id, self.epoch, keep)
        )

    def _defer_suspended(self, suspended: Suspended) -> None:
        """Mail for a dead destination or transport: deferred by the queue manager itself."""
        entry = self.active.get(suspended.message_id)
        if entry is None:
            return
        statuses = [RecipientStatus(i, "deferred", suspended.dsn, "none", suspended.text) for i in suspended.indexes]
        for status in statuses:
            self._probes.deferred(entry, status)
        self.settle(entry, statuses)

    # --- results --------------------------------------------------------------------------------------------------

    def delivered(self, done: DeliveryDone) -> None:
        """A delivery worker's results for one request."""
        running = self.running.pop(done.request_id, None)
        if running is None:
            return
        entry, start, indexes = running
        if start is not None:
            failure = (done.site_dsn, done.site_failure) if done.site_failure else None
            self.scheduler.finished(start, failure, self._monotonic())
            if done.transport_failure:
                self.scheduler.throttle(start.transport, UNAVAILABLE, self._monotonic())
            if done.sites and self.policies.health is not None:
                self.policies.health.outcome(start.transport, done.sites)
        if done.damaged:
            self._damaged(entry, f"{DAMAGED}: content file checksum mismatch")
        self.settle(entry, done.statuses)
        if done.pass_to and (content := content_of(entry, self.store)) is not None:
            left, transport, nexthop = passed_on(done, indexes, start.nexthop if start is not None else "")
            self._send(entry, None, left, transport, nexthop, content, keep=False)
        self.pump_soon()

    def _damaged(self, entry: ActiveMessage, warning: str = "") -> None:
        """Nothing of it is started any more; what is not delivered yet waits in the corrupt queue."""
        queue_id = entry.message.queue_id
        if warning and entry.held != "corrupt":
            self._log.warning(f"{queue_id}: {warning}")
        if entry.held != "delete":
            self.withdraw(queue_id, "corrupt")

    def settle(self, entry: ActiveMessage, statuses: list[RecipientStatus]) -> None:
        """Note what became of these recipients; the last ones end the pass."""
        if entry.message.trace & UNDELIVERED:
            statuses = self._probes.settled(entry, statuses)
        if entry.traced:
            self._tracing.settled(entry, statuses)
        for status in statuses:
            if status.action == "sent":
                entry.settled.append(status.index)
                if entry.message.recipients[status.index].notify & NOTIFY_SUCCESS and status.dsn_action:
                    entry.noticed.append(status)
            elif status.action == "bounced":
                entry.bounced.append(status)
            else:
                entry.deferred.append(status)
        entry.unsettled -= len(statuses)
        if entry.unread is not None:
            self._limits.settled(entry, statuses)
        if entry.unsettled <= 0:
            self._conclusion.pass_over(entry)
        elif entry.settled:
            # Others are still under way, perhaps for long: a crash must not deliver these again.
            self.commit.done(entry.message.queue_id, entry.settled)
            entry.settled = []

    def recover(self, finished: list[Result], running: list[Claim]) -> None:
        """What a delivery worker did or does for an earlier queue manager; told before anything is dispatched."""
        for entry, statuses in self._claims.news(finished, self._clock()):
            self.settle(entry, statuses)
        self.running.update(self._claims.under_way(running))
        if self.dispatching:
            self._claims.route_rest()

    def lost(self, request_ids: list[int]) -> None:
        """The worker that had these requests is gone and will not answer: try again, but not a third time soon."""
        failed: set[str] = set()
        for request_id in request_ids:
            running = self.running.pop(request_id, None)
            if running is None:
                continue
            entry, start, indexes = running
            entry.tries += 1
            if start is not None:
                self.scheduler.finished(start, None, self._monotonic(), tells=False)
            if entry.tries == 1:
                self._route_soon(entry, indexes)
                continue
            if start is not None:
                failed.add(start.transport)
            self._defer_suspended(Suspended(entry.message.queue_id, indexes, *CRASHED))
        for transport in failed:
            self.scheduler.throttle(transport, CRASHED, self._monotonic())
        self.pump_soon()

    # --- an operator's acts ---------------------------------------------------------------------------------------

    def withdraw(self, queue_id: str, what: str) -> None:
        """`delete`, `hold`, `requeue`, or `corrupt`, of a message that may be active: what has not been started is not;
        the rest runs on. `expire`: what is not delivered in this pass is returned.
        """
        entry = self.active.get(queue_id)
        if what == "expire" or what == "release":
            if entry is not None:
                entry.expire = entry.expire or what == "expire"
            return
        if entry is None:
            self._refill.withdrawn(queue_id)
            return
        entry.held = what
        # None if all has been started, or an earlier act left the rest out.
        if dropped := len(self.scheduler.remove(queue_id)) + self._limits.drop(entry):
            entry.unstarted = True
            entry.unsettled -= dropped
            if entry.unsettled <= 0:
                self._conclusion.pass_over(entry)

    def revive(self) -> None:
        """Forget which destinations are dead (flush)."""
        self.scheduler.revive(self._monotonic())
        if self.policies.retry is not None:
            self.policies.retry.revive()
        self.pump_soon()
