from tests.restrictions.world import ALICE, SERVER_ERROR, World, stranger


async def reply(result: str) -> tuple[str, World]:
    world = World(f"smtpd_recipient_restrictions = check_reverse_client_hostname_access static:{result}")
    return await world.rcpt(stranger(), ALICE), world


async def test_an_ok_is_a_mistake() -> None:
    answer, world = await reply("OK")
    assert answer == SERVER_ERROR
    assert world.take_log()[:3] == [
        "warning: restriction check_reverse_client_hostname_access returns OK for stranger.example",
        "warning: this is not allowed for security reasons",
        "warning: use DUNNO instead of OK if you want to make an exception",
    ]


async def test_all_else_is_not() -> None:
    assert (await reply("DISCARD"))[0] == "OK"
    assert (await reply("DUNNO"))[0] == "OK"
    assert (await reply("REJECT"))[0].startswith("554 5.7.1 <stranger.example>: Unverified Client host rejected")
