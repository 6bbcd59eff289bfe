"""The scripts of Postfix's own restriction engine, as far as their restrictions are ours."""

import os
import re
from pathlib import Path

import pytest

from gatepost.dns.fake import FakeResolver
from gatepost.restrictions.registry import NOT_YET
from tests.restrictions.script import ScriptPlayer

ROOT = Path(os.environ.get("GATEPOST_CONFORMANCE", Path(__file__).parents[2] / "../shared/conformance"))
SCRIPTS = {
    "smtpd_acl": True,
    "smtpd_actions": True,
    "smtpd_addr_valid": True,
    "smtpd_check_dsn": True,
    "smtpd_exp": False,  # DNS lists come later
    "smtpd_server": False,  # so does access by a server's name or address
}
_LATER = re.compile("|".join(NOT_YET))
_STAGES = {
    "client_restrictions": "client",
    "helo_restrictions": "helo",
    "sender_restrictions": "mail",
    "recipient_restrictions": "rcpt",
}


def blocks(text: str) -> list[list[str]]:
    """One block per command: its echo and the answer."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith(">>> ") or not found:
            found.append([])
        found[-1].append(re.sub(r"^\./smtpd_check: ", "smtpd: ", line))
    return found


@pytest.mark.parametrize("name", SCRIPTS)
async def test_agrees_with_postfix(name: str) -> None:
    folder = ROOT / "smtpd_check"
    if not folder.exists():
        message = f"no conformance cases at {folder}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    player = ScriptPlayer(FakeResolver.from_file(ROOT / "zone.txt"), str(folder))
    later: set[str] = set()  # commands whose list has restrictions that are not ours yet
    skipped = 0
    for wanted in blocks((folder / f"{name}.ref").read_text()):
        words = wanted[0].removeprefix(">>> ").split(None, 1)
        stage = _STAGES.get(words[0], "") if words else ""
        if stage:
            later.discard(stage)
            if _LATER.search(words[1]):
                later.add(stage)
        answer = await player.play(wanted[0].removeprefix(">>> "))
        if words and words[0] in later:
            skipped += 1
        else:
            assert answer == wanted
    assert bool(skipped) is not SCRIPTS[name]
