"""Who may send where: the restrictions that keep this host from being an open relay."""

from gatepost.mail.reply import Reply
from gatepost.restrictions.context import Context
from gatepost.restrictions.ports import FINAL_CLASSES
from gatepost.restrictions.registry import restriction
from gatepost.restrictions.verdict import DUNNO, PERMIT, Reject, Verdict
from gatepost.rewrite.address_classes import AddressClass


@restriction("permit_auth_destination", permits="recipient")
async def permit_auth_destination(ctx: Context) -> Verdict:
    """Permit destinations that are ours or in relay_domains, but no address that others could send on."""
    if ctx.recipient is None:
        return DUNNO
    destination = await ctx.resolve_recipient(ctx.recipient)
    if "@" not in destination.recipient:
        return PERMIT
    if destination.routed and not ctx.params.allow_untrusted_routing:
        return DUNNO
    if destination.address_class in FINAL_CLASSES:
        return PERMIT
    if destination.address_class is not AddressClass.RELAY:
        return DUNNO
    if "relay_domains" in ctx.params.unset:
        domain = destination.recipient.rpartition("@")[2]
        setting = "using backwards-compatible default setting relay_domains=$mydestination"
        ctx.ports.log.info(f'{setting} to accept mail for domain "{domain}"')
    return PERMIT


@restriction("reject_unauth_destination")
async def reject_unauth_destination(ctx: Context) -> Verdict:
    """Reject mail for destinations that are neither ours nor in relay_domains."""
    if ctx.recipient is None or await permit_auth_destination(ctx) is PERMIT:
        return DUNNO
    return Reject(Reply(ctx.params.relay_domains_reject_code, "5.7.1", f"<{ctx.recipient}>: Relay access denied"))


@restriction("defer_unauth_destination")
async def defer_unauth_destination(ctx: Context) -> Verdict:
    """The same, but the client may try again: a mistake in our configuration costs no mail."""
    if ctx.recipient is None or await permit_auth_destination(ctx) is PERMIT:
        return DUNNO
    code = ctx.params.relay_domains_reject_code - 100
    return Reject(Reply(code, "4.7.1", f"<{ctx.recipient}>: Relay access denied"))
