import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from gatepost.control.client import ControlError
from gatepost.control.listing import decode_listed
from gatepost.control.operations import CHANGED_PIECE, PIECE, Operations
from gatepost.control.showing import decode_shown
from gatepost.control.stopped import StoppedSession
from gatepost.ipc.messages import Ask, Part
from gatepost.qmgr.destination_policies import DestinationPolicies
from gatepost.queue.group_commit import GroupCommit
from gatepost.queue.memory import MemoryStore
from gatepost.queue.store import FLUSHED, Batch, Deferral, Listed, StoreFailure
from tests.queue.messages import a_message
from tests.smtpd.world import until

NOW = 2000.0


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def session(store: MemoryStore) -> StoppedSession:
    return StoppedSession(store, lambda: NOW)


def put(store: MemoryStore, count: int, **fields: bool) -> list[str]:
    messages = [a_message(number, **fields) for number in range(1, count + 1)]
    store.commit(Batch(new=messages))
    return [message.queue_id for message in messages]


def queues(store: MemoryStore) -> dict[str, str]:
    return {item.queue_id: item.queue for item in store.listing()}


def test_a_listing_in_pieces(store: MemoryStore) -> None:
    ids = put(store, PIECE + 3)
    turns: deque[Callable[[], None]] = deque()
    parts: list[Part] = []
    Operations(store, Immediately(store), None, lambda: NOW, turns.append).answer(Ask(7, "list"), parts.append)
    assert (len(parts), len(turns)) == (1, 1)
    turns.popleft()()
    assert [(part.ticket, len(part.lines), part.last) for part in parts] == [(7, PIECE, False), (7, 3, True)]
    assert [decode_listed(line).queue_id for part in parts for line in part.lines] == ids


def test_a_listing_waits_for_its_reader(store: MemoryStore) -> None:
    put(store, PIECE + 3)
    turns: deque[Callable[[], None]] = deque()
    taken: deque[Callable[[], None]] = deque()
    parts: list[Part] = []
    operations = Operations(store, Immediately(store), None, lambda: NOW, turns.append)
    operations.answer(Ask(7, "list"), parts.append, taken.append)
    assert (len(parts), len(turns), len(taken)) == (1, 0, 1)


