"""Restrictions that look at the sender. All but check_sender_access leave the null sender alone."""

from gatepost.restrictions.access_lookup import absent, check_key, find_in_address, note_absent
from gatepost.restrictions.address_form import reject_non_fqdn_address
from gatepost.restrictions.context import Context
from gatepost.restrictions.dns_checks import reject_unknown_address
from gatepost.restrictions.registry import restriction
from gatepost.restrictions.reply import SENDER_ADDRESS
from gatepost.restrictions.unlisted import check_sender_listed
from gatepost.restrictions.verdict import DUNNO, Verdict
from gatepost.tables.maps import Maps


@restriction("check_sender_access", argument="table")
async def check_sender_access(ctx: Context, maps: Maps) -> Verdict:
    """Ask an access table about the sender; the null sender has a key of its own (smtpd_null_access_lookup_key)."""
    sender = ctx.sender
    if sender is None:
        return DUNNO
    if not sender:
        return await check_key(ctx, maps, ctx.params.smtpd_null_access_lookup_key, sender, SENDER_ADDRESS)
    if absent(ctx, maps, sender, SENDER_ADDRESS):
        return DUNNO
    verdict = await find_in_address(ctx, maps, sender, await ctx.resolve_sender(sender), SENDER_ADDRESS)
    if verdict is not None:
        return verdict
    note_absent(ctx, maps, sender, SENDER_ADDRESS)
    return DUNNO


@restriction("reject_non_fqdn_sender")
async def reject_non_fqdn_sender(ctx: Context) -> Verdict:
    """Refuse a sender whose domain is not fully qualified."""
    return reject_non_fqdn_address(ctx, ctx.sender, SENDER_ADDRESS) if ctx.sender else DUNNO


@restriction("reject_unknown_sender_domain", aliases=("reject_unknown_address",))
async def reject_unknown_sender_domain(ctx: Context) -> Verdict:
    """Refuse a sender whose domain has neither MX nor address in DNS, unless we are its final destination."""
    sender = ctx.sender
    if not sender:
        return DUNNO
    return await reject_unknown_address(ctx, sender, await ctx.resolve_sender(sender), SENDER_ADDRESS)


@restriction("reject_unlisted_sender")
async def reject_unlisted_sender(ctx: Context) -> Verdict:
    """Refuse a sender that we would not accept as a recipient."""
    return await check_sender_listed(ctx, ctx.sender) if ctx.sender else DUNNO
