"""Restrictions that look at the HELO or EHLO name, and check_etrn_access, which looks at a domain in the same way."""

from gatepost.mail.hostname import valid_hostaddr, valid_hostname, valid_mailhost_addr, valid_utf8_hostname
from gatepost.mail.reply import Reply
from gatepost.restrictions.access_lookup import absent, check_domain, find_in_domain, note_absent
from gatepost.restrictions.context import Context
from gatepost.restrictions.dns_lookup import FILTERED, Status
from gatepost.restrictions.registry import restriction
from gatepost.restrictions.reply import ETRN_COMMAND, HELO_COMMAND
from gatepost.restrictions.verdict import DUNNO, DeferIfPermit, Reject, Verdict
from gatepost.tables.maps import Maps


def without_final_dot(name: str) -> str:
    """The name without a dot at its end; two dots there are left to be found invalid."""
    return name[:-1] if len(name) > 1 and name[-1] == "." and name[-2] != "." else name


@restriction("check_helo_access", argument="table")
async def check_helo_access(ctx: Context, maps: Maps) -> Verdict:
    """Ask an access table about the HELO name and its parent domains."""
    name = ctx.helo_name
    if name is None or absent(ctx, maps, name, HELO_COMMAND):
        return DUNNO
    verdict = await find_in_domain(ctx, maps, name, name, HELO_COMMAND)
    if verdict is not None:
        return verdict
    note_absent(ctx, maps, name, HELO_COMMAND)
    return DUNNO


@restriction("check_etrn_access", argument="table")
async def check_etrn_access(ctx: Context, maps: Maps) -> Verdict:
    """Ask an access table about the domain of an ETRN command."""
    name = ctx.facts.etrn_name
    return DUNNO if name is None else await check_domain(ctx, maps, name, name, ETRN_COMMAND)


@restriction("reject_invalid_helo_hostname", aliases=("reject_invalid_hostname",))
async def reject_invalid_helo_hostname(ctx: Context) -> Verdict:
    """Refuse a HELO name that is no host name, address or address literal."""
    name = ctx.helo_name
    if name is None:
        return DUNNO
    if name.startswith("["):
        return _reject_invalid_literal(ctx, name)
    test = without_final_dot(name)
    if valid_hostname(test) or valid_hostaddr(test):
        return DUNNO
    return Reject(
        Reply(ctx.params.invalid_hostname_reject_code, "5.5.2", f"<{name}>: {HELO_COMMAND} rejected: Invalid name")
    )


@restriction("reject_non_fqdn_helo_hostname", aliases=("reject_non_fqdn_hostname",))
async def reject_non_fqdn_helo_hostname(ctx: Context) -> Verdict:
    """Refuse a HELO name that is neither a name with a dot nor an address literal."""
    name = ctx.helo_name
    if name is None:
        return DUNNO
    if name.startswith("["):
        return _reject_invalid_literal(ctx, name)
    test = without_final_dot(name)
    if "." in test and valid_utf8_hostname(test, utf8=ctx.facts.smtputf8):
        return DUNNO
    text = f"<{name}>: {HELO_COMMAND} rejected: need fully-qualified hostname"
    return Reject(Reply(ctx.params.non_fqdn_reject_code, "5.5.2", text))


@restriction("reject_unknown_helo_hostname", aliases=("reject_unknown_hostname",))
async def reject_unknown_helo_hostname(ctx: Context) -> Verdict:
    """Refuse a HELO name that has neither address nor MX in DNS."""
    name = ctx.helo_name
    if name is None:
        return DUNNO
    if name.startswith("["):
        return _reject_invalid_literal(ctx, name)
    status = (await ctx.parts.dns.first(name, ("A", "AAAA", "MX"))).status
    # Where a host's name takes no mail, the host may send it all the same.
    if status is Status.OK or status is Status.NULL_MX:
        return DUNNO
    if status is Status.POLICY:
        ctx.ports.log.warning(f"{name}: address or MX lookup error: {FILTERED}")
        return DUNNO
    text = "Malformed DNS server reply" if status is Status.INVALID else "Host not found"
    text = f"<{name}>: {HELO_COMMAND} rejected: {text}"
    if status is not Status.RETRY:
        return Reject(Reply(ctx.params.unknown_hostname_reject_code, "4.7.1", text))
    reply = Reply(450, "4.7.1", text)
    if ctx.params.unknown_helo_hostname_tempfail_action == "defer":
        return Reject(reply)
    return DeferIfPermit(reply)


def _reject_invalid_literal(ctx: Context, name: str) -> Verdict:
    inside = name[1:-1] if len(name) > 2 and name.endswith("]") else name
    if valid_mailhost_addr(inside):
        return DUNNO
    text = f"<{name}>: {HELO_COMMAND} rejected: invalid ip address"
    return Reject(Reply(ctx.params.invalid_hostname_reject_code, "5.5.2", text))
