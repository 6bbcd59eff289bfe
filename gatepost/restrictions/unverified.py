"""Restrictions that have an address tried out by a probe: reject_unverified_sender, reject_unverified_recipient."""

from gatepost.mail.reply import Reply
from gatepost.restrictions.context import Context
from gatepost.restrictions.ports import AddressVerifier, Verification
from gatepost.restrictions.registry import restriction
from gatepost.restrictions.reply import RECIPIENT_ADDRESS, SENDER_ADDRESS
from gatepost.restrictions.verdict import DUNNO, DeferIfPermit, Reject, Verdict

REASON_LIMIT = 250
"""Characters of a probe's result in a temporary refusal."""


@restriction("reject_unverified_sender")
async def reject_unverified_sender(ctx: Context) -> Verdict:
    """Refuse a sender to whom mail cannot be delivered, or of whom that is not known. Not the null sender."""
    address, params = ctx.sender, ctx.params
    if not address:
        return DUNNO
    found = await _verified(ctx, address)
    code = _code(found, params.unverified_sender_defer_code, params.unverified_sender_reject_code)
    verdict = _refusal(found, code, "4.1.7", address, SENDER_ADDRESS, params.unverified_sender_reject_reason)
    return _deferred(verdict, params.unverified_sender_tempfail_action)


@restriction("reject_unverified_recipient")
async def reject_unverified_recipient(ctx: Context) -> Verdict:
    """Refuse a recipient to whom mail cannot be delivered, or of whom that is not known."""
    address, params = ctx.recipient, ctx.params
    if not address:
        return DUNNO
    found = await _verified(ctx, address)
    code = _code(found, params.unverified_recipient_defer_code, params.unverified_recipient_reject_code)
    verdict = _refusal(found, code, "4.1.1", address, RECIPIENT_ADDRESS, params.unverified_recipient_reject_reason)
    return _deferred(verdict, params.unverified_recipient_tempfail_action)


async def _verified(ctx: Context, address: str) -> Verification | None:
    """What the verify service says; None if it is of no use now."""
    verifier: AddressVerifier | None = ctx.ports.verifier
    found = await verifier.verify(address) if verifier is not None else None
    if found is None or found.outcome == "trouble":
        ctx.ports.log.warning("verify service failure")
        return None
    return found


def _code(found: Verification | None, defer_code: int, reject_code: int) -> int:
    """The reply code; 250: nothing is refused."""
    if found is None:
        return 450
    return {"ok": 250, "bad": reject_code}.get(found.outcome, defer_code)


def _refusal(
    found: Verification | None, code: int, dsn: str, address: str, reply_class: str, own_reason: str
) -> Verdict:
    """The code's class decides on the words, not what the probe has found."""
    if code // 100 == 2:
        return DUNNO
    start = f"<{address}>: {reply_class} rejected:"
    if found is None:
        return DeferIfPermit(Reply(code, dsn, f"{start} address verification problem"))
    reason = own_reason or found.reason
    if code // 100 == 4:
        return DeferIfPermit(Reply(code, dsn, f"{start} unverified address: {reason[:REASON_LIMIT]}"))
    return Reject(Reply(code, dsn, f"{start} undeliverable address: {reason}"))


def _deferred(verdict: Verdict, tempfail_action: str) -> Verdict:
    """As unverified_*_tempfail_action has it: at once, or if nothing else refuses."""
    if isinstance(verdict, DeferIfPermit) and tempfail_action == "defer":
        return Reject(verdict.reply)
    return verdict
