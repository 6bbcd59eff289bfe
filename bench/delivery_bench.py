"""CPU of the delivery worker's side of one message, over real sockets to smtp-sink on reused connections.

python bench/delivery_bench.py [MESSAGES] [--sessions N] [--profile]

Prints microseconds of CPU per message, system calls included (the best of three runs). Needs smtp-sink (Debian's
postfix).
"""

import asyncio
import cProfile
import os
import pstats
import random
import subprocess
import sys
import time

import uvloop

from gatepost.config.configuration import Configuration
from gatepost.delivery.smtp import SmtpAgent
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.dns.fake import FakeResolver
from gatepost.ipc.messages import DeliveryDone, DeliveryRecipient, DeliveryRequest
from gatepost.maillog.sink import MailLog, MemoryOutput
from gatepost.master.delivery_worker import DeliveryWorker
from tests.scenarios.server import free_port, owner_name, smtp_sink_program

CONTENT = b"Received: x\n" + (b"X" * 80 + b"\n") * 50


async def run(count: int, sessions: int, profile: bool, port: int) -> None:
    loop = asyncio.get_running_loop()
    configuration = Configuration.parse("compatibility_level = 3.6\nmyhostname = bench.test\n", "")
    output = MemoryOutput()
    log = MailLog(output, "postfix", 1)
    log.wake = lambda: loop.call_soon(log.flush)
    program = log.program("smtp")
    params = SmtpParams.of(configuration.settings)
    agent = SmtpAgent(params, FakeResolver(""), None, program.info, program.warning, time.time, random.Random())
    left = 0
    over: asyncio.Future[None] = loop.create_future()
    number = 0
    running = 0

    def request() -> None:
        nonlocal left, number, running
        if not left:
            running -= 1
            if not running:
                over.set_result(None)
        else:
            left -= 1
            number += 1
            recipients = [DeliveryRecipient(0, "rcpt@example.test")]
            worker.deliver(
                DeliveryRequest(
                    number,
                    1,
                    "4FA0000001",
                    "smtp",
                    f"[127.0.0.1]:{port}",
                    "sender@bench.test",
                    recipients,
                    len(CONTENT),
                    time.time(),
                    time.time(),
                    CONTENT,
                    keep=True,
                )
            )

    def report(done: DeliveryDone) -> None:
        if done.statuses[0].action != "sent":
            sys.exit(f"not delivered: {done}")
        loop.call_soon(request)

    worker = DeliveryWorker("delivery", 1, {"smtp": agent}, report)
    best = 1e9
    profiler = cProfile.Profile()
    for _ in range(1 if profile else 3):
        over = loop.create_future()
        left, running = count, sessions
        output.lines.clear()
        if profile:
            profiler.enable()
        start = time.process_time()
        for _ in range(sessions):
            request()
        await over
        best = min(best, (time.process_time() - start) / count)
        profiler.disable()
    print(f"{sessions} at once: {best * 1e6:.1f} us per message")
    await worker.close()
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    program = smtp_sink_program()
    if program is None:
        sys.exit("smtp-sink is not installed")
    port = free_port()
    user = ["-u", owner_name()] if os.geteuid() == 0 else []
    sink = subprocess.Popen([program, *user, f"127.0.0.1:{port}", "100"], stdout=subprocess.DEVNULL)
    time.sleep(0.3)  # until it listens
    try:
        words = sys.argv[1:]
        sessions = int(words[words.index("--sessions") + 1]) if "--sessions" in words else 20
        uvloop.run(run(int(words[0]) if words and words[0].isdigit() else 5000, sessions, "--profile" in words, port))
    finally:
        sink.terminate()
