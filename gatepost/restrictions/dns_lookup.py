"""DNS as the restrictions ask it: with smtpd_dns_reply_filter, and with Postfix's order of outcomes (dns_lookup(3))."""

import enum
from typing import Protocol

import msgspec

from gatepost.dns.answers import Answer, Record, Resolver, RRType
from gatepost.dns.record_text import record_text
from gatepost.mail.hostname import hostname_gripe, valid_hostaddr, valid_hostname
from gatepost.tables.maps import Maps
from gatepost.tables.table import LookupTemporaryFailure

HOST_NOT_FOUND = "Host not found"
FILTERED = "DNS reply filter drops all results"

# gai_strerror(3) of the GNU C library, which Postfix asks for the addresses of servers.
NO_NAME = "Name or service not known"
NO_ADDRESS = "No address associated with hostname"
TRY_AGAIN = "Temporary failure in name resolution"

RECORD_LIMIT = 100
"""Records of one answer that are looked at; nobody has more, but for mischief."""

_BAD_FILTER = "Invalid DNS reply filter syntax"
_ADDRESS_TYPES: tuple[tuple[int, RRType], ...] = ((4, "A"), (6, "AAAA"))


class Status(enum.IntEnum):
    """What came of a question; of several questions about one name the highest counts."""

    NOT_FOUND = 0
    NULL_MX = 1
    FAIL = 2
    INVALID = 3
    RETRY = 4
    POLICY = 5  # there was something, and the filter has dropped it
    OK = 6


_STATUS = {
    "no_name": Status.NOT_FOUND,
    "no_data": Status.NOT_FOUND,
    "try_again": Status.RETRY,
    "invalid": Status.INVALID,
}


class Found(msgspec.Struct, frozen=True):
    """`records` if `status` is OK. `error`: the words for it (dns_strerror); `why`: the same at length."""

    status: Status
    records: tuple[Record, ...] = ()
    error: str = ""
    why: str = ""


class HostNames(Protocol):
    """The hosts file (dns.hosts.HostsFile)."""

    def addresses(self, name: str) -> tuple[str, ...]: ...


class Warns(Protocol):
    def info(self, text: str) -> None: ...
    def warning(self, text: str) -> None: ...


