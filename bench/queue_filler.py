"""A large queue, written straight into the store: `python bench/queue_filler.py FOLDER MESSAGES [--octets N]`.

Deferred mail of 5,000 senders for 10,000 domains under .example, a recipient each, tried once, with a reason; the next
attempts are more than a day away, spread over 4,000 s. Every DUE_EACH-th is for example.test and due at once. Adds to
what is there; half a gigabyte per 100,000 messages of 4 KiB, a minute or two per million.
"""

import argparse
import time
import zlib
from pathlib import Path

from gatepost.mail.envelope import Message, Origin, Recipient
from gatepost.mail.queue_id import short_queue_id
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch, Deferral

AT_ONCE = 1000
DUE_EACH = 1000
_ORIGIN = Origin("client.example.com", "192.0.2.1", "51234", "client.example.com", "client.example.com", "ESMTP")


def fill(folder: Path, messages: int, octets: int) -> None:
    """Add so many messages of so many octets to the queue of a stopped system."""
    content = b"Subject: waits\n\n" + b"X" * (octets - 17) + b"\n"
    checksum = zlib.crc32(content)
    store = SqliteStore(folder)
    deferred: list[Deferral] = []
    now = time.time()
    for begin in range(0, messages, AT_ONCE):
        count = min(AT_ONCE, messages - begin)
        first = store.reserve(count)
        new = []
        states = []
        for at in range(count):
            queue_id, number = short_queue_id(first + at), first + at
            recipient, when, reason = _fate(number, now)
            new.append(Message(
                queue_id, now - 3600 - number % 3600, f"sender{number % 5000}@bench.test", [Recipient(recipient)],
                len(content), content, checksum=checksum, origin=_ORIGIN,
            ))  # fmt: skip
            states.append(Deferral(queue_id, when, [(0, "4.4.1", reason)]))
        store.commit(Batch(new=new, deferred=deferred))
        deferred = states
    store.commit(Batch(deferred=deferred))
    store.close()


def _fate(number: int, now: float) -> tuple[str, float, str]:
    """Recipient, next attempt, reason."""
    if number % DUE_EACH == 0:
        return "rcpt@example.test", now, "host mx.example.test[192.0.2.9] said: 450 4.2.0 try later (in reply to DATA)"
    domain = f"domain{number * 7 % 10_000}.example"
    reason = f"connect to mx.{domain}[192.0.2.{number % 250}]:25: Connection timed out"
    return f"user{number}@{domain}", now + 100_000 + number * 7919 % 4_000_000 / 1000, reason


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("messages", type=int)
    parser.add_argument("--octets", type=int, default=4096, help="of content, each")
    options = parser.parse_args()
    begin = time.monotonic()
    fill(options.folder, options.messages, options.octets)
    print(f"{options.messages} messages in {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
