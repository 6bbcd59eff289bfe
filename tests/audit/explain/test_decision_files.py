"""The files of past decisions stay within their bound, and go when they are old."""

import os
import time
from pathlib import Path

from gatepost.audit.explain.asked import Asked
from gatepost.audit.explain.decision_files import DAY, KEPT_DAYS, Decision, DecisionFiles, decisions, frame
from gatepost.restrictions.facts import Client

LIMIT = 1 << 20


class Clock:
    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now


def _frame(clock: Clock, number: int) -> bytes:
    asked = Asked(Client("unknown", f"192.0.2.{number % 250}"), "h.example", "a@x.example", f"{number}@y.example")
    return frame(Decision(clock.now, "smtp", asked, "RCPT", "reject", os.urandom(700).hex()))


def _total(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_several_processes_stay_within_the_bound(tmp_path: Path) -> None:
    clock = Clock()
    writers = [DecisionFiles(tmp_path, LIMIT, 3, clock, pid) for pid in (1, 2, 3)]
    largest = 0
    for number in range(6000):
        clock.now += 1.0
        writers[number % 3 if number % 7 else 0].write(_frame(clock, number))
        if number % 50 == 0:
            largest = max(largest, _total(tmp_path))
    assert LIMIT // 4 < largest <= LIMIT
    for writer in writers:
        writer.close()


def test_the_newest_are_kept(tmp_path: Path) -> None:
    clock = Clock()
    files = DecisionFiles(tmp_path, LIMIT, 1, clock, 1)
    for number in range(4000):
        clock.now += 1.0
        data = _frame(clock, number)
        files.write(data)
        os.utime(max(tmp_path.glob("*.decisions")), (clock.now, clock.now))
    files.close()
    found = {decision.asked.recipient for decision in decisions(tmp_path, "192.0.2.249")}
    assert "3999@y.example" in found
    assert "249@y.example" not in found


def test_a_week_is_kept_and_an_age_is_not(tmp_path: Path) -> None:
    clock = Clock()
    files = DecisionFiles(tmp_path, LIMIT, 1, clock, 1)
    for day in range(40):
        clock.now += DAY
        files.write(_frame(clock, day))
        for path in tmp_path.glob("*.decisions"):
            begun = int(path.name.partition("-")[0]) / 1000
            os.utime(path, (begun, begun))
    files.close()
    times = [next(decisions(tmp_path, f"192.0.2.{day}"), None) is not None for day in range(40)]
    assert all(times[-8:])
    assert sum(times) <= KEPT_DAYS + 1


def test_others_are_skipped(tmp_path: Path) -> None:
    clock = Clock()
    files = DecisionFiles(tmp_path, LIMIT, 1, clock, 1)
    for number in range(20):
        files.write(_frame(clock, number))
    files.close()
    assert [decision.asked.recipient for decision in decisions(tmp_path, "192.0.2.7")] == ["7@y.example"]
    assert list(decisions(tmp_path, "192.0.2.77")) == []


def test_nothing_is_there_yet(tmp_path: Path) -> None:
    assert list(decisions(tmp_path / "decisions", "192.0.2.7")) == []
