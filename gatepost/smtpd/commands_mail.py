"""MAIL and RCPT (RFC 5321 4.1.1.2, 4.1.1.3)."""

import re

import msgspec

from gatepost.cleanup.interface import QueueFull, QueueUnavailable
from gatepost.mail.address import parse_path
from gatepost.mail.envelope import Recipient
from gatepost.mail.reply import Reply
from gatepost.maillog import lines
from gatepost.protocol.smtp_server import Command
from gatepost.protocol.smtp_server_tokens import Word
from gatepost.smtpd import replies
from gatepost.smtpd.esmtp_parameters import MailParameters, RcptParameters, mail_parameters, rcpt_parameters
from gatepost.smtpd.replies import Refused
from gatepost.smtpd.session import Session
from gatepost.smtpd.transaction import MailTransaction
from gatepost.smtpd.words import path_words, printable
from gatepost.tables.table import LookupTemporaryFailure


class Mail(msgspec.Struct, gc=False):
    address: str
    parameters: MailParameters
    local: bool = False


_NO_PARAMETERS = RcptParameters()


class Rcpt(msgspec.Struct, gc=False):
    """`given` is the path without its brackets, in the external form that the client chose."""

    address: str
    given: str
    parameters: RcptParameters


# An address and nothing else, in the form that the specifications ask for: the path as parse_path() would take it.
_ADDRESS = r'<([^\x00-\x20\x7f()<>@,;:\\"\[\]]++@[^\x00-\x20\x7f()<>@,;:\\"\[\]]++)>'
_plain_mail = re.compile("[Ff][Rr][Oo][Mm]: ?" + _ADDRESS).fullmatch
_plain_rcpt = re.compile("[Tt][Oo]: ?" + _ADDRESS).fullmatch

Given = str | list[Word]
"""What MAIL or RCPT says: a mere address, or the words of which the first is the path."""


def check_mail(session: Session, command: Command) -> Given:
    params = session.params
    if params.smtpd_helo_required and session.facts.helo_name is None:
        raise Refused(replies.SEND_HELO_FIRST)
    if session.transaction is not None:
        raise Refused(replies.NESTED_MAIL)
    if session.chunking:
        raise Refused(replies.MAIL_AFTER_BDAT)
    plain = _plain_mail(command.argument)
    if plain is not None:
        return plain[1]
    found = path_words(command.argument, "from:")
    if found is None:
        raise Refused(replies.SYNTAX_MAIL)
    return found


async def restrict_mail(session: Session, found: Given) -> Reply | None:
    limit = session.params.smtpd_client_message_rate_limit
    if limit > 0 and await session.too_many("mail", limit):
        return Reply(450, "4.7.1", f"Error: too much mail from {session.facts.client.address}")
    mail = await _mail(session, found)
    facts = session.facts
    # Seen by the lists and by log lines; a refusal leaves no sender behind.
    facts.sender = mail.address
    facts.smtputf8 = mail.parameters.smtputf8
    facts.sasl_sender = mail.parameters.auth
    facts.size = session.sticky_size
    refusal = _too_large(session)
    if refusal is None:
        refusal = await session.env.policy.mail(facts)
        if refusal is None and session.params.strict_smtputf8:
            refusal = _undeclared(mail.address, facts.smtputf8)
        if refusal is not None:
            if facts.effects.hangup:
                return refusal
            session.reset()
        else:
            refusal = _no_space(session)
    if refusal is not None:
        facts.sender = None
        return refusal
    if session.forwarded_local is None:
        facts.sender = None  # as Postfix, whose line about a table that cannot tell has no sender
        context = await session.env.policy.header_context(facts, session.peer)
        if isinstance(context, Reply):
            return context
        facts.sender = mail.address
        mail.local = context == "local"
    else:
        mail.local = session.forwarded_local
    session.transaction = MailTransaction(
        mail.address,
        mail.parameters.body,
        mail.parameters.ret,
        mail.parameters.envid,
        mail.parameters.smtputf8,
        mail.local,
        mail.parameters.verp,
    )
    if not session.params.smtpd_delay_open_until_valid_rcpt:
        refusal = _open(session, session.transaction)
        if refusal is not None:
            session.reset()
    return refusal


