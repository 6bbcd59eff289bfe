#!/usr/bin/env python3
"""What a large queue costs: `make bench-scale`, or python bench/scale_bench.py [--messages N] [--rows ...].

Fills a queue of its own on the real disk (--folder; 5 GiB per million messages of 4 KiB, removed at the end; --octets
for less) and prints a line a row, with what is wanted, and SHORT behind what falls short of it. Needs root, Debian's
postfix (smtp-source, smtp-sink) and a gatepost command ($GATEPOST, default: gatepost).

rows, in this order:
  intake      CPU per message taken in and relayed, with 1,000, 10,000 ... messages queued, beside none
  start       from the command to the first delivery of what is due
  list        to the first line and to the last; memory of the command and of the queue manager
  hold        a tenth of all, selected by recipient; how long mail that comes in meanwhile waits
  delete      the same messages
  dead        everything tried at once, for 100 destinations that refuse connections
  slow        everything tried at once, for destinations that accept connections and say nothing
  recipients  one message with 50,000 recipients
"""

import argparse
import json
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from accounting import Target, inner_mean, run_load, tool
from large_queue import EmptyQueue, Peak, Queue, Waits, deferrals, send_to_many, silent, sink
from servers import PORT, SINK, NotStarted

HERE = Path(__file__).resolve().parent
ROWS = ("intake", "start", "list", "hold", "delete", "dead", "slow", "recipients")
MEMORY = 300.0
"""MiB for the queue manager."""
LOAD = 3000
"""Messages of one measurement of intake."""
TENTH = "@domain1*.example"
RECIPIENTS = 50_000
RECIPIENTS_MEMORY = 200.0
"""MiB for the queue manager with such a message."""


