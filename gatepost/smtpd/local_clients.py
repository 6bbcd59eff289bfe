"""local_header_rewrite_clients: whose message headers are completed with our own domain (postconf(5))."""

import ipaddress
from collections.abc import Iterable

from gatepost.config.settings import Settings
from gatepost.restrictions.facts import SessionFacts
from gatepost.tables.braces import split_items
from gatepost.tables.match_list import MatchList
from gatepost.tables.opening import Tables
from gatepost.tables.table import Table


class LocalClients:
    """Asked once per MAIL. Raises LookupTemporaryFailure if a table cannot tell.

    `own_addresses` are those of inet_interfaces; `warn` takes the text of a log warning.
    """

    __slots__ = ("_addresses", "_checks")

    def __init__(self, settings: Settings, tables: Tables, own_addresses: Iterable[str]) -> None:
        """Raises ConfigError for a table that cannot be opened or an item that is none of the known ones."""
        self._addresses = frozenset(str(ipaddress.ip_address(a.partition("%")[0])) for a in own_addresses)
        self._checks: list[str | MatchList | Table] = []
        items = split_items(settings.local_header_rewrite_clients)
        for item in items:
            name = item.lower()
            if name == "permit_mynetworks":
                parents = "mynetworks" in split_items(settings.parent_domain_matches_subdomains)
                self._checks.append(MatchList.compile("mynetworks", settings.mynetworks, tables, match_parent=parents))
            elif ":" in item:
                self._checks.append(tables.open(item))
            elif name != "check_address_map":
                self._checks.append(name)

    async def __call__(self, facts: SessionFacts, peer: str) -> bool:
        """`peer` is where the connection comes from: XCLIENT does not make a stranger of our own front end here."""
        client = facts.client
        for check in self._checks:
            if isinstance(check, str):
                if check == "permit_inet_interfaces" and peer in self._addresses:
                    return True
                if check == "permit_sasl_authenticated" and facts.sasl_username:
                    return True
            elif isinstance(check, MatchList):
                if await check.match_host(client.name, client.address):
                    return True
            elif await check.lookup(client.address) is not None:
                return True
        return False