async def _mail(session: Session, found: Given) -> Mail:
    params = session.params
    if isinstance(found, str):
        if await _has_error(session, found, False):
            raise _illegal(session, f"<{found}>", "MAIL", replies.BAD_SENDER)
        session.sticky_ret = ""
        return Mail(found, MailParameters())
    if found[0].broken:
        raise Refused(replies.BAD_SENDER)
    words = [word.text for word in found[1:]]
    smtputf8 = (
        bool(words)
        and params.smtputf8_enable
        and "SMTPUTF8" not in params.discard_ehlo
        and any(word.upper() == "SMTPUTF8" for word in words)
    )
    address = await _address(session, found[0].text, "MAIL", smtputf8, allow_empty=True)
    if address is None:
        raise Refused(replies.BAD_SENDER)
    parameters = MailParameters()
    if words:
        verp = session.env.lists.verp_clients is not None and await _may_verp(session, words)
        parameters = mail_parameters(words, params, smtputf8, session.sticky_ret, verp=verp)
        if parameters.verp and not address:
            raise Refused(replies.NULL_VERP)
    if parameters.size is not None:
        session.sticky_size = parameters.size
    session.sticky_ret = parameters.ret
    return Mail(address, parameters)


async def _may_verp(session: Session, words: list[str]) -> bool:
    clients, client = session.env.lists.verp_clients, session.facts.client
    if clients is None or not any(word[:5].upper() == "XVERP" for word in words):
        return False
    try:
        return await clients.match_host(client.name, client.address)
    except LookupTemporaryFailure:
        return False


def proceed_mail(session: Session, found: Given) -> Reply:
    return replies.MAIL_OK


def _too_large(session: Session) -> Reply | None:
    if 0 < session.params.message_size_limit < session.sticky_size:
        session.reject_line(replies.SIZE_LIMIT)
        return replies.SIZE_LIMIT
    return None


def _no_space(session: Session) -> Reply | None:
    """Is there less space than for any message, whatever its size was said to be (smtpd_check_queue)?"""
    params, facts = session.params, session.facts
    free = session.env.free()
    limit = params.message_size_limit
    if free >= params.queue_minfree and (limit <= 0 or free / 1.5 > limit):
        return None
    facts.sender = None
    session.reject_line(replies.NO_SPACE)
    session.env.log.warning(lines.not_enough_space(free))
    return replies.NO_SPACE


def _undeclared(address: str, smtputf8: bool) -> Reply | None:
    return None if smtputf8 or address.isascii() else replies.UNDECLARED_UTF8


def check_rcpt(session: Session, command: Command) -> Given:
    if session.transaction is None:
        raise Refused(replies.NEED_MAIL)
    if session.chunking:
        raise Refused(replies.RCPT_AFTER_BDAT)
    plain = _plain_rcpt(command.argument)
    if plain is not None:
        return plain[1]
    found = path_words(command.argument, "to:")
    if found is None:
        raise Refused(replies.SYNTAX_RCPT)
    return found


async def restrict_rcpt(session: Session, found: Given) -> Reply | None:
    params, facts, transaction = session.params, session.facts, session.transaction
    assert transaction is not None
    limit = params.smtpd_client_recipient_rate_limit
    if limit > 0 and await session.too_many("rcpt", limit):
        return Reply(450, "4.7.1", f"Error: too many recipients from {facts.client.address}")
    rcpt = await _rcpt(session, found)
    if len(transaction.recipients) >= params.smtpd_recipient_limit:
        session.unmarked = session.overshoot < params.smtpd_recipient_overshoot_limit
        session.overshoot += 1
        return replies.TOO_MANY_RECIPIENTS
    facts.recipient = rcpt.address
    refusal = None
    if params.strict_smtputf8:
        refusal = _undeclared(rcpt.address, transaction.smtputf8)
    if refusal is None:
        refusal = await session.env.policy.rcpt(facts)
    facts.recipient = session.recipient
    if refusal is None and not facts.effects.hangup:
        return _accept(session, transaction, rcpt)
    return refusal


