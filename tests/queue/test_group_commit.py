import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from gatepost.mail.queue_id import short_queue_id
from gatepost.queue import group_commit
from gatepost.queue.group_commit import GroupCommit
from gatepost.queue.memory import MemoryStore
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch, Deferral, StoreFailure, StoreFull
from tests.queue.messages import a_message

WAIT = 20.0


class Loop:
    """Stands for the event loop: runs what was handed over, in the test's thread."""

    def __init__(self) -> None:
        self.calls: Queue[tuple[Callable[..., object], tuple[Any, ...]]] = Queue()
        self.answers: list[tuple[str, Exception | None]] = []

    def call_soon(self, function: Callable[..., object], *arguments: Any) -> None:
        self.calls.put((function, arguments))

    def answer(self, name: str) -> Callable[[Exception | None], None]:
        return lambda error: self.answers.append((name, error))

    def run_one(self) -> None:
        function, arguments = self.calls.get(timeout=WAIT)
        function(*arguments)

    def run_until(self, answers: int) -> None:
        while len(self.answers) < answers:
            self.run_one()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def commits(store: MemoryStore, loop: Loop) -> Iterator[GroupCommit]:
    one = GroupCommit(store, loop.call_soon, lambda error: loop.answers.append(("failure", error)))
    yield one
    one.close()


class Gate:
    """Holds the writer inside a commit until it is opened; counts the commits."""

    def __init__(self, store: MemoryStore) -> None:
        self.entered = threading.Semaphore(0)
        self.open = threading.Semaphore(0)
        store.before_commit = self._wait

    def _wait(self) -> None:
        self.entered.release()
        assert self.open.acquire(timeout=WAIT)


def test_a_message_is_stored_before_its_answer(commits: GroupCommit, store: MemoryStore, loop: Loop) -> None:
    gate = Gate(store)
    commits.submit(a_message(1), loop.answer("one"))
    assert gate.entered.acquire(timeout=WAIT)
    assert loop.calls.empty()
    gate.open.release()
    loop.run_until(1)
    assert loop.answers == [("one", None)]
    assert store.count() == {"incoming": 1}


def test_what_comes_during_a_commit_makes_one_batch_and_one_call(
    commits: GroupCommit, store: MemoryStore, loop: Loop
) -> None:
    gate = Gate(store)
    commits.submit(a_message(1), loop.answer("1"))
    assert gate.entered.acquire(timeout=WAIT)
    for number in range(2, 30):
        commits.submit(a_message(number), loop.answer(str(number)))
    commits.removed(short_queue_id(1))
    gate.open.release(2)
    loop.run_one()
    loop.run_one()
    assert [name for name, _ in loop.answers] == [str(number) for number in range(1, 30)]
    assert [(len(batch.new), batch.removed) for batch in store.commits] == [(1, []), (28, [short_queue_id(1)])]


def test_marks_alone_go_after_a_while(commits: GroupCommit, store: MemoryStore, loop: Loop) -> None:
    commits.submit(a_message(1), loop.answer("1"))
    commits.submit(a_message(2), loop.answer("2"))
    loop.run_until(2)
    written = threading.Semaphore(0)
    store.before_commit = written.release
    commits.deferred(Deferral(short_queue_id(1), 2000.0, [(0, "4.0.0", "x")]))
    commits.done(short_queue_id(2), [0])
    commits.moved(short_queue_id(2), "hold")
    assert written.acquire(timeout=WAIT)
    # After the long sleep that follows, a mark rouses the thread by itself.
    commits.removed(short_queue_id(1))
    assert written.acquire(timeout=WAIT)
    commits.close()
    assert store.count() == {"hold": 1}


def test_a_mark_with_a_callback_is_answered(commits: GroupCommit, store: MemoryStore, loop: Loop) -> None:
    commits.submit(a_message(1), loop.answer("1"))
    loop.run_until(1)
    commits.removed(short_queue_id(5))
    commits.note(Batch(moved=[(short_queue_id(1), "hold")]), loop.answer("held"))
    loop.run_until(2)
    assert store.count() == {"hold": 1}
    commits.flush(loop.answer("flushed"))
    loop.run_until(3)
    assert loop.answers[-1] == ("flushed", None)


def test_without_space_messages_are_refused_and_marks_kept(
    commits: GroupCommit, store: MemoryStore, loop: Loop
) -> None:
    commits.submit(a_message(1), loop.answer("1"))
    loop.run_until(1)
    store.full = True
    commits.note(Batch(removed=[short_queue_id(1)]))
    commits.submit(a_message(2), loop.answer("2"))
    commits.submit(a_message(3), loop.answer("3"))
    loop.run_until(3)
    assert [type(error) for _, error in loop.answers[1:]] == [StoreFull, StoreFull]
    assert store.count() == {"incoming": 1}
    store.full = False
    commits.submit(a_message(4), loop.answer("4"))
    loop.run_until(4)
    assert [line.queue_id for line in store.listing()] == [short_queue_id(4)]


def test_one_bad_message_does_not_spoil_the_batch(commits: GroupCommit, store: MemoryStore, loop: Loop) -> None:
    gate = Gate(store)
    commits.submit(a_message(1), loop.answer("1"))
    assert gate.entered.acquire(timeout=WAIT)
    bad = a_message(2)
    bad.queue_id = "no id"
    commits.submit(bad, loop.answer("bad"))
    commits.submit(a_message(3), loop.answer("3"))
    gate.open.release(10)
    loop.run_until(3)
    assert [(name, type(error)) for name, error in loop.answers] == [
        ("1", type(None)), ("bad", ValueError), ("3", type(None)),
    ]  # fmt: skip


