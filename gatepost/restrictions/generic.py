"""Restrictions that look at nothing in particular."""

from gatepost.mail.reply import Reply
from gatepost.restrictions.context import Context
from gatepost.restrictions.registry import restriction
from gatepost.restrictions.verdict import DUNNO, PERMIT, DeferIfPermit, DeferIfReject, Reject, Verdict


@restriction("permit", permits="list", final=True)
async def permit(ctx: Context) -> Verdict:
    """Permit, whatever it is."""
    return PERMIT


@restriction("reject", final=True)
async def reject(ctx: Context) -> Verdict:
    """Refuse for good (reject_code)."""
    return Reject(
        Reply(ctx.params.reject_code, "5.7.1", f"<{ctx.reply_name}>: {ctx.reply_class} rejected: Access denied")
    )


@restriction("defer", final=True)
async def defer(ctx: Context) -> Verdict:
    """Refuse for now (defer_code)."""
    return Reject(
        Reply(ctx.params.defer_code, "4.3.2", f"<{ctx.reply_name}>: {ctx.reply_class} rejected: Try again later")
    )


@restriction("defer_if_permit")
async def defer_if_permit(ctx: Context) -> Verdict:
    """Defer the command if it would be permitted in the end."""
    return DeferIfPermit(_requested(ctx, "defer_if_permit"))


@restriction("defer_if_reject")
async def defer_if_reject(ctx: Context) -> Verdict:
    """Defer the command if a later restriction would refuse it for good."""
    return DeferIfReject(_requested(ctx, "defer_if_reject"))


def _requested(ctx: Context, name: str) -> Reply:
    return Reply(450, "4.7.0", f"<{ctx.reply_name}>: {ctx.reply_class} rejected: {name} requested")


@restriction("sleep", argument="number")
async def sleep(ctx: Context, seconds: int) -> Verdict:
    """Pause, then go on."""
    await ctx.ports.sleep(seconds)
    return DUNNO


@restriction("reject_unauth_pipelining")
async def reject_unauth_pipelining(ctx: Context) -> Verdict:
    """Refuse a client that sent commands ahead where it may not (RFC 2920 3.1)."""
    if not ctx.facts.sent_ahead:
        return DUNNO
    text = f"<{ctx.reply_name}>: {ctx.reply_class} rejected: Improper use of SMTP command pipelining"
    return Reject(Reply(503, "5.5.0", text), "protocol")
