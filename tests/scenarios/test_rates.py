"""gatepost_destination_rates in a running system: one destination is held to its rate, another goes on."""

import contextlib
import time
from collections.abc import Iterator

import pytest

from tests.scenarios.peers import Peer
from tests.scenarios.server import Gatepost, temporary_folder, until

MAIN_CF = """\
myhostname = relay.home.example
mydestination =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
"""


@pytest.fixture(params=[[], ["--single-process"]], ids=["processes", "single-process"])
def mode(request: pytest.FixtureRequest) -> list[str]:
    options: list[str] = request.param
    return options


@contextlib.contextmanager
def two_destinations(mode: list[str], rate: str) -> Iterator[tuple[Gatepost, Peer, Peer]]:
    """A relay; slow.example, which has this rate; quick.example, which has none."""
    slow, quick = Peer(), Peer()
    hops = f"slow.example=smtp:[127.0.0.1]:{slow.port}, quick.example=smtp:[127.0.0.1]:{quick.port}"
    rates = f"inline:{{ {{ [127.0.0.1]:{slow.port} = {rate} }} }}"
    more = f"transport_maps = inline:{{ {hops} }}\ngatepost_destination_rates = {rates}\n"
    with temporary_folder() as folder:
        server = Gatepost(folder, MAIN_CF + more).start(*mode)
        try:
            yield server, slow, quick
        finally:
            server.stop()
            slow.stop()
            quick.stop()


def test_a_destination_has_its_rate_and_another_does_not_wait(mode: list[str]) -> None:
    with two_destinations(mode, "2/s") as (server, slow, quick):
        begin = time.monotonic()
        for number in range(5):
            server.send("ann@home.example", f"r{number}@slow.example")
        for number in range(5):
            server.send("ann@home.example", f"r{number}@quick.example")
        until(lambda: len(quick.messages) == 5, "mail for quick.example")
        until(lambda: len(slow.messages) == 5, "mail for slow.example")
        # Five deliveries take four intervals of half a second, less the tenth that may be caught up with.
        assert time.monotonic() - begin >= 4 * 0.5 - 0.1


def test_a_rate_holds_across_a_restart_and_a_reload(mode: list[str]) -> None:
    with two_destinations(mode, "24/day") as (server, slow, quick):
        server.send("ann@home.example", "first@slow.example")
        until(lambda: len(slow.messages) == 1, "the first message")
        server.stop()
        server.start(*mode)
        for number in range(2):
            server.send("ann@home.example", f"next{number}@slow.example")
            server.send("ann@home.example", f"r{number}@quick.example")
            until(lambda count=number + 1: len(quick.messages) == count, "mail for quick.example")  # type: ignore[misc]
            if not number:
                server.command("reload")
                server.wait_log("reload -- version")
        assert len(slow.messages) == 1
        assert len(server.queued()) == 2
