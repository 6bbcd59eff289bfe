"""The name of an SMTP client: address to name, and back again, before anybody believes it (smtpd_peer_init)."""

import ipaddress
from typing import Literal

import msgspec

from gatepost.dns.answers import Answer, Resolver
from gatepost.dns.hosts import HostsFile, canonical_address
from gatepost.mail.hostname import hostname_gripe

UNKNOWN = "unknown"

NameStatus = Literal[2, 4, 5, 6]
NAME_OK: NameStatus = 2
NAME_TEMPORARY: NameStatus = 4
NAME_NONE: NameStatus = 5
NAME_FORGED: NameStatus = 6

# gai_strerror(3) of the GNU C library: what Postfix prints after the colon.
_NONAME = "Name or service not known"
_NODATA = "No address associated with hostname"
_AGAIN = "Temporary failure in name resolution"


class ClientName(msgspec.Struct, frozen=True):
    """What a client may be called.

    `name` is verified, else `unknown`; `reverse_name` is what its address maps to, believed or not. The statuses:
    2 verified, 4 cannot tell now, 5 there is none, 6 the name does not list the address. `warning`, if not empty, is
    a line for the log (without the word `warning: `).
    """

    name: str
    name_status: NameStatus
    reverse_name: str
    reverse_name_status: NameStatus
    warning: str = ""


NO_NAME = ClientName(UNKNOWN, NAME_NONE, UNKNOWN, NAME_NONE)
TEMPORARY_NO_NAME = ClientName(UNKNOWN, NAME_TEMPORARY, UNKNOWN, NAME_TEMPORARY)


async def client_name(address: str, resolver: Resolver, hosts: HostsFile) -> ClientName:
    """Find the name of the client at `address` (hosts file first, then DNS) and confirm that it lists the address.

    Suspends only where `resolver` does. An IPv4 client's name is confirmed by A records, an IPv6 client's by AAAA.
    """
    kept = hosts.kept()
    known: ClientName | None = kept.get(address)
    if known is not None:
        return known
    canonical = canonical_address(address)
    if not canonical:
        return NO_NAME
    name = hosts.name(canonical)
    if name is not None and canonical in hosts.addresses(name) and _is_sound(name):
        # The file alone tells; it holds no more addresses than it has lines.
        known = ClientName(name, NAME_OK, name, NAME_OK)
        if canonical == address:
            kept[address] = known
        return known
    if name is None:
        answer = await resolver.query(ipaddress.ip_address(canonical).reverse_pointer, "PTR")
        if answer.outcome == "try_again":
            return TEMPORARY_NO_NAME
        if answer.outcome != "found":
            return NO_NAME
        name = answer.records[0].data
    # Anybody may write an address or rubbish into a PTR record; neither may enter the logs as a name.
    if canonical_address(name):
        return _without_name(f"numeric hostname: {name}")
    gripe = hostname_gripe(name)
    if gripe is not None:
        return _without_name(f"valid_hostname: {gripe}")
    return await _confirm(name, canonical, resolver, hosts)


def _is_sound(name: str) -> bool:
    return not canonical_address(name) and hostname_gripe(name) is None


def _without_name(warning: str) -> ClientName:
    return ClientName(UNKNOWN, NAME_NONE, UNKNOWN, NAME_NONE, warning)


async def _confirm(name: str, address: str, resolver: Resolver, hosts: HostsFile) -> ClientName:
    ipv6 = ":" in address
    listed = [a for a in hosts.addresses(name) if (":" in a) == ipv6]
    if not listed:
        answer = await resolver.query(name, "AAAA" if ipv6 else "A")
        if answer.outcome != "found":
            status = NAME_TEMPORARY if answer.outcome == "try_again" else NAME_FORGED
            warning = f"hostname {name} does not resolve to address {address}: {_error(answer)}"
            return ClientName(UNKNOWN, status, name, NAME_OK, warning)
        listed = [canonical_address(record.data) for record in answer.records]
    if address in listed:
        return ClientName(name, NAME_OK, name, NAME_OK)
    return ClientName(UNKNOWN, NAME_FORGED, name, NAME_OK, f"hostname {name} does not resolve to address {address}")


def _error(answer: Answer) -> str:
    match answer.outcome:
        case "try_again":
            return _AGAIN
        case "no_data":
            return _NODATA
        case _:
            return _NONAME
