"""Refusals are kept as they were, within a bound, and mail that is accepted leaves nothing."""

import time
from pathlib import Path

import pytest

from gatepost.audit.explain.decision_files import Decision, DecisionFiles, decisions, kept_configuration
from gatepost.config.configuration import Configuration
from gatepost.master.decision_log import EXPLAINED, DecisionLog
from tests.policy_server import PolicyServer
from tests.smtpd.world import BASE, Talk, World

LIMIT = 1 << 20
MASTER = "smtp inet n - n - - smtpd\n"


class Kept:
    """A World whose decisions are kept in a folder."""

    def __init__(self, folder: Path, main_cf: str, *, limit: int = LIMIT) -> None:
        self.folder = folder / "decisions"
        self.world = World(main_cf, zone="1.0.0.127.list.example A 127.0.0.2\n")
        self.warnings: list[str] = []
        configuration = Configuration.parse(BASE + main_cf, MASTER)
        files = DecisionFiles(self.folder, limit, 2, time.time, 7)
        self.log = DecisionLog(files, configuration, self.warnings.append)
        self.log.watch(self.world.env.policy, configuration.master[0])

    async def mail(self, *recipients: str, sender: str = "a@x.example") -> list[str]:
        """The replies to RCPT; then what waits is written."""
        async with self.world:
            talk = await (await Talk.open(self.world)).greeted()
            await talk.say(f"MAIL FROM:<{sender}>")
            replies = [await talk.say(f"RCPT TO:<{recipient}>") for recipient in recipients]
            await talk.close()
        await self.log.close()
        return replies

    def decisions(self) -> list[Decision]:
        return sorted(decisions(self.folder, "127.0.0.1"), key=lambda decision: decision.time)


async def test_a_refusal_is_kept_with_its_reasons(tmp_path: Path) -> None:
    table = tmp_path / "senders"
    table.write_text("# who may not\nx.example  REJECT go away\n")
    kept = Kept(tmp_path, f"smtpd_sender_restrictions = check_sender_access texthash:{table}\n")
    replies = await kept.mail("b@ours.example")
    (decision,) = kept.decisions()
    assert [decision.reply] == replies == ["554 5.7.1 <a@x.example>: Sender address rejected: go away"]
    assert (decision.listener, decision.stage, decision.verb) == ("smtp", "RCPT", "reject")
    assert (decision.asked.helo, decision.asked.sender, decision.asked.recipient) == (
        "client.example",
        "a@x.example",
        "b@ours.example",
    )
    event = decision.events[decision.decisive]
    assert event.restriction == f"check_sender_access texthash:{table}"
    assert (event.entries[0].value, event.entries[0].place) == ("REJECT go away", f"{table}, line 2")


async def test_what_name_service_said_is_kept(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "smtpd_client_restrictions = reject_rbl_client list.example\n")
    await kept.mail("b@ours.example")
    (decision,) = kept.decisions()
    assert "1.0.0.127.list.example A: 127.0.0.2" in decision.events[decision.decisive].dns


async def test_a_table_that_failed_is_not_asked_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "smtpd_recipient_restrictions = check_sender_access fail:all, reject\n")
    (reply,) = await kept.mail("b@y.example")
    assert reply.startswith("451 4.3.")
    (decision,) = kept.decisions()
    assert decision.reply.startswith("451 4.3.")
    assert decision.events == []


async def test_accepted_mail_leaves_nothing(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "")
    assert await kept.mail("b@ours.example") == ["250 2.1.5 Ok"]
    assert not kept.folder.exists()


async def test_a_message_that_is_held(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "smtpd_sender_restrictions = check_sender_access inline:{ {x.example = HOLD for a look} }\n")
    await kept.mail("b@ours.example")
    (decision,) = kept.decisions()
    assert (decision.verb, decision.events[decision.decisive].entries[0].key) == ("hold", "x.example")


async def test_a_policy_service_is_asked_once_only(tmp_path: Path) -> None:
    async with PolicyServer(["action=reject not you"]) as server:
        kept = Kept(
            tmp_path, f"smtpd_sender_restrictions = check_policy_service inet:127.0.0.1:{server.port}, permit\n"
        )
        await kept.mail("b@ours.example")
        assert len(server.requests) == 1
    (decision,) = kept.decisions()
    assert decision.events[decision.decisive].restriction.startswith("check_policy_service")
    assert "not you" in decision.events[decision.decisive].reply


async def test_a_user_who_is_not_there(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "local_recipient_maps = inline:{known=x}\n")
    await kept.mail("b@ours.example")
    (decision,) = kept.decisions()
    assert decision.decisive == -1
    assert "no table of users" in decision.implied


async def test_a_restriction_that_only_warns_has_not_decided(tmp_path: Path) -> None:
    warned = "smtpd_recipient_restrictions = warn_if_reject reject_plaintext_session\n"
    kept = Kept(tmp_path, f"local_recipient_maps = inline:{{known=x}}\n{warned}")
    await kept.mail("b@ours.example")
    (decision,) = kept.decisions()
    assert any(event.warning for event in decision.events)
    assert decision.decisive == -1
    assert "no table of users" in decision.implied


async def test_of_a_flood_only_some_are_explained_and_no_warning_comes(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "smtpd_recipient_restrictions = reject\nsmtpd_hard_error_limit = 1000\n")
    await kept.mail(*[f"b{number}@ours.example" for number in range(3 * EXPLAINED)])
    found = kept.decisions()
    assert len(found) == 3 * EXPLAINED
    assert sum(not decision.events for decision in found) >= EXPLAINED  # two seconds at most have passed
    assert not kept.warnings


async def test_a_folder_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "decisions").write_text("a file")
    kept = Kept(tmp_path, "smtpd_recipient_restrictions = reject\n")
    await kept.mail("b@ours.example", "c@ours.example")
    assert len(kept.warnings) == 1
    assert kept.warnings[0].startswith("gatepost_decision_log: decisions are not kept")


async def test_the_configuration_of_that_time_is_kept(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "smtpd_recipient_restrictions = reject\n")
    await kept.mail("b@ours.example")
    (decision,) = kept.decisions()
    values = kept_configuration(kept.folder, decision.configuration)
    assert values is not None
    assert values["main.cf"]["smtpd_recipient_restrictions"] == "reject"
    assert "smtp/inet" in values["master.cf"]


@pytest.mark.parametrize("cut", [1, 5, 20, 60])
async def test_a_frame_that_was_cut_short_hides_no_other(tmp_path: Path, cut: int) -> None:
    kept = Kept(tmp_path, "smtpd_recipient_restrictions = reject\n")
    await kept.mail("b@ours.example", "c@ours.example")
    (path,) = kept.folder.glob("*.decisions")
    path.write_bytes(path.read_bytes()[:-cut])
    assert [decision.asked.recipient for decision in kept.decisions()] == ["b@ours.example"]


async def test_an_address_is_not_probed_twice(tmp_path: Path) -> None:
    kept = Kept(
        tmp_path,
        "smtpd_sender_restrictions = reject_unverified_sender\n"
        "transport_maps = inline:{ {x.example = error:5.1.1 nobody there} }\nunverified_sender_reject_code = 550\n",
    )
    (reply,) = await kept.mail("b@ours.example")
    (decision,) = kept.decisions()
    event = decision.events[decision.decisive]
    assert event.restriction == "reject_unverified_sender"
    assert event.reply == reply
    assert "no delivery to the address" in event.reason
