"""Access tables that may refuse, but permit nothing: what they are asked for is in the hands of strangers."""

from collections.abc import Awaitable

from gatepost.restrictions.context import Context
from gatepost.restrictions.verdict import PERMIT, ServerConfigurationError, Verdict


async def forbid_ok(ctx: Context, restriction: str, target: str, answer: Awaitable[Verdict]) -> Verdict:
    """The answer, unless it is OK: that is a mistake in the table. DISCARD is no such mistake (forbid_allowlist)."""
    verdict = await answer
    if verdict is PERMIT and not ctx.facts.effects.discard:
        log = ctx.ports.log
        log.warning(f"restriction {restriction} returns OK for {target}")
        log.warning("this is not allowed for security reasons")
        log.warning("use DUNNO instead of OK if you want to make an exception")
        raise ServerConfigurationError
    return verdict
