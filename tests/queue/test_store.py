"""The contract of every store: each test runs on all of them."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gatepost.mail.envelope import NOTIFY_SUCCESS, TRACE, Message, Recipient
from gatepost.mail.queue_id import long_queue_id, short_queue_id
from gatepost.queue.content_file import ContentFile
from gatepost.queue.memory import MemoryStore
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import FLUSHED, Batch, Deferral, Store, StoreFailure
from tests.queue.messages import a_message


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    (tmp_path / "content").mkdir()
    one: Store = MemoryStore(tmp_path) if request.param == "memory" else SqliteStore(tmp_path)
    yield one
    one.close()


def put(store: Store, *messages: Message) -> list[str]:
    store.commit(Batch(new=list(messages)))
    return [message.queue_id for message in messages]


def due_ids(store: Store, now: float, limit: int = 100, exclude: set[str] | None = None) -> list[str]:
    return [one.message.queue_id for one in store.due(now, limit, exclude or set())]


def test_a_message_comes_back_as_it_was(store: Store) -> None:
    message = a_message(1, recipients=3, content=b"\0\xff\n", smtputf8=True, ret="HDRS", envid="x+2B", body="8bitmime")
    put(store, message)
    stored = store.load(message.queue_id)
    assert stored is not None
    assert stored.message == message
    assert (stored.queue, stored.next_attempt, stored.open, stored.reasons) == ("incoming", 1000.0, [0, 1, 2], {})


def test_text_of_all_kinds_comes_back(store: Store) -> None:
    message = a_message(1)
    message.sender = 'ä\0"\\/\u2028\U0001f600@пример'
    message.recipients[0].original = "\x7f\x01'"
    put(store, message)
    stored = store.load(message.queue_id)
    assert stored is not None
    assert stored.message == message


def test_some_of_the_recipients(store: Store) -> None:
    message = a_message(1, recipients=450)
    put(store, message)
    for indexes in ([0], [5, 99], [99, 100], [120, 449], [450 - 1], list(range(450)), []):
        assert store.recipients(message.queue_id, indexes) == {index: message.recipients[index] for index in indexes}
    assert store.recipients(short_queue_id(99), [0]) == {}


def test_messages_with_many_recipients_come_a_few_at_a_time(store: Store) -> None:
    ids = put(store, *(a_message(number, recipients=40_000) for number in range(1, 5)))
    seen = due_ids(store, 2000)
    assert seen and (len(seen) < len(ids) or isinstance(store, MemoryStore))
    while len(seen) < len(ids):
        seen += due_ids(store, 2000, exclude=set(seen))
    assert seen == ids


def test_empty_content_and_no_recipients(store: Store) -> None:
    message = a_message(1, recipients=0, content=b"")
    put(store, message)
    stored = store.load(message.queue_id)
    assert stored is not None
    assert (stored.message, stored.open) == (message, [])


def test_content_can_be_left_out(store: Store) -> None:
    (queue_id,) = put(store, a_message(1))
    stored = store.load(queue_id, content=False)
    assert stored is not None
    assert stored.message.content == b""
    assert stored.message.size > 0


def test_ids_of_both_forms(store: Store) -> None:
    message = a_message(1)
    message.queue_id = long_queue_id(7, 1.7e9)
    put(store, message)
    assert store.load(message.queue_id) is not None
    # The same number in the other form names no message.
    assert store.load(short_queue_id(7)) is None


def test_unknown_and_invalid_ids(store: Store) -> None:
    put(store, a_message(1))
    for queue_id in ("", "no id", short_queue_id(2)):
        assert store.load(queue_id) is None
        store.commit(
            Batch(
                done=[(queue_id, [0])],
                deferred=[Deferral(queue_id, 1.0)],
                removed=[queue_id],
                moved=[(queue_id, "hold")],
                attempt=[(queue_id, 1.0)],
            )
        )
    assert store.count() == {"incoming": 1}


def test_a_new_message_needs_a_valid_unused_id(store: Store) -> None:
    put(store, a_message(1))
    invalid = a_message(2)
    invalid.queue_id = "no id"
    for wrong in (invalid, a_message(1)):
        with pytest.raises(ValueError):
            put(store, a_message(3), wrong)
    # All or nothing; and the store goes on.
    assert store.count() == {"incoming": 1}
    put(store, a_message(4))


def test_removed_messages_are_gone(store: Store) -> None:
    one, two, three = put(store, a_message(1), a_message(2, recipients=250), a_message(3))
    store.commit(Batch(deferred=[Deferral(three, 2000.0, [(0, "4.4.1", "timeout")])]))
    store.commit(Batch(removed=[one, two, three]))
    assert store.load(one) is None
    assert store.count() == {}
    assert list(store.listing()) == []
    assert store.next_due() is None


def test_the_queues_of_some(store: Store) -> None:
    one, two, three = put(store, a_message(1), a_message(2, hold=True), a_message(3))
    store.commit(Batch(expired=[three], deferred=[Deferral(three, 2000.0)]))
    assert store.queues_of([three, short_queue_id(9), one, "no id", two, one]) == [
        (three, "deferred", True),
        (one, "incoming", False),
        (two, "hold", False),
    ]
    assert store.queues_of([]) == []


def test_deferred_mail_by_domain(store: Store) -> None:
    ids = put(store, *[a_message(number) for number in range(1, 7)])
    both = ["far.example", "other.example"]
    later = [Deferral(queue_id, 2000.0, [(0, "4.4.1", "no")], sites=both[:1]) for queue_id in ids[:5]]
    later[2].sites = both
    store.commit(Batch(deferred=later))
    store.commit(Batch(deferred=later, moved=[(ids[1], "hold")], removed=[ids[3]]))
    assert store.flush_domains() == both
    assert store.flush_list("far.example", 0, 10) == [(1, ids[0]), (2, None), (3, ids[2]), (4, None), (5, ids[4])]
    assert store.flush_list("far.example", 1, 2) == [(2, None), (3, ids[2])]
    assert store.flush_list("nowhere.example", 0, 10) == []
    # What is listed again in the batch that clears the list stays.
    store.commit(Batch(flushed=[("far.example", 1, 4)], deferred=[later[0]]))
    assert store.flush_list("far.example", 0, 10) == [(1, ids[0]), (5, ids[4])]
    store.commit(Batch(flushed=[("far.example", 1, 9)]))
    assert store.flush_domains() == ["other.example"]


def test_flushed_mail_is_first_whatever_the_clock_does(store: Store) -> None:
    one, two = put(store, a_message(1), a_message(2))
    store.commit(Batch(deferred=[Deferral(one, 5000.0), Deferral(two, 2000.0)]))
    store.commit(Batch(attempt=[(one, FLUSHED)]))
    store.commit(Batch(shifted=[500.0]))
    assert [(found.message.queue_id, found.next_attempt) for found in store.due(2500.0, 10)] == [
        (one, FLUSHED),
        (two, 2500.0),
    ]
    assert store.next_due() == FLUSHED


def test_removal_wins_over_other_marks_of_the_batch(store: Store) -> None:
    (queue_id,) = put(store, a_message(1))
    store.commit(Batch(deferred=[Deferral(queue_id, 2000.0)], moved=[(queue_id, "hold")], removed=[queue_id]))
    assert store.count() == {}


def test_done_recipients_are_no_longer_open(store: Store) -> None:
    (queue_id,) = put(store, a_message(1, recipients=3))
    store.commit(Batch(done=[(queue_id, [1])]))
    stored = store.load(queue_id)
    assert stored is not None
    assert (stored.queue, stored.open, stored.next_attempt) == ("incoming", [0, 2], 1000.0)
    assert due_ids(store, 1000.0) == [queue_id]


@pytest.mark.parametrize("tried", [False, True])
def test_what_a_first_attempt_has_told(store: Store, tried: bool) -> None:
    alias = Recipient("alias@x.example", notify=NOTIFY_SUCCESS)
    message = msgspec.structs.replace(a_message(1, recipients=2), trace=TRACE, expanded=(alias,), verp="+=")
    (queue_id,) = put(store, message)
    if tried:
        store.commit(Batch(deferred=[Deferral(queue_id, 2000.5, [(0, "4.4.1", "timeout")])]))
    stored = store.load(queue_id)
    assert stored is not None
    assert (stored.message.trace, stored.message.expanded) == ((0, ()) if tried else (TRACE, (alias,)))
    assert stored.message.verp == "+="


def test_deferral(store: Store) -> None:
    (queue_id,) = put(store, a_message(1, recipients=3))
    reasons = [(0, "4.4.1", "timeout"), (2, "4.2.2", "full")]
    store.commit(Batch(done=[(queue_id, [1])], deferred=[Deferral(queue_id, 2000.5, reasons, warn_sent=True)]))
    stored = store.load(queue_id)
    assert stored is not None
    assert (stored.queue, stored.next_attempt, stored.open) == ("deferred", 2000.5, [0, 2])
    assert stored.reasons == {0: ("4.4.1", "timeout"), 2: ("4.2.2", "full")}
    assert stored.message.warn_sent
    # A later attempt replaces the reason, and the notice stays sent.
    store.commit(Batch(deferred=[Deferral(queue_id, 3000.0, [(0, "4.2.2", "full")])], done=[(queue_id, [2])]))
    stored = store.load(queue_id)
    assert stored is not None
    assert (stored.open, stored.reasons, stored.message.warn_sent) == ([0], {0: ("4.2.2", "full")}, True)


def test_many_recipients(store: Store) -> None:
    message = a_message(1, recipients=1050)
    (queue_id,) = put(store, message)
    stored = store.load(queue_id)
    assert stored is not None
    assert (stored.message, stored.open) == (message, list(range(1050)))
    done = [0, 99, 100, 555, 1049]
    waiting = [at for at in range(1050) if at not in done]
    reasons = [(at, "4.0.0", "x") for at in waiting]
    store.commit(Batch(done=[(queue_id, done)], deferred=[Deferral(queue_id, 2.0, reasons)]))
    stored = store.load(queue_id)
    assert stored is not None
    assert stored.open == waiting
    assert stored.reasons == dict.fromkeys(waiting, ("4.0.0", "x"))
    assert [line.recipients for line in store.listing()] == [[(f"user{at}@example.org", "x") for at in waiting]]
    store.commit(Batch(removed=[queue_id]))
    (again,) = put(store, a_message(2, recipients=101))
    stored = store.load(again)
    assert stored is not None
    assert len(stored.open) == 101


def test_due_oldest_attempt_first(store: Store) -> None:
    arrivals = {1: 50.0, 2: 10.0, 3: 20.0, 4: 99.0}
    first, second, third, fourth = put(store, *(a_message(at, arrival=when) for at, when in arrivals.items()))
    store.commit(Batch(deferred=[Deferral(first, 15.0), Deferral(second, 30.0)]))
    assert due_ids(store, 5.0) == []
    assert due_ids(store, 20.0) == [third, first]
    assert due_ids(store, 1000.0) == [third, first, fourth, second]
    assert due_ids(store, 1000.0, limit=2) == [third, first]
    assert due_ids(store, 1000.0, limit=0) == []
    assert due_ids(store, 1000.0, limit=2, exclude={first, second}) == [third, fourth]
    excluded: tuple[set[str], ...] = (set(), {first}, {first, third, second, fourth})
    assert [store.next_due(exclude) for exclude in excluded] == [15.0, 20.0, None]


def test_a_backlog_does_not_keep_new_mail_waiting(store: Store) -> None:
    """qmgr(8), fairness: one new message, one that was tried before, however long that has been due."""
    backlog = put(store, *(a_message(number) for number in range(1, 101)))
    tried = [Deferral(queue_id, 100.0 + at) for at, queue_id in enumerate(backlog)]
    store.commit(Batch(deferred=tried, attempt=[(backlog[50], FLUSHED)], done=[(backlog[99], [0])]))
    new = put(store, *(a_message(number, arrival=900.0) for number in (201, 202, 203)))
    wanted = [new[0], backlog[50], new[1], backlog[0], new[2], backlog[1], backlog[2]]
    assert due_ids(store, 1000.0, limit=7) == wanted


def test_due_finds_what_is_behind_many_excluded(store: Store) -> None:
    ids = put(store, *(a_message(number) for number in range(1, 301)))
    store.commit(Batch(deferred=[Deferral(queue_id, 5.0 + at) for at, queue_id in enumerate(ids[:150])]))
    exclude = set(ids) - {ids[149], ids[299]}
    assert due_ids(store, 2000.0, limit=2, exclude=exclude) == [ids[299], ids[149]]
    assert store.next_due(exclude) == 154.0


def test_due_messages_come_without_content_but_complete(store: Store) -> None:
    message = a_message(1, recipients=150)
    put(store, message)
    (stored,) = store.due(1000.0, 1)
    assert stored.message.content == b""
    assert stored.message.recipients == message.recipients
    assert stored.open == list(range(150))


def test_hold_and_release(store: Store) -> None:
    one, two = put(store, a_message(1, hold=True), a_message(2))
    store.commit(Batch(moved=[(two, "hold")]))
    assert store.count() == {"hold": 2}
    assert (due_ids(store, 1e9), store.next_due()) == ([], None)
    # Held while it was being delivered: the outcome is kept, the message stays.
    store.commit(Batch(deferred=[Deferral(two, 5.0, [(0, "4.0.0", "x")])], attempt=[(one, 1.0)]))
    assert store.count() == {"hold": 2}
    stored = store.load(two)
    assert stored is not None
    assert (stored.next_attempt, stored.reasons) == (0.0, {0: ("4.0.0", "x")})
    store.commit(Batch(moved=[(one, "deferred"), (two, "incoming")]))
    assert store.count() == {"deferred": 2}
    assert set(due_ids(store, 1.0)) == {one, two}


def test_next_attempts_move_with_the_clock(store: Store) -> None:
    one, two, three, four = put(store, *(a_message(number) for number in range(1, 5)))
    store.commit(
        Batch(
            deferred=[Deferral(one, 5000.0, [(0, "4.0.0", "x")]), Deferral(two, 6000.0)],
            moved=[(three, "hold"), (two, "deferred")],
        )
    )
    store.commit(Batch(shifted=[300.0, -100.0], deferred=[Deferral(two, 7000.0)]))
    found = {queue_id: store.load(queue_id) for queue_id in (one, two, three, four)}
    assert [stored and stored.next_attempt for stored in found.values()] == [5200.0, 7000.0, 0.0, 1200.0]
    assert store.next_due() == 1200.0
    # Others' marks in the same batch do not bring the old time back.
    store.commit(Batch(shifted=[-100.0], done=[(one, [1])]))
    assert store.next_due() == 1100.0
    stored = store.load(one)
    assert stored is not None and stored.next_attempt == 5100.0


def test_attempt_can_be_forced(store: Store) -> None:
    one, two = put(store, a_message(1), a_message(2))
    store.commit(Batch(deferred=[Deferral(one, 5000.0)]))
    store.commit(Batch(attempt=[(one, 7.0), (two, 3.0)]))
    assert due_ids(store, 10.0) == [two, one]
    assert store.count() == {"deferred": 1, "incoming": 1}


def test_marks_of_an_operator_stay(store: Store) -> None:
    first, second = put(store, a_message(1), a_message(2, hold=True))
    store.commit(Batch(expired=[first, second, "0000A00009"]))
    store.commit(Batch(deferred=[Deferral(first, 2000.0, [(0, "4.4.1", "timeout")], warn_sent=True)]))
    found = [store.load(queue_id) for queue_id in (first, second)]
    assert [(one.queue, one.expire, one.requeue) for one in found if one] == [
        ("deferred", True, False),
        ("hold", True, False),
    ]
    assert [line.forced_expire for line in store.listing()] == [True, True]
    store.commit(Batch(requeued=[second]))
    (due,) = store.due(1000.0, 10)
    assert (due.message.queue_id, due.queue, due.expire, due.requeue) == (second, "deferred", True, True)
    (one,) = store.due(2000.0, 10, {second})
    assert (one.expire, one.requeue, one.message.warn_sent) == (True, False, True)


def test_corrupt_messages_wait_for_an_operator(store: Store) -> None:
    (queue_id,) = put(store, a_message(1))
    store.commit(Batch(moved=[(queue_id, "corrupt")]))
    assert store.count() == {"corrupt": 1}
    assert due_ids(store, 1e9) == []


def test_saved_messages_are_finished(store: Store) -> None:
    """Kept to be looked at, until they are removed: not tried, and not listed."""
    one, two = put(store, a_message(1, recipients=2), a_message(2))
    store.commit(Batch(deferred=[Deferral(one, 2000.0, [(1, "4.4.1", "timeout")])]))
    store.commit(Batch(moved=[(one, "saved"), (two, "saved")]))
    assert due_ids(store, 1e9) == [] and store.next_due() is None
    assert list(store.listing()) == []
    assert store.count() == {"saved": 2}
    assert store.queues_of([one, two]) == [(one, "saved", False), (two, "saved", False)]
    store.commit(Batch(attempt=[(one, -0.5)], shifted=[100.0]))
    assert due_ids(store, 1e9) == []
    found = store.load(one)
    assert found is not None and (found.queue, found.open, found.reasons) == ("saved", [], {})
    assert found.message.content == a_message(1).content
    store.commit(Batch(removed=[one, two]))
    assert store.count() == {}


def test_listing(store: Store) -> None:
    one, two = put(store, a_message(1, recipients=2), a_message(2, hold=True))
    store.commit(Batch(done=[(one, [0])], deferred=[Deferral(one, 2000.0, [(1, "4.4.1", "timeout")])]))
    first, second = store.listing()
    assert (first.queue_id, first.queue, first.arrival, first.size) == (one, "deferred", 1000.0, 18)
    assert (first.sender, first.recipients) == ("sender@example.com", [("user1@example.org", "timeout")])
    assert first.next_attempt == 2000.0
    assert (second.queue_id, second.queue, second.recipients) == (two, "hold", [("user0@example.org", "")])


def test_queue_ids(store: Store) -> None:
    store.commit(Batch(new=[a_message(1), a_message(2), a_message(3, hold=True)]))
    deferred = a_message(2).queue_id
    store.commit(Batch(deferred=[Deferral(deferred, 3000.0)]))
    wanted = [(a_message(1).queue_id, "incoming"), (deferred, "deferred"), (a_message(3).queue_id, "hold")]
    assert [pair for page in store.queue_ids() for pair in page] == wanted


def test_listing_is_streamed_while_the_queue_changes(store: Store) -> None:
    ids = put(store, *(a_message(number) for number in range(1, 701)))
    seen: list[str] = []
    for line in store.listing():
        if not seen:
            store.commit(Batch(removed=[ids[-1]]))
        seen.append(line.queue_id)
    assert seen[:-1] == ids[: len(seen) - 1]
    assert len(seen) in (699, 700)


def test_numbers_are_used_once(store: Store) -> None:
    taken: set[int] = set()
    for count in (1, 5, 20000, 3):
        first = store.reserve(count)
        assert first > 0
        assert taken.isdisjoint(range(first, first + count))
        taken.update(range(first, first + count))


def test_large_content_is_a_file_that_goes_with_the_message(store: Store, tmp_path: Path) -> None:
    message = a_message(1)
    content = b"x" * 200_000
    file = ContentFile(tmp_path, message.queue_id)
    file.write(content)
    file.finish()
    message.content, message.content_file, message.size = b"", file.name, file.size
    message.checksum = zlib.crc32(content)
    put(store, message, a_message(2))
    stored = store.load(message.queue_id)
    assert stored is not None
    assert stored.message == message
    path = Path(store.content_path(file.name))
    assert path.read_bytes() == content
    store.commit(Batch(removed=[short_queue_id(2)]))
    assert path.exists()
    store.commit(Batch(removed=[message.queue_id]))
    assert not path.exists()


def test_free_space(store: Store) -> None:
    before = store.free()
    assert before > 1_000_000
    put(store, a_message(1))
    assert store.free() > 1_000_000


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    for call in (lambda: store.load("x"), lambda: store.commit(Batch()), store.count, lambda: store.reserve(1)):
        with pytest.raises(StoreFailure):
            call()
    with pytest.raises(StoreFailure):
        list(store.listing())


def test_acts_on_many_messages_at_once(store: Store) -> None:
    ids = put(store, *(a_message(number) for number in range(1, 701)))
    store.commit(Batch(deferred=[Deferral(queue_id, 2000.0, [(0, "4.4.1", "timeout")]) for queue_id in ids[:350]]))
    held, flushed, gone = ids[100:400], ids[300:500], ids[390:420]
    store.commit(
        Batch(
            moved=[(queue_id, "hold") for queue_id in ids[:400]] + [(queue_id, "deferred") for queue_id in ids[:100]],
            expired=ids[95:105],
            attempt=[(queue_id, 5.0) for queue_id in flushed],
            deferred=[Deferral(ids[200], 3000.0, [(0, "4.2.2", "full")])],
            removed=gone,
        )
    )
    found = {line.queue_id: line for line in store.listing()}
    assert list(found) == [queue_id for queue_id in ids if queue_id not in gone]
    assert [found[queue_id].queue for queue_id in held[:290]] == ["hold"] * 290
    assert [found[queue_id].queue for queue_id in ids[:100]] == ["deferred"] * 100
    assert [queue_id for queue_id, line in found.items() if line.forced_expire] == ids[95:105]
    assert found[ids[200]].recipients == [("user0@example.org", "full")]
    assert found[ids[0]].recipients == [("user0@example.org", "timeout")]
    assert sorted(due_ids(store, 5.0, limit=1000)) == sorted(ids[:100] + ids[420:500])
    assert sorted(due_ids(store, 1000.0, limit=1000)) == sorted(ids[:100] + ids[420:700])
