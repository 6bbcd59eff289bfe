"""Which keys an access table is asked for (access(5), smtpd_check.c: check_namadr_access, check_mail_access).

Functions that find answer None if the table has nothing, so that a DUNNO in the table can end a search.

Client, HELO name and sender are the same for all recipients of a transaction. Tables in files and in main.cf that do
not have them (`absent`, `note_absent`) are not asked again for the next recipient: a transaction sees one state of
them. Servers may count how often they are asked, and are asked each time.
"""

from gatepost.mail.hostname import valid_hostaddr
from gatepost.restrictions.access import apply_result, lookup_failed
from gatepost.restrictions.context import Context, Destination
from gatepost.restrictions.reply import CLIENT_HOST
from gatepost.restrictions.verdict import DUNNO, Verdict
from gatepost.tables.address_find import QueryForm, find_address
from gatepost.tables.maps import Hit, Maps
from gatepost.tables.table import LookupTemporaryFailure


async def check_key(ctx: Context, maps: Maps, key: str, reply_name: str, reply_class: str) -> Verdict:
    """Ask for one key as it stands."""
    try:
        hit = await maps.find(key)
    except LookupTemporaryFailure:
        return lookup_failed(reply_name, reply_class)
    return DUNNO if hit is None else await apply_result(ctx, hit.value, hit.table, key, reply_name, reply_class)


async def check_domain(ctx: Context, maps: Maps, domain: str, reply_name: str, reply_class: str) -> Verdict:
    """Ask for a domain name and its parents."""
    return await find_in_domain(ctx, maps, domain, reply_name, reply_class) or DUNNO


async def check_client(ctx: Context, maps: Maps) -> Verdict:
    """Ask for the client's name and address."""
    client = ctx.client
    if absent(ctx, maps, client.namaddr, CLIENT_HOST):
        return DUNNO
    verdict = await find_in_name_and_address(ctx, maps, client.name, client.namaddr, CLIENT_HOST)
    if verdict is not None:
        return verdict
    note_absent(ctx, maps, client.namaddr, CLIENT_HOST)
    return DUNNO


async def check_name_and_address(ctx: Context, maps: Maps, name: str, reply_name: str, reply_class: str) -> Verdict:
    """Ask for a name of the client and its parents, then for the client's address and its networks."""
    return await find_in_name_and_address(ctx, maps, name, reply_name, reply_class) or DUNNO


async def find_in_name_and_address(
    ctx: Context, maps: Maps, name: str, reply_name: str, reply_class: str
) -> Verdict | None:
    """What the table says of a name of the client or its parents, or else of its address or its networks; None:
    nothing. So an entry for a whole domain comes before one for a single address."""
    address = ctx.client.address
    try:
        datum, hit = name, await find_domain(ctx, maps, name)
        if hit is None:
            datum, hit = address, await find_network(maps, address)
    except LookupTemporaryFailure:
        return lookup_failed(reply_name, reply_class)
    return None if hit is None else await apply_result(ctx, hit.value, hit.table, datum, reply_name, reply_class)


async def find_in_domain(ctx: Context, maps: Maps, domain: str, reply_name: str, reply_class: str) -> Verdict | None:
    """What the table says of a domain or its parents; None: nothing, so that others may be asked for."""
    try:
        hit = await find_domain(ctx, maps, domain)
    except LookupTemporaryFailure:
        return lookup_failed(reply_name, reply_class)
    return None if hit is None else await apply_result(ctx, hit.value, hit.table, domain, reply_name, reply_class)


async def find_in_network(ctx: Context, maps: Maps, address: str, reply_name: str, reply_class: str) -> Verdict | None:
    """What the table says of an address or its networks; None: nothing."""
    try:
        hit = await find_network(maps, address)
    except LookupTemporaryFailure:
        return lookup_failed(reply_name, reply_class)
    return None if hit is None else await apply_result(ctx, hit.value, hit.table, address, reply_name, reply_class)


def absent(ctx: Context, maps: Maps, key: str, reply_class: str) -> bool:
    """Is it known from an earlier recipient of this transaction that the tables have nothing?"""
    known = ctx.facts.effects.absent
    return known is not None and (reply_class, maps, key) in known


def note_absent(ctx: Context, maps: Maps, key: str, reply_class: str) -> None:
    """The tables have nothing: an answer to keep, if they are steady."""
    if maps.steady:
        effects = ctx.facts.effects
        if effects.absent is None:
            effects.absent = set()
        effects.absent.add((reply_class, maps, key))


async def check_address(ctx: Context, maps: Maps, address: str, destination: Destination, reply_class: str) -> Verdict:
    """Ask for a mail address: user+ext@dom, user@dom, dom and its parents, user+ext@, user@."""
    return await find_in_address(ctx, maps, address, destination, reply_class) or DUNNO


async def find_in_address(
    ctx: Context, maps: Maps, address: str, destination: Destination, reply_class: str
) -> Verdict | None:
    """What the table says of a mail address, None: nothing."""
    if "@" not in destination.recipient:
        return None
    try:
        hit = await find_mail_address(ctx, maps, destination.recipient)
    except LookupTemporaryFailure:
        return lookup_failed(address, reply_class)
    if hit is None:
        return None
    return await apply_result(ctx, hit.value, hit.table, destination.recipient, address, reply_class)


async def find_mail_address(ctx: Context, maps: Maps, address: str) -> Hit | None:
    """The entry for a resolved mail address. Raises LookupTemporaryFailure."""
    params = ctx.params
    found = await find_address(
        maps,
        address,
        recipient_delimiter=params.recipient_delimiter,
        strategy=ctx.parts.access_strategy,
        query_form=QueryForm.EXTERNAL_FIRST,
        owner_request_special=params.owner_request_special,
        double_bounce_sender=params.double_bounce_sender,
    )
    return None if found is None else found.hit


async def find_domain(ctx: Context, maps: Maps, domain: str) -> Hit | None:
    """The entry for a domain name or a parent of it. Raises LookupTemporaryFailure."""
    hit = await maps.find(domain)
    if hit is not None or "." not in domain or valid_hostaddr(domain):
        return hit  # an address used as a name has no parents
    past_dot = 1 if ctx.parts.access_parents_by_name else 0
    dot = domain.find(".", 1)
    while dot >= 0 and dot + past_dot < len(domain):
        hit = await maps.find_partial(domain[dot + past_dot :])
        if hit is not None:
            return hit
        dot = domain.find(".", dot + past_dot + 1)
    return None


async def find_network(maps: Maps, address: str) -> Hit | None:
    """The entry for an address or for a network of whole octets around it. Raises LookupTemporaryFailure."""
    delimiter = ":" if ":" in address else "."
    hit = await maps.find(address)
    while hit is None:
        address, more, _ = address.rpartition(delimiter)
        if not more:
            return None
        hit = await maps.find_partial(address)
    return hit
