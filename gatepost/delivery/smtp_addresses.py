"""From a destination to the addresses to try, in their order (RFC 5321 5.1; smtp_addr.c's rules)."""

import random
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from gatepost.delivery.smtp_destination import Destination
from gatepost.delivery.smtp_dns import Filtered
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.dns.answers import Answer, Record, Resolver
from gatepost.dns.hostname import query_name
from gatepost.dns.hosts import HostsFile, canonical_address
from gatepost.dns.record_text import name_error
from gatepost.mail.hostname import valid_hostaddr

LOOP_DSN = ".4.6"
SMTP_PORT = 25

# The C library's words (gai_strerror) for look-ups through the hosts file.
_NONAME = "Name or service not known"
_NODATA = "No address associated with hostname"
_AGAIN = "Temporary failure in name resolution"

# Of the answers for several types the weightiest is told, of equals the last.
_WEIGHT = {"try_again": 2, "invalid": 1, "no_data": 0, "no_name": 0}


class Origin(msgspec.Struct, frozen=True):
    """How DNS has led to an address: `name` was looked up, `real_name` is where its aliases end. The same of the
    `domain` whose MX or SRV records have named the host; empty if there are none. `authentic`: the address records are
    so; `forgeable`: those that have named the host are not.
    """

    name: str
    real_name: str
    authentic: bool = False
    domain: str = ""
    real_domain: str = ""
    forgeable: bool = False


class Target(msgspec.Struct, frozen=True):
    """One address of one host. `best`: it has the best preference that was found; `only`: there is no other address.
    Port 0: `address` is a Unix socket. `origin`: with smtp_dns_support_level = dnssec, of what DNS has.

    `namaddr` is `host[address]`, as texts have it; `namaddrport` `host[address]:port`, as relay= has it. They are made
    once: each message that goes there needs them several times.
    """

    host: str
    address: str
    port: int
    preference: int = 0
    best: bool = True
    only: bool = False
    namaddr: str = ""
    namaddrport: str = ""
    origin: Origin | None = None

    def __post_init__(self) -> None:
        namaddr = f"{self.host}[{self.address}]"
        msgspec.structs.force_setattr(self, "namaddr", namaddr)
        msgspec.structs.force_setattr(self, "namaddrport", f"{namaddr}:{self.port}" if self.port else namaddr)


class BackupTargets(list[Target]):
    """The hosts that are better than this one, which is a backup for the destination."""


class NoAddress(msgspec.Struct, frozen=True):
    """Why there is nowhere to go. `backup`: this host is one of those listed. `exists`: the name does, no address."""

    dsn: str
    text: str
    backup: bool = False
    exists: bool = False

    @property
    def soft(self) -> bool:
        return self.dsn.startswith("4")


