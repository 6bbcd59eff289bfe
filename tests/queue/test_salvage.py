"""Whatever page is damaged: what can be read is carried over, what cannot is told of, and nothing comes out wrong."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from gatepost.mail.queue_id import queue_id_number, short_queue_id
from gatepost.queue.log_file import PAGE
from gatepost.queue.salvage import NUMBERS_SKIPPED, Salvaged, salvage
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch, Stored
from tests.queue.damage import (
    DAMAGES,
    HELD,
    LARGE,
    MESSAGES,
    REMOVED,
    damage,
    everything,
    fill,
    noise,
    queues,
    sample,
    zeros,
)

FIRST = 5_000_000


def tables(file: Path) -> dict[str, list[object]]:
    connection = apsw.Connection(str(file))
    names = ("message", "fresh", "waiting", "recipient_chunk", "content_file", "flush_list")
    found: dict[str, list[object]] = {
        name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in names
    }
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    return found


@contextmanager
def salvaged(file: Path, told: list[str] | None = None) -> Iterator[tuple[Salvaged, SqliteStore]]:
    new = file.parent / "new"
    new.mkdir()
    result = salvage(file, new / "queue.db", FIRST, told.append if told is not None else lambda text: None)
    (file.parent / "content").rename(new / "content")
    store = SqliteStore(new)
    try:
        yield result, store
    finally:
        store.close()


def test_a_sound_file_is_carried_over_as_it_is(tmp_path: Path) -> None:
    file = sample().copy(tmp_path / "queue")
    before = file.read_bytes()
    told: list[str] = []
    result = salvage(file, tmp_path / "new.db", FIRST, told.append)
    assert told == []
    assert result == Salvaged(messages=MESSAGES - len(REMOVED))
    assert tables(tmp_path / "new.db") == tables(file)
    assert file.read_bytes() == before


def test_what_only_the_log_has(tmp_path: Path) -> None:
    """Of several transactions, one of which was not committed; and a part that is in the file already."""
    store = fill(tmp_path)
    store._writer.wal_checkpoint()
    store.commit(Batch(removed=[short_queue_id(1)]))
    store._writer.execute("BEGIN; DELETE FROM message WHERE id > 100; PRAGMA cache_size = 1")
    store._writer.cache_flush()
    new = tmp_path / "new.db"
    salvage(tmp_path / "queue.db", new, FIRST, lambda text: None)
    store._writer.execute("ROLLBACK")
    store.close()
    assert tables(new) == tables(tmp_path / "queue.db")


def lost(result: dict[int, str], *queues: str) -> set[int]:
    return {number for number, queue in result.items() if queue in queues}


TREES = sorted({page for page in sample().pages.values() if page[1] in ("root", "internal")} - {("reserved", "root")})


@pytest.mark.parametrize("how", [zeros, noise])
@pytest.mark.parametrize(("name", "kind"), [page for page in TREES if page[0] not in ("content_file", "flush_list")])
def test_pages_that_lead_to_others(tmp_path: Path, name: str, kind: str, how: Callable[..., bytes]) -> None:
    """Nothing is lost with those of messages and their states; what hangs in a tree of recipients is told of."""
    file = sample().copy(tmp_path / "queue")
    damage(file, sample().page(name, kind), how)
    with salvaged(file) as (result, store):
        kept = everything(store)
        damaged = lost(dict(queues(store)), "corrupt")
    assert result.held == 0 and result.unreadable == 1
    assert result.messages == len(sample().messages) == len(kept) + len(damaged)
    assert kept == {name: stored for name, stored in sample().messages.items() if name in kept}
    assert bool(damaged) == (name == "recipient_chunk") and len(damaged) <= 3


@pytest.mark.parametrize("how", [zeros, noise])
def test_a_leaf_of_messages(tmp_path: Path, how: Callable[..., bytes]) -> None:
    """Their states tell that there were such messages: they are in the corrupt queue, by name, and can be removed."""
    file = sample().copy(tmp_path / "queue")
    damage(file, sample().page("message", "leaf"), how)
    told: list[str] = []
    with salvaged(file, told) as (result, store):
        corrupt = lost(dict(queues(store)), "corrupt")
        kept = everything(store)
        assert 1 <= len(corrupt) == result.corrupt <= 8
        assert [line.partition(":")[0] for line in told] == [short_queue_id(number) for number in sorted(corrupt)]
        assert "nothing of it can be read" in told[0]
        assert kept == {
            name: stored for name, stored in sample().messages.items() if queue_id_number(name) not in corrupt
        }
        assert {one.queue_id for one in store.listing() if one.queue == "corrupt"} == set(map(short_queue_id, corrupt))
        assert store._writer.execute("SELECT count(*) FROM queue WHERE queue = 'corrupt'").get == len(corrupt)
        store.commit(Batch(removed=[short_queue_id(number) for number in corrupt]))
        assert set(queues(store).values()) == {"incoming", "deferred", "hold", "saved"}


def test_a_leaf_of_states(tmp_path: Path) -> None:
    """Whether a message was held is not known any more: those whose state is lost are held, the others go on."""
    file = sample().copy(tmp_path / "queue")
    damage(file, sample().page("waiting", "leaf"), zeros)
    told: list[str] = []
    with salvaged(file, told) as (result, store):
        held = {queue_id_number(line.partition(":")[0]) for line in told}
        assert 5 <= len(held) == len(told) == result.held <= 40
        assert lost(dict(queues(store)), "hold") == held | set(HELD)
        assert told[0].endswith(": what has become of this message is not known: moved to the hold queue")
        assert len(everything(store)) == len(sample().messages)
        others = {name: s for name, s in everything(store).items() if queue_id_number(name) not in held}
        assert others == {name: s for name, s in sample().messages.items() if name in others}


def test_a_leaf_of_mail_that_was_never_tried(tmp_path: Path) -> None:
    """It has no state, so nothing is lost."""
    file = sample().copy(tmp_path / "queue")
    page = next(number for number, page in sample().pages.items() if page in (("fresh", "leaf"), ("fresh", "root")))
    damage(file, page, noise)
    with salvaged(file) as (result, store):
        assert (result.held, result.corrupt) == (0, 0)
        assert everything(store) == sample().messages


@pytest.mark.parametrize("how", [zeros, noise])
def test_the_first_page(tmp_path: Path, how: Callable[..., bytes]) -> None:
    file = sample().copy(tmp_path / "queue")
    damage(file, 1, how)
    with salvaged(file) as (result, store):
        assert (result.held, result.corrupt) == (0, 0)
        assert everything(store) == sample().messages


def test_pages_that_tell_what_is_in_use(tmp_path: Path) -> None:
    """The map of pages, and with it the list of unused ones: mail that was removed does not come again."""
    for number, pages in enumerate([("", "map"), ("", "free")]):
        file = sample().copy(tmp_path / f"queue{number}")
        damage(file, min(at for at, page in sample().pages.items() if page == pages), noise)
        with salvaged(file) as (result, store):
            assert (result.held, result.corrupt) == (0, 0)
            assert everything(store) == sample().messages


def test_the_numbers(tmp_path: Path) -> None:
    """No queue ID is given twice, though nobody knows which there were."""
    file = sample().copy(tmp_path / "queue")
    damage(file, sample().page("reserved", "root"), zeros)
    with salvaged(file) as (_, store):
        assert store.reserve(1) >= FIRST + NUMBERS_SKIPPED
        assert everything(store) == sample().messages


def test_a_content_of_which_a_page_is_lost(tmp_path: Path) -> None:
    file = sample().copy(tmp_path / "queue")
    damage(file, sample().page("message", "overflow"), zeros)
    with salvaged(file) as (result, store):
        assert result.corrupt == 1
        assert len(everything(store)) == len(sample().messages) - 1


def test_what_leads_from_one_page_of_a_content_to_the_next(tmp_path: Path) -> None:
    """The end of another message's content is never taken for that of this one, nor are recipients."""
    for name in ("message", "recipient_chunk"):
        file = sample().copy(tmp_path / name)
        pages = [number for number, page in sample().pages.items() if page == (name, "overflow")]
        data = file.read_bytes()
        links = [data[(number - 1) * PAGE : (number - 1) * PAGE + 4] for number in pages]
        for number, link in zip(pages, links[1:] + links[:1], strict=True):
            damage(file, number, lambda page, chance, link=link: link + page[4:])  # type: ignore[misc]
        with salvaged(file) as (_, store):
            kept = everything(store)
            assert kept == {name: stored for name, stored in sample().messages.items() if name in kept}


