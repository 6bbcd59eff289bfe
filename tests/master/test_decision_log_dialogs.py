"""What is kept of the refusals of the dialogues has the reason that the client was told."""

import time
from pathlib import Path

import pytest

from gatepost.audit.explain.decision_files import Decision, DecisionFiles, decisions
from gatepost.config.configuration import Configuration
from gatepost.master.decision_log import DecisionLog
from tests.dialogs.dialog import Dialog, all_dialogs, play
from tests.dialogs.test_dialogs import BASE, ZONE
from tests.policy_server import PolicyServer
from tests.smtpd.world import World

FOLDERS = ("access", "dns", "failing_tables", "logins", "mixed", "policy", "restrictions", "verify")
EVERY = 3
LEAST = 150
SAID_BY_NONE = ("is in no table of users", "was in no table of users")


def _refusing() -> list[Dialog]:
    found = [dialog for dialog in all_dialogs() if dialog.name.split("/")[0] in FOLDERS]
    return [dialog for dialog in found if any(": reject: " in line for line in dialog.log)][::EVERY]


async def _kept(dialog: Dialog, folder: Path) -> list[Decision]:
    warnings: list[str] = []
    async with PolicyServer(list(dialog.policy), listen=dialog.needs_policy_server) as policy:
        main_cf = "".join(f"{name} = {policy.placed(value)}\n" for name, value in dialog.parameters.items())
        world = World(main_cf, zone=ZONE, base=BASE)
        configuration = Configuration.parse(BASE + main_cf, "smtp inet n - n - - smtpd\n")
        log = DecisionLog(DecisionFiles(folder, 1 << 20, 1, time.time, 1), configuration, warnings.append)
        log.watch(world.env.policy, configuration.master[0])
        async with world:
            await play(dialog, "127.0.0.1", world.port)
        await log.close()
        asked = len(policy.requests)
    assert not warnings
    assert asked == len(dialog.requests) or not dialog.requests  # nobody is asked twice
    clients = {"192.0.2.7", "127.0.0.1"} | {word[1:-1] for word in dialog.client.split() if word.startswith("[")}
    return [decision for client in clients for decision in decisions(folder, client)]


@pytest.mark.parametrize("part", range(4))
async def test_the_reason_is_that_of_the_reply(part: int, tmp_path: Path) -> None:
    unknown, compared = [], 0
    for number, dialog in enumerate(_refusing()[part::4]):
        for decision in await _kept(dialog, tmp_path / str(number)):
            if decision.verb != "reject" or decision.reply.startswith("451 4.3."):  # what failed is not asked again
                continue
            compared += 1
            event = decision.events[decision.decisive] if decision.decisive >= 0 else None
            if event is None and not any(words in decision.implied for words in SAID_BY_NONE):
                unknown.append(f"{dialog.name} {decision.reply}: {decision.implied}")
    assert compared >= LEAST // 4
    assert not unknown, "\n".join(unknown)
