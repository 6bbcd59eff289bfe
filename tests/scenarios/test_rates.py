"""gatepost_destination_rates in a running system: one destination is held to its rate, another goes on."""

import time
from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as path:
        yield path


@pytest.mark.parametrize("mode", [[], ["--single-process"]], ids=["processes", "single-process"])
def test_a_destination_has_its_rate_and_another_does_not_wait(mode: list[str], folder: Path) -> None:
    slow, quick = Peer(), Peer()
    hops = f"slow.example=smtp:[127.0.0.1]:{slow.port}, quick.example=smtp:[127.0.0.1]:{quick.port}"
    rates = f"inline:{{ {{ [127.0.0.1]:{slow.port} = 2/s }} }}"
    server = Gatepost(folder, f"{MAIN_CF}transport_maps = inline:{{ {hops} }}\ngatepost_destination_rates = {rates}\n")
    server.start(*mode)
    try:
        begin = time.monotonic()
        for number in range(5):
            server.send("ann@home.example", f"r{number}@slow.example")
        for number in range(5):
            server.send("ann@home.example", f"r{number}@quick.example")
        until(lambda: len(quick.messages) == 5, "mail for quick.example")
        until(lambda: len(slow.messages) == 5, "mail for slow.example")
        # Five deliveries take four intervals of half a second, less the tenth that may be caught up with.
        assert time.monotonic() - begin >= 4 * 0.5 - 0.1
    finally:
        server.stop()
        slow.stop()
        quick.stop()


@pytest.mark.parametrize("mode", [[], ["--single-process"]], ids=["processes", "single-process"])
def test_a_rate_holds_across_a_restart_and_a_reload(mode: list[str], folder: Path) -> None:
    slow, quick = Peer(), Peer()
    hops = f"slow.example=smtp:[127.0.0.1]:{slow.port}, quick.example=smtp:[127.0.0.1]:{quick.port}"
    rates = f"inline:{{ {{ [127.0.0.1]:{slow.port} = 24/day }} }}"
    server = Gatepost(folder, f"{MAIN_CF}transport_maps = inline:{{ {hops} }}\ngatepost_destination_rates = {rates}\n")
    server.start(*mode)
    try:
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
    finally:
        server.stop()
        slow.stop()
        quick.stop()
