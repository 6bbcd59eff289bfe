"""The queue manager: from stored to delivered, bounced or deferred (qmgr(8)).

Every message passes: submit -> committed -> active -> resolved -> scheduled -> dispatched -> delivered() per request ->
_pass_over, which removes it, defers it or has a notice sent. Only `marks` to the store say what is final; losing one means
a duplicate, never a loss.
"""

import asyncio
from collections.abc import Callable

from gatepost.cleanup.interface import QueueFull, QueueUnavailable
from gatepost.config.settings import Settings
from gatepost.ipc.messages import Claim, DeliveryDone, DeliveryRecipient, DeliveryRequest, Result
from gatepost.mail.address import quote_local
from gatepost.mail.envelope import NOTIFY_SUCCESS, Message
from gatepost.mail.status import RecipientStatus
from gatepost.maillog import lines
from gatepost.maillog.sink import ProgramLog
from gatepost.qmgr.active import ActiveMessage
from gatepost.qmgr.backoff import Backoff
from gatepost.qmgr.ports import Dispatcher, NoticeSender, Spawn
from gatepost.qmgr.scheduler import Scheduler, Start
from gatepost.queue.group_commit import GroupCommit
from gatepost.queue.store import Batch, Deferral, Store, Stored
from gatepost.rewrite.resolve import AddressResolver
from gatepost.tables.table import LookupTemporaryFailure

CONTENT_IN_MEMORY = 64 * 1024 * 1024
"""Octets of content kept at hand for dispatch; what is beyond is read from the store when its turn comes."""

REFILL = 1000
"""Messages read from the store in one go."""


