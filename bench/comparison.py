"""The rows of the comparison: each measures both mail systems in turn and prints figures and what is wanted."""

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from accounting import Target, run_load
from decision_rows import decision_record, share
from deferred_rows import Missing, deferred
from restriction_rows import restrictions
from servers import PORT, SINK, Gatepost, Postfix
from tls_rows import over_tls

HERE = Path(__file__).resolve().parent
PHASE_SECONDS = 240
STARTS = 5
SETTLED = 3
"""Seconds after a start until memory is taken: Postfix's first processes come one by one, up to 2 s later, and tell
nobody when the last one is there.
"""

# row: what it is, sessions, mode, messages, least ratio of relayed/s, least ratio of Postfix's CPU to ours
LOADS = {
    "50": ("50 sessions, a connection each", 50, "per-session", 5000, 3.5, 5.0),
    "50-reused": ("50 sessions, reused", 50, "reuse", 5000, 8.0, 8.0),
    "1": ("1 session", 1, "per-session", 1500, 1.2, 2.0),
    "200": ("200 sessions, a connection each", 200, "per-session", 3000, 10.0, 5.0),
}
# row: what it is, octets, messages, sessions (a connection per message), least ratio of MB/s
SIZES = {
    "64k": ("64 KiB messages", 65536, 1500, 50, 2.0),
    "1m": ("1 MiB messages", 1 << 20, 300, 50, 1.2),
    "20m": ("20 MiB messages", 20 << 20, 25, 5, 1.0),
}
ROWS = ("start", "rest", *LOADS, "latency", *SIZES, "idle", "deferred", "restrictions", "record", "tls")
QUICK = ("50", "latency")


