"""Restrictions that look at the recipient."""

from gatepost.mail.reply import Reply
from gatepost.restrictions.access_lookup import check_address
from gatepost.restrictions.address_form import reject_non_fqdn_address
from gatepost.restrictions.context import Context
from gatepost.restrictions.dns_checks import reject_unknown_address
from gatepost.restrictions.registry import restriction
from gatepost.restrictions.reply import RECIPIENT_ADDRESS
from gatepost.restrictions.unlisted import check_recipient_listed
from gatepost.restrictions.verdict import DUNNO, PERMIT, Reject, Verdict
from gatepost.tables.maps import Maps


@restriction("check_recipient_access", argument="table")
async def check_recipient_access(ctx: Context, maps: Maps) -> Verdict:
    """Ask an access table about the recipient."""
    recipient = ctx.recipient
    if recipient is None:
        return DUNNO
    destination = await ctx.resolve_recipient(recipient)
    verdict = await check_address(ctx, maps, recipient, destination, RECIPIENT_ADDRESS)
    if verdict is PERMIT and destination.routed and not ctx.params.allow_untrusted_routing:
        # user@elsewhere@here: who knows where this goes in the end; a table has only seen its last part.
        return DUNNO
    return verdict


@restriction("reject_non_fqdn_recipient")
async def reject_non_fqdn_recipient(ctx: Context) -> Verdict:
    """Refuse a recipient whose domain is not fully qualified."""
    return DUNNO if ctx.recipient is None else reject_non_fqdn_address(ctx, ctx.recipient, RECIPIENT_ADDRESS)


@restriction("reject_unknown_recipient_domain")
async def reject_unknown_recipient_domain(ctx: Context) -> Verdict:
    """Refuse a recipient whose domain has neither MX nor address in DNS, unless we are its final destination."""
    recipient = ctx.recipient
    if recipient is None:
        return DUNNO
    return await reject_unknown_address(ctx, recipient, await ctx.resolve_recipient(recipient), RECIPIENT_ADDRESS)


@restriction("reject_unlisted_recipient", aliases=("check_recipient_maps",))
async def reject_unlisted_recipient(ctx: Context) -> Verdict:
    """Refuse a recipient that is in none of the tables of its address class."""
    return await check_recipient_listed(ctx, ctx.recipient) if ctx.recipient else DUNNO


@restriction("reject_multi_recipient_bounce")
async def reject_multi_recipient_bounce(ctx: Context) -> Verdict:
    """Refuse the null sender with more than one recipient: notices go to one address (RFC 5321 4.5.5)."""
    # At RCPT the recipient that is judged is not counted yet.
    allowed = 0 if ctx.facts.stage == "RCPT" else 1
    if ctx.sender != "" or ctx.facts.recipient_count <= allowed:
        return DUNNO
    text = f"<{ctx.reply_name}>: {ctx.reply_class} rejected: Multi-recipient bounce"
    return Reject(Reply(ctx.params.multi_recipient_bounce_reject_code, "5.5.3", text))
