"""CPU of the queue manager's side of one message: frame in, commit, schedule, frame out, result, removal.

python bench/queue_bench.py [MESSAGES] [--batch N] [--profile]

The store is the real one, in a temporary folder; deliveries succeed at once. Prints microseconds of CPU per message,
with and without the writer thread (the best of three runs).
"""

import asyncio
import cProfile
import pstats
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec
import uvloop

from gatepost.config.configuration import Configuration
from gatepost.ipc.messages import DeliveryDone, DeliveryRequest, Frame, Submit
from gatepost.mail.envelope import Message, Origin, Recipient
from gatepost.mail.queue_id import short_queue_id
from gatepost.mail.status import RecipientStatus
from gatepost.maillog.sink import FileOutput, MailLog
from gatepost.master.foundation import Foundation
from gatepost.master.plan import Plan
from gatepost.master.worker_queue import QueueParts

MAIN_CF = """\
compatibility_level = 3.6
myhostname = bench.test
mydestination =
local_recipient_maps =
alias_maps =
relayhost = [127.0.0.1]:2599
default_destination_concurrency_limit = 50
smtp_destination_concurrency_limit = 50
gatepost_queue_directory = {folder}
"""
encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Frame).decode


class Sent:
    """Delivers at once: a frame out, a frame in."""

    def __init__(self) -> None:
        self.parts: QueueParts
        self.loop = asyncio.get_running_loop()

    def send(self, request: DeliveryRequest) -> None:
        request = decode(encode(request))
        statuses = [
            RecipientStatus(r.index, "sent", "2.0.0", "127.0.0.1[127.0.0.1]:2599", "250 2.0.0 Ok")
            for r in request.recipients
        ]
        done = encode(DeliveryDone(request.request_id, request.epoch, request.queue_id, statuses))
        self.loop.call_soon(lambda: self.parts.manager.delivered(decode(done)))


async def run(count: int, batch: int, profile: bool) -> None:
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        configuration = Configuration.parse(MAIN_CF.format(folder=folder), "smtp unix - - n - - smtp\n")
        with open("/dev/null", "wb") as null:
            output = FileOutput(null.fileno(), "bench")
            log = MailLog(output, "postfix", 1)
            log.wake = lambda: loop.call_soon(log.flush)
            sent = Sent()
            Path(folder, "content").mkdir(exist_ok=True)
            plan = Plan(configuration, None, output, -1)
            parts = sent.parts = QueueParts(plan, Foundation(configuration, log), log, sent, lambda failure: None, 1)
            parts.manager.begin()
            await rounds(parts, count, batch, profile)
            await parts.end()


async def rounds(parts: QueueParts, count: int, batch: int, profile: bool) -> None:
    content = b"Received: x\n" + b"X" * 4096 + b"\n"
    numbers = iter(range(parts.store.reserve(count * 4), 1 << 60))
    best = best_loop = 1e9
    profiler = cProfile.Profile()
    for _ in range(1 if profile else 3):
        left = count
        over = asyncio.get_running_loop().create_future()
        waiting = 0

        def feed() -> None:
            nonlocal left, waiting
            for _ in range(min(batch, left)):
                left -= 1
                waiting += 1
                message = Message(
                    short_queue_id(next(numbers)),
                    time.time(),
                    "sender@bench.test",
                    [Recipient("rcpt@example.test")],
                    len(content),
                    content,
                    origin=Origin("localhost", "127.0.0.1", "4000", "localhost", "client", "ESMTP"),
                )
                parts.manager.submit(decode(encode(Submit(1, message))).message, stored)

        def stored(failure: Exception | None) -> None:
            nonlocal waiting
            assert failure is None
            waiting -= 1
            if not waiting:
                if left:
                    feed()
                elif not over.done():
                    over.set_result(None)

        if profile:
            profiler.enable()
        start, start_loop = time.process_time(), time.thread_time()
        feed()
        await over
        while parts.manager.active:
            await asyncio.sleep(0)
        best = min(best, (time.process_time() - start) / count)
        best_loop = min(best_loop, (time.thread_time() - start_loop) / count)
        profiler.disable()
    print(f"batch {batch}: {best * 1e6:.1f} us per message, {best_loop * 1e6:.1f} us of it in the loop's thread")
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    numbers_given = [int(word) for word in sys.argv[1:] if word.isdigit()]
    size = int(sys.argv[sys.argv.index("--batch") + 1]) if "--batch" in sys.argv else 10
    sys.setswitchinterval(0.0005)
    assert threading.active_count() == 1
    uvloop.run(run(numbers_given[0] if numbers_given else 5000, size, "--profile" in sys.argv))
