"""What an address must look like, before anything is looked up."""

from gatepost.mail.hostname import valid_utf8_hostname
from gatepost.mail.reply import Reply
from gatepost.restrictions.context import Context
from gatepost.restrictions.helo import without_final_dot
from gatepost.restrictions.verdict import DUNNO, Reject, Verdict


def reject_non_fqdn_address(ctx: Context, address: str, reply_class: str) -> Verdict:
    """Refuse an address whose domain is not fully qualified; address literals are left alone."""
    domain = address.rpartition("@")[2] if "@" in address else ""
    if domain.startswith("[") and domain.endswith("]"):
        return DUNNO
    test = without_final_dot(domain)
    if "." in test and valid_utf8_hostname(test, utf8=ctx.facts.smtputf8):
        return DUNNO
    text = f"<{address}>: {reply_class} rejected: need fully-qualified address"
    return Reject(Reply(ctx.params.non_fqdn_reject_code, "5.5.2", text))