class Immediately:
    """Commits at once."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def note(self, batch: Batch, done: Callable[[Exception | None], None]) -> None:
        self._store.commit(batch)
        done(None)


async def test_what_was_removed_is_not_listed_though_its_mark_waits(store: MemoryStore) -> None:
    first, second = put(store, 2)
    loop = asyncio.get_running_loop()
    commit = GroupCommit(store, loop.call_soon_threadsafe)
    operations = Operations(store, commit, None, lambda: NOW, loop.call_soon, timer=loop.call_later)
    parts: list[Part] = []
    commit.removed(first)
    operations.answer(Ask(1, "list"), parts.append)
    await until(lambda: bool(parts))
    assert [decode_listed(line).queue_id for line in parts[0].lines] == [second] and parts[0].last
    commit.deferred(Deferral(second, NOW + 100))
    operations.answer(Ask(2, "flush"), parts.append)
    await until(lambda: len(parts) > 1 and parts[-1].last)
    assert parts[1].lines == [second]
    commit.close()


async def test_a_listing_does_not_wait_for_a_disk_that_stands_still(store: MemoryStore) -> None:
    first, second = put(store, 2)
    loop = asyncio.get_running_loop()
    disk = threading.Event()
    store.before_commit = lambda: cast(None, disk.wait(30))
    commit = GroupCommit(store, loop.call_soon_threadsafe)

    def timer(seconds: float, step: Callable[[], None]) -> None:
        loop.call_soon(step)

    operations = Operations(store, commit, None, lambda: NOW, loop.call_soon, timer=timer)
    parts: list[Part] = []
    commit.removed(first)
    operations.answer(Ask(1, "list"), parts.append)
    await until(lambda: bool(parts))
    assert [decode_listed(line).queue_id for line in parts[0].lines] == [first, second]
    disk.set()
    commit.close()
    assert len(parts) == 1


def test_what_a_listing_tells(store: MemoryStore, session: StoppedSession) -> None:
    (queue_id,) = put(store, 1)
    store.commit(Batch(deferred=[Deferral(queue_id, 3000.0, [(0, "4.0.0", "later")])]))
    item = decode_listed(next(session.ask("list")))
    assert (item.queue, item.arrival, item.sender) == ("deferred", 1000, "sender@example.com")
    assert item.recipients == [("user0@example.org", "later")]


def test_counts(store: MemoryStore, session: StoppedSession) -> None:
    ids = put(store, 3)
    store.commit(Batch(moved=[(ids[0], "hold")]))
    (line,) = session.ask("count")
    assert json.loads(line) == {"incoming": 2, "hold": 1}


def test_a_message_in_full(store: MemoryStore, session: StoppedSession) -> None:
    message = a_message(1, content=b"\xff\x00\n", hold=True)
    store.commit(Batch(new=[message]))
    (line,) = session.ask("cat", message.queue_id)
    shown = decode_shown(line)
    assert (shown.queue_name, shown.open, shown.content_path) == ("hold", [0], "")
    assert shown.message.content == b"\xff\x00\n"


def test_no_such_message(session: StoppedSession) -> None:
    with pytest.raises(ControlError, match="open queue file ABCDEF0123: No such file or directory"):
        list(session.ask("cat", "ABCDEF0123"))


@pytest.mark.parametrize("count", [0, 1, PIECE, PIECE + 1])
def test_delete_all(store: MemoryStore, session: StoppedSession, count: int) -> None:
    ids = put(store, count)
    assert list(session.ask("delete", "", "ALL")) == ids
    assert queues(store) == {}


def test_hold_and_release(store: MemoryStore, session: StoppedSession) -> None:
    first, second = put(store, 2)
    assert list(session.ask("hold", "", first, first)) == [first]
    assert list(session.ask("hold", "", first)) == []
    assert queues(store) == {first: "hold", second: "incoming"}
    assert list(session.ask("release", "", "ALL")) == [first]
    assert "hold" not in queues(store).values()


def test_expire_once(store: MemoryStore, session: StoppedSession) -> None:
    first, second = put(store, 2)
    assert list(session.ask("expire", "", first)) == [first]
    assert list(session.ask("expire", "", first)) == []
    assert list(session.ask("expire", "", "ALL")) == [second]
    assert [item.forced_expire for item in store.listing()] == [True, True]


def test_requeue(store: MemoryStore, session: StoppedSession) -> None:
    (queue_id,) = put(store, 1, hold=True)
    assert list(session.ask("requeue", "", queue_id)) == [queue_id]
    (due,) = store.due(NOW, 10)
    assert due.requeue and due.queue == "deferred"


def test_acts_are_limited_to_the_queues_named(store: MemoryStore, session: StoppedSession) -> None:
    first, second = put(store, 2)
    store.commit(Batch(moved=[(first, "hold")]))
    assert list(session.ask("delete", "deferred,active", "ALL")) == []
    assert list(session.ask("delete", "incoming", first)) == []
    assert list(session.ask("hold", "hold", "ALL")) == []
    assert list(session.ask("delete", "hold", "ALL")) == [first]
    assert queues(store) == {second: "incoming"}


def test_damaged_messages_are_deleted_only_by_name_of_their_queue(store: MemoryStore, session: StoppedSession) -> None:
    (queue_id,) = put(store, 1)
    store.commit(Batch(moved=[(queue_id, "corrupt")]))
    assert list(session.ask("delete", "", "ALL")) == []
    assert list(session.ask("delete", "", queue_id)) == []
    assert list(session.ask("delete", "corrupt", queue_id)) == [queue_id]


def test_flush_of_all_deferred_mail_but_what_is_held(store: MemoryStore, session: StoppedSession) -> None:
    first, second, _ = put(store, 3)
    store.commit(Batch(deferred=[Deferral(first, NOW + 100), Deferral(second, NOW + 100)], moved=[(second, "hold")]))
    assert list(session.ask("flush")) == [first]
    assert {stored.message.queue_id for stored in store.due(NOW, 10)} >= {first}


def test_flush_of_a_site(store: MemoryStore, session: StoppedSession) -> None:
    first, second = put(store, 2)
    store.commit(Batch(deferred=[Deferral(first, NOW + 100), Deferral(second, NOW + 100)]))
    assert list(session.ask("flush-site", "example.com")) == []
    assert list(session.ask("flush-site", "Example.ORG")) == [first, second]


class Lists:
    """Serves one domain; as qmgr.flush, its lists want to be read as `wanted` says."""

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.was_read: list[str] = []
        self.wanted: list[str] = []

    def ask(self, domain: str, told: Callable[[bool], None]) -> None:
        told(domain == self.domain)

    def read(self, domain: str) -> None:
        self.was_read.append(domain)

    def unread(self) -> list[str]:
        return self.wanted


@pytest.fixture
def lists() -> Lists:
    return Lists("far.example")


@pytest.fixture
def operations(store: MemoryStore, lists: Lists) -> Operations:
    return Operations(store, Immediately(store), None, lambda: NOW, lambda function: function(), lists)


def asked(operations: Operations, *request: str) -> list[str]:
    parts: list[Part] = []
    operations.answer(Ask(1, request[0], list(request[1:])), parts.append)
    assert parts[-1].last and not parts[-1].error
    return [line for part in parts for line in part.lines]


def test_a_listed_domain_is_flushed_by_its_list_alone(store: MemoryStore, operations: Operations, lists: Lists) -> None:
    first, second, third, held = put(store, 4)
    far = ["far.example"]
    listed = [Deferral(queue_id, NOW + 100, sites=far) for queue_id in (first, third, held)]
    store.commit(Batch(deferred=[*listed, Deferral(second, NOW + 100)], moved=[(held, "hold")]))
    assert asked(operations, "flush-site", "Far.Example") == [first, third]
    assert lists.was_read == ["far.example"]
    due = {stored.message.queue_id: stored.next_attempt for stored in store.due(NOW, 10)}
    assert due == {first: FLUSHED, third: FLUSHED}
    assert store.flush_domains() == []
    assert asked(operations, "flush-listed", "far.example") == []
    assert asked(operations, "flush-listed", "nothing-is-listed.far.example") == []
    assert lists.was_read == ["far.example"]
    assert asked(operations, "flush-site", "example.org") == [first, second, third]  # by looking through the queue


@pytest.mark.parametrize(
    "request_", [("flush-site", "rare.example"), ("hold", "deferred", "ALL"), ("expire", "deferred", "ALL")]
)
def test_what_is_hard_to_find_keeps_nobody_waiting(store: MemoryStore, request_: tuple[str, ...]) -> None:
    messages = [a_message(number) for number in range(1, 3 * PIECE)]
    messages[-1].recipients[0].address = "x@rare.example"
    store.commit(Batch(new=messages))
    store.commit(Batch(deferred=[Deferral(messages[-1].queue_id, NOW + 100)]))
    turns: deque[Callable[[], None]] = deque()
    parts: list[Part] = []
    taken: list[int] = []
    listing = store.listing

    def counted() -> Iterator[Listed]:
        for item in listing():
            taken[-1] += 1
            yield item

    store.listing = counted  # type: ignore[method-assign]
    operations = Operations(store, Immediately(store), None, lambda: NOW, turns.append, Lists("near.example"))
    taken.append(0)
    operations.answer(Ask(1, request_[0], list(request_[1:])), parts.append)
    while turns:
        taken.append(0)
        turns.popleft()()
    assert [line for part in parts for line in part.lines] == [messages[-1].queue_id]
    assert max(taken) <= PIECE and parts[-1].last


def test_what_is_deferred_while_a_list_is_read_stays_listed(store: MemoryStore, lists: Lists) -> None:
    """Its mark was on its way to the store when the list was read."""
    ids = put(store, 3)

    def listed(queue_id: str) -> Batch:
        return Batch(deferred=[Deferral(queue_id, NOW + 100, sites=["far.example"])])

    class Late(Immediately):
        def note(self, batch: Batch, done: Callable[[Exception | None], None]) -> None:
            if batch.flushed:
                store.commit(listed(ids[1]))
            super().note(batch, done)

    store.commit(listed(ids[0]))
    store.commit(listed(ids[2]))
    operations = Operations(store, Late(store), None, lambda: NOW, lambda function: function(), lists)
    assert asked(operations, "flush-listed", "far.example") == [ids[0], ids[2]]
    assert [queue_id for _, queue_id in store.flush_list("far.example", 0, 10)] == [ids[1]]


def test_long_lists_go_in_pieces(store: MemoryStore, operations: Operations) -> None:
    ids = put(store, CHANGED_PIECE + 3)
    store.commit(Batch(deferred=[Deferral(queue_id, NOW + 100, sites=["far.example"]) for queue_id in ids]))
    parts: list[Part] = []
    operations.answer(Ask(1, "flush-listed", ["far.example"]), parts.append)
    assert [len(part.lines) for part in parts] == [CHANGED_PIECE, 3, 0]
    assert [line for part in parts for line in part.lines] == ids


class Manager:
    """What an act needs of a queue manager."""

    def __init__(self) -> None:
        self.active: dict[str, object] = {}
        self.policies = DestinationPolicies()
        self.withdrawn: list[str] = []

    def withdraw(self, queue_id: str, what: str) -> None:
        self.withdrawn.append(queue_id)

    def revive(self) -> None: ...
    def stored_due(self, when: float) -> None: ...


def test_an_act_goes_on_with_the_next_queue_manager(store: MemoryStore, lists: Lists) -> None:
    ids = put(store, CHANGED_PIECE + 3)
    turns: deque[Callable[[], None]] = deque()
    parts: list[Part] = []
    old, new = Manager(), Manager()
    operations = Operations(store, Immediately(store), old, lambda: NOW, turns.append, lists)
    operations.answer(Ask(1, "hold", ["", *ids]), parts.append)
    assert not old.withdrawn  # it may be about to hand over
    turns.popleft()()
    assert old.withdrawn == ids[:CHANGED_PIECE]
    operations.succeeded(new, lists)
    while turns:
        turns.popleft()()
    assert new.withdrawn == ids[CHANGED_PIECE:] and parts[-1].last
    assert set(queues(store).values()) == {"hold"}


def test_lists_that_nobody_reads_are_read_in_the_end(store: MemoryStore, operations: Operations, lists: Lists) -> None:
    (queue_id,) = put(store, 1)
    store.commit(Batch(deferred=[Deferral(queue_id, NOW + 100, sites=["far.example"])]))
    operations.refresh()
    assert store.flush_domains() == ["far.example"]
    lists.wanted = ["far.example"]
    operations.refresh()
    assert store.flush_domains() == [] and store.next_due() == FLUSHED


def test_without_space_nothing_is_reported_as_done(store: MemoryStore, session: StoppedSession) -> None:
    put(store, 1)
    store.full = True
    with pytest.raises(ControlError, match="no space left"):
        list(session.ask("delete", "", "ALL"))


def test_a_store_that_fails(store: MemoryStore, session: StoppedSession) -> None:
    put(store, 1)
    store.failure = StoreFailure("disk gone")
    for request in (("list",), ("count",), ("cat", "0000A00001"), ("delete", "", "ALL"), ("flush",)):
        with pytest.raises(ControlError, match="disk gone"):
            list(session.ask(*request))


@pytest.mark.parametrize("request_", [("nosuch",), ("delete",)])
def test_an_unknown_request(session: StoppedSession, request_: tuple[str, ...]) -> None:
    with pytest.raises(ControlError, match="unknown request"):
        list(session.ask(*request_))
