"""Restriction lists by the dice: Postfix and we answer and log the same. GATEPOST_RANDOM_SEED rolls other ones."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.compat.random_policies import converse, policies
from tests.compat.real_postfix import missing
from tests.dialogs.dialog import FOLDER, normal_log
from tests.smtpd.world import World

SEED = int(os.environ.get("GATEPOST_RANDOM_SEED", "1"))
COUNT = int(os.environ.get("GATEPOST_RANDOM_COUNT", "60"))
LIMIT = 300
"""Seconds for Postfix's side."""


@pytest.fixture(scope="module")
def theirs() -> dict[str, Any]:
    reason = missing()
    if reason:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    command = ["unshare", "-n", "-m", sys.executable, "-m", "tests.compat.random_policies", str(SEED), str(COUNT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(done.stdout)
    return results


@pytest.mark.parametrize("number", range(COUNT))
async def test_any_policy_is_judged_as_by_postfix(number: int, theirs: dict[str, Any]) -> None:
    dialog = policies(SEED, COUNT)[number]
    main_cf = "".join(f"{name} = {value}\n" for name, value in dialog.parameters.items())
    world = World(main_cf, zone=(FOLDER / "zone.txt").read_text(), base=(FOLDER / "base.cf").read_text())
    async with world:
        replies = await converse(dialog, "127.0.0.1", world.port)
    log = [line for line in normal_log(world.take_log()) if not line.startswith("connect from ")]
    lines = "\n".join(text for _, text in dialog.steps)
    assert replies == theirs[dialog.name]["replies"], f"{main_cf}{dialog.client}\n{lines}"
    assert log == theirs[dialog.name]["log"], f"{main_cf}{dialog.client}\n{lines}"
