"""The default of `mynetworks`: which addresses are this host's own, and how far around them is trusted."""

import ipaddress

from gatepost.config.host_facts import HostFacts, Interface, IPAddress
from gatepost.config.values import split_list

STYLES = ("class", "subnet", "host")
PROTOCOLS = {"all": {4, 6}, "ipv4": {4}, "ipv6": {6}}


def protocol_versions(inet_protocols: str) -> set[int]:
    """The IP versions (4, 6) that `inet_protocols` names. ValueError with Postfix's words for anything else."""
    versions: set[int] = set()
    for item in split_list(inet_protocols):
        if item.lower() not in PROTOCOLS:
            raise ValueError(f'unknown inet_protocols value "{item}" in "{inet_protocols}"')
        versions |= PROTOCOLS[item.lower()]
    return versions


def own_interfaces(inet_interfaces: str, inet_protocols: str, host: HostFacts) -> list[Interface]:
    """The interfaces that mail is received on, in the order of their addresses. ValueError if one does not exist."""
    versions = protocol_versions(inet_protocols)
    local = [item for item in host.interfaces() if item.address.version in versions]
    items = split_list(inet_interfaces)
    if [item.lower() for item in items] == ["all"]:
        chosen = local
    elif [item.lower() for item in items] == ["loopback-only"]:
        chosen = [item for item in local if item.address.is_loopback]
    else:
        chosen = [
            _interface(address, item, local)
            for item in items
            for address in _addresses(item, host)
            if address.version in versions
        ]
    return sorted(set(chosen), key=lambda item: (item.address.version, int(item.address)))


def default_mynetworks(style: str, interfaces: list[Interface]) -> str:
    """The text of `mynetworks` when main.cf does not set it. ValueError for an unknown style."""
    if style not in STYLES:
        raise ValueError(f'unknown mynetworks mask style value "{style}" in "{style}"')
    networks = []
    for address, prefix_length in interfaces:
        if style == "host":
            prefix_length = address.max_prefixlen
        elif style == "class" and address.version == 4:
            prefix_length = _class_prefix(int(address) >> 24)
        shown = str(ipaddress.ip_network(f"{address}/{prefix_length}", strict=False).network_address)
        networks.append(f"[{shown}]/{prefix_length}" if address.version == 6 else f"{shown}/{prefix_length}")
    return " ".join(dict.fromkeys(networks))


def _class_prefix(first_octet: int) -> int:
    if first_octet < 128:
        return 8
    return 16 if first_octet < 192 else 24


def _addresses(item: str, host: HostFacts) -> list[IPAddress]:
    literal = item[1:-1] if item.startswith("[") and item.endswith("]") else item
    try:
        return [ipaddress.ip_address(literal)]
    except ValueError:
        pass
    addresses = host.addresses_of(literal)
    if not addresses:
        raise ValueError(f"config variable inet_interfaces: host not found: {item}")
    return addresses


def _interface(address: IPAddress, item: str, local: list[Interface]) -> Interface:
    for interface in local:
        if interface.address == address:
            return interface
    for interface in local:
        # Linux answers on all of 127.0.0.0/8, not only on the address that the interface shows.
        network = ipaddress.ip_network(f"{interface.address}/{interface.prefix_length}", strict=False)
        if interface.address.is_loopback and address in network:
            return Interface(address, interface.prefix_length)
    raise ValueError(f"no local interface found for {item}")
