"""DATA and BDAT (RFC 5321 4.1.1.4, RFC 3030), the content that follows, and the answer at its end."""

import re

from gatepost.cleanup.interface import CleanupResult, Transaction
from gatepost.mail.envelope import Origin
from gatepost.mail.reply import Reply
from gatepost.maillog import lines
from gatepost.protocol.data_scanner import ChunkReader
from gatepost.protocol.smtp_server import Command, Content
from gatepost.smtpd import replies
from gatepost.smtpd.replies import Refused
from gatepost.smtpd.session import Session
from gatepost.smtpd.transaction import Chunk, MailTransaction
from gatepost.smtpd.words import printable

_BDAT = re.compile(r"\s*([0-9]{1,19})(?:\s+(LAST))?\s*", re.I | re.ASCII)
_OUTCOMES = {
    "size": replies.TOO_BIG,
    "hops": replies.TOO_MANY_HOPS,
    "content": replies.CONTENT_REJECTED,
    "defer": replies.SERVICE_UNAVAILABLE,
    "space": replies.NO_SPACE,
    "write": replies.WRITE_ERROR,
}


def check_data(session: Session, command: Command) -> Command:
    transaction = session.transaction
    if session.chunking:
        raise Refused(replies.DATA_AFTER_BDAT)
    if transaction is None:
        raise Refused(replies.NEED_RCPT)
    if not transaction.recipients:
        raise Refused(replies.NO_VALID_RECIPIENTS)
    if command.argument.strip():
        raise Refused(replies.SYNTAX_DATA)
    return command


async def restrict_data(session: Session, command: Command) -> Reply | None:
    facts = session.facts
    facts.recipient = session.recipient if facts.recipient_count == 1 else None
    refusal = await session.env.policy.data(facts)
    facts.recipient = session.recipient
    return refusal


async def proceed_data(session: Session, command: Command) -> None:
    transaction = session.transaction
    assert transaction is not None
    intake = session.env.intake
    if intake.busy and not await intake.admitted(first=True):
        raise Refused(replies.WRITE_ERROR)
    # A client that ends even this line in a bare newline, and may do so, will end its content like that.
    bare = command.bare_newline and not await session.must_end_lines()
    if session.errors:
        await session.answer(replies.END_DATA_WITH)
    else:
        session.answer_now(replies.END_DATA_WITH)
    transaction.content = session.protocol.read_data(bare=bare)
    _begin(session, transaction)
    session.stage = "DATA content"


def _begin(session: Session, transaction: MailTransaction) -> None:
    """Cleanup learns who it is for: content that is too large for memory then streams into its file."""
    if transaction.incoming is not None:
        transaction.envelope = _envelope(session, transaction)
        transaction.incoming.begin(transaction.envelope)


def content(session: Session, event: Content) -> None:
    """A piece of the content; the answer at its end is `end_of_content`."""
    transaction = session.transaction
    if transaction is None or session.chunking == "error":
        return
    if not transaction.write(event.data, session.params.message_size_limit):
        session.env.log.warning(lines.size_limit_exceeded(session.facts.queue_id))


async def end_of_content(session: Session) -> None:
    """The content (or a chunk) is complete: answer it, and count the command as good or bad."""
    counted = session.counts["bdat" if session.chunking else "data"]
    if session.chunking:
        reply = await _end_of_chunk(session)
    else:
        session.stage = "END-OF-MESSAGE"
        reply = await _end_of_message(session)
    if reply is None:
        return
    if session.errors or reply.code >= 400:
        await session.answer(reply)
    else:
        session.answer_now(reply)
    if reply.code < 400:
        counted[0] += 1
        return
    session.errors += 1
    if session.errors >= session.params.smtpd_hard_error_limit and not session.closing:
        await session.too_many_errors()


async def _end_of_message(session: Session) -> Reply | None:
    transaction, facts = session.transaction, session.facts
    assert transaction is not None and transaction.content is not None
    refusal = None
    if transaction.content.bare_newline and session.params.smtpd_forbid_bare_newline == "reject":
        refusal = await _bare_newline(session)
    if refusal is None and not transaction.failure:
        facts.stage = "END-OF-MESSAGE"
        facts.size = transaction.octets
        facts.recipient = session.recipient if facts.recipient_count == 1 else None
        refusal = await session.env.policy.end_of_data(facts)
        if session.hung_up():
            return None
    if refusal is None:
        refusal = await _finish(session, transaction)
        if refusal is None:
            reply = _queued(session, transaction)
            # A message received forgives all errors before it.
            session.errors = session.junk = 0
            session.reset()
            return reply
    session.reset()
    return refusal


async def _bare_newline(session: Session) -> Reply | None:
    if not await session.must_end_lines():
        return None
    params = session.params
    session.env.log.info(session.bare_newline_line("END-OF-MESSAGE"))
    return Reply(
        params.smtpd_forbid_bare_newline_reject_code,
        "5.5.2",
        f"{params.myhostname} Error: bare <LF> received",
        "protocol",
    )


async def _finish(session: Session, transaction: MailTransaction) -> Reply | None:
    """Hand the message to the queue. None: it is on stable storage, and only then."""
    incoming = transaction.incoming
    if transaction.failure or incoming is None:
        return _OUTCOMES[transaction.failure or "write"]
    # From here on it is cleanup's; a reset must not abandon it.
    transaction.incoming = None
    result = await incoming.finish(_final_envelope(session, transaction))
    return None if result.outcome == "ok" else _failed(result)


