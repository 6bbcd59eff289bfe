"""The dialogues, played against a real Postfix: replies and log lines are as in the files or in differences.toml."""

import difflib
import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.compat.play_real import command
from tests.compat.real_postfix import need_postfix
from tests.dialogs.dialog import FOLDER, Dialog, all_dialogs

DIALOGS = all_dialogs()
DIFFERENCES: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "differences.toml").read_text())[
    "difference"
]
LIMIT = 600
"""Seconds for all dialogues together."""


@pytest.fixture(scope="module")
def played() -> dict[str, Any]:
    need_postfix()
    paths = [str(FOLDER / dialog.name) for dialog in DIALOGS]
    done = subprocess.run(command(paths), capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(done.stdout)
    return results


def differences(dialog: Dialog, theirs: dict[str, Any], expected: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """(Postfix's line, ours) for each place where they differ."""
    ours = [f"{kind}: {text}" for kind, text in dialog.steps] + [f"L: {text}" for text in dialog.log]
    real = [f"{kind}: {text}" for kind, text in theirs.get("steps", [])] + [f"L: {text}" for text in theirs["log"]]
    if dialog.requests:
        ours += [f"P: {text}" for text in dialog.requests]
        real += [f"P: {text}" for text in theirs["requests"]]
    found = set()
    # A line that only one side has may stand anywhere: it is taken out first.
    for pair in expected:
        for side, line in ((real, pair[0]), (ours, pair[1])):
            if "" in pair and line in side:
                found.add(pair)
                side.remove(line)
    for tag, a, b, c, d in difflib.SequenceMatcher(None, real, ours, autojunk=False).get_opcodes():
        if tag != "equal":
            left, right = real[a:b], ours[c:d]
            width = max(len(left), len(right))
            left += [""] * (width - len(left))
            right += [""] * (width - len(right))
            found |= set(zip(left, right, strict=True))
    return found


def known(dialog: Dialog) -> set[tuple[str, str]]:
    name = dialog.name.removesuffix(".smtp")
    return {(entry["postfix"], entry["ours"]) for entry in DIFFERENCES if name in entry["dialogs"]}


@pytest.mark.parametrize("dialog", DIALOGS, ids=lambda dialog: dialog.name.removesuffix(".smtp"))
def test_postfix_says_the_same(dialog: Dialog, played: dict[str, Any]) -> None:
    theirs = played[dialog.name]
    assert "failure" not in theirs, theirs["failure"]
    assert differences(dialog, theirs, known(dialog)) == known(dialog)


def test_each_difference_has_a_reason_and_dialogues() -> None:
    names = {dialog.name.removesuffix(".smtp") for dialog in DIALOGS}
    for entry in DIFFERENCES:
        assert entry["reason"].strip()
        assert set(entry["dialogs"]) <= names
