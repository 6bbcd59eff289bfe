"""CPU of the SMTP server's side of one message, without sockets: EHLO to QUIT through the real session, restrictions
and cleanup.

python bench/session_bench.py [ROUNDS] [--profile]

Prints microseconds of CPU per session (the best of five runs). What it leaves out: system calls, the event loop's own
work, the frames to the queue manager, and the log file.
"""

import asyncio
import cProfile
import pstats
import sys
import time
from typing import Any, cast

from gatepost.cleanup.memory_writer import MemoryWriter
from gatepost.cleanup.pipeline import MailCleanup
from gatepost.config.configuration import Configuration
from gatepost.maillog.sink import MailLog, MemoryOutput
from gatepost.master.foundation import Foundation
from gatepost.master.servers import LinkedRates, server_environment
from gatepost.smtpd.connection import SmtpConnection

MAIN_CF = """\
compatibility_level = 3.6
myhostname = bench.test
mydestination =
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination
relayhost = [127.0.0.1]:2599
smtpd_client_connection_count_limit = 0
"""
BODY = (
    b"From: <a@bench.test>\r\nTo: <b@example.test>\r\nDate: Sun, 22 Nov 2026 15:00:00 +0000\r\nSubject: x\r\n\r\n"
    + (b"X" * 80 + b"\r\n") * 49
)
STEPS = [
    b"EHLO client.test\r\n",
    b"MAIL FROM:<sender@bench.test>\r\n",
    b"RCPT TO:<rcpt@example.test>\r\n",
    b"DATA\r\n",
    BODY + b".\r\n",
    b"QUIT\r\n",
]


class Transport:
    """Takes what the server writes."""

    def __init__(self) -> None:
        self.written = 0
        self.closed = False

    def get_extra_info(self, name: str) -> tuple[str, int] | None:
        return ("127.0.0.1", 40000) if name == "peername" else None

    def write(self, data: bytes) -> None:
        self.written += len(data)

    def writelines(self, data: list[bytes]) -> None:
        self.written += sum(map(len, data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def sessions(rounds: int, profile: bool) -> None:
    loop = asyncio.get_running_loop()
    configuration = Configuration.parse(MAIN_CF, "2525 inet n - n - - smtpd\nsmtp unix - - n - - smtp\n")
    output = MemoryOutput()
    log = MailLog(output, "postfix", 1)
    foundation = Foundation(configuration, log)
    writer = MemoryWriter()
    cleanup = MailCleanup(
        configuration.settings, writer, log.program("cleanup"), foundation.rewriter, foundation.virtual_aliases
    )
    rates = LinkedRates(lambda *_: None, lambda *_: None, lambda *_: None)
    env = server_environment(foundation, configuration.master[0], cleanup, rates, lambda: 1 << 50, lambda: False)
    best = 1e9
    profiler = cProfile.Profile()
    for _ in range(1 if profile else 5):
        writer.messages.clear()
        output.lines.clear()
        if profile:
            profiler.enable()
        start = time.process_time()
        for _ in range(rounds):
            connection = SmtpConnection(env, loop, set(), set())
            transport = Transport()
            connection.connection_made(cast(Any, transport))
            for step in STEPS:
                connection.data_received(step)
                while connection.tasks:
                    await asyncio.sleep(0)
            connection.connection_lost(None)
            log._pending.clear()
        best = min(best, (time.process_time() - start) / rounds)
        profiler.disable()
        assert len(writer.messages) == rounds, len(writer.messages)
    print(f"{best * 1e6:.1f} us per session")
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    asyncio.run(
        sessions(int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 2000, "--profile" in sys.argv)
    )
