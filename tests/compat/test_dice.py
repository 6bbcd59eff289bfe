"""Policies and addresses by the dice: Postfix and we answer and log the same. GATEPOST_RANDOM_SEED rolls other ones."""

import os
from typing import Any

import pytest

from tests.compat.dice import SEED
from tests.compat.play_dice import KINDS, converse
from tests.compat.real_postfix import need_postfix
from tests.dialogs.dialog import FOLDER, normal_log
from tests.namespaces import played_in_namespaces
from tests.smtpd.world import World

COUNT = int(os.environ.get("GATEPOST_RANDOM_COUNT", "60"))
LIMIT = 300
"""Seconds for Postfix's side of one kind."""


def _real(kind: str) -> dict[str, Any]:
    arguments = (kind, str(SEED), str(COUNT))
    results: dict[str, Any] = played_in_namespaces("tests.compat.play_dice", *arguments, limit=LIMIT)
    return results


@pytest.fixture(scope="module")
def theirs() -> dict[str, dict[str, Any]]:
    need_postfix()
    return {kind: _real(kind) for kind in KINDS}


@pytest.mark.parametrize("number", range(COUNT))
@pytest.mark.parametrize("kind", KINDS)
async def test_postfix_says_the_same(kind: str, number: int, theirs: dict[str, dict[str, Any]]) -> None:
    dialog = KINDS[kind](SEED, COUNT)[number]
    main_cf = "".join(f"{name} = {value}\n" for name, value in dialog.parameters.items())
    world = World(main_cf, zone=(FOLDER / "zone.txt").read_text(), base=(FOLDER / "base.cf").read_text())
    async with world:
        replies = await converse(dialog, "127.0.0.1", world.port)
    log = [line for line in normal_log(world.take_log()) if not line.startswith("connect from ")]
    lines = "\n".join(text for _, text in dialog.steps)
    assert replies == theirs[kind][dialog.name]["replies"], f"{main_cf}{dialog.client}\n{lines}"
    assert log == theirs[kind][dialog.name]["log"], f"{main_cf}{dialog.client}\n{lines}"
