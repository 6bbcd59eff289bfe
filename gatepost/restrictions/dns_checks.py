"""Restrictions that ask DNS about the domain of an address."""

from gatepost.mail.hostname import domain_to_ascii
from gatepost.mail.reply import Reply
from gatepost.restrictions.context import Context, Destination
from gatepost.restrictions.dns_lookup import FILTERED, Status
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
    match (await ctx.parts.dns.first(name, ("MX", "A", "AAAA"), mx_decides=True)).status:
        case Status.OK:
            return DUNNO
        case Status.POLICY:
            ctx.ports.log.warning(f"{name}: MX or address lookup error: {FILTERED}")
            return DUNNO
        case Status.NULL_MX:
            text = f"Domain {name} does not accept mail (nullMX)"  # RFC 7505 4.1, 4.2
            code, dsn = (550, "4.7.27") if sender else (556, "4.1.10")
        case Status.RETRY:
            reply = Reply(450, dsn, f"<{address}>: {reply_class} rejected: Domain not found")
            if ctx.params.unknown_address_tempfail_action == "defer":
                return Reject(reply)
            return DeferIfPermit(reply)
        case Status.INVALID:
            code, text = ctx.params.unknown_address_reject_code, "Malformed DNS server reply"
        case _:
            code, text = ctx.params.unknown_address_reject_code, "Domain not found"
    return Reject(Reply(code, dsn, f"<{address}>: {reply_class} rejected: {text}"))
