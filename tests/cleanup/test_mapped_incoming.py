"""Canonical maps on the way in: tables that must be waited for, that fail, large mail, and what is left alone."""

import asyncio

import pytest

from gatepost.cleanup.mapped_incoming import MappedCleanup
from gatepost.cleanup.pipeline import MailCleanup
from gatepost.config.errors import ConfigError
from gatepost.rewrite.assemble import address_services
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables
from gatepost.tables.table import LookupTemporaryFailure
from tests.cleanup.entrance import REMOTE, Entrance, given
from tests.rewrite.services import Services, settings_for

LARGE = b"large body\n" * 40_000


class SlowTable:
    """Answers only after a turn of the loop, or when told to; `fails`: cannot tell."""

    fixed = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.fails = False
        self.asked: list[str] = []
        self.go = asyncio.Event()
        self.go.set()

    async def lookup(self, key: str) -> str | None:
        self.asked.append(key)
        await asyncio.sleep(0)
        await self.go.wait()
        if self.fails:
            raise LookupTemporaryFailure(self.name, key)
        return "new@dest.example" if key == "old@dest.example" else None


def slow_entrance(monkeypatch: pytest.MonkeyPatch, **changes: str) -> tuple[Entrance, SlowTable]:
    table = SlowTable("slow:t")

    class SlowServices(Services):
        def __init__(self, main_cf: str = "", **changes: str) -> None:
            super().__init__()
            self.settings = settings_for(main_cf, canonical_maps="slow:t", **changes)
            env = TableEnvironment(clock=lambda: 0.0, warn=self.warnings.append, openers={"slow": lambda *_: table})
            self.all = address_services(
                self.settings, Tables(env), (), clock=lambda: 0.0, warn=self.warnings.append
            )  # fmt: skip

    monkeypatch.setattr("tests.cleanup.entrance.Services", SlowServices)
    return Entrance(**changes), table


async def test_without_maps_nothing_of_this_runs() -> None:
    assert type(Entrance().cleanup) is MailCleanup
    assert type(Entrance(canonical_classes="header_sender").cleanup) is MailCleanup
    assert type(Entrance(canonical_maps="inline:{a=b}").cleanup) is MappedCleanup


async def test_headers_prepended_by_access_tables_are_mapped_too() -> None:
    entrance = Entrance(canonical_maps="inline:{{old@dest.example = new@dest.example}}")
    text = await entrance.stored(b"Subject: x\n\nbody\n", transaction=given(prepend=["Reply-To: old@dest.example"]))
    assert "Reply-To: new@dest.example\n" in text


async def test_no_mapping_where_the_transaction_has_none() -> None:
    entrance = Entrance(canonical_maps="inline:{{old@dest.example = new@dest.example}}")
    text = await entrance.stored(
        b"To: old@dest.example\n\nbody\n", transaction=given("old@dest.example", "old@dest.example", mappings=False)
    )
    assert "To: old@dest.example\n" in text
    assert (entrance.messages[0].sender, entrance.messages[0].recipients[0].address) == ("old@dest.example",) * 2


async def test_received_names_the_recipient_as_it_was_given() -> None:
    for keep in ("yes", "no"):
        entrance = Entrance(
            canonical_maps="inline:{{old@dest.example = new@dest.example}}", enable_original_recipient=keep
        )
        text = await entrance.stored(b"\nbody\n", transaction=given("", "old@dest.example"))
        assert "for <old@dest.example>" in text
        stored = entrance.messages[0].recipients[0]
        assert (stored.address, stored.original) == ("new@dest.example", "old@dest.example" if keep == "yes" else "")


async def test_blind_copies_and_aliases_come_after() -> None:
    entrance = Entrance(
        canonical_maps="inline:{{old@dest.example = new@dest.example}}",
        virtual_alias_maps="inline:{{new@dest.example = last@dest.example}}",
    )
    await entrance.stored(b"\nbody\n", transaction=given("", "a@dest.example", bcc=["old@dest.example"]))
    assert [r.address for r in entrance.messages[0].recipients] == ["a@dest.example", "last@dest.example"]


