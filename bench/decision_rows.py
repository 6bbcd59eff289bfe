"""What the record of decisions costs: CPU per relayed message with it and without, a connection per message."""

import shutil
from collections.abc import Callable
from pathlib import Path

from accounting import inner_mean
from deferred_rows import Missing
from servers import Gatepost

MESSAGES, SESSIONS = 2500, 50
LOADS = 4
"""Of each server in a round."""

Bench = Callable[..., dict]
"""Comparison.bench: takes a server that runs and the options of relay_bench.py, gives what it found."""


class Unrecorded(Gatepost):
    """As Gatepost, beside it."""

    name = "beside"


def cost(bench: Bench, server: Gatepost) -> float:
    """Milliseconds of CPU per message."""
    options = ["-n", str(MESSAGES), "-s", str(SESSIONS), "-l", "4096", "--mode", "per-session"]
    result = bench(server, *options)
    if result.get("delivered") != MESSAGES:
        raise Missing(f"{server.name} delivered {result.get('delivered')} of {MESSAGES} messages")
    return result["cpu_ms_per_msg"]


def decision_record(base: Path, rounds: int, bench: Bench) -> list[tuple[float, float]]:
    """(CPU per message with the record, without it) of each pair of loads, ms. Raises NotStarted, Missing, OSError.

    Both run all the time, and are loaded in turn, in turn the one and the other first: the machine is not the same for
    long.
    """
    recorded, plain = Gatepost(base / "recorded"), Unrecorded(base / "unrecorded", "gatepost_decision_log = no\n")
    found = []
    try:
        for server in (recorded, plain):
            server.start()
            cost(bench, server)  # processes and memory are there
        for number in range(rounds * LOADS):
            order = (recorded, plain) if number % 2 else (plain, recorded)
            spent = {server.name: cost(bench, server) for server in order}
            found.append((spent[recorded.name], spent[plain.name]))
    finally:
        for server in (recorded, plain):
            server.stop()
            shutil.rmtree(server.base, ignore_errors=True)
    return found


def share(found: list[tuple[float, float]]) -> tuple[float, float]:
    """The record's part of the CPU of a message, and how far that may be off."""
    return inner_mean((one - other) / one for one, other in found)
