"""Addresses behind which every stranger looks local: gateways that are inside the trusted networks."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from gatepost.audit.networks import TrustedNetworks
from gatepost.config.gateways import Surroundings


class TrustedGateway(NamedTuple):
    """`grave`: it is the gateway of a container, which puts its own address in place of the clients' as a rule."""

    text: str
    grave: bool


def trusted_gateways(
    around: Surroundings, trusted: TrustedNetworks, allowed: Collection[str]
) -> Iterator[TrustedGateway]:
    """Each gateway that may relay; `allowed`: those that the operator has named (gatepost_trusted_gateways)."""
    for gateway in around.gateways:
        address = str(gateway)
        if address in allowed or not trusted.trusted.has(gateway.max_prefixlen, int(gateway)):
            continue
        item = f"!{address}" if gateway.version == 4 else f"![{address}]"
        remedy = f"put {item} before the networks in mynetworks"
        if around.container:
            text = (
                f"{address} is the gateway of this container: strangers who come through it look as if they were "
                f"{address}, which may relay; {remedy}, or name it in gatepost_trusted_gateways"
            )
        else:
            text = (
                f"{address} is the router of this network and may relay: should it ever pass connections on under its "
                f"own address, every stranger could; {remedy}"
            )
        yield TrustedGateway(text, around.container)