async def _rcpt(session: Session, found: Given) -> Rcpt:
    if isinstance(found, str):
        if await _has_error(session, found, session.facts.smtputf8):
            raise _illegal(session, f"<{found}>", "RCPT", replies.BAD_RECIPIENT)
        return Rcpt(found, found, _NO_PARAMETERS)
    if found[0].broken:
        raise Refused(replies.BAD_RECIPIENT)
    text = found[0].text
    address = await _address(session, text, "RCPT", session.facts.smtputf8, allow_empty=False)
    if address is None:
        raise Refused(replies.BAD_RECIPIENT)
    given = text[1:-1] if text.startswith("<") and text.endswith(">") else text
    if len(found) == 1:
        return Rcpt(address, given, RcptParameters())
    return Rcpt(address, given, rcpt_parameters([word.text for word in found[1:]], session.params))


def _accept(session: Session, transaction: MailTransaction, rcpt: Rcpt) -> Reply | None:
    facts = session.facts
    if transaction.incoming is None and not transaction.failure:
        refusal = _open(session, transaction)
        if refusal is not None:
            return refusal
    orcpt = rcpt.parameters.orcpt or f"rfc822;{rcpt.given}"
    transaction.recipients.append(Recipient(rcpt.address, "", rcpt.parameters.notify, orcpt))
    facts.recipient_count += 1
    if session.recipient is None:
        session.recipient = facts.recipient = rcpt.address
    return None


def _open(session: Session, transaction: MailTransaction) -> Reply | None:
    """Give the message its queue ID, and tell whose it is."""
    try:
        transaction.incoming = incoming = session.env.cleanup.open()
    except (QueueUnavailable, QueueFull):
        return replies.WRITE_ERROR
    session.facts.queue_id = incoming.queue_id
    session.env.log.info(_client_line(session))
    return None


def _client_line(session: Session) -> str:
    facts, forwarded = session.facts, session.forwarded
    sasl = ""
    if facts.sasl_method:
        sasl += f", sasl_method={facts.sasl_method}"
    if facts.sasl_username:
        sasl += f", sasl_username={facts.sasl_username}"
    if facts.sasl_sender is not None:  # an empty one is told, too
        sasl += f", sasl_sender={facts.sasl_sender}"
    original = f", orig_queue_id={session.forwarded_id}" if session.forwarded_id else ""
    if forwarded is not None:
        original += f", orig_client={forwarded.namaddr}"
    return lines.client(facts.queue_id, facts.client.namaddr, sasl, original)


def proceed_rcpt(session: Session, found: Given) -> Reply:
    return replies.RCPT_OK


async def _address(
    session: Session, text: str, command: str, smtputf8: bool, *, allow_empty: bool, sloppy: bool = False
) -> str | None:
    """The internal address of a path; None, with a warning in the log, if it is none or can never resolve."""
    strict = session.params.strict_rfc821_envelopes and not sloppy
    address = parse_path(text, strict=strict, allow_empty=allow_empty)
    if address and await _has_error(session, address, smtputf8):
        address = None
    if address is None:
        session.env.log.warning(lines.illegal_address(session.facts.client.namaddr, command, printable(text)))
    return address


async def _has_error(session: Session, address: str, smtputf8: bool) -> bool:
    """Can it never resolve? Or has its domain characters for which SMTPUTF8 is needed (smtpd_check_addr)?"""
    env = session.env
    try:
        found = await env.resolver.resolve(session.facts.sender or "", env.rewriter.rewrite_internal(address))
    except LookupTemporaryFailure:
        return False  # the restrictions that need to know say so themselves
    return found.error or not (smtputf8 or address.isascii() or found.recipient.rpartition("@")[2].isascii())


def _illegal(session: Session, text: str, command: str, reply: Reply) -> Refused:
    session.env.log.warning(lines.illegal_address(session.facts.client.namaddr, command, printable(text)))
    return Refused(reply)


async def any_address(session: Session, text: str, command: str, smtputf8: bool) -> str | None:
    """As for RCPT; used by VRFY, which forgives more."""
    return await _address(session, text, command, smtputf8, allow_empty=False, sloppy=True)