def _final_envelope(session: Session, transaction: MailTransaction) -> Transaction:
    """With what the restrictions at the end of data have added."""
    envelope = transaction.envelope
    if envelope is None or session.chunking:
        return _envelope(session, transaction)
    # Since DATA no command was taken: all else is as it was.
    effects = session.facts.effects
    envelope.prepend = effects.prepend
    envelope.hold = effects.hold
    envelope.discard = effects.discard
    envelope.filter = effects.filter or session.params.content_filter
    envelope.redirect = effects.redirect
    envelope.bcc = effects.bcc
    return envelope


def _failed(result: CleanupResult) -> Reply:
    reply = _OUTCOMES[result.outcome]
    if not result.text:
        return reply
    dsn, _, text = result.text.partition(" ")
    return Reply(reply.code, dsn, text, reply.fault)


def _queued(session: Session, transaction: MailTransaction) -> Reply:
    queue_id = session.facts.queue_id
    if session.chunking:
        return Reply(250, "2.0.0", f"Ok: {transaction.octets} bytes queued as {queue_id}")
    return Reply(250, "2.0.0", f"Ok: queued as {queue_id}")


def _envelope(session: Session, transaction: MailTransaction) -> Transaction:
    facts, forwarded = session.facts, session.forwarded
    client, effects = facts.client, facts.effects
    origin = Origin(
        client.name, client.address, client.port, client.reverse_name, facts.helo_name or "", facts.protocol,
        facts.sasl_username, "local" if transaction.local else "remote",
    )  # fmt: skip
    return Transaction(
        transaction.sender,
        transaction.recipients,
        origin,
        namaddr=(forwarded or client).namaddr,
        body=transaction.body,
        smtputf8=transaction.smtputf8,
        encrypted=facts.encrypted,
        tls_lines=session.tls_lines,
        login_shown=session.params.smtpd_sasl_authenticated_header,
        ret=transaction.ret,
        envid=transaction.envid,
        prepend=effects.prepend,
        hold=effects.hold,
        discard=effects.discard,
        filter=effects.filter or session.params.content_filter,
        redirect=effects.redirect,
        bcc=effects.bcc,
        mappings=session.params.address_mappings,
        verp=transaction.verp,
    )


# BDAT.


def check_bdat(session: Session, command: Command) -> Chunk:
    if "CHUNKING" in session.params.discard_ehlo:
        raise Refused(replies.NOT_IMPLEMENTED_CLOSE)
    found = _BDAT.fullmatch(command.argument)
    facts = session.facts
    if found is None or int(found.group(1)) >= 2**63:
        session.env.log.warning(lines.malformed_bdat(facts.queue_id, facts.client.namaddr, printable(command.line)))
        raise Refused(replies.SYNTAX_BDAT)
    return Chunk(int(found.group(1)), found.group(2) is not None)


async def proceed_bdat(session: Session, chunk: Chunk) -> None:
    """Decide on the chunk, then read it in any case: its octets are on their way already."""
    chunk.refusal = await _refuse_chunk(session, chunk)
    if session.closing:
        return
    transaction = session.transaction
    session.last_chunk = chunk
    reader = ChunkReader()
    if chunk.refusal is not None:
        session.chunking = "error"
        if transaction is not None:
            transaction.abandon()
    else:
        assert transaction is not None
        session.chunking = "chunks"
        if isinstance(transaction.content, ChunkReader):
            reader = transaction.content
        else:
            transaction.content = reader
            _begin(session, transaction)
    if chunk.octets:
        session.stage = "BDAT content"
        session.protocol.read_chunk(chunk.octets, reader)
    else:
        await end_of_content(session)


async def _refuse_chunk(session: Session, chunk: Chunk) -> Reply | None:
    facts, transaction, params, log = session.facts, session.transaction, session.params, session.env.log
    if not chunk.octets and not chunk.last:
        log.warning(lines.null_bdat(facts.queue_id, facts.client.namaddr))
        return replies.NULL_BDAT
    if session.chunking == "error":
        return Reply(551, "5.0.0", f"Discarded {chunk.octets} bytes after earlier error")
    if transaction is None:
        return replies.NEED_RCPT
    if not transaction.recipients:
        return replies.NO_VALID_RECIPIENTS
    if not session.chunking:
        facts.recipient = session.recipient if facts.recipient_count == 1 else None
        refusal = await session.env.policy.data(facts)
        facts.recipient = session.recipient
        if refusal is not None or session.hung_up():
            return refusal
    intake = session.env.intake
    if intake.busy and not await intake.admitted(first=not session.chunking):
        return replies.WRITE_ERROR
    if 0 < params.message_size_limit < transaction.octets + chunk.octets:
        log.warning(lines.bdat_too_large(facts.queue_id, facts.client.namaddr))
        return replies.CHUNK_LIMIT
    return None


async def _end_of_chunk(session: Session) -> Reply | None:
    chunk, transaction = session.last_chunk, session.transaction
    assert chunk is not None
    if chunk.refusal is not None:
        if chunk.last:
            session.reset()
        return chunk.refusal
    assert transaction is not None
    if not chunk.last:
        return Reply(250, "2.0.0", f"Ok: {chunk.octets} bytes")
    reader = transaction.content
    assert isinstance(reader, ChunkReader)
    content(session, Content(reader.finish(), True))
    session.stage = "END-OF-MESSAGE"
    return await _end_of_message(session)
