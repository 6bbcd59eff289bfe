"""Each line of coverage.txt is shown by a dialogue, and no dialogue names what is not there."""

import gatepost.restrictions.evaluate  # noqa: F401  (registers them all)
from gatepost.restrictions.registry import registered
from tests.dialogs.dialog import FOLDER, all_dialogs

LINES = (FOLDER / "coverage.txt").read_text().splitlines()
WANTED = {line for line in LINES if line and not line.startswith("#")}


def test_every_line_is_covered() -> None:
    covered = {word for dialog in all_dialogs() for word in dialog.covers}
    assert WANTED - covered == set()
    assert covered - WANTED == set()


def test_there_are_enough_dialogues() -> None:
    assert len(all_dialogs()) >= 100


def test_every_supported_restriction_is_wanted() -> None:
    names = {one.name for one in registered()}
    assert names - WANTED == set()
