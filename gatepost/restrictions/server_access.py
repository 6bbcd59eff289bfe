"""Access by the servers of a domain: `check_*_a_access`, `check_*_mx_access`, `check_*_ns_access` (postconf(5))."""

from collections.abc import Awaitable, Callable
from typing import Literal

from gatepost.mail.hostname import domain_to_ascii, valid_hostaddr, valid_mailhost_addr
from gatepost.restrictions.access_lookup import find_in_domain, find_in_network
from gatepost.restrictions.context import Context
from gatepost.restrictions.dns_lookup import Found, Status
from gatepost.restrictions.not_ok import forbid_ok
from gatepost.restrictions.registry import restriction
from gatepost.restrictions.reply import (
    CLIENT_HOST,
    HELO_COMMAND,
    RECIPIENT_ADDRESS,
    SENDER_ADDRESS,
    UNVERIFIED_CLIENT_HOST,
)
from gatepost.restrictions.verdict import DUNNO, Verdict
from gatepost.tables.maps import Maps

Kind = Literal["A", "MX", "NS"]
_KINDS: tuple[Kind, ...] = ("A", "MX", "NS")

ADDRESS_LIMIT = 100
"""More addresses than this of one domain's servers are not looked at."""


def _client(ctx: Context) -> tuple[str, str, str]:
    name = ctx.client.name
    return "" if name.lower() == "unknown" else name, ctx.client.namaddr, CLIENT_HOST


def _reverse_client(ctx: Context) -> tuple[str, str, str]:
    name = ctx.client.reverse_name
    return "" if name.lower() == "unknown" else name, name, UNVERIFIED_CLIENT_HOST


def _helo(ctx: Context) -> tuple[str, str, str]:
    return ctx.helo_name or "", ctx.helo_name or "", HELO_COMMAND


def _sender(ctx: Context) -> tuple[str, str, str]:
    return ctx.sender or "", ctx.sender or "", SENDER_ADDRESS


def _recipient(ctx: Context) -> tuple[str, str, str]:
    return ctx.recipient or "", ctx.recipient or "", RECIPIENT_ADDRESS


# Whose servers: a name or address (empty: not known), how replies show it, and their word for it.
_Whose = Callable[[Context], tuple[str, str, str]]

_WHOSE: dict[str, tuple[_Whose, str]] = {
    "client": (_client, "the client's verified name"),
    "reverse_client_hostname": (_reverse_client, "the client's unverified name"),
    "helo": (_helo, "the HELO name"),
    "sender": (_sender, "the sender's domain"),
    "recipient": (_recipient, "the recipient's domain"),
}
_SERVERS = {"A": "the addresses", "MX": "the mail servers", "NS": "the name servers"}


def _register(word: str, whose: _Whose, described: str, kind: Kind) -> None:
    full_name = f"check_{word}_{kind.lower()}_access"

    async def check(ctx: Context, maps: Maps) -> Verdict:
        name, reply_name, reply_class = whose(ctx)
        if not name:
            return DUNNO
        return await forbid_ok(ctx, full_name, name, check_servers(ctx, maps, name, kind, reply_name, reply_class))

    check.__name__ = full_name
    check.__doc__ = f"Ask an access table about {_SERVERS[kind]} of {described}."
    restriction(full_name, argument="table")(check)


for _word, (_whose, _described) in _WHOSE.items():
    for _kind in _KINDS:
        _register(_word, _whose, _described, _kind)


async def check_servers(ctx: Context, maps: Maps, name: str, kind: Kind, reply_name: str, reply_class: str) -> Verdict:
    """Ask the table for each server's name and parent domains, then for its addresses and networks
    (check_server_access). What cannot be looked up restricts nobody."""
    domain = name.rpartition("@")[2]
    if domain.startswith("["):
        return await _check_literal(ctx, maps, domain, kind, reply_name, reply_class)
    servers = await _servers(ctx, name, domain_to_ascii(domain) or domain, kind)
    seen = 0
    for server in servers:
        if valid_hostaddr(server):
            verdict = await find_in_network(ctx, maps, server, reply_name, reply_class)
            if verdict is not None:
                return verdict
            continue
        if kind != "A":
            verdict = await find_in_domain(ctx, maps, server, reply_name, reply_class)
            if verdict is not None:
                return verdict
        addresses, error = await ctx.parts.dns.addresses(server)
        if error and kind != "A":
            ctx.ports.log.warning(f"Unable to look up {kind} host {server} for {reply_class} {reply_name}: {error}")
        for address in addresses:
            seen += 1
            if seen > ADDRESS_LIMIT:
                ctx.ports.log.warning(
                    f"check_server_access: {kind} server address count limit ({ADDRESS_LIMIT}) exceeded for "
                    f"{reply_class} {reply_name} -- ignoring the remainder"
                )
                return DUNNO
            verdict = await find_in_network(ctx, maps, address, reply_name, reply_class)
            if verdict is not None:
                return verdict
    return DUNNO


async def _check_literal(
    ctx: Context, maps: Maps, literal: str, kind: Kind, reply_name: str, reply_class: str
) -> Verdict:
    """An address literal is its own host and mail server, and has no name server."""
    address = valid_mailhost_addr(literal[1:-1]) if literal.endswith("]") and kind != "NS" else None
    if address is None:
        return DUNNO
    return await find_in_network(ctx, maps, address, reply_name, reply_class) or DUNNO


async def _servers(ctx: Context, name: str, domain: str, kind: Kind) -> list[str]:
    """The names of the servers, none if they cannot be looked up. A domain without MX record is its own mail server
    (RFC 5321 5.1); a name without name servers has those of the zone that it is in."""
    if kind == "A":
        return [domain]
    lookup: Callable[[str, Kind], Awaitable[Found]] = ctx.parts.dns.lookup
    found = await lookup(domain, kind)
    if found.status is Status.NOT_FOUND:
        if kind == "MX":
            return [domain]
        while found.status is Status.NOT_FOUND:
            domain = domain.partition(".")[2]
            if not domain:
                break
            found = await lookup(domain, kind)
    if found.status is Status.OK:
        records = sorted(found.records, key=lambda record: record.preference) if kind == "MX" else found.records
        return [record.data for record in records]
    if found.status is not Status.NULL_MX:
        ctx.ports.log.warning(f"Unable to look up {kind} host for {domain or name}: {found.error}")
    return []
