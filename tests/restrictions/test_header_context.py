import pytest

from tests.restrictions.world import World, local_client, stranger


@pytest.mark.parametrize(
    ("value", "address", "context"),
    [
        ("permit_inet_interfaces", "127.0.0.1", "local"),
        ("permit_inet_interfaces", "192.168.87.2", "remote"),
        ("permit_mynetworks", "192.168.87.2", "local"),
        ("inline:{192.168.87.2=x}", "192.168.87.2", "local"),
        ("check_address_map inline:{192.168.87.3=x}", "192.168.87.2", "remote"),
        ("static:all", "192.168.87.2", "local"),
        ("", "127.0.0.1", "remote"),
        ("permit_tls_clientcerts, Permit_MyNetworks", "192.168.87.2", "local"),
    ],
)
async def test_context(value: str, address: str, context: str) -> None:
    world = World(f"local_header_rewrite_clients = {value}")
    assert world.take_log() == []
    assert await world.policy.header_context(local_client(), address) == context


async def test_a_stranger_is_remote() -> None:
    world = World("local_header_rewrite_clients = permit_mynetworks, permit_sasl_authenticated, nonsense")
    assert world.take_log() == ["warning: parameter local_header_rewrite_clients: invalid request: nonsense"]
    assert await world.policy.header_context(stranger(), "80.62.116.127") == "remote"


async def test_a_table_that_cannot_tell() -> None:
    world = World("local_header_rewrite_clients = fail:x")
    reply = await world.policy.header_context(stranger(), "80.62.116.127")
    assert not isinstance(reply, str)
    assert reply.line() == "451 4.3.0 Temporary lookup error"
    assert world.take_log()[-1].startswith(
        "NOQUEUE: reject: RCPT from stranger.example[80.62.116.127]: 451 4.3.0 Temporary lookup error;"
    )
