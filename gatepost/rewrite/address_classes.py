"""Address classes: which domains are ours, and in which way (ADDRESS_CLASS_README)."""

import enum
import ipaddress
from collections.abc import Awaitable, Callable, Iterable

from gatepost.mail.address import fold
from gatepost.mail.hostname import valid_mailhost_addr
from gatepost.tables.match_list import MatchList
from gatepost.tables.table import LookupTemporaryFailure


async def _is_in(question: Awaitable[bool]) -> bool:
    """For a warning only: the class of the domain is known, and a list that cannot tell does not change it."""
    try:
        return await question
    except LookupTemporaryFailure:
        return False


class AddressClass(enum.Enum):
    """What a domain is to us. The values are as in logs and explanations."""

    LOCAL = "local"
    VIRTUAL_ALIAS = "virtual alias"
    VIRTUAL_MAILBOX = "virtual mailbox"
    RELAY = "relay"
    DEFAULT = "default"


IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def _numbers(addresses: Iterable[str]) -> frozenset[IpAddress]:
    """The addresses as numbers; a zone (`%eth0`) does not count."""
    return frozenset(ipaddress.ip_address(address.partition("%")[0]) for address in addresses)


class LocalDomains:
    """The domains that this host is the final destination of: mydestination, and literals of its own addresses.

    `own_addresses` are those of inet_interfaces and proxy_interfaces, as numbers without brackets. Raises ValueError
    for one that is no address.
    """

    __slots__ = ("_addresses", "_destinations", "_myorigin")

    def __init__(self, destinations: MatchList, own_addresses: Iterable[str], myorigin: str) -> None:
        self._destinations = destinations
        self._addresses = _numbers(own_addresses)
        self._myorigin = fold(myorigin)

    async def is_local_domain(self, domain: str) -> bool:
        """Is mail for this domain, or address literal, for us (resolve_local(3))? Raises LookupTemporaryFailure."""
        if domain.endswith("."):
            # One dot at the end is harmless; it should have been removed before.
            domain = domain[:-1]
            if domain.endswith("."):
                return False
        if not domain:
            return False
        if await self._destinations.match_string(domain):
            return True
        return domain[0] == "[" and domain[-1] == "]" and self._is_own_address(domain[1:-1])

    async def is_local_or_origin(self, domain: str) -> bool:
        """As is_local_domain, and true for $myorigin: where tables may be asked for the bare local part."""
        return fold(domain) == self._myorigin or await self.is_local_domain(domain)

    @property
    def constant(self) -> bool:
        """Do the answers stay the same until the configuration changes?"""
        return is_constant(self._destinations)

    async def decisive_item(self, domain: str) -> str:
        """The item of mydestination that has the domain; empty if it is a literal. Raises LookupTemporaryFailure."""
        return str(await self._destinations.decisive_item(domain.removesuffix("."), subdomains=False) or "")

    def _is_own_address(self, literal: str) -> bool:
        bare = valid_mailhost_addr(literal)
        if bare is None:
            return False
        try:
            return ipaddress.ip_address(bare) in self._addresses
        except ValueError:
            return False  # Postfix's check lets `1:2:3` pass; no host has it


def is_constant(matches: MatchList) -> bool:
    """Does the list hold neither tables nor files, which may change at any time?"""
    return not matches.has_tables and "/" not in matches.text


class ClassLists:
    """The lists of domains behind the other classes; the local class comes before them (LocalDomains)."""

    __slots__ = ("relay_domains", "virtual_alias_domains", "virtual_mailbox_domains", "warn")

    def __init__(
        self,
        virtual_alias_domains: MatchList,
        virtual_mailbox_domains: MatchList,
        relay_domains: MatchList,
        warn: Callable[[str], None] | None,
    ) -> None:
        """`warn` is told of domains in two lists (helpful_warnings); None: nobody is."""
        self.virtual_alias_domains = virtual_alias_domains
        self.virtual_mailbox_domains = virtual_mailbox_domains
        self.relay_domains = relay_domains
        self.warn = warn

    async def classify(self, domain: str) -> AddressClass:
        """The class of a domain that is not local. Raises LookupTemporaryFailure."""
        if await self.virtual_alias_domains.match_string(domain):
            await self._warn_of(domain, self.virtual_alias_domains, self.virtual_mailbox_domains, self.relay_domains)
            return AddressClass.VIRTUAL_ALIAS
        if await self.virtual_mailbox_domains.match_string(domain):
            await self._warn_of(domain, self.virtual_mailbox_domains, self.relay_domains)
            return AddressClass.VIRTUAL_MAILBOX
        if await self.relay_domains.match_name(domain):
            return AddressClass.RELAY
        return AddressClass.DEFAULT

    async def decisive_item(self, address_class: AddressClass, domain: str) -> str:
        """The item that put the domain into its class; empty if none did. Raises LookupTemporaryFailure."""
        lists = {
            AddressClass.VIRTUAL_ALIAS: self.virtual_alias_domains,
            AddressClass.VIRTUAL_MAILBOX: self.virtual_mailbox_domains,
            AddressClass.RELAY: self.relay_domains,
        }
        matches = lists.get(address_class)
        if matches is None:
            return ""
        return str(await matches.decisive_item(domain, subdomains=matches is self.relay_domains) or "")

    async def warn_of_local(self, domain: str) -> None:
        """Tell of a local domain that is virtual, too."""
        if self.warn is None:
            return
        for matches in (self.virtual_alias_domains, self.virtual_mailbox_domains):
            if await _is_in(matches.match_string(domain)):
                self.warn(f"do not list domain {domain} in BOTH mydestination and {matches.parameter}")

    @property
    def constant(self) -> bool:
        """Do the answers stay the same until the configuration changes?"""
        return all(map(is_constant, (self.virtual_alias_domains, self.virtual_mailbox_domains, self.relay_domains)))

    async def _warn_of(self, domain: str, this: MatchList, *others: MatchList) -> None:
        if self.warn is None:
            return
        for other in others:
            # Only relay_domains has subdomains of its names.
            listed = other.match_name(domain) if other is self.relay_domains else other.match_string(domain)
            if await _is_in(listed):
                self.warn(f"do not list domain {domain} in BOTH {this.parameter} and {other.parameter}")
