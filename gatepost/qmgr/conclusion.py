"""The end of a pass: notices sent, the message removed or deferred (qmgr(8), bounce(8)).

A bounced original is removed only after its notice is on stable storage.
"""

import errno
from collections.abc import Callable, Sequence
from typing import Literal

from gatepost.bounce.notify import Notifier
from gatepost.config.settings import Settings
from gatepost.mail.address_quoting import quote_822_local
from gatepost.mail.envelope import Message
from gatepost.mail.status import RecipientStatus
from gatepost.maillog import lines
from gatepost.maillog.sink import ProgramLog
from gatepost.qmgr.active import ActiveMessage
from gatepost.qmgr.backoff import Backoff
from gatepost.qmgr.clock_jumps import ClockJumps
from gatepost.qmgr.flush import FastFlush
from gatepost.qmgr.ports import Spawn
from gatepost.qmgr.retry import RetrySchedules
from gatepost.queue.group_commit import GroupCommit
from gatepost.queue.store import Batch, Deferral, Store
from gatepost.tables.table import LookupTemporaryFailure

NoticeKind = Literal["failed", "delayed", "told"]

_FOR_NOW = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM))


class Conclusion:
    """`forget` takes a message out of the active queue; `deferred_until` is told of each next attempt (wall clock)."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        commit: GroupCommit,
        notices: Notifier,
        log: ProgramLog,
        *,
        clock: Callable[[], float],
        spawn: Spawn,
        forget: Callable[[ActiveMessage], None],
        deferred_until: Callable[[float], None],
        jumps: ClockJumps,
        fast_flush: FastFlush | None = None,
        retry: RetrySchedules | None = None,
    ) -> None:
        self.backoff = Backoff.from_settings(settings)
        self._settings = settings
        self._store = store
        self._commit = commit
        self._notices = notices
        self._log = log
        self._clock = clock
        self._spawn = spawn
        self._forget = forget
        self._deferred_until = deferred_until
        self._jumps = jumps
        self._fast_flush = fast_flush
        self._retry = retry
        self._keep = settings.dont_remove != 0

    def pass_over(self, entry: ActiveMessage) -> None:
        """Every recipient of this pass has its result."""
        if entry.held == "delete":
            self._forget(entry)
            return
        if entry.bounced or entry.deferred or entry.noticed or entry.held:
            self._spawn(self._conclude(entry))
            return
        # The common end: everything delivered.
        self._remove(entry)

    def _remove(self, entry: ActiveMessage) -> None:
        queue_id = entry.message.queue_id
        self.finished(queue_id)
        self._log.info(lines.removed(queue_id))
        self._forget(entry)

    def finished(self, queue_id: str) -> None:
        """Out of the queue with this message, or to those that are kept to be looked at (dont_remove)."""
        if self._keep:
            self._commit.moved(queue_id, "saved")
        else:
            self._commit.removed(queue_id)

    async def _conclude(self, entry: ActiveMessage) -> None:
        """Send the notices that are due, then remove or defer what is left."""
        message, now = entry.message, self._clock()
        if entry.deferred:
            self._jumps.look()
        unset = self._since_set(message, now)
        by_schedule = self._retry is not None and not entry.expire
        damaged = entry.held == "corrupt"  # kept as it is, however old
        if damaged:
            expired = False
        elif self._retry is not None and by_schedule:
            expired = bool(entry.deferred) and await self._retry.conclude(entry, self.backoff, unset, now)
        else:
            expired = bool(entry.deferred) and (entry.expire or self.backoff.expired(message, unset))
        if expired:
            sender = message.sender and quote_822_local(message.sender)
            self._log.info(lines.expired(message.queue_id, sender, forced=entry.expire))
            if not by_schedule:
                entry.bounced += entry.deferred
                entry.deferred = []
        if entry.noticed:
            await self._notify(entry, "told", entry.noticed)
        if entry.bounced:
            if await self._notify(entry, "failed", entry.bounced):
                entry.settled += [status.index for status in entry.bounced]
            else:
                entry.deferred += [
                    RecipientStatus(s.index, "deferred", "4.3.0", s.relay, "bounce failed") for s in entry.bounced
                ]
        if entry.deferred:
            if not expired and not damaged and self.backoff.warning_due(message, unset):
                message.warn_sent = await self._notify(entry, "delayed", entry.deferred)
            sites = await self._fast_flush.sites(entry) if self._fast_flush and not damaged else []
            self.defer(entry, now, sites)
        elif entry.unstarted:  # with recipients left
            self._lay_aside(entry, now)
        else:
            self._remove(entry)

    def _since_set(self, message: Message, now: float) -> float:
        """The time by a clock that did not jump since the message came."""
        return now - self._jumps.skipped_by(message)

    def _lay_aside(self, entry: ActiveMessage, now: float) -> None:
        queue_id = entry.message.queue_id
        batch = Batch(done=[(queue_id, entry.settled)])
        _move_aside(entry, batch)
        self._commit.note(batch)
        self._forget(entry)
        if entry.held == "requeue":
            self._deferred_until(now)

    def defer(self, entry: ActiveMessage, now: float, sites: Sequence[str] = ()) -> None:
        """Every open recipient waits; those in `entry.deferred` have a new reason. `now`: wall-clock seconds.

        `sites`: the domains whose fast flush lists name the message.
        """
        message = entry.message
        queue_id = message.queue_id
        batch = Batch()
        if entry.settled:
            batch.done.append((queue_id, entry.settled))
        unset = self._since_set(message, now)
        attempt = entry.next_attempt or now + self.backoff.next_attempt(message, unset) - unset
        if entry.held == "requeue":
            attempt = now
        reasons = [(status.index, status.dsn, status.text) for status in entry.deferred]
        batch.deferred.append(Deferral(queue_id, attempt, reasons, message.warn_sent, sites))
        _move_aside(entry, batch)
        self._commit.note(batch)
        self._forget(entry)
        self._deferred_until(attempt)

    async def _notify(self, entry: ActiveMessage, kind: NoticeKind, statuses: list[RecipientStatus]) -> bool:
        """True when every notice that is due is on stable storage."""
        message = entry.message
        known = message.recipients
        results = [(known[s.index] if s.index >= 0 else message.expanded[~s.index], s) for s in statuses]
        try:
            content = message.content or self._stored_content(message)
        except OSError:
            if kind != "told":  # which is told once or never
                return False
            content = b""
        try:
            if kind == "failed":
                return await self._notices.failed(message, results, content)
            if kind == "delayed":
                return await self._notices.delayed(message, results, content)
            return await self._notices.told(message, results, content)
        except LookupTemporaryFailure as failure:
            self._log.warning(f"{message.queue_id}: {failure}")
            return False

    def _stored_content(self, message: Message) -> bytes:
        """Content that is not at hand: of a large one, as much as a notice returns, and its headers at least.

        Empty if it cannot be read. Raises OSError if it cannot be read for now.
        """
        if not message.content_file:
            stored = self._store.load(message.queue_id)
            return stored.message.content if stored is not None else b""
        wanted = max(self._settings.bounce_size_limit + 1, self._settings.header_size_limit)
        try:
            with open(self._store.content_path(message.content_file), "rb") as file:
                return file.read(wanted)
        except OSError as error:
            self._log.warning(f"{message.queue_id}: content file {message.content_file}: {error.strerror}")
            if error.errno in _FOR_NOW:
                raise
            return b""


def _move_aside(entry: ActiveMessage, batch: Batch) -> None:
    if entry.held == "hold":
        batch.moved.append((entry.message.queue_id, "hold"))
    elif entry.held == "corrupt":
        batch.moved.append((entry.message.queue_id, "corrupt"))
