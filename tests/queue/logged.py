"""A queue whose log has the work of some minutes, as a killed queue manager leaves it, and ways to damage the log."""

import atexit
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import mkdtemp

from gatepost.mail.queue_id import queue_id_number, short_queue_id
from gatepost.queue.log_file import FRAME, FRAME_HEADER, HEADER, LogHeader, heads, place
from gatepost.queue.store import Batch, Deferral, Stored
from tests.queue.damage import HELD, LARGE, MESSAGES, REMOVED, SAVED, everything, fill
from tests.queue.messages import a_message

BATCHES = 24
FIRST = 2000
"""The number of the first message that only the log has."""
REASON = "connect to mail.example[192.0.2.1]:25: Connection timed out"


@dataclass
class LoggedSample:
    """`ends`: the frames that end transactions, counted from 0. `removed`: numbers of mail that is in it no more."""

    folder: Path
    messages: dict[str, Stored]
    removed: set[int]
    ends: list[int]
    pages: list[int]

    def copy(self, to: Path) -> Path:
        """To damage it. The log."""
        copytree(self.folder, to)
        return to / "queue.db-wal"


def batches(chance: random.Random, waiting: list[int]) -> list[Batch]:
    """New mail of all lengths; mail tried, held and removed. `waiting`: what is in the queue, and afterwards."""
    made = []
    for number in range(BATCHES):
        new = []
        for at in range(FIRST + 10 * number, FIRST + 10 * number + chance.choice((1, 4, 8))):
            content = b"Subject: %d\n\n" % at + chance.randbytes(chance.choice((10, 900, 9000))).hex().encode()
            new.append(a_message(at, content=content, recipients=250 if at % 30 == 7 else 1, arrival=1000.0 + at))
        free = [at for at in waiting if at not in (*HELD, *SAVED, *LARGE)]
        chosen = chance.sample(free, 9)
        batch = Batch(
            new=new,
            deferred=[Deferral(short_queue_id(at), 9000.0 + at, [(0, "4.4.1", REASON)]) for at in chosen[:4]],
            moved=[(short_queue_id(at), "hold") for at in chosen[4:5]],
            removed=[short_queue_id(at) for at in chosen[5:]],
        )
        waiting[:] = [at for at in waiting if at not in chosen[4:]] + [message_number(one.queue_id) for one in new]
        made.append(batch)
    return made


def message_number(queue_id: str) -> int:
    return queue_id_number(queue_id) or 0


@cache
def logged() -> LoggedSample:
    """Made once. What it begins with is in the file."""
    work, folder = Path(mkdtemp()), Path(mkdtemp()) / "queue"
    for made in (work, folder.parent):
        atexit.register(rmtree, made, ignore_errors=True)
    store = fill(work)
    store._writer.wal_checkpoint()
    waiting = [number for number in range(1, MESSAGES + 1) if number not in REMOVED]
    for batch in batches(random.Random(7), waiting):
        store.commit(batch)
    copytree(work, folder)
    messages = everything(store)
    store.close()
    present = {message_number(name) for name in messages}
    log = (folder / "queue.db-wal").open("rb")
    with log:
        frames = (folder / "queue.db-wal").stat().st_size // FRAME
        found = heads(log.fileno(), LogHeader(log.read(HEADER)[16:24], "little", (0, 0)).salts, range(frames))
    ends = [frame for frame, head in found.items() if head.committed]
    return LoggedSample(
        folder,
        messages,
        set(range(1, FIRST + 10 * BATCHES)) - present,
        ends,
        [found[frame].page for frame in range(ends[-1] + 1)],
    )


def overwrite(log: Path, at: int, length: int, chance: random.Random | None = None) -> None:
    """With noise, or with zeros."""
    with log.open("r+b") as opened:
        opened.seek(at)
        opened.write(chance.randbytes(length) if chance else bytes(length))


Harm = Callable[[Path, int], None]


def in_header(log: Path, frame: int) -> None:
    """The page's number, and all else that the frame says of itself."""
    overwrite(log, place(frame), FRAME_HEADER, random.Random(1))


def in_page_number(log: Path, frame: int) -> None:
    """So that there is no such page."""
    overwrite(log, place(frame), 1, random.Random(1))


def another_page_number(log: Path, frame: int) -> None:
    overwrite(log, place(frame) + 3, 1, random.Random(3))


def in_sums(log: Path, frame: int) -> None:
    overwrite(log, place(frame) + 16, 8)


def in_page(log: Path, frame: int) -> None:
    overwrite(log, place(frame) + FRAME_HEADER + 3000, 8, random.Random(1))


def one_octet(log: Path, frame: int) -> None:
    """Which leads to sums that another page number in the header would lead to as well."""
    at = place(frame) + FRAME_HEADER + 3003
    overwrite(log, at, 1) if log.read_bytes()[at] else overwrite(log, at, 1, random.Random(1))


def whole_page(log: Path, frame: int) -> None:
    overwrite(log, place(frame) + FRAME_HEADER, FRAME - FRAME_HEADER)


def whole_frame(log: Path, frame: int) -> None:
    overwrite(log, place(frame), FRAME, random.Random(1))


def sector(log: Path, frame: int) -> None:
    """4096 octets of the disk: the end of one frame, and the beginning of the next."""
    overwrite(log, (place(frame) + FRAME - 1) // 4096 * 4096, 4096)
