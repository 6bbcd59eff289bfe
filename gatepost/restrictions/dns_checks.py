"""Restrictions that ask DNS about the domain of an address."""

from gatepost.dns.answers import Answer
from gatepost.mail.hostname import domain_to_ascii, valid_hostname
from gatepost.mail.reply import Reply
from gatepost.restrictions.context import Context, Destination
from gatepost.restrictions.ports import FINAL_CLASSES
from gatepost.restrictions.reply import SENDER_ADDRESS
from gatepost.restrictions.verdict import DUNNO, DeferIfPermit, Reject, Verdict


async def reject_unknown_address(ctx: Context, address: str, destination: Destination, reply_class: str) -> Verdict:
    """Refuse an address whose domain cannot get mail as far as DNS knows; not for our own domains and literals."""
    _, at, domain = destination.recipient.rpartition("@")
    if not at or destination.address_class in FINAL_CLASSES:
        return DUNNO
    if domain.startswith("[") and domain.endswith("]"):
        return DUNNO
    sender = reply_class == SENDER_ADDRESS
    dsn = "4.1.8" if sender else "4.1.2"
    name = domain_to_ascii(domain) or domain
    match await _mail_host(ctx, name):
        case "found":
            return DUNNO
        case "null_mx":
            text = f"Domain {name} does not accept mail (nullMX)"  # RFC 7505 4.1, 4.2
            code, dsn = (550, "4.7.27") if sender else (556, "4.1.10")
        case "retry":
            reply = Reply(450, dsn, f"<{address}>: {reply_class} rejected: Domain not found")
            if ctx.params.unknown_address_tempfail_action == "defer":
                return Reject(reply)
            return DeferIfPermit(reply)
        case "invalid":
            code, text = ctx.params.unknown_address_reject_code, "Malformed DNS server reply"
        case _:
            code, text = ctx.params.unknown_address_reject_code, "Domain not found"
    return Reject(Reply(code, dsn, f"<{address}>: {reply_class} rejected: {text}"))


async def _mail_host(ctx: Context, name: str) -> str:
    """found, null_mx, retry, invalid or none: MX first, then addresses.

    A malformed answer ends the search. Trouble with one type outweighs that another does not exist.
    """
    if not valid_hostname(name):
        return "none"  # it cannot be in DNS, so nobody is asked
    trouble = False
    for rrtype in ("MX", "A", "AAAA"):
        answer = await ctx.ports.dns.query(name, rrtype)
        if answer.outcome == "found":
            return "null_mx" if rrtype == "MX" and _is_null_mx(answer) else "found"
        if answer.outcome == "invalid":
            return "retry" if trouble else "invalid"
        trouble = trouble or answer.outcome == "try_again"
    return "retry" if trouble else "none"


def _is_null_mx(answer: Answer) -> bool:
    """RFC 7505 3: a single MX record, whose host is the root."""
    return len(answer.records) == 1 and not answer.records[0].data
