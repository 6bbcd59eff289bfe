"""CPU time and commit latency of the store: messages inserted, and removed with the next batch.

    python bench/store_bench.py [FOLDER]

Prints, per batch size: CPU per message (insert and remove, the flush apart), and the p50 and p99 of a commit, with the
other thread idle and with it busy (an event loop at its limit). The flush is measured by writing and syncing as much
to a plain file. FOLDER should be on the disk that the queue will be on.
"""

import os
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gatepost.mail.envelope import Message, Origin, Recipient
from gatepost.mail.queue_id import short_queue_id
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch

CONTENT = os.urandom(4096)
CHECKSUM = zlib.crc32(CONTENT)
ORIGIN = Origin("client.example.com", "192.0.2.1", "51234", "client.example.com", "client.example.com", "ESMTP")
# An event loop beside the writer gets and gives up the GIL about that often in Gatepost.
SWITCH_INTERVAL = 0.0005


def message(number: int) -> Message:
    recipients = [Recipient("recipient@example.org", "recipient@example.org")]
    return Message(
        short_queue_id(number), time.time(), "sender@example.com", recipients,
        len(CONTENT), CONTENT, checksum=CHECKSUM, origin=ORIGIN,
    )  # fmt: skip


def run(store: SqliteStore, size: int, batches: int) -> tuple[float, list[float]]:
    """CPU seconds per message, and each commit's seconds."""
    first = store.reserve(size * batches)
    made = [[message(first + batch * size + at) for at in range(size)] for batch in range(batches)]
    removed: list[str] = []
    durations = []
    cpu = time.thread_time()
    for new in made:
        begin = time.perf_counter()
        store.commit(Batch(new=new, removed=removed))
        durations.append(time.perf_counter() - begin)
        removed = [one.queue_id for one in new]
    cpu = time.thread_time() - cpu
    store.commit(Batch(removed=removed))
    return cpu / size / batches, sorted(durations)


def flush_cost(folder: Path, octets: int, count: int) -> float:
    """CPU seconds of a write and a sync of so many octets to a file that has its size already."""
    data = os.urandom(octets)
    file = os.open(folder / "flush", os.O_RDWR | os.O_CREAT)
    os.pwrite(file, data * 64, 0)
    os.fsync(file)
    cpu = time.thread_time()
    for at in range(count):
        os.pwrite(file, data, at % 64 * octets)
        os.fdatasync(file)
    cpu = time.thread_time() - cpu
    os.close(file)
    return cpu / count


def busy(stop: threading.Event) -> None:
    counter = 0
    while not stop.is_set():
        for _ in range(1000):
            counter += 1


def main() -> None:
    sys.setswitchinterval(SWITCH_INTERVAL)
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        store = SqliteStore(name)
        run(store, 50, 100)
        for label in ("idle", "busy"):
            stop = threading.Event()
            if label == "busy":
                threading.Thread(target=busy, args=(stop,)).start()
            for size in (1, 10, 50):
                batches = 500 if size < 50 else 200
                cpu, durations = run(store, size, batches)
                flush = 0.0 if label == "busy" else flush_cost(Path(name), (5 + size) * 4120, 200) / size
                p50, p99 = durations[batches // 2], durations[batches * 99 // 100]
                print(
                    f"{label} batch {size:2}: {cpu * 1e6:6.1f} us CPU per message, {(cpu - flush) * 1e6:6.1f} without"
                    f" the flush; commit p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms"
                )
            stop.set()
        store.close()


if __name__ == "__main__":
    main()
