from pathlib import Path

import pytest

from gatepost.mail.envelope import Message, Recipient
from gatepost.queue.reader import SELECTION_PAGE, open_reader
from gatepost.queue.selection import Selection, address_test
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch, Deferral
from tests.queue.messages import a_message

REFUSED = 'connect to "mx_1"%[192.0.2.1]:25: Connection refused'


def message(number: int, sender: str, recipients: list[str], arrival: float, size: int) -> Message:
    made = a_message(number, content=b"x" * size, arrival=arrival)
    made.sender = sender
    made.recipients = [Recipient(address) for address in recipients]
    return made


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    """Four messages: 1 new, 2 deferred, 3 on hold (its first recipient is done), 4 to many."""
    store = SqliteStore(tmp_path)
    many = [f"user{at}@many.example" for at in range(150)]
    new = [
        message(1, "Ann@Home.example", ["bob@far.example"], 1000.0, 10),
        message(2, "", ["carl@sub.far.example", "dora@Far.example"], 2000.0, 5000),
        message(3, 'quoted "sender@home.example', ["done@far.example", "ümit@far.example"], 3000.0, 300),
        message(4, "ann_x@home.example", many, 4000.0, 20),
    ]
    ids = [one.queue_id for one in new]
    store.commit(Batch(new=new))
    reasons = [(0, "4.4.1", REFUSED), (1, "4.4.1", "Host not found")]
    late = [(at, "4.4.1", "too late" if at > 100 else REFUSED) for at in range(150)]
    store.commit(Batch(deferred=[Deferral(ids[1], 9000.0, reasons), Deferral(ids[3], 9000.0, late)]))
    store.commit(Batch(moved=[(ids[2], "hold")], done=[(ids[2], [0])]))
    return store


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [
        (Selection(), [1, 2, 3, 4]),
        (Selection(senders=("ann@home.EXAMPLE",)), [1]),
        (Selection(senders=("@home.example",)), [1, 3, 4]),
        (Selection(senders=("ann*@home.example",)), [1, 4]),
        (Selection(senders=("ann_*",)), [4]),
        (Selection(senders=("<>", "ann@home.example")), [1, 2]),
        (Selection(senders=('"quoted \\"sender"@home.example',)), [3]),
        (Selection(senders=('quoted "sender@home.example',)), []),
        (Selection(recipients=("@far.example",)), [1, 2, 3]),
        (Selection(recipients=("done@far.example",)), []),
        (Selection(recipients=("ÜMIT@far.example",)), [3]),
        (Selection(recipients=("@*.far.example",)), [2]),
        (Selection(recipients=("user149@many.example", "bob@far.example")), [1, 4]),
        (Selection(reason="connection REFUSED"), [2, 4]),
        (Selection(reason='"mx_1"%['), [2, 4]),
        (Selection(reason="x_1"), [2, 4]),
        (Selection(reason="x11"), []),
        (Selection(reason="late"), [4]),
        (Selection(larger=20), [2, 3]),
        (Selection(larger=19, smaller=301), [3, 4]),
        (Selection(before=2000.0), [1]),
        (Selection(after=1000.0, before=4000.0), [2, 3]),
        (Selection(queues=frozenset(["hold", "incoming"])), [1, 3]),
        (Selection(queues=frozenset(["deferred"]), senders=("<>",)), [2]),
        (Selection(queues=frozenset(["corrupt"])), []),
        (Selection(senders=("<>",), recipients=("bob@far.example",)), []),
    ],
)
def test_what_is_selected(store: SqliteStore, tmp_path: Path, selection: Selection, numbers: list[int]) -> None:
    wanted = [a_message(number).queue_id for number in numbers]
    everything = list(store.listing())
    assert [item.queue_id for item in everything if selection.matches(item)] == wanted
    narrowed = list(open_reader(tmp_path).listing(selection))
    assert [item.queue_id for item in narrowed if selection.matches(item)] == wanted
    store.close()


def test_the_file_leaves_most_others_out(store: SqliteStore, tmp_path: Path) -> None:
    selection = Selection(senders=("ann@home.example",), before=1500.0)
    assert [item.sender for item in open_reader(tmp_path).listing(selection)] == ["Ann@Home.example"]
    store.close()


def test_more_than_a_page(store: SqliteStore, tmp_path: Path) -> None:
    store.commit(Batch(new=[a_message(number) for number in range(10, SELECTION_PAGE + 20)]))
    found = list(open_reader(tmp_path).listing(Selection(senders=("sender@example.com",))))
    assert len(found) == SELECTION_PAGE + 10
    store.close()


def test_damaged_messages_are_selected_by_their_queue_only(store: SqliteStore, tmp_path: Path) -> None:
    store._writer.execute("UPDATE message SET envelope = CAST('garbage' AS BLOB) WHERE id = 1")
    reader = open_reader(tmp_path)
    old = Selection(before=1e9)
    assert [item.queue_id for item in reader.listing(old) if old.matches(item)] == [
        a_message(number).queue_id for number in (2, 3, 4)
    ]
    corrupt = Selection(queues=frozenset(["corrupt"]))
    assert [item.queue_id for item in reader.listing(corrupt) if corrupt.matches(item)] == [a_message(1).queue_id]
    store.close()


def test_patterns() -> None:
    assert address_test("<>")("") and not address_test("<>")("a@b")
    assert not address_test("@b")("a@xb") and not address_test("b")("a@b")
    assert address_test("*")("") and address_test("a.c@*")("a.c@b") and not address_test("a.c@*")("abc@b")
