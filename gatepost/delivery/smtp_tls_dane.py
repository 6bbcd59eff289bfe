"""What DANE says of a server (RFC 7672): its TLSA records, found by names that DNSSEC has secured (tls_dane.c)."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from gatepost.delivery.interface import Log
from gatepost.delivery.smtp_addresses import Origin, Target
from gatepost.delivery.smtp_dns import Filtered
from gatepost.delivery.smtp_tls_params import SmtpTlsParams
from gatepost.dns.answers import Answer, Record, Resolver, RRType
from gatepost.dns.record_text import name_error
from gatepost.tls.tlsa import TlsaRecord, for_smtp, parse_tlsa


class Signed(msgspec.Struct, frozen=True):
    """A server is to be verified by `records`. `base` is the name that they are of (RFC 7672 2.2.2), and what the
    server is told that we look for; `names`: the certificate must have one of them, unless the record is its own.
    `forgeable`: the name of the server itself comes from a DNS answer that nobody has signed.
    """

    base: str
    records: tuple[TlsaRecord, ...]
    names: tuple[str, ...]
    forgeable: bool


class NotSigned(msgspec.Struct, frozen=True):
    """Why a server cannot be verified by DANE: our configuration, its DNS, its records, all of which are of no use, or
    it cannot be known now.
    """

    fault: Literal["configuration", "destination", "records", "unknown"]
    text: str


class _Unknown(Exception):
    """DNS cannot tell now."""


class Dane:
    """`resolver`: one that knows what is authentic. `warn` writes warnings to the mail log; `note`, if it is wanted, a
    line for each record.
    """

    def __init__(self, params: SmtpTlsParams, resolver: Resolver, warn: Log, note: Log | None = None) -> None:
        self._params = params
        self._resolver = resolver
        self._warn = warn
        self._note = note
        self._hindrance = hindrance(params)

    async def find(self, level: str, nexthop: str, target: Target) -> Signed | NotSigned:
        """`level`: `dane` or `dane-only`; `nexthop`: as the transport has it."""
        if self._hindrance:
            return NotSigned("configuration", f"{nexthop}: {self._hindrance.format(level=level)}")
        origin = target.origin or Origin(target.host, target.host)
        insecure = self._params.dane_insecure_mx_policy
        if origin.forgeable and (level == "dane-only" or insecure == "may"):
            return NotSigned("destination", "non DNSSEC destination")
        try:
            base, records = await self._records(origin, target.port)
        except _Unknown:
            return NotSigned("unknown", f"TLSA lookup error for {target.host}:{target.port}")
        if not records:
            return NotSigned("destination", "no TLSA records found")
        # Servers give them in any order, and no session would be used again.
        usable = tuple(sorted(record for record in records if for_smtp(record)))
        if not usable:
            return NotSigned("records", "TLSA records unusable")
        return Signed(base, usable, _names(base, origin), origin.forgeable)

    async def _records(self, origin: Origin, port: int) -> tuple[str, Sequence[TlsaRecord]]:
        """The TLSA base domain, and its records: where the aliases end, else of the first name. Raises _Unknown."""
        bases = [origin.real_name, origin.name] if origin.real_name != origin.name else [origin.name]
        if not origin.authentic and not self._params.force_insecure_host_tlsa_lookup:
            # An alias may be signed though the name that it leads to is not.
            if len(bases) == 1 or not (await self._ask(origin.name, "CNAME")).authentic:
                return "", ()
            del bases[0]
        for base in bases:
            asked = f"_{port}._tcp.{base}"
            answer = await self._ask(asked, "TLSA")
            if answer.outcome == "found" and answer.authentic:
                return base, [self._read(asked, record) for record in answer.records]
        return "", ()

    def _read(self, asked: str, record: Record) -> TlsaRecord:
        tlsa = parse_tlsa(record.data)
        if not for_smtp(tlsa):
            self._warn(f"{asked} unsupported TLSA certificate usage: {tlsa}")
        elif self._note is not None:
            self._note(f"DNSSEC-signed TLSA record: {asked}: {tlsa}")
        return tlsa

    async def _ask(self, name: str, rrtype: RRType) -> Answer:
        """Raises _Unknown: what is not known must never count as not being there."""
        try:
            answer = await self._resolver.query(name, rrtype)
        except Filtered as filtered:
            self._warn(f"DANE TLSA lookup problem: {filtered.text}")
            raise _Unknown from None
        if answer.outcome in ("try_again", "invalid"):
            self._warn(f"DANE TLSA lookup problem: {name_error(name, rrtype, answer)}")
            raise _Unknown
        return answer


def hindrance(params: SmtpTlsParams) -> str:
    """What is in the way of DANE for all servers, with `{level}`; empty if nothing is."""
    from gatepost.tls.dane import available  # it loads OpenSSL, which only those need who encrypt

    if not available():
        return "{level} configured, but no requisite library support"
    if "dns" not in params.host_lookup or params.dns_support_level != "dnssec":
        return "{level} configured with dnssec lookups disabled"
    if params.prefix == "smtp" and params.ignore_mx_lookup_error:
        return "{level} configured with MX lookup errors ignored"
    if params.dns_resolver_options:
        return "dns resolver options incompatible with {level} TLS"
    return ""


def _names(base: str, origin: Origin) -> tuple[str, ...]:
    """RFC 7672 3.2.2: the certificate has the server's name, or the destination's."""
    return tuple(dict.fromkeys(name for name in (base, origin.real_domain, origin.domain) if name))
