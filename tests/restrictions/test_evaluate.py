from tests.restrictions.world import World, local_client, stranger

RELAY_DENIED = "454 4.7.1 <bob@gmail.example>: Relay access denied"


async def test_local_clients_relay_and_strangers_do_not() -> None:
    world = World()
    assert await world.rcpt(local_client(), "bob@gmail.example") == "OK"
    assert world.take_log() == []
    assert await world.rcpt(stranger(), "bob@gmail.example") == RELAY_DENIED
    assert world.take_log() == [
        f"NOQUEUE: reject: RCPT from stranger.example[80.62.116.127]: {RELAY_DENIED}; "
        "from=<a@client.example> to=<bob@gmail.example> proto=SMTP helo=<client.example>"
    ]


async def test_strangers_write_to_our_users() -> None:
    world = World()
    assert await world.rcpt(stranger(), "alice@ours.example") == "OK"
    assert await world.rcpt(stranger(), "any@relayed.example") == "OK"
    assert await world.rcpt(stranger(), "postmaster") == "OK"
    unknown = "550 5.1.1 <nobody@ours.example>: Recipient address rejected: User unknown in local recipient table"
    assert await world.rcpt(stranger(), "nobody@ours.example") == unknown
    assert await world.rcpt(local_client(), "nobody@ours.example") == unknown
