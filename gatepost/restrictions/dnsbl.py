"""Restrictions that ask lists published in DNS about the client's address, or about a domain (postconf(5))."""

import ipaddress
from collections.abc import Iterable
from typing import Literal

from gatepost.config.mac_expand import mac_expand
from gatepost.mail.hostname import domain_to_ascii
from gatepost.mail.reply import Reply
from gatepost.restrictions.context import Context
from gatepost.restrictions.dns_list import DnsList
from gatepost.restrictions.dns_lookup import FILTERED, Status
from gatepost.restrictions.facts import DnsListing
from gatepost.restrictions.macros import session_macro
from gatepost.restrictions.registry import restriction
from gatepost.restrictions.relay import permit_auth_destination
from gatepost.restrictions.reply import (
    CLIENT_HOST,
    HELO_COMMAND,
    RECIPIENT_ADDRESS,
    SENDER_ADDRESS,
    UNVERIFIED_CLIENT_HOST,
    fix_dsn,
    split_dsn,
)
from gatepost.restrictions.verdict import DUNNO, PERMIT, DeferIfReject, Reject, ServerConfigurationError, Verdict
from gatepost.tables.table import LookupTemporaryFailure

TEXT_LIMIT = 500
"""Octets of TXT records that a reply shows."""

KEPT = 100
"""Answers of DNS lists that a session keeps."""

_DIGITS = frozenset("0123456789")


@restriction("reject_rbl_client", aliases=("reject_rbl",), argument="domain")
async def reject_rbl_client(ctx: Context, dns_list: DnsList) -> Verdict:
    """Refuse clients whose address is on the list."""
    address = ctx.client.address
    listing = await _find_address(ctx, dns_list, address)
    if isinstance(listing, DnsListing):
        return await _refuse(ctx, dns_list, listing, address, CLIENT_HOST)
    return DUNNO


@restriction("permit_dnswl_client", argument="domain", permits="client")
async def permit_dnswl_client(ctx: Context, dns_list: DnsList) -> Verdict:
    """Permit clients whose address is on the list, but no relaying."""
    if await _would_relay(ctx):
        return DUNNO
    address = ctx.client.address
    return _welcome(await _find_address(ctx, dns_list, address), address)


@restriction("reject_rhsbl_client", argument="domain")
async def reject_rhsbl_client(ctx: Context, dns_list: DnsList) -> Verdict:
    """Refuse clients whose name is on the list."""
    return await _reject_name(ctx, dns_list, ctx.client.name, CLIENT_HOST)


@restriction("permit_rhswl_client", argument="domain", permits="client")
async def permit_rhswl_client(ctx: Context, dns_list: DnsList) -> Verdict:
    """Permit clients whose name is on the list, but no relaying."""
    name = ctx.client.name
    if _is_unknown(name) or await _would_relay(ctx):
        return DUNNO
    return _welcome(await _find_domain(ctx, dns_list, name), name)


@restriction("reject_rhsbl_reverse_client", argument="domain")
async def reject_rhsbl_reverse_client(ctx: Context, dns_list: DnsList) -> Verdict:
    """Refuse clients whose unverified name is on the list."""
    return await _reject_name(ctx, dns_list, ctx.client.reverse_name, UNVERIFIED_CLIENT_HOST)


@restriction("reject_rhsbl_helo", argument="domain")
async def reject_rhsbl_helo(ctx: Context, dns_list: DnsList) -> Verdict:
    """Refuse HELO names on the list."""
    return await _reject_domain(ctx, dns_list, ctx.helo_name, HELO_COMMAND)


@restriction("reject_rhsbl_sender", argument="domain")
async def reject_rhsbl_sender(ctx: Context, dns_list: DnsList) -> Verdict:
    """Refuse senders whose domain is on the list."""
    return await _reject_domain(ctx, dns_list, ctx.sender, SENDER_ADDRESS)


@restriction("reject_rhsbl_recipient", argument="domain")
async def reject_rhsbl_recipient(ctx: Context, dns_list: DnsList) -> Verdict:
    """Refuse recipients whose domain is on the list."""
    return await _reject_domain(ctx, dns_list, ctx.recipient, RECIPIENT_ADDRESS)


def _is_unknown(name: str) -> bool:
    return len(name) == 7 and name.lower() == "unknown"


async def _reject_name(ctx: Context, dns_list: DnsList, name: str, reply_class: str) -> Verdict:
    return DUNNO if _is_unknown(name) else await _reject_domain(ctx, dns_list, name, reply_class)


async def _reject_domain(ctx: Context, dns_list: DnsList, what: str | None, reply_class: str) -> Verdict:
    if not what:
        return DUNNO
    listing = await _find_domain(ctx, dns_list, what)
    if isinstance(listing, DnsListing):
        return await _refuse(ctx, dns_list, listing, what, reply_class)
    return DUNNO


async def _would_relay(ctx: Context) -> bool:
    """A list of good clients is no list of our own users."""
    return ctx.facts.stage == "RCPT" and ctx.recipient is not None and await permit_auth_destination(ctx) is not PERMIT


def _welcome(listing: DnsListing | Literal["trouble"] | None, what: str) -> Verdict:
    if listing is None:
        return DUNNO
    if listing == "trouble":
        return DeferIfReject(Reply(450, "4.7.1", f"<{what}>: {CLIENT_HOST} rejected: Service unavailable"))
    return PERMIT


