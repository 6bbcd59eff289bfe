"""kill -9 of each process in turn while all kinds of work are under way: nothing lost, duplicates counted."""

import asyncio
import contextlib
import os
import random
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.crash.conftest import KILLED
from tests.crash.refilter import Refilter
from tests.crash.work import CountingSink, Sender
from tests.scenarios.server import MASTER_CF, Gatepost, alive, children, free_port, temporary_folder, until

MAIN_CF = """\
myhostname = relay.test
mydestination = local.test
local_recipient_maps =
local_transport = relay:[127.0.0.1]:{sink}
alias_maps =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
relayhost = [127.0.0.1]:{sink}
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
smtpd_client_connection_count_limit = 0
smtpd_recipient_limit = 60000
notify_classes =
gatepost_smtpd_processes = 2
gatepost_delivery_processes = 2
"""
FILTERED = "content_filter = smtp:[127.0.0.1]:{filter}\n"
REINJECTION = "127.0.0.1:{back} inet n - n - - smtpd\n  -o content_filter=\n"
WINDOW = 20
"""Requests that may be under way to one destination (smtp_destination_concurrency_limit)."""
ROLES = ("smtpd", "qmgr", "delivery", "master", "single")


class Run:
    """One server with work under way; `many` recipients has its largest mailing."""

    def __init__(self, server: Gatepost, sink: CountingSink, chance: random.Random, many: int) -> None:
        self.server = server
        self.sink = sink
        self.chance = chance
        self.progress = asyncio.Condition()
        self.senders = [Sender(server.port, chance, f"s{number}", many, self.progress) for number in range(4)]
        self.deleted: set[str] = set()
        self.requeued = 0
        self.killed_at = 0.0

    def attempted(self) -> int:
        return sum(sender.attempted for sender in self.senders)

    async def attempts(self, more: int) -> None:
        wanted = self.attempted() + more
        async with self.progress:
            await self.progress.wait_for(lambda: self.attempted() >= wanted)

    async def operate(self) -> None:
        """What operators do, over and over, on messages that may be anywhere by now."""
        while not self.senders[0].stopping:
            known = [(ident, queue_id) for sender in self.senders for ident, queue_id in sender.ids.items()]
            recent = known[-20:]
            act = self.chance.choice(("-h", "-r", "-d", "flush"))
            if act == "flush" or not recent:
                await self._command("postqueue", "-f")
                continue
            ident, queue_id = self.chance.choice(recent)
            self.requeued += act == "-r"
            if act == "-d":
                self.deleted.add(ident)  # unless we are told otherwise
            output = await self._command("postsuper", act, queue_id)
            if act == "-h":
                await self._command("postsuper", "-H", queue_id)
            elif act == "-d" and output is not None and "Deleted: 1" not in output:
                self.deleted.discard(ident)

    async def _command(self, *arguments: str) -> str | None:
        done = await asyncio.to_thread(self.server.command, *arguments, check=False)
        return done.stdout + done.stderr if done.returncode == 0 else None

    def missing(self) -> list[tuple[str, str]]:
        found = []
        for sender in self.senders:
            for ident, recipients in sender.acknowledged.items():
                if ident not in self.deleted:
                    for recipient in recipients:
                        there = self.sink.notices if recipient.startswith("never") else self.sink.arrived
                        if not there[ident, recipient]:
                            found.append((ident, recipient))
        return found

    async def drained(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        await self._command("postsuper", "-H", "ALL")
        before = None
        while missing := self.missing():
            if missing != before:
                before, end = missing, time.monotonic() + seconds
            assert time.monotonic() < end, f"lost: {missing[:5]} of {len(missing)}\n{self._story(missing[0][0])}"
            await asyncio.sleep(0.05)

    def _story(self, ident: str) -> str:
        ids = {line.split()[1] for line in self.server.log_lines(f"from=<{ident}@")}
        lines = self.server.log().splitlines()
        return "\n".join(line for line in lines if any(i in line for i in ids) or "master" in line)[-6000:]

    async def kill(self, role: str, options: list[str]) -> int:
        """One of that role; its process ID. Without master, start anew as an operator would."""
        server = self.server
        assert server.process is not None
        master = server.process.pid
        if role in ("master", "single"):
            others = [pid for pid, _ in children(master)]
            os.kill(master, signal.SIGKILL)
            await asyncio.to_thread(server.process.wait)
            await asyncio.to_thread(until, lambda: not any(map(alive, others)), "the end of the workers")
            await asyncio.to_thread(server.start, *options)
            return master
        victims: list[int] = []
        # In the middle of a reload there may be none.
        await asyncio.to_thread(until, lambda: bool(victims.extend(server.workers(role)) or victims), role)
        victim = self.chance.choice(victims)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        return victim

    async def under_load(self, role: str, options: list[str]) -> int:
        """Kill one of that role at work; returns when all mail is there. Its process ID, if the log must tell of it."""
        await self.senders[0].attempt("many")
        sending = [asyncio.create_task(sender.run()) for sender in self.senders]
        operator = asyncio.create_task(self.operate())
        await self.attempts(self.chance.randint(15, 40))
        assert self.server.process is not None
        reloaded = self.chance.random() < 0.5
        if reloaded:
            self.server.process.send_signal(signal.SIGHUP)
        victim = await self.kill(role, options)
        await self.attempts(10)
        for sender in self.senders:
            sender.stopping = True
        await asyncio.gather(*sending, operator)
        await self.drained(60)
        assert not self.sink.broken
        return 0 if reloaded or role in ("master", "single") else victim


@asynccontextmanager
async def running(chance: random.Random, options: list[str], many: int, *, filtered: bool) -> AsyncIterator[Run]:
    sink = CountingSink(chance)
    await sink.start()
    refilter = Refilter()
    await refilter.start()
    with temporary_folder() as folder:
        main_cf = MAIN_CF.format(sink=sink.port) + (FILTERED.format(filter=refilter.port) if filtered else "")
        refilter.back = free_port()
        server = Gatepost(folder, main_cf)
        server.write(main_cf, MASTER_CF.format(listen=server.listen) + REINJECTION.format(back=refilter.back))
        await asyncio.to_thread(server.start, *options)
        try:
            yield Run(server, sink, chance, many)
        finally:
            await asyncio.to_thread(server.stop)
    sink.stop()
    refilter.stop()


async def _run(chance: random.Random, role: str, *, filtered: bool, many: int) -> None:
    options = ["--single-process"] if role == "single" else []
    async with running(chance, options, many, filtered=filtered) as run:
        victim = await run.under_load(role, options)
        count(run, role, filtered=filtered)
        log = run.server.log()
        assert "panic:" not in log and "damaged" not in log, [line for line in log.splitlines() if "panic:" in line][:3]
        if victim:
            assert re.search(rf"warning: process {role}\S* pid {victim} killed by signal 9", log)
        assert await run.senders[0].attempt("small"), "the server goes on"
        await run.drained(60)


def count(run: Run, role: str, *, filtered: bool) -> None:
    """Duplicates: only who delivers takes a final answer along that nobody else has heard."""
    twice = [key for key, times in run.sink.arrived.items() if times > 1]
    notices = [key for key, times in run.sink.notices.items() if times > 1]
    acknowledged = sum(len(recipients) for sender in run.senders for recipients in sender.acknowledged.values())
    KILLED.update(
        {
            f"killed {role} at work": 1,
            "recipients acknowledged": acknowledged,
            f"deliveries twice after the end of {role}": len(twice),
            f"notices twice after the end of {role}": len(notices),
            "recipients lost": 0,
        }
    )
    if filtered or role == "single":
        return  # a filter that gets no answer, and says so, is sent the message again
    requests = len({ident for ident, _ in twice if "-many-" not in ident})
    mailing = sum("-many-" in ident for ident, _ in twice)
    # A message that is being taken in anew may be there twice: as the old one and as the new one.
    # Without master the workers end within seconds, and so does what they deliver.
    delivers = role in ("delivery", "master")
    assert requests <= run.requeued + delivers * WINDOW, (twice, run.requeued)
    assert mailing <= delivers * 50 * WINDOW, mailing
    # Its notice was stored, and that the original is finished was not.
    assert len(notices) <= (WINDOW if role in ("qmgr", "delivery", "master") else run.requeued), notices


@pytest.mark.parametrize("role", ROLES)
def test_all_kinds_of_work(role: str, long_form: bool, request: pytest.FixtureRequest) -> None:
    base = request.config.getoption("--crash-seed") or int(time.time())
    for number in range(10 if long_form else 1):
        many = 50_000 if long_form and number == 0 else 400
        asyncio.run(_run(random.Random(base + number), role, filtered=False, many=many))


@pytest.mark.parametrize("role", ROLES)
def test_with_a_content_filter(role: str, long_form: bool, request: pytest.FixtureRequest) -> None:
    base = request.config.getoption("--crash-seed") or int(time.time())
    if not long_form and role != ROLES[base % 3]:
        pytest.skip("another one's turn; in the long form (make faults) all")
    for number in range(5 if long_form else 1):
        asyncio.run(_run(random.Random(base + number), role, filtered=True, many=200))