class DnsLookup:
    """Asks `dns`. `reply_filter`: the tables of smtpd_dns_reply_filter. `versions`: those of inet_protocols (4, 6),
    which limit what `addresses` gives; `hosts` comes before DNS there."""

    __slots__ = ("_dns", "_filter", "_hosts", "_log", "_versions")

    def __init__(
        self, dns: Resolver, reply_filter: Maps, log: Warns, versions: frozenset[int], hosts: HostNames | None
    ) -> None:
        self._dns = dns
        self._filter = reply_filter
        self._log = log
        self._versions = versions
        self._hosts = hosts

    async def lookup(self, name: str, rrtype: RRType) -> Found:
        """Ask one question (dns_lookup)."""
        if not valid_hostname(name):
            # It cannot be in DNS, so nobody is asked.
            return Found(Status.NOT_FOUND, (), HOST_NOT_FOUND, "")
        answer = await self._dns.query(name, rrtype)
        self._gripe(name, rrtype, answer)
        if answer.outcome != "found":
            return Found(_STATUS[answer.outcome], (), answer.reason, _why(name, rrtype, answer))
        if rrtype == "MX" and len(answer.records) == 1 and not answer.records[0].data:
            return Found(Status.NULL_MX, (), f"Domain {name} does not accept mail (nullMX)")  # RFC 7505 3
        records = answer.records
        if len(records) > RECORD_LIMIT:
            self._log.warning(
                f"DNS record count limit ({RECORD_LIMIT}) exceeded -- dropping excess record(s) "
                f"after qname={name} qtype={rrtype}"
            )
            records = records[:RECORD_LIMIT]
        if not self._filter:
            return Found(Status.OK, records)
        return await self._filtered(name, rrtype, records)

    async def first(self, name: str, rrtypes: tuple[RRType, ...], *, mx_decides: bool = False) -> Found:
        """Ask until a type is found; else the highest status of all (dns_lookup_l).

        `mx_decides`: what is malformed, a null MX, and MX records of which the filter has left none, end the search.
        """
        best: Found | None = None
        for rrtype in rrtypes:
            found = await self.lookup(name, rrtype)
            if best is None or found.status > best.status:
                best = found
            status = found.status
            if status is Status.OK or (
                mx_decides
                and (
                    status is Status.INVALID or status is Status.NULL_MX or (status is Status.POLICY and rrtype == "MX")
                )
            ):
                break
        assert best is not None
        return best

    async def every(self, name: str) -> Found:
        """The addresses of `name` as DNS has them, of all kinds that inet_protocols allows, filtered."""
        best = Found(Status.NOT_FOUND, (), HOST_NOT_FOUND)
        records: list[Record] = []
        for version, rrtype in _ADDRESS_TYPES:
            if version in self._versions:
                found = await self.lookup(name, rrtype)
                records += found.records
                if found.status > best.status:
                    best = found
        return Found(best.status, tuple(records), best.error, best.why)

    async def addresses(self, host: str) -> tuple[list[str], str]:
        """The addresses of a host as the system finds them (getaddrinfo): not filtered; or none, and why."""
        if self._hosts is not None:
            listed = [a for a in self._hosts.addresses(host) if (6 if ":" in a else 4) in self._versions]
            if listed:
                return listed, ""
        if not valid_hostname(host):
            return [], NO_NAME
        addresses: list[str] = []
        outcomes: set[str] = set()
        for version, rrtype in _ADDRESS_TYPES:
            if version in self._versions:
                answer = await self._dns.query(host, rrtype)
                outcomes.add(answer.outcome)
                if answer.outcome == "found":
                    addresses += [record.data for record in answer.records]
        if addresses:
            return addresses, ""
        if "try_again" in outcomes:
            return [], TRY_AGAIN
        return [], NO_ADDRESS if "no_data" in outcomes else NO_NAME

    async def _filtered(self, name: str, rrtype: RRType, records: tuple[Record, ...]) -> Found:
        kept: list[Record] = []
        for record in records:
            text = record_text(record)
            try:
                hit = await self._filter.find(text)
            except LookupTemporaryFailure:
                return _filter_trouble(name, rrtype)
            if hit is None:
                kept.append(record)
                continue
            action = hit.value.split(None, 1)[0] if hit.value.strip() else ""
            if action.upper() != "IGNORE":
                self._log.warning(f'smtpd_dns_reply_filter: unknown DNS filter action: "{hit.value}"')
                return _filter_trouble(name, rrtype)
            self._log.info(f"ignoring DNS RR: {text}")
        if kept:
            return Found(Status.OK, tuple(kept))
        return Found(
            Status.POLICY, (), "DNS reply filter policy", f"Error looking up name={name} type={rrtype}: {FILTERED}"
        )

    def _gripe(self, name: str, rrtype: RRType, answer: Answer) -> None:
        """Tell of host names in an answer that are none."""
        if rrtype not in ("MX", "NS"):
            return
        place = f"in resource data of {rrtype} record for {name}:"
        for bad in answer.malformed:
            self._log.warning(f"valid_hostname: {hostname_gripe(bad)}")
            self._log.warning(f"malformed domain name {place} {bad[:100]}")
        for record in answer.records:
            if record.data and not record.data[-1].isalpha() and valid_hostaddr(record.data):
                self._log.warning(f"numeric domain name {place} {record.data[:100]}")


def _filter_trouble(name: str, rrtype: RRType) -> Found:
    return Found(
        Status.RETRY, (), "Host not found, try again", f"Error looking up name={name} type={rrtype}: {_BAD_FILTER}"
    )


def _why(name: str, rrtype: RRType, answer: Answer) -> str:
    prefix = "" if answer.outcome == "invalid" else "Host or domain name not found. "
    return f"{prefix}Name service error for name={name} type={rrtype}: {answer.reason}"
