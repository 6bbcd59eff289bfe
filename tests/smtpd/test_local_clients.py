"""local_header_rewrite_clients."""

import pytest

from gatepost.restrictions.facts import Client, SessionFacts
from gatepost.smtpd.local_clients import LocalClients
from tests.smtpd.world import World

STRANGER = SessionFacts(Client("unknown", "192.0.2.9"))
NEIGHBOUR = SessionFacts(Client("unknown", "127.0.0.9"))


@pytest.mark.parametrize(
    ("value", "facts", "peer", "local"),
    [
        ("permit_inet_interfaces", STRANGER, "192.0.2.9", False),
        ("permit_inet_interfaces", STRANGER, "127.0.0.1", True),
        ("permit_mynetworks", NEIGHBOUR, "127.0.0.9", True),
        ("permit_mynetworks", STRANGER, "192.0.2.9", False),
        ("static:all", STRANGER, "192.0.2.9", True),
        ("check_address_map inline:{192.0.2.9=x}", STRANGER, "192.0.2.9", True),
        ("permit_sasl_authenticated", SessionFacts(Client("u", "192.0.2.9"), sasl_username="joe"), "192.0.2.9", True),
        ("", STRANGER, "127.0.0.1", False),
    ],
)
async def test_local(value: str, facts: SessionFacts, peer: str, local: bool) -> None:
    world = World(f"local_header_rewrite_clients = {value}\n")
    assert await LocalClients(world.settings, world.tables, ("127.0.0.1",))(facts, peer) is local