class Scale:
    """Runs rows and counts what is short of what is wanted."""

    def __init__(self, queue: Queue, empty: Queue, messages: int, rounds: int, seconds: float) -> None:
        self.queue = queue
        self.empty = empty
        self.messages = messages
        self.rounds = rounds
        self.seconds = seconds
        self.short = 0

    def say(self, text: str, short: bool) -> None:
        self.short += short
        print(text + (" SHORT" if short else ""), flush=True)

    # --- rows -----------------------------------------------------------------------------------------------------

    def intake(self) -> None:
        """With more and more in the queue, beside an empty one, loaded in turn: the speed of a machine drifts."""
        first = 0.0
        for size in [*(10**power for power in range(3, 12) if 10**power < self.messages), self.messages]:
            self.queue.stop()
            self.queue.fill(size)
            found: dict[str, list[dict[str, float]]] = {queue.name: [] for queue in (self.queue, self.empty)}
            for queue in (self.queue, self.empty):
                self._start_and_deliver(queue)
                self._load(queue)  # finds cold caches
            for number in range(self.rounds):
                for queue in (self.queue, self.empty) if number % 2 else (self.empty, self.queue):
                    found[queue.name].append(self._load(queue))
            self.empty.stop()
            pairs = list(zip(*found.values(), strict=True))
            times, error = inner_mean(one["cpu_ms_per_msg"] / other["cpu_ms_per_msg"] for one, other in pairs)
            cpu, without = (statistics.median(one["cpu_ms_per_msg"] for one in loads) for loads in found.values())
            rate, none = (statistics.median(one["accept_rate"] for one in loads) for loads in found.values())
            first = first or times
            self.say(
                f"{size} queued: CPU {cpu:.3f} ms per message, {without:.3f} with none = {times:.2f} x (error"
                f" {error:.2f}, of {len(pairs)} pairs of loads; wanted 1.10 or less), {times / first:.2f} x that at"
                f" 1,000 (wanted 1.25 or less); taken in {rate:.0f}/s, with none {none:.0f}/s",
                times - error > 1.10 or times - error > 1.25 * first,
            )

    def _start_and_deliver(self, queue: Queue) -> None:
        """What is due finds its server there: else that would be held to be dead for hours."""
        with sink() as counted:
            queue.start()
            before = -1
            while (now := counted.poll()) > before:
                before = now
                time.sleep(1)  # nothing tells which delivery is the last: that none comes for so long does

    def _load(self, queue: Queue) -> dict[str, float]:
        arguments = ("-n", str(LOAD), "-s", "50", "-l", "4096", "--mode", "reuse", "--settle", "1")
        command = [sys.executable, str(HERE / "relay_bench.py"), "--mta", f"127.0.0.1:{PORT[queue.name]}"]
        command += ["--sink-port", str(SINK), "--pid", str(queue.pid), *arguments]
        said = run_load(command, 200).stdout.strip()
        found: dict[str, float] = json.loads(said.splitlines()[-1])
        return found

    def start(self) -> None:
        self._stop_and_fill(1000)  # one of them is due
        with sink() as counted:
            begin = time.monotonic()
            self.queue.launch()
            while not counted.poll() and time.monotonic() - begin < 60:
                time.sleep(0.01)
            took = time.monotonic() - begin
            self.queue.found()
            memory = self.queue.manager.memory()[0]
        self.say(
            f"start with {self.messages} queued to the first delivery: {took:.2f} s (wanted 5 or less);"
            f" queue manager {memory:.0f} MiB (wanted {MEMORY:.0f} or less)",
            took > 5 or memory > MEMORY,
        )

    def list(self) -> None:
        self._running()
        with Peak(self.queue.manager) as peak:
            begin = time.monotonic()
            command = self.queue.command("postqueue", "-p")
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            assert process.stdout is not None
            process.stdout.readline()
            first = time.monotonic() - begin
            lines = 0
            memory = 0.0
            while piece := process.stdout.read(1 << 20):
                lines += piece.count(b"\n")
                memory = max(memory, Target(pid=process.pid).memory()[0])
            process.wait()
        took = time.monotonic() - begin
        self.say(
            f"list {self.messages}: first line {first:.2f} s (wanted 1 or less), all {took:.1f} s; postqueue"
            f" {memory:.0f} MiB (wanted 50 or less), queue manager {peak.mib:.0f} MiB (wanted {MEMORY:.0f} or less)",
            first > 1 or memory > 50 or peak.mib > MEMORY,
        )

    def hold(self) -> None:
        self._act("hold", "-h")

    def delete(self) -> None:
        self._act("delete", "-d")

    def _act(self, what: str, option: str) -> None:
        self._running()
        waits = Waits()
        command = self.queue.command("postsuper", option, "--recipient", TENTH)
        with Peak(self.queue.manager) as peak, waits:
            begin = time.monotonic()
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            took = time.monotonic() - begin
        number = int(re.findall(r": (\d+) messages?", done.stderr)[-1])
        if what == "delete":
            self.queue.messages -= number
        wanted = max(1.0, 5.0 * number / 100_000)
        self.say(
            f"{what} {number} of {self.messages} by recipient: {took:.2f} s (wanted {wanted:.1f} or less); mail that"
            f" came meanwhile waited {waits.longest * 1000:.0f} ms at most (wanted 1,000 or less); queue manager"
            f" {peak.cpu:.1f} s of CPU, {peak.mib:.0f} MiB",
            took > wanted or not number or waits.longest > 1,
        )

    def dead(self) -> None:
        self._try_all("dead")

    def slow(self) -> None:
        with silent():
            self._try_all("slow")

    def _try_all(self, what: str) -> None:
        """postqueue -f, then for a while whatever comes of it."""
        self._stop_and_fill(0)
        self.queue.start()
        log = self.queue.base / "log/mail.log"
        log.write_bytes(b"")
        with Peak(self.queue.manager) as peak:
            begin = time.monotonic()
            subprocess.run(self.queue.command("postqueue", "-f"), check=True, timeout=600)
            flushed = time.monotonic() - begin
            end = time.monotonic() + self.seconds
            while time.monotonic() < end and deferrals(log) < self.queue.messages * 9 // 10:
                time.sleep(1)
            took = time.monotonic() - begin
            deferred = deferrals(log)
        wal = (self.queue.queue / "queue.db-wal").stat().st_size / (1 << 20)
        self.queue.stop()
        self.say(
            f"{what} destinations for {self.queue.messages}: flushed in {flushed:.1f} s, {deferred} deferred in"
            f" {took:.0f} s, {peak.cpu:.0f} s of the queue manager's CPU; {peak.mib:.0f} MiB (wanted {MEMORY:.0f} or"
            f" less); log of the store {wal:.0f} MiB (wanted 256 or less)",
            peak.mib > MEMORY or wal > 256 or (what == "dead" and not deferred),
        )

    def recipients(self) -> None:
        self._running()
        with sink(), Peak(self.queue.manager) as peak:
            before = self.queue.manager.memory()[0]
            begin = time.monotonic()
            send_to_many(RECIPIENTS)
            taken = time.monotonic() - begin
            delivered = 0
            log = self.queue.base / "log/mail.log"
            while delivered < RECIPIENTS and time.monotonic() - begin < 120:
                time.sleep(0.5)
                delivered = log.read_text(errors="replace").count("@many.test>, ")
            took = time.monotonic() - begin
        self.say(
            f"one message with {RECIPIENTS} recipients: taken in {taken:.1f} s, {delivered} delivered in {took:.1f}"
            f" s; queue manager {before:.0f} MiB before, {peak.mib:.0f} at most (wanted"
            f" {RECIPIENTS_MEMORY:.0f} or less)",
            delivered < RECIPIENTS or peak.mib > RECIPIENTS_MEMORY,
        )

    # --- before a row ---------------------------------------------------------------------------------------------

    def _stop_and_fill(self, due: int) -> None:
        self.queue.stop()
        self.queue.fill(self.messages)
        if due:
            self.queue.fill(self.queue.messages + due)

    def _running(self) -> None:
        if not self.queue.pid:
            self.queue.fill(self.messages)
            self.queue.start()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--octets", type=int, default=4096, help="of content, each")
    parser.add_argument("--rows", default=",".join(ROWS), help="these only, separated by commas")
    parser.add_argument("--rounds", type=int, default=16, help="pairs of loads of intake")
    parser.add_argument("--seconds", type=float, default=240, help="for each of the rows dead and slow")
    parser.add_argument("--folder", default="/var/tmp", help="where there is room")
    options = parser.parse_args()
    rows = options.rows.replace(",", " ").split()
    if unknown := [row for row in rows if row not in ROWS]:
        parser.error(f"no such row: {unknown[0]}")
    tool("smtp-sink")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # with all cleared away
    base = Path(tempfile.mkdtemp(prefix="scale-", dir=options.folder))
    queue, empty = Queue(base / "gatepost", options.octets), EmptyQueue(base / "empty", options.octets)
    base.chmod(0o755)
    scale = Scale(queue, empty, options.messages, options.rounds, options.seconds)
    try:
        for row in ROWS:
            if row in rows:
                try:
                    getattr(scale, row)()
                except (NotStarted, OSError, KeyError, IndexError, ValueError, subprocess.SubprocessError) as problem:
                    scale.say(f"{row}: not measured: {type(problem).__name__}: {problem!s:.600}", True)
    finally:
        queue.stop()
        empty.stop()
        shutil.rmtree(base, ignore_errors=True)
    print(f"{scale.short} short of what is wanted")
    return scale.short > 0


if __name__ == "__main__":
    sys.exit(main())
