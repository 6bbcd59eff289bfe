"""Group commit: one thread writes everything that waits, in one transaction, then answers all of it.

The batch grows by itself with load: while one is being synced, the next one gathers. New messages are written at
once. Marks (done, deferred, removed, moved) ride with the next message, or go after `MARK_DELAY` of quiet: losing one
means a second delivery, never a loss. Requests with a callback are written at once as well.

While messages come one by one and the disk is quick, the event loop writes them itself. It has little else to do
meanwhile, and to wake the thread, and be woken by it, costs more than the writing: with one session, measured in turn,
1.36 times the messages per second at 0.80 of the CPU. With 50 sessions it is the other way round (0.93 to 0.95 of the
messages), so the thread takes over as soon as two wait together, or a commit takes longer than QUICK. A disk that comes
to a stand in a commit of the loop's holds up the loop, that once: see master/unanswered.py.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable

import msgspec

from gatepost.mail.envelope import Message
from gatepost.queue.store import Batch, Deferral, QueueName, Store, StoreFailure, StoreFull

Done = Callable[[Exception | None], None]
"""Told None when its request is on stable storage, else StoreFull, StoreFailure or ValueError (`Store.commit`)."""
Answer = tuple[Done, Exception | None]

MARK_DELAY = 0.1
"""Seconds of quiet after which marks are written by themselves."""
FULL_DELAY = 1.0
"""Seconds until marks are tried again for which there was no space."""
BACKLOG_MESSAGES = 2000
BACKLOG_OCTETS = 32 * 1024 * 1024
"""Of content, given but not taken into a batch yet: with more than either the writer is behind, with half of both it
has caught up. That is several batches, so that it never runs out of work meanwhile.
"""
QUICK = 0.002
"""Seconds that a commit may take for which the loop is held up."""
MAX_MESSAGES = 500
MAX_OCTETS = 16 * 1024 * 1024


class GroupCommit:
    """All methods but the constructor's callbacks belong to one thread, the event loop's.

    `call_soon` is the loop's `call_soon_threadsafe`; `on_failure` is called through it, once, when the store failed:
    marks have no one else to tell. `in_this_loop` is the loop's `call_soon`; without it the thread writes everything.
    """

    def __init__(
        self,
        store: Store,
        call_soon: Callable[..., object],
        on_failure: Callable[[StoreFailure], None] | None = None,
        *,
        in_this_loop: Callable[..., object] | None = None,
    ) -> None:
        self._store = store
        self._call_soon = call_soon
        self._on_failure = on_failure
        self._messages: deque[tuple[Message, Done]] = deque()
        self._marks = Batch()
        self._mark_done: list[Done] = []
        # Held while marks are added or taken: a batch's lists must not change while they are written.
        self._marks_lock = threading.Lock()
        # Told when the writer falls behind and when it has caught up, with what waits: messages, octets of content.
        self.on_backlog: Callable[[bool, int, int], None] | None = None
        self._behind = False
        # All content that was ever given, counted by the loop's thread, and that was taken, by the writer's.
        self._given = self._taken_octets = 0
        self._failure: StoreFailure | None = None
        self._in_this_loop = in_this_loop
        self._one_by_one = False  # messages come, and are written quickly: the loop does it
        self._loop_has_written = False  # since the thread looked last
        self._writing = threading.Lock()  # held while a batch is taken and written
        self._stopping = False
        # The thread sleeps by taking this lock, and is woken by giving it back.
        self._wake = threading.Lock()
        self._wake.acquire()
        self._asleep = False
        # Whether the thread will look again by itself within MARK_DELAY, so that a mark need not wake it.
        self._dozing = False
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    # The loop's side

    def submit(self, message: Message, done: Done) -> None:
        """Store a new message; `done` is called in the loop's thread, after this returned."""
        self._messages.append((message, done))
        self._given += len(message.content)
        if self._asleep:
            if not self._one_by_one or self._in_this_loop is None:
                self._rouse()
            elif len(self._messages) == 1:  # the first one in this turn
                self._in_this_loop(self._write_in_loop)
        elif self._given - self._taken_octets > BACKLOG_OCTETS or len(self._messages) > BACKLOG_MESSAGES:
            self._fell_behind()

    def removed(self, queue_id: str) -> None:
        """The message is finished: its last recipient was delivered, or its notice is stored.

        For that, wait until the notice's `done` was called: marks may be written before messages that were given later
        or earlier, and only for messages that are stored already.
        """
        with self._marks_lock:
            self._marks.removed.append(queue_id)
        if self._asleep and not self._dozing:
            self._rouse()

    def done(self, queue_id: str, indexes: list[int]) -> None:
        """These recipients are finished, others remain."""
        with self._marks_lock:
            self._marks.done.append((queue_id, indexes))
        if self._asleep and not self._dozing:
            self._rouse()

    def deferred(self, deferral: Deferral) -> None:
        """The message waits for another attempt."""
        with self._marks_lock:
            self._marks.deferred.append(deferral)
        if self._asleep and not self._dozing:
            self._rouse()

    def moved(self, queue_id: str, queue: QueueName) -> None:
        """The message goes to another queue (`Batch.moved`)."""
        with self._marks_lock:
            self._marks.moved.append((queue_id, queue))
        if self._asleep and not self._dozing:
            self._rouse()

    def note(self, part: Batch, done: Done | None = None) -> None:
        """Any marks at once (not `new`). With `done` they are written now: an operator's act, a notice's original."""
        with self._marks_lock:
            _extend(self._marks, part)
            if done:
                self._mark_done.append(done)
        if self._asleep and (done or not self._dozing):
            self._rouse()

    def flush(self, done: Done) -> None:
        """Write what is waiting now, then call `done`."""
        self.note(Batch(), done)

    def close(self) -> None:
        """Write what is waiting, end the thread and wait for it. The store stays open."""
        self._stopping = True
        self._rouse()
        self._thread.join()

    def _write_in_loop(self) -> None:
        """What has come in this turn of the loop, if it is one message."""
        if not self._asleep or not self._messages:
            return  # the thread will write it, or has done so
        if len(self._messages) > 1:
            self._one_by_one = False
            self._rouse()
            return
        began = time.monotonic()
        with self._writing:
            answers, spacious = self._write_batch()
        self._loop_has_written = True
        self._one_by_one = spacious and time.monotonic() - began <= QUICK
        if not spacious:
            self._rouse()  # it tries again
        _call_all(answers)
        if self._behind:
            self._caught_up()

    def _fell_behind(self) -> None:
        if not self._behind and self.on_backlog is not None:
            self._behind = True
            self.on_backlog(True, len(self._messages), self._given - self._taken_octets)

    def _caught_up(self) -> None:
        messages, octets = len(self._messages), self._given - self._taken_octets
        little = messages * 2 < BACKLOG_MESSAGES and octets * 2 < BACKLOG_OCTETS
        if self._behind and little and self.on_backlog is not None:
            self._behind = False
            self.on_backlog(False, messages, octets)

    def _rouse(self) -> None:
        self._asleep = False
        # Not held: the thread was roused already, and has not run since.
        with contextlib.suppress(RuntimeError):
            self._wake.release()

    # The thread's side

    def _run(self) -> None:
        quiet = -1.0
        while True:
            stopping = self._stopping
            if self._messages or self._mark_done:
                alone, began = len(self._messages) == 1, time.monotonic()
                self._write()
                self._one_by_one = alone and not self._messages and time.monotonic() - began <= QUICK
                # What was just stored is about to be delivered: its marks come soon.
                quiet = MARK_DELAY
                continue
            if stopping:
                if self._marks:
                    self._write()
                self._answer([(done, StoreFailure("the queue is closed")) for _, done in self._taken()])
                return
            if self._sleep(quiet):
                # Roused by a mark, or by work that is found above.
                quiet = MARK_DELAY
            elif self._loop_has_written:
                self._loop_has_written = False
                quiet = MARK_DELAY
            elif self._marks:
                quiet = MARK_DELAY if self._write() else FULL_DELAY
            else:
                quiet = -1.0

    def _sleep(self, seconds: float) -> bool:
        """Until roused (True), or for so many seconds (-1: no limit)."""
        self._dozing = seconds >= 0
        self._asleep = True
        # Work that came before `_asleep` was set roused nobody.
        if self._messages or self._mark_done or self._stopping or (seconds < 0 and self._marks):
            self._asleep = False
            return True
        roused = self._wake.acquire(timeout=seconds)
        self._asleep = False
        return roused

    def _taken(self) -> list[tuple[Message, Done]]:
        """The messages of the next batch."""
        messages = self._messages
        taken: list[tuple[Message, Done]] = []
        octets = 0
        while messages and len(taken) < MAX_MESSAGES and octets < MAX_OCTETS:
            one = messages.popleft()
            octets += len(one[0].content)
            taken.append(one)
        self._taken_octets += octets
        return taken

    def _take_marks(self) -> tuple[Batch, list[Done]]:
        with self._marks_lock:
            marks, self._marks = self._marks, Batch()
            waiters, self._mark_done = self._mark_done, []
        return marks, waiters

    def _write(self) -> bool:
        """One batch; False if there was no space for its marks."""
        with self._writing:
            answers, spacious = self._write_batch()
        self._answer(answers)
        return spacious

    # Either side, one at a time

    def _write_batch(self) -> tuple[list[Answer], bool]:
        """The answers to what was written, and whether there was space for the marks."""
        batch, waiters = self._take_marks()
        messages = self._taken()
        batch.new = [message for message, _ in messages]
        error = self._commit(batch)
        if error is None or isinstance(error, StoreFailure):
            answers: list[Answer] = [(done, error) for _, done in messages]
            answers += [(done, error) for done in waiters]
            return answers, True
        return self._write_apart(messages, batch, waiters)

    def _write_apart(
        self, messages: list[tuple[Message, Done]], batch: Batch, waiters: list[Done]
    ) -> tuple[list[Answer], bool]:
        """The whole could not be written: first the marks, which may free space, then each message by itself."""
        batch.new = []
        error = self._commit_marks(batch)
        answers: list[Answer] = [(done, error) for done in waiters]
        if isinstance(error, StoreFull):
            with self._marks_lock:
                later, self._marks = self._marks, batch
                _extend(batch, later)
            answers += [(done, error) for _, done in messages]
        else:
            full: Exception | None = None
            for message, done in messages:
                failed = full or self._commit(Batch(new=[message]))
                # Without space for one there is no use in trying the others: each costs the disk a write.
                full = full or (failed if isinstance(failed, StoreFull) else None)
                answers.append((done, failed))
        return answers, not isinstance(error, StoreFull)

    def _commit_marks(self, batch: Batch) -> Exception | None:
        """Reasons are text from elsewhere, and one that is not Unicode must not cost the marks of all others."""
        error = self._commit(batch)
        if isinstance(error, ValueError):
            batch.deferred = [_readable(deferral) for deferral in batch.deferred]
            error = self._commit(batch)
        if isinstance(error, ValueError):  # a bug of ours; without its marks mail would go out again and again
            error = self._fail(StoreFailure(f"marks cannot be written: {error}"))
        return error

    def _commit(self, batch: Batch) -> Exception | None:
        if self._failure:
            return self._failure
        if not batch:
            return None
        try:
            self._store.commit(batch)
        except (StoreFull, ValueError) as error:
            return error
        except StoreFailure as error:
            return self._fail(error)
        except Exception as error:
            # A bug of ours. This thread must not end with everybody waiting: nobody gets `250`, and the queue
            # manager starts again.
            return self._fail(StoreFailure(f"unexpected: {error!r}"))
        return None

    def _fail(self, failure: StoreFailure) -> StoreFailure:
        self._failure = failure
        if self._on_failure:
            self._call_soon(self._on_failure, failure)
        return failure

    def _answer(self, answers: list[Answer]) -> None:
        if answers:
            self._call_soon(_call_all, answers)
        if self._behind:
            self._call_soon(self._caught_up)


def _call_all(answers: list[Answer]) -> None:
    for done, error in answers:
        done(error)


def _readable(deferral: Deferral) -> Deferral:
    reasons = [(index, dsn, text.encode(errors="replace").decode()) for index, dsn, text in deferral.reasons]
    return msgspec.structs.replace(deferral, reasons=reasons)


def _extend(batch: Batch, part: Batch) -> None:
    for name in _MARKS:
        getattr(batch, name).extend(getattr(part, name))


_MARKS = tuple(name for name in (field.name for field in msgspec.structs.fields(Batch)) if name != "new")
