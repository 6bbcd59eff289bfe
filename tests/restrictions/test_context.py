from hypothesis import given, settings
from hypothesis import strategies as st

from gatepost.restrictions.facts import Client, SessionFacts
from gatepost.restrictions.registry import registered
from tests.restrictions.world import ALICE, World, stranger

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_ADDRESS = st.one_of(_TEXT, st.from_regex(r"[a-z.%!@\[\]\" ]{0,8}@[a-z.\[\]@-]{0,10}", fullmatch=True))
_ARGUMENTS = {
    "": "",
    "table": "inline:{{a=HOLD}, {com=reject}}",
    "certificates": "inline:{{a=HOLD}, {com=reject}}",
    "number": "0",
    "endpoint": "{ inet:127.0.0.1:1 try_limit=1 }",
    "domain": "list.example=127.0.0.[1..9]",
}
_EVERYTHING = " ".join(
    f"warn_if_reject {entry.name} {_ARGUMENTS[entry.argument]}"
    for entry in registered()
    if not entry.final and entry.permits == "" and entry.argument != "endpoint"  # which would need an event loop
)


def _world() -> World:
    lists = "\n".join(
        f"smtpd_{stage}_restrictions = {_EVERYTHING}"
        for stage in ("client", "helo", "sender", "recipient", "data", "end_of_data", "etrn")
    )
    return World(f"{lists}\nrecipient_delimiter = +\nsmtpd_reject_unlisted_sender = yes")


@settings(max_examples=200, deadline=None)
@given(_TEXT, _TEXT, st.none() | _TEXT, st.none() | _ADDRESS, st.none() | _ADDRESS, st.integers(0, 3), st.booleans())
async def test_any_facts_get_an_answer(
    name: str, address: str, helo: str | None, sender: str | None, recipient: str | None, count: int, utf8: bool
) -> None:
    world = _world()
    facts = SessionFacts(Client(name, address), helo_name=helo, sender=sender, recipient=recipient)
    facts.recipient_count, facts.smtputf8, facts.etrn_name = count, utf8, helo
    policy = world.policy
    for judge in (policy.judge_client, policy.judge_helo, policy.judge_sender, policy.rcpt, policy.vrfy, policy.data):
        reply = await judge(facts)
        assert reply is None or 400 <= reply.code <= 599
    for judge in (policy.end_of_data, policy.etrn):
        reply = await judge(facts)
        assert reply is None or 400 <= reply.code <= 599


async def test_an_address_is_resolved_once_per_command() -> None:
    world = World("smtpd_recipient_restrictions = reject_unlisted_recipient, reject_unauth_destination, inline:{x=OK}")
    asked: list[str] = []
    resolve = world.ports.resolver.resolve

    class Counting:
        async def resolve(self, sender: str, address: str):  # type: ignore[no-untyped-def]
            asked.append(address)
            return await resolve(sender, address)

    object.__setattr__(world.ports, "resolver", Counting())
    assert await world.rcpt(stranger(), ALICE) == "OK"
    assert asked == [ALICE]