class QueueManager:
    """Owns the active queue. No sockets, no processes: those call in and are called through the ports."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        commit: GroupCommit,
        resolver: AddressResolver,
        scheduler: Scheduler,
        dispatcher: Dispatcher,
        notices: NoticeSender,
        log: ProgramLog,
        *,
        epoch: int,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        spawn: Spawn,
        call_soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self.settings = settings
        self.store = store
        self.commit = commit
        self.resolver = resolver
        self.scheduler = scheduler
        self.dispatcher = dispatcher
        self.notices = notices
        self.log = log
        self.epoch = epoch
        self.active: dict[str, ActiveMessage] = {}
        # By request number; no Start for what a worker has from an earlier queue manager.
        self.running: dict[int, tuple[ActiveMessage, Start | None, list[int]]] = {}
        self._unrouted: dict[ActiveMessage, list[int]] = {}
        self.backoff = Backoff.from_settings(settings)
        self.dispatching = False  # until every live delivery worker has reported
        self.content_octets = 0
        self._clock = clock
        self._monotonic = monotonic
        self._spawn = spawn
        self._call_soon = call_soon
        # Request numbers go on where no earlier queue manager's were, so that a worker's old ones are never taken for new.
        self._request_id = epoch << 32
        self._pump_due = False
        self._store_due = 0.0  # wall clock: when stored mail is next to be taken in
        self._full = False  # mail waits in the store for room in the active queue
        self.on_pumped: Callable[[], None] | None = None

    # --- in -------------------------------------------------------------------------------------------------------

    def submit(self, message: Message, done: Callable[[Exception | None], None]) -> None:
        """Store a message; `done(None)` only when it is on stable storage."""

        def committed(failure: Exception | None) -> None:
            done(failure)
            if failure is None and not message.hold:
                self._arrived(message)

        self.commit.submit(message, committed)

    def _arrived(self, message: Message) -> None:
        if len(self.active) < self.settings.qmgr_message_active_limit:
            self.activate(message, range(len(message.recipients)))
        else:
            self._full = True

    def begin(self) -> None:
        """All delivery workers have told what they do: dispatch from now on."""
        self.dispatching = True
        self._route_claimed()
        self.pump_soon()

    async def quiesce(self) -> None:
        """Start nothing more; returns when all that was noted is on stable storage."""
        self.dispatching = False
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.commit.flush(lambda failure: settled.set_result(None))
        await settled

    def refill(self) -> None:
        """Take stored messages whose time has come into the active queue, as far as there is room."""
        now = self._clock()
        room = self.settings.qmgr_message_active_limit - len(self.active)
        wanted = min(room, REFILL)
        if wanted <= 0:
            self._full = True
            return
        found = self.store.due(now, wanted, self.active)
        for stored in found:
            self.reactivate(stored)
        self._full = len(found) == wanted
        next_due = self.store.next_due(self.active)
        self._store_due = next_due if next_due is not None else float("inf")

    def seconds_to_wake(self) -> float | None:
        """Until the next timer of the scheduler or of stored mail."""
        if not self.dispatching:
            return None
        waits = []
        wake = self.scheduler.wake_at()
        if wake is not None:
            waits.append(wake - self._monotonic())
        if self._store_due != float("inf"):
            waits.append(self._store_due - self._clock())
        return max(0.0, min(waits)) if waits else None

    def wake(self) -> None:
        """A timer is due."""
        self.pump_soon()

    def reactivate(self, stored: Stored) -> None:
        if stored.open:
            self.activate(stored.message, stored.open)
        else:
            self.commit.removed(stored.message.queue_id)

    def activate(self, message: Message, open_: "range | list[int]", *, route: bool = True) -> ActiveMessage:
        """Begin a pass over the recipients `open_`."""
        entry = ActiveMessage(message, self._clock(), len(open_))
        self.active[message.queue_id] = entry
        self._keep_content(message)
        self.log.info(lines.queue_active(message.queue_id, quote_local(message.sender), message.size, len(open_)))
        if route:
            self._spawn(self._route(entry, open_))
        return entry

    def _keep_content(self, message: Message) -> None:
        if message.content:
            if self.content_octets + message.size > CONTENT_IN_MEMORY:
                message.content = b""
            else:
                self.content_octets += message.size

    # --- routing --------------------------------------------------------------------------------------------------

    async def _route(self, entry: ActiveMessage, open_: "range | list[int]") -> None:
        """Resolve each recipient and hand the message to the scheduler, grouped by transport and nexthop."""
        message = entry.message
        groups: dict[tuple[str, str], list[int]] = {}
        for index in open_:
            address = message.recipients[index].address
            try:
                resolved = await self.resolver.resolve(message.sender, address)
            except LookupTemporaryFailure as failure:
                self.log.warning(str(failure))
                groups.setdefault(("retry", "4.3.0 address resolver failure"), []).append(index)
                continue
            if resolved.error:
                groups.setdefault(("error", "5.1.3 bad address syntax"), []).append(index)
                continue
            if self._is_double_bounce(resolved.recipient):
                self._discard_double_bounce(entry, index)
                continue
            if resolved.recipient != address:
                entry.addresses[index] = resolved.recipient
            groups.setdefault((resolved.transport, resolved.nexthop), []).append(index)
        now = self._monotonic()
        for (transport, nexthop), indexes in groups.items():
            self.scheduler.add(message.queue_id, transport, nexthop, indexes, now)
        self.pump_soon()
        if not entry.unsettled:
            self._pass_over(entry)

    def _is_double_bounce(self, recipient: str) -> bool:
        name, at, _ = recipient.rpartition("@")
        return bool(at) and name.lower() == self.settings.double_bounce_sender.lower()

    def _discard_double_bounce(self, entry: ActiveMessage, index: int) -> None:
        self.log.warning(f"{entry.message.queue_id}: undeliverable postmaster notification discarded")
        entry.settled.append(index)
        entry.unsettled -= 1

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
        if self._clock() >= self._store_due or (self._full and len(self.active) < self.settings.qmgr_message_active_limit * 3 // 4):
            self.refill()
        now = self._monotonic()
        for start in self.scheduler.next_requests(now):
            self._dispatch(start)
        for suspended in self.scheduler.suspended(now):
            self._defer_suspended(suspended.message_id, suspended.indexes, suspended.dsn, suspended.reason)
        if self.on_pumped is not None:
            self.on_pumped()

    def _dispatch(self, start: Start) -> None:
        entry = self.active[start.message_id]
        message = entry.message
        content = message.content
        if not content and not message.content_file:
            stored = self.store.load(message.queue_id)
            if stored is None:  # damaged: moved to the corrupt queue, with a warning
                self.scheduler.finished(start, None, self._monotonic())
                self._forget(entry)
                return
            content = stored.message.content
        addresses = entry.addresses
        recipients = []
        for index in start.indexes:
            r = message.recipients[index]
            recipients.append(DeliveryRecipient(index, addresses.get(index, r.address), r.original, r.notify, r.orcpt))
        self._request_id = request_id = self._request_id + 1
        self.running[request_id] = (entry, start, start.indexes)
        self.dispatcher.send(
            DeliveryRequest(
                request_id, self.epoch, message.queue_id, start.transport, start.nexthop, message.sender, recipients, message.size,
                message.arrival, entry.since, content, message.content_file, message.body, message.smtputf8, message.ret, message.envid,
                start.more_waiting, message.origin,
            )
        )  # fmt: skip

    def _defer_suspended(self, queue_id: str, indexes: list[int], dsn: str, reason: str) -> None:
        """Mail for a dead destination: deferred by the queue manager itself."""
        entry = self.active.get(queue_id)
        if entry is None:
            return
        now = self._clock()
        text = f"delivery temporarily suspended: {reason}"
        for index in indexes:
            r = entry.message.recipients[index]
            delays = (max(0.0, entry.since - entry.message.arrival), max(0.0, now - entry.since), 0.0, 0.0)
            address = quote_local(entry.addresses.get(index, r.address))
            self.log.info(lines.delivery(queue_id, address, quote_local(r.original), "none", 0, delays, dsn, "deferred", text))
            entry.deferred.append(RecipientStatus(index, "deferred", dsn, "none", text))
        entry.unsettled -= len(indexes)
        if not entry.unsettled:
            self._pass_over(entry)

    # --- an operator's acts ---------------------------------------------------------------------------------------

    def withdraw(self, queue_id: str, what: str) -> None:
        """`delete` or `hold` of a message that may be active: what has not been started is not; what runs runs to its end."""
        entry = self.active.get(queue_id)
        if entry is None or what == "release":
            return
        entry.held = what
        dropped = self.scheduler.remove(queue_id)
        entry.unsettled -= len(dropped)
        entry.unstarted = bool(dropped)
        if what == "delete":
            self.log.info(lines.removed(queue_id))
        if entry.unsettled <= 0:
            self._pass_over(entry)

    def revive(self) -> None:
        """Forget which destinations are dead (flush)."""
        self.scheduler.revive(self._monotonic())

    def stored_due(self, when: float) -> None:
        """Stored mail has become due at `when` (wall clock)."""
        self._store_due = min(self._store_due, when)
        self.pump_soon()

    # --- results --------------------------------------------------------------------------------------------------

    def delivered(self, done: DeliveryDone) -> None:
        """A delivery worker's results for one request."""
        running = self.running.pop(done.request_id, None)
        if running is None:
            return
        entry, start, _ = running
        if start is not None:
            self.scheduler.finished(start, (done.site_dsn, done.site_failure) if done.site_failure else None, self._monotonic())
        self.settle(entry, done.statuses)
        self.pump_soon()

    def settle(self, entry: ActiveMessage, statuses: list[RecipientStatus]) -> None:
        for status in statuses:
            if status.action == "sent":
                entry.settled.append(status.index)
                if entry.message.recipients[status.index].notify & NOTIFY_SUCCESS:
                    entry.noticed.append(status)
            elif status.action == "bounced":
                entry.bounced.append(status)
            else:
                entry.deferred.append(status)
        entry.unsettled -= len(statuses)
        if entry.unsettled <= 0:
            self._pass_over(entry)
        elif entry.settled:
            # Others are still under way, perhaps for long: a crash must not deliver these again.
            self.commit.done(entry.message.queue_id, entry.settled)
            entry.settled = []

    def recover(self, finished: list[Result], running: list[Claim]) -> None:
        """What a delivery worker did or does for an earlier queue manager: noted before anything is dispatched."""
        for result in finished:
            entry, indexes = self._claimed(result.queue_id, [status.index for status in result.statuses])
            if entry is not None:
                self.settle(entry, [status for status in result.statuses if status.index in indexes])
        for claim in running:
            entry, indexes = self._claimed(claim.queue_id, claim.indexes)
            if entry is not None:
                self.running[claim.request_id] = (entry, None, indexes)

    def _claimed(self, queue_id: str, indexes: list[int]) -> tuple[ActiveMessage | None, list[int]]:
        """The message, active, with those of `indexes` that are open and not to be dispatched; the rest waits for begin()."""
        entry = self.active.get(queue_id)
        if entry is None:
            stored = self.store.load(queue_id)
            if stored is None or stored.queue == "hold":
                return None, []
            entry = self.activate(stored.message, stored.open, route=False)
            self._unrouted[entry] = list(stored.open)
            if self.dispatching:
                self._call_soon(self._route_claimed)
        unrouted = self._unrouted.get(entry)
        if unrouted is None:
            return None, []  # too late: it has been dispatched anew
        mine = [index for index in indexes if index in unrouted]
        self._unrouted[entry] = [index for index in unrouted if index not in mine]
        return (entry, mine) if mine else (None, [])

    def _route_claimed(self) -> None:
        """Dispatch what no worker has claimed of the messages that some worker had."""
        unrouted, self._unrouted = self._unrouted, {}
        for entry, indexes in unrouted.items():
            if indexes:
                self._spawn(self._route(entry, indexes))

    def lost(self, request_ids: list[int]) -> None:
        """The worker that had these requests is gone and will not answer: try again, the second time after a pause."""
        for request_id in request_ids:
            running = self.running.pop(request_id, None)
            if running is None:
                continue
            entry, start, indexes = running
            entry.tries += 1
            if start is not None:
                self.scheduler.finished(start, None, self._monotonic())
            if entry.tries == 1:
                self._spawn(self._route(entry, indexes))
                continue
            if start is not None:
                self.log.warning(f"transport {start.transport} failure -- see a previous warning/fatal/panic logfile record for the problem description")
            self._defer_lost(entry, indexes)
        self.pump_soon()

    def _defer_lost(self, entry: ActiveMessage, indexes: list[int]) -> None:
        self.settle(entry, [RecipientStatus(index, "deferred", "4.3.0", "none", "unknown mail transport error") for index in indexes])

    # --- the end of a pass ----------------------------------------------------------------------------------------

    def _pass_over(self, entry: ActiveMessage) -> None:
        if entry.held == "delete":
            self._forget(entry)
            return
        if entry.bounced or entry.deferred or entry.noticed or entry.held:
            self._spawn(self._conclude(entry))
            return
        # The common end: everything delivered.
        queue_id = entry.message.queue_id
        self.commit.removed(queue_id)
        self.log.info(lines.removed(queue_id))
        self._forget(entry)

    def _forget(self, entry: ActiveMessage) -> None:
        message = entry.message
        del self.active[message.queue_id]
        if message.content:
            self.content_octets -= message.size

    async def _conclude(self, entry: ActiveMessage) -> None:
        """Send the notices that are due, then remove or defer what is left."""
        message, now = entry.message, self._clock()
        expired = bool(entry.deferred) and (entry.expire or self.backoff.expired(message, now))
        if expired:
            self.log.info(lines.expired(message.queue_id, quote_local(message.sender), forced=entry.expire))
            entry.bounced += entry.deferred
            entry.deferred = []
        if entry.noticed:
            await self._notify(entry, "success", entry.noticed)
        if entry.bounced:
            if await self._notify(entry, "failure", entry.bounced):
                entry.settled += [status.index for status in entry.bounced]
            else:
                entry.deferred += [
                    RecipientStatus(s.index, "deferred", "4.3.0", s.relay, "bounce failed") for s in entry.bounced
                ]
        if not entry.deferred:
            if entry.unstarted:  # on hold, with recipients left
                self.commit.note(Batch(done=[(message.queue_id, entry.settled)], moved=[(message.queue_id, "hold")]))
            else:
                self.commit.removed(message.queue_id)
                self.log.info(lines.removed(message.queue_id))
            self._forget(entry)
            return
        warn = not expired and self.backoff.warning_due(message, now)
        if warn:
            message.warn_sent = await self._notify(entry, "delay", entry.deferred)
        self._defer(entry, now)

    async def _notify(self, entry: ActiveMessage, kind: str, statuses: list[RecipientStatus]) -> bool:
        recipients = [(entry.message.recipients[status.index], status) for status in statuses]
        try:
            await self.notices.send(kind, entry.message, recipients)
        except (QueueUnavailable, QueueFull, LookupTemporaryFailure) as failure:
            self.log.warning(f"{entry.message.queue_id}: {kind} notice could not be stored: {failure or type(failure).__name__}")
            return False
        return True

    def _defer(self, entry: ActiveMessage, now: float) -> None:
        message = entry.message
        queue_id = message.queue_id
        batch = Batch()
        if entry.settled:
            batch.done.append((queue_id, entry.settled))
        attempt = self.backoff.next_attempt(message, now)
        batch.deferred.append(Deferral(queue_id, attempt, [(s.index, s.dsn, s.text) for s in entry.deferred], message.warn_sent))
        if entry.held == "hold":
            batch.moved.append((queue_id, "hold"))
        self.commit.note(batch)
        self._forget(entry)
