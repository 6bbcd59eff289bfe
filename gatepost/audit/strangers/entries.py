"""Entries of access tables: which are found for a value, and what they mean for a stranger."""

from collections.abc import Awaitable, Callable

from gatepost.restrictions.access_lookup import find_domain, find_mail_address, find_network
from gatepost.restrictions.context import Context
from gatepost.restrictions.verdict import DUNNO, PERMIT, Verdict
from gatepost.tables.maps import Hit, Maps

_REFUSALS = frozenset(("REJECT", "DEFER", "DEFER_IF_PERMIT"))
_NO_OPINION = frozenset(("DUNNO", "INFO", "WARN", "PREPEND", "BCC", "HOLD", "FILTER", "DEFER_IF_REJECT"))
_PERMITS = frozenset(("OK", "RELAY"))

Find = Callable[[Context, Maps, str], Awaitable[Hit | None]]
"""The entry for one value of a property of the session."""


async def in_domain(ctx: Context, maps: Maps, value: str) -> Hit | None:
    """The entry for a client's name or a HELO name."""
    return await find_domain(ctx, maps, value)


async def of_address(ctx: Context, maps: Maps, value: str) -> Hit | None:
    """The entry for a client's address."""
    return await find_network(maps, value)


async def of_sender(ctx: Context, maps: Maps, value: str) -> Hit | None:
    """The entry for a sender."""
    if not value:
        return await maps.find(ctx.params.smtpd_null_access_lookup_key)
    destination = await ctx.resolve_sender(value)
    return await find_mail_address(ctx, maps, destination.recipient) if "@" in destination.recipient else None


async def of_recipient(ctx: Context, maps: Maps, value: str) -> Hit | None:
    """The entry for a recipient."""
    destination = await ctx.resolve_recipient(value)
    if "@" not in destination.recipient:
        return None
    hit = await find_mail_address(ctx, maps, destination.recipient)
    if hit is not None and destination.routed and not ctx.params.allow_untrusted_routing:
        # As check_recipient_access: what permits counts for nothing then.
        return None if meaning_of(hit.value, warning=False) is PERMIT else hit
    return hit


def by_meaning(
    found: dict[str, Hit | None], *, warning: bool
) -> list[tuple[Verdict | str | None, frozenset[str], str]]:
    """The values by what their entry does: a verdict, a text to be carried out, or None where there is none."""
    groups: dict[Verdict | str | None, list[str]] = {}
    for value, hit in found.items():
        meaning = None if hit is None else meaning_of(hit.value, warning=warning)
        if hit is None or meaning is not None:
            groups.setdefault(meaning, []).append(value)
    return [(meaning, frozenset(values), _why(found, min(values))) for meaning, values in groups.items()]


def _why(found: dict[str, Hit | None], value: str) -> str:
    hit = found[value]
    return "" if hit is None else f"{hit.table} has {hit.key} {hit.value}"


def meaning_of(value: str, *, warning: bool) -> Verdict | str | None:
    """What an entry does: PERMIT, DUNNO, a text to be carried out, or None: it refuses."""
    command, _, text = value.replace("\t", " ").partition(" ")
    word = command.upper()
    if word in _PERMITS or (value and value.isascii() and value.isdigit()):
        return PERMIT
    if word in _NO_OPINION:
        return DUNNO
    if word == "HANGUP":
        return None
    if word in _REFUSALS or (len(word) == 3 and word[0] in "45" and word.isdigit() and text.strip()):
        return DUNNO if warning else None
    return value
