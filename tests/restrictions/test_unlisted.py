import pytest

from tests.restrictions.world import ALICE, NOBODY, answers, session, stranger

UNKNOWN = "<{}>: Recipient address rejected: User unknown in {} table"


@pytest.mark.parametrize(
    "main_cf",
    [
        "local_recipient_maps =",
        "canonical_maps = inline:{nobody@ours.example=x}",
        "recipient_canonical_maps = inline:{@ours.example=x}",
        "virtual_alias_maps = inline:{nobody@ours.example=x}",
        "local_recipient_maps = inline:{nobody@ours.example=x}",
        "local_recipient_maps = inline:{@ours.example=x}",
    ],
)
async def test_listed(main_cf: str) -> None:
    assert await answers(main_cf, NOBODY) == ["OK"]


async def test_sender_canonical_maps_are_for_senders() -> None:
    main_cf = "sender_canonical_maps = inline:{nobody@ours.example=x}\nsmtpd_reject_unlisted_sender = yes"
    assert await answers(main_cf, ALICE, facts=session("192.0.2.1", sender=NOBODY)) == ["OK"]
    assert (await answers(main_cf, NOBODY))[0].startswith("550 5.1.1")


@pytest.mark.parametrize(
    ("recipient", "code", "table"),
    [
        (NOBODY, "550 5.1.1", "local recipient"),
        ("x@va.example", "451 4.1.1", "virtual alias"),
        ("x@vm.example", "552 5.1.1", "virtual mailbox"),
        ("x@relayed.example", "453 4.1.1", "relay recipient"),
    ],
)
async def test_unknown_in_each_class(recipient: str, code: str, table: str) -> None:
    main_cf = (
        "virtual_alias_domains = va.example\nvirtual_alias_maps = inline:{y@va.example=z}\n"
        "virtual_mailbox_domains = vm.example\nvirtual_mailbox_maps = inline:{y@vm.example=z}\n"
        "relay_recipient_maps = inline:{y@relayed.example=z}\nunknown_virtual_alias_reject_code = 451\n"
        "unknown_virtual_mailbox_reject_code = 552\nunknown_relay_recipient_reject_code = 453\n"
    )
    assert await answers(main_cf, recipient) == [f"{code} {UNKNOWN.format(recipient, table)}"]
    short = f"{code} <{recipient}>: Recipient address rejected: User unknown"
    assert await answers(main_cf + "show_user_unknown_table_name = no\n", recipient) == [short]
    known = "y" + recipient[recipient.index("@") :] if recipient != NOBODY else ALICE
    assert await answers(main_cf, known) == ["OK"]


async def test_users_that_every_host_has() -> None:
    for user in ("postmaster", "MAILER-DAEMON", "double-bounce", "Postmaster"):
        assert await answers("", f"{user}@ours.example") == ["OK"]


async def test_transports_that_refuse() -> None:
    main_cf = "transport_maps = inline:{{client.example=error:5.1.6 moved on}, {addressonly.example=retry:4.4.1 later}}"
    local = session("192.168.87.2")
    assert await answers(main_cf, "x@client.example", "x@addressonly.example", facts=local) == [
        "550 5.1.6 <x@client.example>: Recipient address rejected: moved on",
        "450 4.4.1 <x@addressonly.example>: Recipient address rejected: later",
    ]


async def test_extensions() -> None:
    assert await answers("recipient_delimiter = +", "alice+x@ours.example", "nobody+x@ours.example") == [
        "OK",
        f"550 5.1.1 {UNKNOWN.format('nobody+x@ours.example', 'local recipient')}",
    ]


async def test_tables_that_cannot_tell() -> None:
    failure = "451 4.3.0 <alice@ours.example>: Temporary lookup failure"
    for parameter in ("local_recipient_maps", "canonical_maps", "virtual_alias_maps"):
        assert await answers(f"{parameter} = fail:x\nvirtual_alias_domains =", ALICE) == [failure]
    # mydestination is asked in resolving already.
    assert await answers("mydestination = fail:x", ALICE, facts=stranger()) == [failure]