async def _find_address(ctx: Context, dns_list: DnsList, address: str) -> DnsListing | Literal["trouble"] | None:
    """RFC 5782 2.1, 2.4: octets, or nibbles, in reverse before the list's domain."""
    parts: Iterable[str] = address.split(".")
    if ":" in address:
        try:
            parts = ipaddress.IPv6Address(address).exploded.replace(":", "")
        except ValueError:
            return None
    reverse = ".".join(reversed([*parts]))
    return await _find(ctx, dns_list, f"{reverse}.{dns_list.zone}")


async def _find_domain(ctx: Context, dns_list: DnsList, what: str) -> DnsListing | Literal["trouble"] | None:
    """RFC 5782 3. Names that end in a number are not asked about: lists of domains hold no addresses."""
    domain = what.rpartition("@")[2]
    if not domain or domain[0] == "[" or _DIGITS.issuperset(domain.rpartition(".")[2]):
        return None
    return await _find(ctx, dns_list, f"{domain_to_ascii(domain) or domain}.{dns_list.zone}")


async def _find(ctx: Context, dns_list: DnsList, name: str) -> DnsListing | Literal["trouble"] | None:
    """What the list says of a name: asked once in a session, trouble included."""
    kept = ctx.facts.dns_listings
    if kept is None:
        kept = ctx.facts.dns_listings = {}
    if name in kept:
        listing = kept[name]
    else:
        listing = await _ask(ctx, name)
        if len(kept) >= KEPT:
            del kept[next(iter(kept))]
        kept[name] = listing
    if isinstance(listing, DnsListing) and not any(map(dns_list.counts, listing.addresses)):
        return None
    return listing


async def _ask(ctx: Context, name: str) -> DnsListing | Literal["trouble"] | None:
    lookup = ctx.parts.dns.lookup
    found = await lookup(name, "A")
    if found.status is Status.NOT_FOUND:
        return None
    if found.status is not Status.OK:
        # A list that is out of order must not stop the mail.
        ctx.ports.log.warning(f"{name}: RBL lookup error: {found.why}")
        return "trouble"
    told = await lookup(name, "TXT")
    if told.status is Status.POLICY:
        ctx.ports.log.warning(f"{name}: TXT lookup error: {FILTERED}")
    return DnsListing(tuple(record.data for record in found.records), _joined([r.data for r in told.records]))


def _joined(texts: list[str]) -> str:
    """TXT records with ` / ` between them, as far as they fit."""
    joined = b""
    for number, text in enumerate(texts):
        left = TEXT_LIMIT - len(joined)
        if left <= 0:
            break
        if number:
            if left <= 3:
                break
            joined += b" / "
            left -= 3
        joined += text.encode()[:left]
    return joined.decode("utf-8", "ignore")


async def _refuse(ctx: Context, dns_list: DnsList, listing: DnsListing, what: str, reply_class: str) -> Verdict:
    """The reply that rbl_reply_maps or default_rbl_reply has for the list."""
    text = await _expanded(ctx, dns_list, listing, what, reply_class)
    if len(text) < 4 or text[0] not in "45" or not _DIGITS.issuperset(text[1:3]) or text[3] != " ":
        ctx.ports.log.warning(f"rbl response code configuration error: {text}")
        return Reject(Reply(450, "4.7.1", "Service unavailable"))
    dsn, words = split_dsn("4.7.1", text[4:].lstrip())
    return Reject(Reply(int(text[:3]), fix_dsn(dsn, reply_class, ctx.ports.log.info), words or "Service unavailable"))


async def _expanded(ctx: Context, dns_list: DnsList, listing: DnsListing, what: str, reply_class: str) -> str:
    log = ctx.ports.log
    values = {
        "rbl_code": str(ctx.params.maps_rbl_reject_code),
        "rbl_domain": dns_list.zone,
        "rbl_reason": listing.text,
        "rbl_txt": listing.text,
        "rbl_what": what,
        "rbl_class": reply_class,
    }

    def value(name: str) -> str | None:
        known = values.get(name)
        if known is not None:
            return known
        clock = ctx.ports.tables.env.wall_clock
        return session_macro(ctx.facts, name, ctx.params.myhostname, clock(), log)

    allowed = ctx.parts.expansion_filter
    template = await _template(ctx, dns_list)
    if template is not None:
        expansion = mac_expand(template, value, recurse=False, allowed=allowed)
        if not expansion.undefined and not expansion.error:
            return expansion.text
        if expansion.error:
            log.warning(expansion.error)
        log.warning(f"rbl_reject_reply: bad rbl reply template for domain {dns_list.text}: {template}")
    template = ctx.params.default_rbl_reply
    expansion = mac_expand(template, value, recurse=False, allowed=allowed)
    if expansion.undefined or expansion.error:
        if expansion.error:
            log.warning(expansion.error)
        log.error(f"rbl_reject_reply: bad default rbl reply template: {template}")
        raise ServerConfigurationError
    return expansion.text


async def _template(ctx: Context, dns_list: DnsList) -> str | None:
    """The list's own template, under its domain with the pattern, then without."""
    maps = ctx.parts.rbl_reply_maps
    if not maps:
        return None
    try:
        hit = await maps.find(dns_list.text)
        if hit is None and dns_list.octets:
            hit = await maps.find(dns_list.zone)
    except LookupTemporaryFailure:
        raise ServerConfigurationError from None
    return None if hit is None else hit.value