class Comparison:
    """Runs rows and counts what is short of what is wanted. `close` stops and removes everything, always."""

    def __init__(self, rounds: int, idle: int, messages: int, quick: bool) -> None:
        self.rounds = rounds
        self.idle_connections = idle
        self.deferred_messages = messages
        self.quick = quick
        self.short = 0
        self.base = Path(tempfile.mkdtemp(prefix="versus-", dir="/var/tmp"))
        self.base.chmod(0o755)
        self.servers = [Postfix(self.base / "postfix"), Gatepost(self.base / "gatepost")]

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.base, ignore_errors=True)

    def stop(self) -> None:
        for server in self.servers:
            if server.pid:
                server.stop()
                server.pid = 0

    def run_both(self) -> None:
        for server in self.servers:
            if not server.pid:
                server.start()

    def row(self, name: str) -> None:
        """Raises Missing, NotStarted, OSError, subprocess.SubprocessError: it could not be measured."""
        if name in LOADS:
            self.load(*LOADS[name])
        elif name in SIZES:
            self.size(*SIZES[name])
        else:
            getattr(self, name)()

    def say(self, text: str, short: bool) -> None:
        self.short += short
        print(text + (" SHORT" if short else ""), flush=True)

    # --- rows ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        times: dict[str, list[float]] = {"postfix": [], "gatepost": []}
        self.stop()
        for _ in range(STARTS):
            for server in self.servers:
                server.start()
                times[server.name].append(server.start_seconds)
                self.stop()
        theirs, ours = statistics.median(times["postfix"]), statistics.median(times["gatepost"])
        self.say(
            f"start to first 220: s postfix {theirs:.2f} gatepost {ours:.2f} (wanted 0.6 or less), of {STARTS} each",
            ours > 0.6,
        )

    def load(self, name: str, sessions: int, mode: str, n: int, least: float, least_cpu: float) -> None:
        got = self.relayed(n, sessions, 4096, mode)
        rate = {k: median(v, "relay_rate") for k, v in got.items()}
        cpu = {k: median(v, "cpu_ms_per_msg") for k, v in got.items()}
        pss = {k: median(v, "pss_mb") for k, v in got.items()}
        ratio, ratio_cpu = quotient(rate["gatepost"], rate["postfix"]), quotient(cpu["postfix"], cpu["gatepost"])
        flushes = median(got["gatepost"], "disk_flushes_per_msg")
        self.say(
            f"{name}: relayed/s postfix {rate['postfix']:.0f} gatepost {rate['gatepost']:.0f}"
            f" = {ratio:.2f} x (wanted {least}); "
            f"CPU ms postfix {cpu['postfix']:.2f} gatepost {cpu['gatepost']:.2f}"
            f" = {ratio_cpu:.2f} x less (wanted {least_cpu}); gatepost flushes/message {flushes:.2f}; "
            f"peak PSS MiB postfix {pss['postfix']:.0f} gatepost {pss['gatepost']:.0f}",
            ratio < least or ratio_cpu < least_cpu or (sessions == 1 and flushes < 0.9),
        )

    def size(self, name: str, octets: int, n: int, sessions: int, least: float) -> None:
        got = self.relayed(n, sessions, octets, "per-session")
        rate = {k: median(v, "relay_mb_s") for k, v in got.items()}
        cpu = {k: median(v, "cpu_ms_per_msg") for k, v in got.items()}
        ratio = quotient(rate["gatepost"], rate["postfix"])
        self.say(
            f"{name}: MB/s postfix {rate['postfix']:.1f} gatepost {rate['gatepost']:.1f} = {ratio:.2f} x"
            f" (wanted {least}); CPU ms postfix {cpu['postfix']:.2f} gatepost {cpu['gatepost']:.2f}",
            ratio < least,
        )

    def latency(self) -> None:
        self.run_both()
        options = ["--latency", "100" if self.quick else "1000", "--latency-gap", "0.002"]
        lat = {s.name: self.bench(s, *options)["latency_e2e_ms"] for s in self.servers}
        ours, theirs = lat["gatepost"], lat["postfix"]
        self.say(
            f"latency ms p50/p99: postfix {theirs['p50']}/{theirs['p99']} gatepost {ours['p50']}/{ours['p99']}"
            " (wanted 1 x, 2 x)",
            ours["p50"] > theirs["p50"] or (not self.quick and ours["p99"] > 2 * theirs["p99"]),
        )

    def idle(self) -> None:
        self.run_both()
        asked = self.idle_connections
        idle = self.bench(self.servers[1], "--idle", str(asked))
        self.say(
            f"idle connections: greeted {idle['idle_greeted']} of {asked}, {idle['idle_pss_kb_per_conn']:.1f} KiB"
            f" each (wanted 16 or less; Postfix: 1,240 each, 100 by default), {idle['idle_pss_mb']:.0f} MiB in all",
            idle["idle_pss_kb_per_conn"] > 16 or idle["idle_greeted"] < asked,
        )

    def rest(self) -> None:
        self.stop()
        self.run_both()
        time.sleep(SETTLED)
        memory = {s.name: Target(pid=s.pid).memory() for s in self.servers}
        (theirs, _, processes), (ours, _, our_processes) = memory["postfix"], memory["gatepost"]
        self.say(
            f"memory at rest, PSS MiB: postfix {theirs:.0f} in {processes} processes,"
            f" gatepost {ours:.0f} in {our_processes} (wanted 100 or less)",
            ours > 100 or not our_processes,
        )

    def deferred(self) -> None:
        self.stop()
        n = self.deferred_messages
        found = deferred(self.base, n)
        theirs, ours = found["postfix"], found["gatepost"]
        for what, key, least in (("list", "listing", 4.0), ("delete all", "deletion", 10.0)):
            ratio = quotient(theirs[key], ours[key])
            self.say(
                f"{n} deferred, {what}: s postfix {theirs[key]:.2f} gatepost {ours[key]:.2f} = {ratio:.1f} x less"
                f" (wanted {least:.0f})",
                ratio < least,
            )
        self.say(
            f"{n} deferred, disk per message: KiB postfix {theirs['octets'] / 1024:.1f} gatepost"
            f" {ours['octets'] / 1024:.1f} (wanted 6 or less);"
            f" inodes postfix {theirs['inodes']:.2f} gatepost {ours['inodes']:.4f}",
            ours["octets"] > 6 * 1024,
        )

    def restrictions(self) -> None:
        self.stop()
        found = restrictions(self.base, self.rounds)
        theirs, ours = (found[name]["twelve"] - found[name]["empty"] for name in ("postfix", "gatepost"))
        ratio = quotient(theirs, ours)
        self.say(
            f"12 restrictions, 4 tables: CPU us per recipient postfix {theirs:.0f} gatepost {ours:.0f}"
            f" = {ratio:.1f} x less (wanted 5); with none: postfix {found['postfix']['empty']:.0f}"
            f" gatepost {found['gatepost']['empty']:.0f}",
            ratio < 5 or theirs <= 0 or ours <= 0,
        )

    def tls(self) -> None:
        self.stop()
        found = over_tls(self.base, self.rounds)
        for what, name, least in (
            ("messages", "50 sessions, a connection each, TLS in and out: relayed/s", (2.5, 2.0)),
            ("new", "TLS handshakes/s, new", (0.0, 0.0)),
            ("resumed", "TLS handshakes/s, resumed", (0.0, 0.0)),
        ):
            (theirs, their_cpu), (ours, our_cpu) = (found[server][what] for server in ("postfix", "gatepost"))
            ratio, ratio_cpu = quotient(ours, theirs), quotient(their_cpu, our_cpu)
            wanted = [f" (wanted {figure})" if figure else "" for figure in least]
            self.say(
                f"{name} postfix {theirs:.0f} gatepost {ours:.0f} = {ratio:.2f} x{wanted[0]}; CPU ms"
                f" postfix {their_cpu:.2f} gatepost {our_cpu:.2f} = {ratio_cpu:.2f} x less{wanted[1]}",
                ratio < least[0] or ratio_cpu < least[1],
            )

    def record(self) -> None:
        self.stop()
        found = decision_record(self.base, self.rounds, self.bench)
        part, error = share(found)
        with_it, without = (statistics.median(costs) for costs in zip(*found, strict=True))
        self.say(
            f"record of decisions, {len(found)} pairs of loads: {100 * part:.1f} % of a message's CPU"
            f" (error {100 * error:.1f}; wanted 2 or less); CPU ms with it {with_it:.3f} without {without:.3f}",
            part - error > 0.02,
        )

    # --- the load tool ------------------------------------------------------------------------------------------

    def relayed(self, n: int, sessions: int, octets: int, mode: str) -> dict[str, list[dict]]:
        self.run_both()
        got: dict[str, list[dict]] = {"postfix": [], "gatepost": []}
        options = ["-n", str(n), "-s", str(sessions), "-l", str(octets), "--mode", mode]
        for _ in range(self.rounds):
            for server in self.servers:
                result = self.bench(server, *options)
                if result.get("relay_rate") is None or result["delivered"] != n:
                    print(f"{server.name} delivered {result.get('delivered')} of {n} messages", flush=True)
                    result |= {"relay_rate": 0.0, "relay_mb_s": 0.0}
                got[server.name].append(result)
        return got

    def bench(self, server: Postfix | Gatepost, *arguments: str) -> dict:
        command = [sys.executable, str(HERE / "relay_bench.py"), "--mta", f"127.0.0.1:{PORT[server.name]}"]
        command += ["--sink-port", str(SINK), "--pid", str(server.pid), "--name", server.name, *arguments]
        done = run_load(command, PHASE_SECONDS)
        if not done.stdout.strip():
            raise Missing(f"relay_bench failed on {server.name}: {done.stderr[-1500:]}")
        result = json.loads(done.stdout.strip().splitlines()[-1])
        if "error" in result:
            raise Missing(f"{server.name}: {result['error']}")
        return result


def median(results: list[dict], key: str) -> float:
    return statistics.median(r[key] for r in results)


def quotient(one: float, other: float) -> float:
    return one / max(other, 1e-9)