class AddressFinder:
    """Looks up where a destination's mail goes.

    `own_addresses`: those of this host and proxy_interfaces, in canonical form, for loop detection (port 25 only).
    `hosts` is needed for `native` in smtp_host_lookup.
    """

    def __init__(
        self,
        params: SmtpParams,
        resolver: Resolver,
        hosts: HostsFile | None,
        rng: random.Random,
        own_addresses: frozenset[str],
        warn: Callable[[str], object],
    ) -> None:
        self._params = params
        self._resolver = resolver
        self._hosts = hosts
        self._rng = rng
        self._own = own_addresses
        self._warn = warn
        self._dnssec = params.dns_support_level == "dnssec"

    async def find(self, destination: Destination) -> list[Target] | NoAddress:
        """The addresses to try, best first, or why there are none. Never raises; suspends only for DNS."""
        if not destination.use_mx:
            return await self._host(destination)
        if destination.service and (found := await self._service(destination)) is not None:
            return found
        try:
            answer = await self._resolver.query(destination.domain, "MX")
        except Filtered as filtered:
            return NoAddress(filtered.dsn, filtered.text)
        match answer.outcome:
            case "found":
                if any(not record.data for record in answer.records):
                    return NoAddress("5.1.0", f"Domain {destination.domain} does not accept mail (nullMX)")
                return await self._mx(destination, answer)
            case "no_name" | "no_data":
                return await self._host(destination)
            case "invalid":
                failure = NoAddress("5.4.4", name_error(destination.domain, "MX", answer))
            case _:
                failure = NoAddress("4.4.3", name_error(destination.domain, "MX", answer))
        return await self._host(destination) if self._params.ignore_mx_lookup_error else failure

    async def _service(self, destination: Destination) -> list[Target] | NoAddress | None:
        """The servers that SRV records name (RFC 2782); None: MX records are to be looked at instead."""
        params, service = self._params, f"_{destination.service}._tcp.{destination.domain}"
        try:
            answer = await self._resolver.query(service, "SRV")
        except Filtered as filtered:
            return NoAddress(filtered.dsn, filtered.text)
        if answer.outcome != "found":
            absent = answer.outcome in ("no_name", "no_data")
            if params.srv_lookup_fallback if absent else params.ignore_srv_lookup_error:
                return None
            dsn = "4.4.3" if answer.outcome == "try_again" else "5.4.4"
            return NoAddress(dsn, name_error(service, "SRV", answer))
        servers = in_srv_order(answer.records, self._rng)
        if not servers:
            return NoAddress("5.1.0", f"Service {service} is not offered (null SRV)")
        targets: list[Target] = []
        failure: NoAddress | None = None
        for preference, host, port in servers:
            found = await self._addresses(host, port, preference)
            if not isinstance(found, NoAddress):
                targets += found
            elif failure is None or found.soft:
                failure = found
        if not targets:
            self._warn(f"no SRV host for {service} has a valid address record")
            return failure
        targets = self._named_by(answer, service, targets)
        ours = self._own_preference([target for target in targets if target.port == SMTP_PORT], SMTP_PORT)
        if ours is not None:
            targets = [target for target in targets if target.preference < ours]
        if not targets:
            return NoAddress("5.4.6", f"mail for {service} loops back to myself")
        best = targets[0].preference
        return [t if t.preference == best else msgspec.structs.replace(t, best=False) for t in targets]

    async def _mx(self, destination: Destination, answer: Answer) -> list[Target] | NoAddress:
        records = sorted(answer.records, key=lambda record: record.preference)
        targets: list[Target] = []
        failure: NoAddress | None = None
        for record in records:
            found = await self._addresses(record.data, destination.port, record.preference)
            if not isinstance(found, NoAddress):
                targets += found
            elif failure is not None and failure.soft and not found.soft:
                # One of the others may have an address tomorrow.
                failure = NoAddress("4" + found.dsn[1:], found.text)
            else:
                failure = found
        if failure is not None and not targets:
            self._warn(f"no MX host for {destination.domain} has a valid address record")
            if self._params.defer_if_no_mx_address_found and not failure.soft:
                return NoAddress("4" + failure.dsn[1:], failure.text)
            return failure
        targets = self._named_by(answer, destination.domain, targets)
        best_found = targets[0].preference
        ours = self._own_preference(targets, destination.port)
        if ours is not None:
            # RFC 5321 5.1: hosts as good as ourselves or worse may not be tried.
            targets = [target for target in targets if target.preference < ours]
            if not targets:
                if records[0].preference != best_found:
                    return NoAddress("4.4.4", f"unable to find primary relay for {destination.domain}", backup=True)
                return NoAddress("5.4.6", f"mail for {destination.domain} loops back to myself", backup=True)
            return BackupTargets(self._ordered(targets))
        return self._ordered(targets)

    def _named_by(self, answer: Answer, domain: str, targets: list[Target]) -> list[Target]:
        """Targets that know which MX or SRV records have led to them, where DANE may have to know."""
        if not self._dnssec:
            return targets
        asked, real = query_name(domain, "MX") or domain, answer.records[0].name
        led = {"domain": asked, "real_domain": real, "forgeable": not answer.authentic}
        found = []
        for target in targets:
            origin = target.origin or Origin(target.host, target.host)
            found.append(msgspec.structs.replace(target, origin=msgspec.structs.replace(origin, **led)))
        return found

    async def _host(self, destination: Destination) -> list[Target] | NoAddress:
        found = await self._addresses(destination.domain, destination.port, 0)
        if isinstance(found, NoAddress):
            return found
        if self._own_preference(found, destination.port) is not None:
            return NoAddress("5.4.6", f"mail for {destination.domain} loops back to myself", backup=True)
        return self._ordered(found)

    def _own_preference(self, targets: Sequence[Target], port: int) -> int | None:
        # Another port is another server: no loop is assumed there.
        if port != SMTP_PORT:
            return None
        for target in targets:
            if target.address in self._own:
                return target.preference
        return None

    async def _addresses(self, host: str, port: int, preference: int) -> list[Target] | NoAddress:
        """All addresses of one host, in the families that are in use."""
        if valid_hostaddr(host):
            return [Target(host, canonical_address(host) or host, port, preference)]
        failure = NoAddress("5.4.4", f"unable to look up host {host}: {_NONAME}")
        dns = "dns" in self._params.host_lookup and not self._params.disable_dns_lookups
        native = "native" in self._params.host_lookup or self._params.disable_dns_lookups
        if dns:
            found = await self._by_dns(host, port, preference)
            if not isinstance(found, NoAddress):
                return found
            if not native or found.dsn != "5.4.4":
                return found
            failure = found
        if native:
            return await self._by_hosts_file(host, port, preference, failure if dns else None)
        return failure

    async def _by_dns(self, host: str, port: int, preference: int) -> list[Target] | NoAddress:
        targets: list[Target] = []
        worst: tuple[Literal["A", "AAAA"], Answer] | None = None
        nothing_left: NoAddress | None = None
        for rrtype in self._types():
            try:
                answer = await self._resolver.query(host, rrtype)
            except Filtered as filtered:
                nothing_left = NoAddress(filtered.dsn, filtered.text)
                continue
            if answer.outcome == "found":
                real = self._params.cname_overrides_servername
                origin = self._origin(host, answer) if self._dnssec else None
                targets += (
                    Target(
                        r.name if real else host, canonical_address(r.data) or r.data, port, preference, origin=origin
                    )
                    for r in answer.records
                )
            elif worst is None or _WEIGHT[answer.outcome] >= _WEIGHT[worst[1].outcome]:
                worst = (rrtype, answer)
        if targets:
            return targets
        if nothing_left is not None:
            return nothing_left
        if worst is None:
            return NoAddress("5.4.4", f"unable to look up host {host}: {_NONAME}")
        dsn = "4.4.3" if worst[1].outcome == "try_again" else "5.4.4"
        return NoAddress(dsn, name_error(host, *worst), exists=worst[1].outcome == "no_data")

    @staticmethod
    def _origin(host: str, answer: Answer) -> Origin:
        return Origin(query_name(host, "A") or host, answer.records[0].name, answer.authentic)

    async def _by_hosts_file(
        self, host: str, port: int, preference: int, by_dns: NoAddress | None
    ) -> list[Target] | NoAddress:
        """As the C library does it: the hosts file, then DNS. `by_dns`: what DNS has said already."""
        listed = self._hosts.addresses(host) if self._hosts is not None else ()
        families = {":" if rrtype == "AAAA" else "." for rrtype in self._types()}
        targets = [Target(host, a, port, preference) for a in listed if (":" if ":" in a else ".") in families]
        if targets:
            return targets
        if by_dns is None:
            found = await self._by_dns(host, port, preference)
            if not isinstance(found, NoAddress):
                return found
            by_dns = found
        # The status codes are Postfix's for what getaddrinfo(3) says.
        dsn, words = ("4.4.4", _AGAIN) if by_dns.soft else ("5.3.0", _NODATA) if by_dns.exists else ("5.4.4", _NONAME)
        return NoAddress(dsn, f"unable to look up host {host}: {words}")

    def _types(self) -> tuple[Literal["A", "AAAA"], ...]:
        protocols = self._params.inet_protocols
        return tuple(t for t, p in (("A", "ipv4"), ("AAAA", "ipv6")) if p in protocols)  # type: ignore[misc]

    def _ordered(self, targets: list[Target]) -> list[Target]:
        """Random among equals, then by preference and preferred family, then balanced."""
        if len(targets) == 1:
            return [msgspec.structs.replace(targets[0], only=True)]
        if self._params.randomize_addresses:
            self._rng.shuffle(targets)
        targets.sort(key=self._rank)
        if self._params.balance_inet_protocols and self._params.mx_address_limit > 1:
            targets = balance_families(targets, self._params.mx_address_limit)
        best = targets[0].preference
        return [t if t.preference == best else msgspec.structs.replace(t, best=False) for t in targets]

    def _rank(self, target: Target) -> tuple[int, bool]:
        match self._params.address_preference:
            case "ipv6":
                return target.preference, ":" not in target.address
            case "ipv4":
                return target.preference, ":" in target.address
            case _:
                return target.preference, False


