"""Transport and next hop: `transport:nexthop` values, and the search in transport_maps (transport(5))."""

from typing import NamedTuple

from gatepost.tables.address_find import Find, QueryForm, find_address
from gatepost.tables.maps import Maps

TEXT_TRANSPORTS = frozenset(("error", "retry"))  # their next hop is the text that the sender gets to read


class Route(NamedTuple):
    """Name of a master.cf service, and where it is to deliver: host, domain, path or text, as the service likes."""

    transport: str
    nexthop: str


def with_nexthop(parameter_value: str, default_nexthop: str) -> Route:
    """The route that a `*_transport` parameter gives: its own next hop if it has one, else the default."""
    transport, _, nexthop = parameter_value.partition(":")
    return Route(transport, nexthop or default_nexthop)


def overridden(entry: str, route: Route, domain: str) -> Route:
    """`route` as a transport table's entry changes it.

    No transport: it stays, and so does the next hop where the entry has none. A transport without next hop: that is
    the recipient's domain.
    """
    transport, _, nexthop = entry.partition(":")
    if not transport:
        return Route(route.transport, nexthop or route.nexthop)
    if not nexthop:
        nexthop = "Address is undeliverable" if transport in TEXT_TRANSPORTS else domain
    return Route(transport, nexthop)


class TransportMaps:
    """The tables of transport_maps. `parents_match`: parent_domain_matches_subdomains names transport_maps."""

    __slots__ = ("_delimiter", "_double_bounce", "_maps", "_owner_request", "_strategy")

    def __init__(
        self,
        maps: Maps,
        *,
        parents_match: bool,
        recipient_delimiter: str,
        owner_request_special: bool = True,
        double_bounce_sender: str = "double-bounce",
    ) -> None:
        self._maps = maps
        parents = Find.PMS if parents_match else Find.PMDS
        self._strategy = Find.FULL | Find.NOEXT | Find.DOMAIN | parents
        self._delimiter = recipient_delimiter
        self._owner_request = owner_request_special
        self._double_bounce = double_bounce_sender

    def __bool__(self) -> bool:
        return bool(self._maps)

    @property
    def parameter(self) -> str:
        """transport_maps, or that of address probes."""
        return self._maps.parameter

    async def find(self, recipient: str) -> str | None:
        """The entry for a recipient in internal form: address, domain, parent domains, `*`.

        Raises LookupTemporaryFailure.
        """
        found = await find_address(
            self._maps,
            recipient,
            recipient_delimiter=self._delimiter,
            strategy=self._strategy,
            query_form=QueryForm.EXTERNAL_FIRST,
            owner_request_special=self._owner_request,
            double_bounce_sender=self._double_bounce,
        )
        if found is not None:
            return found.value
        wildcard = await self._maps.find_partial("*")
        return None if wildcard is None else wildcard.value
