"""Walks over one compiled list: the only place that knows what a verdict leads to (smtpd_check.c: generic_checks)."""

from collections.abc import Awaitable

from gatepost.mail.reply import Reply
from gatepost.restrictions.check import Check, CheckList
from gatepost.restrictions.context import Context
from gatepost.restrictions.reply import CLIENT_HOST, RECIPIENT_ADDRESS, SERVER_ERROR, consistent, sound
from gatepost.restrictions.verdict import (
    DUNNO,
    PERMIT,
    CannotTell,
    DeferIfPermit,
    DeferIfReject,
    Refused,
    Reject,
    ServerConfigurationError,
    Verdict,
)
from gatepost.tables.table import LookupTemporaryFailure

DEPTH_LIMIT = 100


async def judge(ctx: Context, checks: CheckList) -> Verdict:
    """Evaluate a list of a parameter: PERMIT, DUNNO or Refused. What cannot be looked up or understood is 451."""
    try:
        return await run_list(ctx, checks)
    except (CannotTell, LookupTemporaryFailure, ServerConfigurationError) as trouble:
        return _refuse_for(ctx, trouble)


async def judge_one(ctx: Context, answer: Awaitable[Verdict]) -> Verdict:
    """Evaluate a single restriction that no list names."""
    try:
        verdict = await answer
    except (CannotTell, LookupTemporaryFailure, ServerConfigurationError) as trouble:
        return _refuse_for(ctx, trouble)
    return refuse(ctx, verdict) if isinstance(verdict, Reject) else verdict


def _refuse_for(ctx: Context, trouble: Exception) -> Verdict:
    if isinstance(trouble, ServerConfigurationError):
        return refuse(ctx, Reject(SERVER_ERROR, "software"))
    return refuse(ctx, _lookup_failure(trouble.name if isinstance(trouble, CannotTell) else ctx.reply_name))


async def run_list(ctx: Context, checks: CheckList) -> Verdict:
    """Evaluate a list, or one within a list (a class, the result of an access table)."""
    verdict = DUNNO
    effects = ctx.facts.effects
    ctx.depth += 1
    for check in checks:
        if effects.discard:
            break
        if check.warn and not ctx.warning:
            ctx.warning = True
            verdict = await check.run(ctx)
            if verdict is not DUNNO:
                verdict = await _settle(ctx, check, verdict)
            ctx.warning = False
        else:
            verdict = await check.run(ctx)
            if verdict is not DUNNO and (
                verdict is not PERMIT or check.ignored or ctx.parts.permit_actions is not None
            ):
                verdict = await _settle(ctx, check, verdict)
        if verdict is not DUNNO:
            break
        if ctx.defer_if_reject is not None and ctx.defer_if_permit is not None:
            break  # whatever comes, the answer is a deferral
    ctx.depth -= 1
    return verdict


async def _settle(ctx: Context, check: Check, verdict: Verdict) -> Verdict:
    """What a verdict other than DUNNO comes to: PERMIT, DUNNO or Refused."""
    if isinstance(verdict, Refused):
        return verdict
    if verdict is PERMIT:
        if ctx.parts.permit_actions is not None and check.permits:
            await _log_permit_of(ctx, check)
        final: Verdict = PERMIT
    elif isinstance(verdict, Reject):
        final = refuse(ctx, verdict)
    else:
        final = defer(ctx, verdict)
    if check.ignored and (verdict is PERMIT or not ctx.warning):
        ctx.ports.log.warning(f"restriction `{check.ignored}' after `{check.name.lower()}' is ignored")
    return final


def defer(ctx: Context, verdict: Verdict) -> Verdict:
    """Keep the first reason of each kind; under warn_if_reject a defer_if_permit is only told of."""
    if isinstance(verdict, DeferIfPermit):
        if ctx.warning:
            return refuse(ctx, Reject(verdict.reply))
        if ctx.defer_if_permit is None:
            ctx.defer_if_permit = verdict.reply
    elif isinstance(verdict, DeferIfReject) and ctx.defer_if_reject is None:
        ctx.defer_if_reject = verdict.reply
    return DUNNO


def refuse(ctx: Context, reject: Reject) -> Verdict:
    """Bring a rejection into its last form and log it: Refused, or DUNNO if it was a mere warning."""
    log = ctx.ports.log
    reply = sound(reject.reply, log.warning)
    warn_only = ctx.warning and reject.convertible
    if not warn_only and reply.code >= 500 and ctx.defer_if_reject is not None:
        # Something that could not be looked up might have permitted this.
        earlier = ctx.defer_if_reject
        ctx.defer_if_reject = None
        reply = sound(earlier, log.warning)
    reply = consistent(reply, soft_bounce=ctx.params.soft_bounce)
    ctx.log("reject_warning" if warn_only else "reject", reply.line())
    if warn_only:
        if reject.error_class not in ctx.facts.warned_of:
            ctx.facts.warned_of += (reject.error_class,)
        return DUNNO
    return Refused(Reply(reply.code, reply.dsn, reply.text, reject.error_class))


async def log_permit(ctx: Context, action: str, reply_class: str, reply_name: str, table: str = "") -> None:
    """Tell of a permit, if smtpd_log_access_permit_actions has the action and no deferral overrules it."""
    actions = ctx.parts.permit_actions
    if actions is not None and ctx.defer_if_permit is None and await actions.match_string(action):
        source = f"from {table}" if table else ""
        # Without a table a blank is left before the semicolon, as in Postfix's line.
        ctx.log("permit", f"action={action} for {reply_class}={reply_name} {source}")


async def _log_permit_of(ctx: Context, check: Check) -> None:
    if check.permits == "client":
        await log_permit(ctx, check.name, CLIENT_HOST, ctx.client.namaddr)
    elif check.permits == "recipient":
        await log_permit(ctx, check.name, RECIPIENT_ADDRESS, ctx.recipient or "")
    else:
        await log_permit(ctx, check.name, ctx.reply_class, ctx.reply_name)


def _lookup_failure(name: str) -> Reject:
    return Reject(Reply(451, "4.3.0", f"<{name}>: Temporary lookup failure"), "data")
