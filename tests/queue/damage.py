"""A queue file with all that one can have, and ways to damage its pages."""

import atexit
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import mkdtemp

import apsw

from gatepost.mail.queue_id import queue_id_number, short_queue_id
from gatepost.queue.log_file import PAGE
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch, Deferral, QueueName, Stored
from tests.queue.messages import a_message

MESSAGES = 400
REMOVED = range(3, MESSAGES, 7)
DEFERRED = range(1, 300)
HELD = (11, 20, 151)
SAVED = (12, 152, 390)
MANY = (50, 100, 350)
"""Messages with many recipients."""
LARGE = (60, 361)
"""Whose content is in a file."""


def fill(folder: Path) -> SqliteStore:
    """Contents of all lengths, some of several pages; unused pages that mail has left behind."""
    store = SqliteStore(folder, checkpoints=False)
    chance = random.Random(1)
    new = []
    for number in range(1, MESSAGES + 1):
        content = b"Subject: %d\n\n" % number + chance.randbytes(chance.choice((10, 900, 9000))).hex().encode()
        message = a_message(number, content=content, recipients=350 if number in MANY else 1, arrival=1000.0 + number)
        if number in LARGE:
            message.content, message.content_file = b"", message.queue_id
            (folder / "content" / message.queue_id).write_bytes(content)
        new.append(message)
    store.commit(Batch(new=new))
    reason = [(0, "4.4.1", "connect to mail.example[192.0.2.1]:25: Connection timed out, as it is every day")]
    store.commit(
        Batch(
            deferred=[
                Deferral(short_queue_id(number), 5000.0 + number, reason, sites=("example.org",)) for number in DEFERRED
            ],
            done=[(short_queue_id(number), list(range(120, 180))) for number in MANY],
            moved=[(short_queue_id(number), "hold") for number in HELD]
            + [(short_queue_id(number), "saved") for number in SAVED],
        )
    )
    store.commit(Batch(removed=[short_queue_id(number) for number in REMOVED]))
    return store


@dataclass
class Sample:
    """A filled queue that is closed. `pages`: name of the table or index, and kind, by page number."""

    folder: Path
    pages: dict[int, tuple[str, str]]
    messages: dict[str, Stored]

    def copy(self, to: Path) -> Path:
        copytree(self.folder, to)
        return to / "queue.db"

    def page(self, name: str, kind: str) -> int:
        """One of that sort, not the first."""
        found = [number for number, page in self.pages.items() if page == (name, kind)]
        return found[len(found) // 2]


@cache
def sample() -> Sample:
    """Made once."""
    folder = Path(mkdtemp())
    atexit.register(rmtree, folder, ignore_errors=True)
    store = fill(folder)
    messages = everything(store)
    store.close()
    pages: dict[int, tuple[str, str]] = {}
    connection = apsw.Connection(str(folder / "queue.db"))
    for name, path, number, kind in connection.execute("SELECT name, path, pageno, pagetype FROM dbstat"):
        pages[int(number)] = (str(name), "root" if path == "/" else str(kind))  # type: ignore[arg-type]
    for number in range(1, int(connection.pragma("page_count")) + 1):
        pages.setdefault(number, ("", "map" if (number - 2) % 820 == 0 else "free"))
    connection.close()
    return Sample(folder, pages, messages)


def everything(store: SqliteStore) -> dict[str, Stored]:
    """All that can be loaded whole."""
    found = {}
    for name in [name for page in store.queue_ids() for name, _ in page]:
        stored = store.load(name)
        if stored is not None and stored.queue != "corrupt":
            if stored.message.content_file:
                path = Path(store.content_path(stored.message.content_file))
                assert zlib.crc32(path.read_bytes()) == stored.message.checksum
            found[name] = stored
    return found


def queues(store: SqliteStore) -> dict[int, QueueName]:
    """The queue of each message, by number."""
    return {queue_id_number(name) or 0: queue for page in store.queue_ids() for name, queue in page}


def zeros(data: bytes, chance: random.Random) -> bytes:
    return bytes(PAGE)


def noise(data: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(PAGE)


def half(data: bytes, chance: random.Random) -> bytes:
    """As after a write that was torn."""
    return data[:512] + chance.randbytes(PAGE - 512)


def bits(data: bytes, chance: random.Random) -> bytes:
    """Some are turned over."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 3, 20))):
        changed[chance.randrange(PAGE)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def header(data: bytes, chance: random.Random) -> bytes:
    """What a page says of itself, and where its rows are."""
    return chance.randbytes(40) + data[40:]


DAMAGES: list[Callable[[bytes, random.Random], bytes]] = [zeros, noise, half, bits, header]


def damage(file: Path, page: int, how: Callable[[bytes, random.Random], bytes], seed: int = 1) -> None:
    with file.open("r+b") as opened:
        opened.seek((page - 1) * PAGE)
        data = opened.read(PAGE)
        opened.seek((page - 1) * PAGE)
        opened.write(how(data, random.Random(seed)))