def test_large_contents_are_known_by_their_envelopes(tmp_path: Path) -> None:
    file = sample().copy(tmp_path / "queue")
    damage(file, next(at for at, page in sample().pages.items() if page[0] == "content_file"), noise)
    with salvaged(file) as (_, store):
        assert everything(store) == sample().messages
        names = [str(name) for (name,) in store._writer.execute("SELECT name FROM content_file ORDER BY id")]
        assert names == [short_queue_id(number) for number in LARGE]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_file_that_was_cut(tmp_path: Path, share: float) -> None:
    file = sample().copy(tmp_path / "queue")
    os.truncate(file, int(share * file.stat().st_size))
    with salvaged(file) as (result, store):
        kept = everything(store)
        assert len(kept) + result.corrupt == result.messages
        assert share < 0.5 or len(kept) > 50
        for name, stored in kept.items():
            assert stored.message == sample().messages[name].message


def test_sectors_that_the_disk_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = sample().copy(tmp_path / "queue")
    bad = (sample().page("message", "leaf") - 1) * PAGE
    real = os.pread

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        if offset == bad:
            raise OSError(5, "Input/output error")
        return real(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", pread)
    with salvaged(file) as (result, store):
        assert result.errors == 1 and result.corrupt >= 1
        assert len(everything(store)) + result.corrupt == len(sample().messages)


def content(stored: Stored) -> tuple[object, ...]:
    return stored.message.content, stored.message.checksum, stored.message.sender


@pytest.mark.parametrize("seed", range(60))
def test_any_damage(tmp_path: Path, seed: int) -> None:
    """Some pages anywhere, in some way, even by another page's content: no fault of ours, and no wrong message."""
    chance = random.Random(seed)
    file = sample().copy(tmp_path / "queue")
    before = file.read_bytes()

    def another(data: bytes, chance: random.Random) -> bytes:
        at = chance.randrange(len(before) // PAGE) * PAGE
        return before[at : at + PAGE]

    for _ in range(chance.choice((1, 1, 3, 10))):
        page = chance.choice(list(sample().pages))
        damage(file, page, chance.choice([*DAMAGES, another]), chance.randrange(1000))
    with salvaged(file) as (result, store):
        kept = everything(store)
        assert result.messages == len(queues(store))
        for name, stored in kept.items():
            assert name in sample().messages, "removed mail came again"
            assert content(stored) == content(sample().messages[name])
        # A page holds some messages; of three pages in one tree there may be more.
        assert len(kept) > len(sample().messages) - 60
