"""Each line of coverage.txt is shown by a dialogue, and no dialogue names what is not there."""

import gatepost.restrictions.evaluate  # noqa: F401  (registers them all)
from gatepost.restrictions.registry import registered
from tests.dialogs.dialog import FOLDER, all_dialogs
from tests.restrictions.names import ACCESS_RESULTS, RESTRICTIONS

LINES = (FOLDER / "coverage.txt").read_text().splitlines()
RESULTS = {f"access {result}" for result in ACCESS_RESULTS}
WANTED = {line for line in LINES if line and not line.startswith("#")} | RESULTS
COVERED = {word for dialog in all_dialogs() for word in dialog.covers}


def test_every_line_is_covered() -> None:
    assert sorted(WANTED - COVERED) == []


def test_nothing_else_is_named() -> None:
    assert sorted(COVERED - WANTED - set(RESTRICTIONS)) == []


def test_there_are_enough_dialogues() -> None:
    assert len(all_dialogs()) >= 300


def test_every_restriction_has_a_dialogue() -> None:
    assert {one.name for one in registered()} - COVERED == set()
    assert set(RESTRICTIONS) - COVERED == set()
