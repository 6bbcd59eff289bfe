"""HELO and EHLO (RFC 5321 4.1.1.1), and what EHLO offers."""

from gatepost.mail.reply import Reply
from gatepost.maillog import lines
from gatepost.protocol.smtp_server import Command
from gatepost.smtpd import replies
from gatepost.smtpd.parameters import EHLO_KEYWORDS, SILENT_DISCARD, Parameters
from gatepost.smtpd.replies import Refused, fixed
from gatepost.smtpd.session import Session
from gatepost.smtpd.words import neutral_helo
from gatepost.tables.match_list import MatchList
from gatepost.tables.table import LookupTemporaryFailure

_XCLIENT = "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT"
_XFORWARD = "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT"


def check_helo(session: Session, command: Command) -> str:
    return _name(command, replies.SYNTAX_HELO)


def check_ehlo(session: Session, command: Command) -> str:
    return _name(command, replies.SYNTAX_EHLO)


def _name(command: Command, syntax: Reply) -> str:
    # More words than one are put together (Outlook Express has sent such names).
    name = command.argument
    if " " in name or "\t" in name or not name:
        name = " ".join(name.split())
        if not name:
            raise Refused(syntax)
    return name


async def restrict_helo(session: Session, name: str) -> Reply | None:
    facts = session.facts
    before = facts.helo_name
    facts.helo_name = name
    refusal = await session.env.policy.helo(facts)
    if refusal is not None:
        facts.helo_name = before
    return refusal


def proceed_helo(session: Session, name: str) -> Reply:
    session.reset()
    session.facts.helo_name = neutral_helo(name)
    # As Postfix: a client that once said EHLO stays an ESMTP client, else the pipelining test would misjudge it.
    return Reply(250, "", session.params.myhostname)


async def proceed_ehlo(session: Session, name: str) -> Reply:
    session.reset()
    session.facts.helo_name = neutral_helo(name)
    session.facts.protocol = "ESMTP"
    env = session.env
    lists = env.lists
    if lists.discarded_keywords is not None:
        try:
            await session.find_keywords(lists.discarded_keywords)
        except LookupTemporaryFailure:
            env.log.warning(lines.unknown_keywords(session.facts.client.namaddr))
            raise
    params = session.params
    if params.discard_ehlo and SILENT_DISCARD not in params.discard_ehlo:
        named = " ".join(keyword for keyword in EHLO_KEYWORDS if keyword in params.discard_ehlo)
        env.log.info(lines.discarding_keywords(named))
    may_verp = lists.verp_clients is not None and await _may(session, lists.verp_clients, "XVERP")
    may_xclient = lists.xclient_hosts is not None and await _may(session, lists.xclient_hosts, "XCLIENT")
    starttls = env.tls is not None and env.tls.offered and not session.facts.encrypted
    may_xforward = session.may_xforward()
    auth: tuple[str, ...] = ()
    if env.sasl is not None and "AUTH" not in params.discard_ehlo:
        auth = await env.sasl.offers(session.facts, session.binding)
    stressed = (session.own_params or params) is env.stressed
    key = (stressed, session.own_params and params.discard_ehlo, may_verp, may_xclient, may_xforward, starttls, auth)
    reply = env.ehlo_replies.get(key)
    if reply is None:
        offers = _offers(params, may_verp, may_xclient, may_xforward, starttls, auth)
        reply = fixed(250, "", "\n".join([params.myhostname, *offers]))
        env.ehlo_replies[key] = reply
    return reply


async def _may(session: Session, hosts: MatchList, what: str) -> bool:
    client = session.facts.client
    try:
        return await hosts.match_host(client.name, client.address)
    except LookupTemporaryFailure:
        session.env.log.warning(lines.unknown_offer(what, client.namaddr))
        raise


def _offers(
    params: Parameters, verp: bool, xclient: bool, xforward: bool, starttls: bool, auth: tuple[str, ...]
) -> list[str]:
    discard = params.discard_ehlo
    offers = ["PIPELINING", f"SIZE {params.message_size_limit}" if params.message_size_limit > 0 else "SIZE"]
    if not params.disable_vrfy_command:
        offers.append("VRFY")
    offers.append("ETRN")
    if starttls:
        offers.append("STARTTLS")
    offers += auth
    if verp:
        offers.append("XVERP")
    if xclient:
        offers.append(_XCLIENT)
    if xforward:
        offers.append(_XFORWARD)
    offers += ("ENHANCEDSTATUSCODES", "8BITMIME", "DSN")
    if params.smtputf8_enable:
        offers.append("SMTPUTF8")
    offers.append("CHUNKING")
    if discard:
        offers = [offer for offer in offers if offer.partition(" ")[0] not in discard]
    return offers
