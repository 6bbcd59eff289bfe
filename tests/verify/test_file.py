"""The cache's file: kept, cleaned, replaced when it is damaged."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from gatepost.config.configuration import Configuration
from gatepost.verify import file
from gatepost.verify.entry import Entry, Rules, Status
from gatepost.verify.file import CacheFile, CacheUnusable

RULES = Rules.of(Configuration.parse("").settings)
GOOD = Entry(Status.OK, 0, 1000, "250 2.1.5 Ok")
BAD = Entry(Status.BOUNCED, 7, 2000, "no such user: \u00e9")


def test_entries_are_kept_and_changed(tmp_path: Path) -> None:
    kept = CacheFile(tmp_path / "cache")
    kept.write({"a@x.example": GOOD, "b@x.example": BAD, "A@x.example": BAD})
    kept.write({"a@x.example": BAD, "b@x.example": None, "nosuch@x.example": None})
    kept.close()
    again = CacheFile(tmp_path / "cache")
    assert again.load("a@x.example") == BAD and again.load("A@x.example") == BAD
    assert again.load("b@x.example") is None
    again.close()


def test_another_programs_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE something(else_)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(CacheUnusable, match="another program"):
        CacheFile(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["noise", "text"])
def test_a_file_that_is_of_no_use_is_replaced(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "cache"
    path.write_bytes(b"\x00\xff" * 5000 if damage == "noise" else b"user@example.com 0:0:0:")
    kept = CacheFile(path)
    kept.write({"a@x.example": GOOD})
    assert kept.load("a@x.example") == GOOD
    kept.close()


@pytest.mark.parametrize("change", ["status = 9", "probed = 'now'", "updated = x'00ff'"])
def test_a_row_that_makes_no_sense_is_told_of(tmp_path: Path, change: str) -> None:
    kept = CacheFile(tmp_path / "cache")
    kept.write({"a@x.example": GOOD})
    other = apsw.Connection(str(tmp_path / "cache"))
    other.execute(f"UPDATE address SET {change}")
    other.close()
    with pytest.raises(CacheUnusable):
        kept.load("a@x.example")
    kept.close()


def test_a_folder_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(CacheUnusable, match=r"open .*/nosuch/cache: "):
        CacheFile(tmp_path / "nosuch" / "cache")


def test_cleaning_drops_what_has_expired_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "RANGE", 10)
    kept = CacheFile(tmp_path / "cache")
    now = 100 * 86400
    entries: dict[str, Entry | None] = {}
    for number in range(25):
        entries[f"old{number}@x.example"] = Entry(Status.BOUNCED, 0, now - 4 * 86400, "")
        entries[f"new{number}@x.example"] = Entry(Status.BOUNCED, 0, now - 86400, "")
    entries["probing@x.example"] = Entry(Status.BOUNCED, now - 5, now - 4 * 86400, "")
    kept.write(entries)
    assert kept.last_cleanup() == 0
    at = retained = dropped = steps = 0
    while at >= 0:
        at, some, gone = kept.clean_range(at, RULES, now)
        retained, dropped, steps = retained + some, dropped + gone, steps + 1
    kept.cleaned(now)
    assert (retained, dropped, steps) == (26, 25, 7)
    assert kept.last_cleanup() == now
    assert kept.load("old3@x.example") is None and kept.load("new3@x.example") is not None
    kept.close()


def test_several_open_a_new_file_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(3)

    def opened(number: int) -> None:
        together.wait()
        CacheFile(tmp_path / str(number)).close()

    with ThreadPoolExecutor(3) as pool:
        for number in range(30):
            for done in [pool.submit(opened, number) for _ in range(3)]:
                done.result()
