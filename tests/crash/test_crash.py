"""Kill a random process at a random moment under load: what got 250 arrives (promise 1)."""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.crash.load import Load, RecordingSink
from tests.scenarios.server import Gatepost, temporary_folder

MESSAGES = 200
SESSIONS = 20

MAIN_CF = """\
myhostname = relay.test
mydestination =
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
relayhost = [127.0.0.1]:{port}
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
smtpd_client_connection_count_limit = 0
"""


def children(pid: int) -> dict[int, str]:
    """The workers of a master, by what they say of themselves in the environment of the test: their role."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found[int(child)] = role_of(int(child))
    return found


def role_of(pid: int) -> str:
    """`gatepost: smtpd[0]` as set by setproctitle, or from the thread's name."""
    text = Path(f"/proc/{pid}/comm").read_text().strip()
    return text


def story(server: Gatepost, ident: str) -> str:
    """What the log says of one message, by its sender."""
    ids = {line.split()[1] for line in server.log_lines(f"from=<{ident}@")}
    return "\n".join(line for line in server.log().splitlines() if any(i in line for i in ids) or "master" in line)


async def drained(sink: RecordingSink, load: Load, server: Gatepost) -> None:
    """Until everything that was acknowledged is there, or nothing moves any more for a long while."""
    end = time.monotonic() + 30
    while not load.acknowledged <= set(sink.arrived):
        if time.monotonic() > end:
            lost = sorted(load.acknowledged - set(sink.arrived))
            raise AssertionError(f"lost: {lost}\n{story(server, lost[0])}\n{server.command('mailq').stdout}")
        await asyncio.sleep(0.05)


@pytest.mark.xdist_group("crash")
def test_nothing_acknowledged_is_lost(crash_run: int, request: pytest.FixtureRequest) -> None:
    base = request.config.getoption("--crash-seed") or int(time.time())
    chance = random.Random(base + crash_run)
    asyncio.run(_run(chance))


async def _run(chance: random.Random) -> None:
    sink = RecordingSink()
    await sink.start()
    with temporary_folder() as folder:
        server = Gatepost(folder, MAIN_CF.format(port=sink.port))
        await asyncio.to_thread(server.start)
        try:
            assert server.process is not None
            load = Load(server.port, MESSAGES, SESSIONS)
            sending = asyncio.create_task(load.run())
            await load.reached(chance.randint(1, MESSAGES))
            workers = children(server.process.pid)
            victim = chance.choice(sorted(workers))
            role = workers[victim]
            os.kill(victim, signal.SIGKILL)
            await asyncio.wait_for(sending, 90)
            await drained(sink, load, server)
        finally:
            await asyncio.to_thread(server.stop)
        duplicates = {ident: times for ident, times in sink.arrived.items() if times > 1}
        print(f"killed {role}: {len(load.acknowledged)} acknowledged, {len(duplicates)} duplicates")
        # Only a delivery worker takes a final answer with it that nobody else has heard; it has at most its window of
        # them.
        if len(duplicates) > (20 if "delivery" in role else 0):
            raise AssertionError(f"{role}: {duplicates}\n" + story(server, next(iter(duplicates))))
    await sink.stop()
