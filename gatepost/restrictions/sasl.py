"""Restrictions that look at the login: who has authenticated, and whose address it is that he sends with.

`permit_sasl_authenticated` stands in client.py.
"""

from gatepost.restrictions.access_lookup import check_key
from gatepost.restrictions.context import Context
from gatepost.restrictions.registry import restriction
from gatepost.restrictions.sender_login import ForeignSender, owned_by_another, owned_by_somebody
from gatepost.restrictions.verdict import DUNNO, Verdict
from gatepost.tables.maps import Maps

_LOGIN_NAME = "SASL login name"


def _has_sasl(ctx: Context, name: str) -> bool:
    if ctx.params.smtpd_sasl_auth_enable:
        return True
    ctx.ports.log.warning(f"restriction `{name}' ignored: no SASL support")
    return False


@restriction("check_sasl_access", argument="table")
async def check_sasl_access(ctx: Context, maps: Maps) -> Verdict:
    """Ask an access table about the login name."""
    name = ctx.facts.sasl_username
    if not _has_sasl(ctx, "check_sasl_access") or not name:
        return DUNNO
    shown = "".join(char if char.isprintable() else "_" for char in name)
    return await check_key(ctx, maps, name, shown, _LOGIN_NAME)


@restriction("reject_authenticated_sender_login_mismatch")
async def reject_authenticated_sender_login_mismatch(ctx: Context) -> Verdict:
    """Refuse a sender that the client, who has logged in, does not own (smtpd_sender_login_maps)."""
    if not _has_sasl(ctx, "reject_authenticated_sender_login_mismatch") or not ctx.sender:
        return DUNNO
    return await owned_by_another(ctx, ctx.sender, ForeignSender.WITHOUT_OWNER_TOO)


@restriction("reject_known_sender_login_mismatch")
async def reject_known_sender_login_mismatch(ctx: Context) -> Verdict:
    """The same, for senders only that somebody does own; and these, if the client has not logged in."""
    if not _has_sasl(ctx, "reject_known_sender_login_mismatch") or not ctx.sender:
        return DUNNO
    if ctx.facts.sasl_username:
        return await owned_by_another(ctx, ctx.sender, ForeignSender.WITH_OWNER_ONLY)
    return await owned_by_somebody(ctx, ctx.sender)


@restriction("reject_unauthenticated_sender_login_mismatch")
async def reject_unauthenticated_sender_login_mismatch(ctx: Context) -> Verdict:
    """Refuse a sender that somebody owns, if the client has not logged in."""
    if not _has_sasl(ctx, "reject_unauthenticated_sender_login_mismatch") or not ctx.sender:
        return DUNNO
    return await owned_by_somebody(ctx, ctx.sender)


@restriction("reject_sender_login_mismatch")
async def reject_sender_login_mismatch(ctx: Context) -> Verdict:
    """reject_authenticated_sender_login_mismatch and reject_unauthenticated_sender_login_mismatch."""
    verdict = await reject_authenticated_sender_login_mismatch(ctx)
    return await reject_unauthenticated_sender_login_mismatch(ctx) if verdict is DUNNO else verdict