def test_a_failure_is_final_and_told_to_everybody(commits: GroupCommit, store: MemoryStore, loop: Loop) -> None:
    gate = Gate(store)
    commits.submit(a_message(1), loop.answer("1"))
    assert gate.entered.acquire(timeout=WAIT)
    commits.submit(a_message(2), loop.answer("2"))
    failure = StoreFailure("fsync: Input/output error")
    store.failure = failure
    gate.open.release(10)
    loop.run_until(3)
    assert sorted(loop.answers, key=lambda pair: pair[0]) == [("1", failure), ("2", failure), ("failure", failure)]
    store.failure = None
    commits.submit(a_message(3), loop.answer("3"))
    loop.run_until(4)
    assert loop.answers[-1] == ("3", failure)
    assert store.count() == {}


def test_an_unexpected_error_is_a_failure(commits: GroupCommit, store: MemoryStore, loop: Loop) -> None:
    def broken() -> None:
        raise RuntimeError("a bug")

    store.before_commit = broken
    commits.submit(a_message(1), loop.answer("1"))
    loop.run_until(2)
    assert {type(error) for _, error in loop.answers} == {StoreFailure}


def test_closing_writes_what_waits(store: MemoryStore, loop: Loop) -> None:
    commits = GroupCommit(store, loop.call_soon)
    gate = Gate(store)
    commits.submit(a_message(1), loop.answer("1"))
    assert gate.entered.acquire(timeout=WAIT)
    commits.submit(a_message(2), loop.answer("2"))
    commits.moved(short_queue_id(1), "hold")
    gate.open.release(10)
    commits.close()
    loop.run_until(2)
    assert store.count() == {"hold": 1, "incoming": 1}


def test_a_large_backlog_goes_in_several_batches(store: MemoryStore, loop: Loop) -> None:
    commits = GroupCommit(store, loop.call_soon)
    gate = Gate(store)
    commits.submit(a_message(1), loop.answer(""))
    assert gate.entered.acquire(timeout=WAIT)
    for number in range(2, 1202):
        commits.submit(a_message(number), loop.answer(""))
    gate.open.release(10)
    loop.run_until(1201)
    commits.close()
    assert [len(batch.new) for batch in store.commits] == [1, 500, 500, 200]


def test_with_the_durable_store(tmp_path: Path, loop: Loop) -> None:
    store = SqliteStore(tmp_path)
    commits = GroupCommit(store, loop.call_soon)
    for number in range(1, 501):
        commits.submit(a_message(number), loop.answer(""))
        if number > 100:
            loop.run_until(number - 100)
            commits.removed(short_queue_id(number - 100))
    loop.run_until(500)
    commits.close()
    assert store.count() == {"incoming": 100}
    store.close()


def test_a_reason_that_is_not_unicode_costs_no_marks(tmp_path: Path, loop: Loop) -> None:
    store = SqliteStore(tmp_path)
    commits = GroupCommit(store, loop.call_soon)
    removed, waits = a_message(store.reserve(1)), a_message(store.reserve(1))
    store.commit(Batch(new=[removed, waits]))
    reason = (0, "4.7.1", "sp\udce4ter")
    marks = Batch(removed=[removed.queue_id], deferred=[Deferral(waits.queue_id, 2000.0, [reason])])
    commits.note(marks, loop.answer("marks"))
    loop.run_until(1)
    assert loop.answers == [("marks", None)]
    (item,) = store.listing()
    assert (item.queue_id, item.recipients[0][1]) == (waits.queue_id, "sp?ter")
    commits.close()
    store.close()


def test_a_writer_that_falls_behind_is_told_of_once_and_so_is_that_it_has_caught_up(
    store: MemoryStore, loop: Loop, commits: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "BACKLOG_MESSAGES", 10)
    monkeypatch.setattr(group_commit, "BACKLOG_OCTETS", 5000)
    monkeypatch.setattr(group_commit, "MAX_MESSAGES", 4)
    told: list[tuple[bool, int, int]] = []
    commits.on_backlog = lambda behind, messages, octets: told.append((behind, messages, octets))
    gate = Gate(store)
    numbers = iter(range(1, 1000))

    def submit(count: int, octets: int) -> None:
        for _ in range(count):
            commits.submit(a_message(next(numbers), content=b"x" * octets), loop.answer("one"))

    submit(1, 10)
    assert gate.entered.acquire(timeout=WAIT)
    submit(10, 10)
    assert told == []
    submit(5, 10)
    assert told == [(True, 11, 110)]
    gate.open.release(100)
    while len(told) < 2:
        loop.run_one()
    assert told[1][0] is False and told[1][1] < 5
    loop.run_until(16)
    assert len(told) == 2


def test_a_writer_with_too_many_octets_is_behind(
    store: MemoryStore, loop: Loop, commits: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "BACKLOG_OCTETS", 5000)
    told: list[tuple[bool, int, int]] = []
    commits.on_backlog = lambda behind, messages, octets: told.append((behind, messages, octets))
    gate = Gate(store)
    commits.submit(a_message(1, content=b"x" * 9000), loop.answer("taken at once"))
    assert gate.entered.acquire(timeout=WAIT)
    for number in range(2, 5):
        commits.submit(a_message(number, content=b"x" * 2000), loop.answer("one"))
    assert told == [(True, 3, 6000)]
    gate.open.release(100)
    while len(told) < 2:
        loop.run_one()
    assert told[1] == (False, 0, 0)