def balance_families(targets: list[Target], limit: int) -> list[Target]:
    """Leave out surplus addresses of one family, so that both are among the first `limit`."""
    if len(targets) <= limit:
        return targets
    six = sum(":" in target.address for target in targets)
    four = len(targets) - six
    if not six or not four:
        return targets
    four_limit = limit // 2
    if six < limit - four_limit:
        four_limit = limit - six
    elif four < four_limit:
        four_limit = four
    left = {True: limit - four_limit, False: four_limit}
    kept: list[Target] = []
    for target in targets:
        family = ":" in target.address
        if left[family] > 0:
            left[family] -= 1
            kept.append(target)
    return kept


def in_srv_order(records: Sequence[Record], rng: random.Random) -> list[tuple[int, str, int]]:
    """(priority, host, port) of SRV records in the order of RFC 2782: by priority, then by chance after their weights.

    The records of which there is only one, for the root, say that there is no such service: nothing is left.
    """
    left = []
    for record in records:
        weight, port, host = record.data.split(" ")
        if host:
            left.append((record.preference, int(weight), host, int(port)))
    left.sort()  # in each priority those without weight first
    ordered = []
    while left:
        same = [entry for entry in left if entry[0] == left[0][0]]
        pick = rng.randint(0, sum(entry[1] for entry in same))
        for entry in same:
            pick -= entry[1]
            if pick <= 0:
                break
        left.remove(entry)
        ordered.append((entry[0], entry[2], entry[3]))
    return ordered
