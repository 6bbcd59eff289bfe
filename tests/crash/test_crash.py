"""Kill a random process at a random moment under load: what got 250 arrives (promise 1)."""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.crash.conftest import KILLED, RELAY
from tests.crash.load import Load, RecordingSink
from tests.scenarios.server import Gatepost, alive, temporary_folder, until

MESSAGES = 200
SESSIONS = 20

MAIN_CF = f"""\
{RELAY}\
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
smtpd_client_connection_count_limit = 0
"""


UNWRITTEN = 2.0
"""Seconds within which what became of a delivery is surely written down (0.1 on a quiet machine)."""

SLOW = 0.3
"""The part of the runs in which the destination takes its time, so that much is under way at the kill."""

SINGLE = 0.1
"""The part of the runs in which everything is one process."""


def children(pid: int) -> dict[int, str]:
    """The workers of a master and their roles, by the name that each gives itself."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found[int(child)] = Path(f"/proc/{child}/comm").read_text().strip().removeprefix("gp:")
    return found


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


def test_nothing_acknowledged_is_lost(crash_run: int, request: pytest.FixtureRequest) -> None:
    base = request.config.getoption("--crash-seed") or int(time.time())
    chance = random.Random(base + crash_run)
    asyncio.run(_run(chance))


async def _kill_one(server: Gatepost, chance: random.Random, options: list[str]) -> str:
    """Kill one of the processes, master included; its role. Without master, start anew as an operator would."""
    assert server.process is not None
    master = server.process.pid
    roles = {**children(master), master: "single" if options else "master"}
    victim = chance.choice(sorted(roles))
    os.kill(victim, signal.SIGKILL)
    if victim == master:
        others = [pid for pid in roles if pid != master]
        await asyncio.to_thread(server.process.wait)
        # Nobody tells them but the end of their leash.
        await asyncio.to_thread(until, lambda: not any(map(alive, others)), "the end of the workers")
        await asyncio.to_thread(server.start, *options)
    return roles[victim]


async def _run(chance: random.Random) -> None:
    slow = chance.random() < SLOW
    sink = RecordingSink((lambda: chance.uniform(0, 0.3)) if slow else (lambda: 0.0))
    await sink.start()
    options = ["--single-process"] if chance.random() < SINGLE else []
    with temporary_folder() as folder:
        server = Gatepost(folder, MAIN_CF.format(port=sink.port))
        await asyncio.to_thread(server.start, *options)
        try:
            load = Load(server.port, MESSAGES, SESSIONS)
            sending = asyncio.create_task(load.run())
            await load.reached(chance.randint(1, MESSAGES))
            killed_at = time.monotonic()
            role = await _kill_one(server, chance, options)
            await asyncio.wait_for(sending, 90)
            await drained(sink, load, server)
        finally:
            await asyncio.to_thread(server.stop)
        duplicates = {ident: times for ident, times in sink.arrived.items() if times > 1}
        KILLED.update(
            {
                f"killed {role}": 1,
                "with a slow destination": slow,
                f"duplicates after the end of {role}": sum(duplicates.values()) - len(duplicates),
                "messages attempted": load.attempted,
                "messages acknowledged": len(load.acknowledged),
                "messages lost": len(load.acknowledged - set(sink.arrived)),
            }
        )
        # Only who delivers takes a final answer along that nobody else has heard, its window of them at most; the
        # whole in one process also what it has not written down yet, which waits for a moment of quiet.
        known = [ident for ident in duplicates if sink.first_at[ident] < killed_at - UNWRITTEN]
        allowed = {"delivery": 20, "single": MESSAGES}.get(role, 0)
        if known or len(duplicates) > allowed:
            raise AssertionError(f"{role}: {duplicates}\n" + story(server, next(iter(known or duplicates))))
    await sink.stop()