async def test_a_table_that_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    entrance, table = slow_entrance(monkeypatch)
    text = await entrance.stored(b"To: old@dest.example\n\nbody\n", transaction=given("old@dest.example"))
    assert "To: new@dest.example\n" in text
    assert entrance.messages[0].sender == "new@dest.example"
    assert table.asked


async def test_large_mail_goes_on_to_arrive_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    entrance, table = slow_entrance(monkeypatch)
    table.go.clear()
    incoming = entrance.cleanup.open()
    transaction = given("old@dest.example")
    incoming.begin(transaction)
    incoming.write(b"To: old@dest.example\nSubject: x\n")
    for _ in range(3):
        incoming.write(LARGE)
        await asyncio.sleep(0)
    incoming.write(b"the end")
    table.go.set()
    assert (await incoming.finish(transaction)).outcome == "ok"
    message = entrance.messages[0]
    text = entrance.writer.content(message).decode()
    assert "To: new@dest.example\n" in text
    assert text.endswith(LARGE.decode() * 3 + "the end\n")
    assert message.content_file
    assert message.sender == "new@dest.example"


async def test_a_header_section_larger_than_memory_is_meant_for(monkeypatch: pytest.MonkeyPatch) -> None:
    entrance, _ = slow_entrance(monkeypatch)
    long = b"".join(b"X-Number: %d\n" % number for number in range(30_000))
    pieces = [long[at : at + 50_000] for at in range(0, len(long), 50_000)]
    text = await entrance.stored(*pieces, b"To: old@dest.example\n\nbody\n", begin=True)
    assert "To: new@dest.example\n" in text


@pytest.mark.parametrize("begin", [True, False])
@pytest.mark.parametrize("body", [b"body\n", LARGE])
async def test_a_table_that_fails(monkeypatch: pytest.MonkeyPatch, begin: bool, body: bytes) -> None:
    entrance, table = slow_entrance(monkeypatch, canonical_classes="header_recipient")
    table.fails = True
    result = await entrance.send(b"To: old@dest.example\n\n", body, body, begin=begin)
    assert result.outcome == "write"
    assert not entrance.messages
    problem = "canonical_maps map lookup problem for old@dest.example -- message not accepted, try again later"
    assert any(problem in line for line in entrance.log)


async def test_a_client_that_goes_while_a_table_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    entrance, table = slow_entrance(monkeypatch)
    table.go.clear()
    incoming = entrance.cleanup.open()
    incoming.begin(given())
    incoming.write(b"To: old@dest.example\n\n" + LARGE)
    await asyncio.sleep(0)
    incoming.abandon()
    table.go.set()
    await asyncio.sleep(0)
    assert not entrance.messages


async def test_too_large_is_told_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    entrance, table = slow_entrance(monkeypatch, message_size_limit="200000")
    assert (await entrance.send(b"To: old@dest.example\n\n", LARGE, begin=True)).outcome == "size"
    assert not table.asked


async def test_headers_of_remote_clients_are_left_alone() -> None:
    entrance = Entrance(canonical_maps="inline:{{old@dest.example = new@dest.example}}")
    text = await entrance.stored(b"To: old@dest.example\n\nx\n", transaction=given("old@dest.example", origin=REMOTE))
    assert "To: old@dest.example\n" in text
    assert entrance.messages[0].sender == "new@dest.example"


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("canonical_classes", "envelope_sender, nonsense"),
        ("sender_canonical_classes", "header_recipient"),
        ("recipient_canonical_classes", "envelope_sender"),
        ("masquerade_classes", "headers"),
    ],
)
async def test_unknown_classes(parameter: str, value: str) -> None:
    maps = dict.fromkeys(("canonical_maps", "sender_canonical_maps", "recipient_canonical_maps"), "static:x")
    with pytest.raises(ConfigError, match=f"unknown {parameter} value"):
        Entrance(masquerade_domains="m.example", **maps, **{parameter: value})
