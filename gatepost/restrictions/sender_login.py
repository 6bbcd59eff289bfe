"""Whose address is it? smtpd_sender_login_maps names the logins that own a sender."""

import enum

from gatepost.config.values import split_list
from gatepost.mail.address import fold
from gatepost.mail.reply import Reply
from gatepost.restrictions.address_entry import find_entry
from gatepost.restrictions.context import Context
from gatepost.restrictions.reply import SENDER_ADDRESS
from gatepost.restrictions.verdict import DUNNO, Reject, Verdict


class ForeignSender(enum.Enum):
    """Is a sender that nobody owns somebody else's?"""

    WITHOUT_OWNER_TOO = "without owner too"
    WITH_OWNER_ONLY = "with owner only"


async def owned_by_another(ctx: Context, sender: str, foreign: ForeignSender) -> Verdict:
    """Refuse a sender that does not belong to the login of the client; without a login, no opinion."""
    login = ctx.facts.sasl_username
    if not login:
        return DUNNO
    owners = await _owners(ctx, sender)
    if owners is None:
        if foreign is ForeignSender.WITH_OWNER_ONLY:
            return DUNNO
    elif fold(login) in (fold(owner) for owner in split_list(owners)):
        return DUNNO
    text = f"<{sender}>: {SENDER_ADDRESS} rejected: not owned by user {login}"
    return Reject(Reply(553, "5.7.1", text))


async def owned_by_somebody(ctx: Context, sender: str) -> Verdict:
    """Refuse a sender that has an owner; if the client has logged in, no opinion."""
    if ctx.facts.sasl_username or not ctx.parts.sender_login_maps or await _owners(ctx, sender) is None:
        return DUNNO
    return Reject(Reply(553, "5.7.1", f"<{sender}>: {SENDER_ADDRESS} rejected: not logged in"))


async def _owners(ctx: Context, sender: str) -> str | None:
    destination = await ctx.resolve_sender(sender)
    hit = await find_entry(ctx, ctx.parts.sender_login_maps, sender, destination.recipient)
    return None if hit is None else hit.value
