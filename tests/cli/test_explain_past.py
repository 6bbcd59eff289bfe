"""gatepost explain of a mail that was refused, after what refused it has been edited."""

import asyncio
import json
import re
import time
from pathlib import Path

import pytest

from gatepost.cli.explain_past import time_of
from gatepost.config.configuration import Configuration
from gatepost.master.decision_log import DecisionLog
from tests.cli.test_explain import Asker
from tests.smtpd.world import Talk, World

MAIN = """\
gatepost_queue_directory = {folder}
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_sender_restrictions = check_sender_access texthash:{folder}/senders
"""


@pytest.fixture
def asker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Asker:
    asker = Asker(tmp_path, capsys)
    asker.configure(MAIN.format(folder=tmp_path))
    (tmp_path / "senders").write_text("x.example  REJECT we know you\n")
    return asker


async def _refused(folder: Path) -> str:
    """Mail is refused by a server; the line of its log, as a file has it."""
    configuration = Configuration.read(str(folder))
    text = (folder / "main.cf").read_text()
    world = World(text, base="")
    log = DecisionLog.of(configuration, 1, lambda text: None)
    assert log is not None
    log.watch(world.env.policy, configuration.master[0])
    async with world:
        talk = await Talk.open(world)
        await talk.reply()
        await talk.say("XCLIENT NAME=c.example ADDR=192.0.2.7")
        await talk.say("EHLO laptop")
        await talk.say("MAIL FROM:<a@x.example>")
        assert (await talk.say("RCPT TO:<b@ours.example>")).startswith("554 ")
        await talk.close()
    await log.close()
    (line,) = [line for line in world.take_log() if "reject:" in line]
    return f"{time.strftime('%b %d %H:%M:%S')} mx postfix/smtpd[33]: {line}"


def test_yesterdays_reason_and_todays_outcome(asker: Asker) -> None:
    line = asyncio.run(_refused(asker.folder))
    (asker.folder / "senders").write_text("y.example  REJECT others\n")
    status, said = asker.ask(line)
    assert status == 0
    assert re.search(r"^Recorded on \w+day \d+ \w+ \d{4}, ", said)
    assert "Client c.example[192.0.2.7], EHLO laptop" in said
    assert f"has x.example: REJECT we know you ({asker.folder}/senders, line 1)" in said
    assert "Answer: 554 5.7.1 <a@x.example>: Sender address rejected: we know you" in said
    assert "main.cf and master.cf have not changed since." in said
    assert "Today: accepted" in said


def test_a_changed_configuration_is_told(asker: Asker) -> None:
    line = asyncio.run(_refused(asker.folder))
    changed = MAIN.format(folder=asker.folder).replace("smtpd_sender_restrictions", "smtpd_client_restrictions")
    asker.configure(changed + "soft_bounce = yes\n")
    _, said = asker.ask(line)
    assert "Since then the configuration has changed:" in said
    assert "main.cf: soft_bounce was not set" in said
    assert "Today: 450 4.7.1 <a@x.example>" not in said


def test_the_same_today(asker: Asker) -> None:
    line = asyncio.run(_refused(asker.folder))
    status, said = asker.ask(line)
    assert status == 1
    assert "Today the answer would be the same." in said


def test_without_a_line(asker: Asker) -> None:
    asyncio.run(_refused(asker.folder))
    _, said = asker.ask("--past", "--client", "192.0.2.7")
    assert "RCPT TO <b@ours.example>" in said
    assert "Recorded on" in said
    assert asker.ask("--past", "--client", "192.0.2.8")[0] == 1


def test_as_it_is_now(asker: Asker) -> None:
    line = asyncio.run(_refused(asker.folder))
    (asker.folder / "senders").write_text("y.example  REJECT others\n")
    _, said = asker.ask("--now", line)
    assert "Recorded on" not in said
    assert "The line of the log tells of another answer:" in said


def test_json(asker: Asker) -> None:
    line = asyncio.run(_refused(asker.folder))
    (asker.folder / "senders").write_text("y.example  REJECT others\n")
    _, said = asker.ask("--json", line)
    told = json.loads(said)
    assert told["reply"] == ""
    assert told["recorded"]["reply"].startswith("554 5.7.1")


def test_when_a_line_was_written() -> None:
    now = time.mktime((2027, 1, 2, 12, 0, 0, 0, 0, -1))
    last_year = time.mktime((2026, 12, 31, 23, 59, 58, 0, 0, -1))
    assert time_of("Dec 31 23:59:58 mx postfix/smtpd[1]: x", now) == last_year
    assert time_of("2026-12-31T23:59:58.123456+00:00 mx postfix/smtpd[1]: x", now) == last_year
    assert time_of("NOQUEUE: reject: x", now) is None
