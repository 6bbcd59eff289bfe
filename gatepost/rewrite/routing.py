"""Transports, relay hosts and the tables over them: the part of resolving that probes may have their own of."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from gatepost.mail.address import fold
from gatepost.rewrite.address_classes import AddressClass, LocalDomains
from gatepost.rewrite.transport import TransportMaps
from gatepost.tables.address_find import QueryForm, find_address
from gatepost.tables.maps import Maps
from gatepost.tables.table import LookupTemporaryFailure


class Delimiters(msgspec.Struct, frozen=True):
    """How address extensions are parted (see gatepost.mail.address.split_extension)."""

    recipient_delimiter: str
    owner_request_special: bool
    double_bounce_sender: str


class RoutingParameters(msgspec.Struct, frozen=True):
    """`transport[:nexthop]` of each class, and the relay host; for probes those of address_verify_*.

    `prefix` is "address_verify_" or "": what the parameters' names start with. The keys are what the null sender is
    looked up as.
    """

    local_transport: str
    virtual_transport: str
    relay_transport: str
    default_transport: str
    relayhost: str
    null_relayhost_key: str
    null_transport_key: str
    prefix: str = ""


_TRANSPORT_PARAMETERS = {
    AddressClass.LOCAL: "local_transport",
    AddressClass.VIRTUAL_MAILBOX: "virtual_transport",
    AddressClass.RELAY: "relay_transport",
    AddressClass.DEFAULT: "default_transport",
}


class Trace(Protocol):
    """Is told how a route comes about, step by step; each step may replace the one before."""

    def classified(self, address_class: AddressClass, parameter: str, domain: str) -> None:
        """The class, and the list of domains that decided it (empty: none has the domain)."""
        ...

    def transport(self, parameter: str, value: str) -> None:
        """The parameter, or the table's entry, that gives the transport."""
        ...

    def nexthop(self, parameter: str, value: str) -> None:
        """The parameter or table that gives the next hop; empty: the recipient's domain."""
        ...

    def own_nexthop(self) -> None:
        """The next hop is that in the value which gives the transport."""
        ...


class Routing:
    """One set of routing parameters and tables. `trace`, if set, is told of each decision."""

    def __init__(
        self,
        parameters: RoutingParameters,
        delimiters: Delimiters,
        local_domains: LocalDomains,
        *,
        transport_maps: TransportMaps,
        sender_dependent_relayhost_maps: Maps,
        sender_dependent_default_transport_maps: Maps,
        relocated_maps: Maps,
        warn: Callable[[str], None],
    ) -> None:
        self.local_transport = parameters.local_transport
        self.virtual_transport = parameters.virtual_transport
        self.relay_transport = parameters.relay_transport
        self.transport_maps = transport_maps
        self.relocated_maps = relocated_maps
        self._parameters = parameters
        self._delimiters = delimiters
        self._local_domains = local_domains
        self._relayhost_maps = sender_dependent_relayhost_maps
        self._default_transport_maps = sender_dependent_default_transport_maps
        self._warn = warn
        self.trace: Trace | None = None

    @property
    def depends_on_sender(self) -> bool:
        """Does the sender matter?"""
        return bool(self._relayhost_maps or self._default_transport_maps)

    @property
    def constant(self) -> bool:
        """Do the answers stay the same until the configuration changes?"""
        return not (self.depends_on_sender or self.transport_maps or self.relocated_maps)

    def transport_parameter(self, address_class: AddressClass) -> str:
        """The name of the parameter that gives this class its transport."""
        return self._parameters.prefix + _TRANSPORT_PARAMETERS.get(address_class, "transport_maps")

    async def find_transport(self, recipient: str) -> str | None:
        """The transport table's entry. Raises LookupTemporaryFailure."""
        try:
            return await self.transport_maps.find(recipient)
        except LookupTemporaryFailure:
            self._warn(f"{self.transport_maps.parameter} lookup failure")
            raise

    async def find_relocated(self, recipient: str) -> str | None:
        """Where the recipient has moved to. Raises LookupTemporaryFailure."""
        return await self._find(self.relocated_maps, recipient)

    async def default_transport_for(self, sender: str) -> str:
        """`transport[:nexthop]` for mail to other hosts, of this sender. Raises LookupTemporaryFailure."""
        own = await self._of_sender(self._default_transport_maps, sender or self._parameters.null_transport_key)
        value = self._parameters.default_transport if own is None else own
        if self.trace is not None:
            self.trace.transport(self._name("default_transport", self._default_transport_maps, own), value)
        return value

    async def relayhost_for(self, sender: str) -> str:
        """The relay host for mail of this sender to other hosts, "" for none. Raises LookupTemporaryFailure.

        DUNNO is as good as no entry, but ends the search.
        """
        own = await self._of_sender(self._relayhost_maps, sender or self._parameters.null_relayhost_key)
        value = self._parameters.relayhost if own is None else own
        if self.trace is not None and value:
            self.trace.nexthop(self._name("relayhost", self._relayhost_maps, own), value)
        return value

    def _name(self, parameter: str, maps: Maps, own: str | None) -> str:
        return self._parameters.prefix + parameter if own is None else maps.parameter

    async def _of_sender(self, maps: Maps, key: str) -> str | None:
        found = await self._find(maps, key)
        return None if found is None or fold(found) == "dunno" else found

    async def _find(self, maps: Maps, address: str) -> str | None:
        if not maps:
            return None
        try:
            found = await find_address(
                maps,
                address,
                recipient_delimiter=self._delimiters.recipient_delimiter,
                is_local=self._local_domains.is_local_or_origin,
                query_form=QueryForm.EXTERNAL_FIRST,
                owner_request_special=self._delimiters.owner_request_special,
                double_bounce_sender=self._delimiters.double_bounce_sender,
            )
        except LookupTemporaryFailure:
            self._warn(f"{maps.parameter} lookup failure")
            raise
        return None if found is None else found.value
