"""The command table: each command is a row of check (syntax, sequence), restrictions, and what is done.

There is no second dispatch beside the table, and one place that counts, delays and refuses.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from gatepost.mail.reply import Reply
from gatepost.maillog import lines
from gatepost.protocol.smtp_server import Command
from gatepost.protocol.smtp_server_tokens import words
from gatepost.smtpd import (
    commands_auth,
    commands_data,
    commands_greeting,
    commands_mail,
    commands_other,
    commands_tls,
    replies,
    xclient,
)
from gatepost.smtpd.replies import Refused
from gatepost.smtpd.session import Session
from gatepost.smtpd.words import escaped, printable, without_credentials
from gatepost.tables.match_list import MatchList
from gatepost.tables.table import LookupTemporaryFailure, Table

Check = Callable[[Session, Command], Any]
Restrict = Callable[[Session, Any], Coroutine[Any, Any, Reply | None]]
Proceed = Callable[[Session, Any], Reply]
ProceedLater = Callable[[Session, Any], Coroutine[Any, Any, Reply | None]]


@dataclass(frozen=True, slots=True)
class Row:
    """`check` raises Refused or returns what the next steps need; `restrict` returns the refusal, or None.

    Then `proceed` gives the reply, or `later` does what takes time (None: it has answered, or will, and counts itself).
    `limited`: counts as a junk command. `last`: nothing may be sent ahead of its reply (RFC 2920 3.1).
    """

    name: str
    check: Check
    restrict: Restrict | None = None
    proceed: Proceed | None = None
    later: ProceedLater | None = None
    limited: bool = False
    last: bool = False
    key: str = field(init=False)
    """The name as in the log's counts."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.name.lower())


_ROWS = (
    Row("HELO", commands_greeting.check_helo, commands_greeting.restrict_helo, commands_greeting.proceed_helo,
        limited=True, last=True),
    Row("EHLO", commands_greeting.check_ehlo, commands_greeting.restrict_helo, later=commands_greeting.proceed_ehlo,
        limited=True, last=True),
    Row("XCLIENT", xclient.check_xclient, xclient.restrict_xclient, later=xclient.proceed_xclient, last=True),
    Row("XFORWARD", xclient.check_xforward, xclient.restrict_xforward, xclient.proceed_xforward),
    # It need not be waited for: what comes behind it is not looked at.
    Row("STARTTLS", commands_tls.check_starttls, later=commands_tls.proceed_starttls),
    Row("AUTH", commands_auth.check_auth, commands_auth.restrict_auth, later=commands_auth.proceed_auth),
    Row("MAIL", commands_mail.check_mail, commands_mail.restrict_mail, commands_mail.proceed_mail),
    Row("RCPT", commands_mail.check_rcpt, commands_mail.restrict_rcpt, commands_mail.proceed_rcpt),
    Row("DATA", commands_data.check_data, commands_data.restrict_data, later=commands_data.proceed_data, last=True),
    Row("BDAT", commands_data.check_bdat, later=commands_data.proceed_bdat),
    Row("RSET", commands_other.check_rset, None, commands_other.proceed_rset, limited=True),
    Row("NOOP", commands_other.check_nothing, None, commands_other.proceed_noop, limited=True, last=True),
    Row("VRFY", commands_other.check_vrfy, commands_other.restrict_vrfy, commands_other.proceed_vrfy,
        limited=True, last=True),
    Row("ETRN", commands_other.check_etrn, commands_other.restrict_etrn, commands_other.proceed_etrn, limited=True),
    Row("QUIT", commands_other.check_nothing, None, commands_other.proceed_quit),
)  # fmt: skip
TABLE = {row.name: row for row in _ROWS}


def execute(session: Session, command: Command) -> Coroutine[Any, Any, None]:
    """One command, from line to reply. The coroutine raises nothing."""
    row = TABLE.get(command.verb)
    odd = command.too_long or command.bare_newline or command.bad_utf8
    if row is None or odd or session.env.looks_at_lines:
        return _execute_odd(session, command)
    return _run(session, row, command)


async def _execute_odd(session: Session, command: Command) -> None:
    """What is more than a line with a command at its start."""
    try:
        odd = command.too_long or command.bare_newline or command.bad_utf8
        if odd and await _refuse_line(session, command):
            return
        if session.env.lists.command_filter is not None:
            command = await _filtered(session, session.env.lists.command_filter, command)
        noop = session.env.lists.noop_commands
        if noop is not None and await _is_noop(session, noop, command):
            return
        row = TABLE.get(command.verb)
        if row is None:
            command = _first_word_parted(command)
            row = TABLE.get(command.verb)
        tls = session.env.tls
        if tls is not None and tls.enforced:
            if await commands_tls.unwelcome(session):
                return
            if row is not None and await commands_tls.refused_before_tls(session, row.name, row.key):
                await _limit_errors(session)
                return
        if row is not None:
            await _run(session, row, command)
            return
        await _unknown(session, command)
    except LookupTemporaryFailure:
        session.data_error()
    await _limit_errors(session)


async def _limit_errors(session: Session) -> None:
    if session.errors >= session.params.smtpd_hard_error_limit and not session.closing:
        await session.too_many_errors()


async def _refuse_line(session: Session, command: Command) -> bool:
    """What is wrong with the line itself; True if that has been answered."""
    env, params, namaddr = session.env, session.params, session.facts.client.namaddr
    if command.too_long:
        shown = printable(without_credentials(command.line)[:30].removesuffix(" ..."))
        env.log.warning(lines.request_too_long(namaddr, params.line_length_limit, shown))
    if command.bare_newline and params.smtpd_forbid_bare_newline == "reject" and await session.must_end_lines():
        env.log.info(session.bare_newline_line(session.stage))
        code = params.smtpd_forbid_bare_newline_reject_code
        await session.answer(Reply(code, "5.5.2", f"{params.myhostname} Error: bare <LF> received", "protocol"))
        session.close()
        return True
    if command.bad_utf8:
        await session.answer(replies.BAD_UTF8)
        session.errors += 1
        return True
    return False


async def _filtered(session: Session, command_filter: Table, command: Command) -> Command:
    """smtpd_command_filter: what is executed instead, if the table has the line. Raises LookupTemporaryFailure."""
    line, log = command.line, session.env.log
    try:
        found = await command_filter.lookup(line.lstrip(" \t"))
    except LookupTemporaryFailure:
        log.warning(f'{command_filter.name} lookup error for "{printable(without_credentials(line))[:100]}"')
        raise
    if found is None:
        return command
    shown, instead = without_credentials(line)[:100], without_credentials(found)[:100]
    log.info(lines.replaced_command(session.facts.client.namaddr, shown, instead))
    verb, _, argument = found.partition(" ")
    return Command(verb.upper(), argument, found, command.bare_newline, command.too_long)


async def _is_noop(session: Session, noop_commands: MatchList, command: Command) -> bool:
    """smtpd_noop_commands: answered, and nothing else."""
    if not await noop_commands.match_string(_first_word_parted(command).verb.lower()):
        return False
    await session.answer(replies.OK)
    _count_junk(session)
    return True


def _first_word_parted(command: Command) -> Command:
    """The verb by Postfix's rules for words, where the first blank alone does not tell (leading blanks, tabs)."""
    line = command.line.lstrip(" \t\r\n\v\f")
    found = words(line)
    if not found:
        return command
    verb = found[0].text
    return Command(verb.upper(), line[len(verb) :].lstrip(" \t\r\n\v\f"), command.line, command.bare_newline)


async def _unknown(session: Session, command: Command) -> None:
    if not command.line.strip(" \t\r\n\v\f"):
        await session.answer(replies.BAD_SYNTAX)
        session.errors += 1
        return
    session.started("unknown")
    session.stage = "UNKNOWN"
    verb, forbidden = command.verb, session.env.lists.forbidden_commands
    if _is_header(verb) or (forbidden is not None and await forbidden.match_string(verb)):
        session.env.log.warning(lines.non_smtp_command(session.facts.client.namaddr, printable(command.line[:100])))
        await session.answer(replies.BREAKS_RULES)
        session.close()
        return
    await session.answer(replies.NOT_RECOGNIZED if session.access_denied is None else _denied(session))
    session.errors += 1


def _is_header(word: str) -> bool:
    """Does it look like the start of a message header: somebody speaks HTTP or sends content where commands go?"""
    name, colon, _ = word.partition(":")
    return bool(name and colon) and name.isprintable()


async def _run(session: Session, row: Row, command: Command) -> None:
    facts = session.facts
    counted = session.counts.get(row.key)
    if counted is None:
        counted = session.started(row.key)
    else:
        counted[1] += 1
    if session.access_denied is not None and row.name != "QUIT":
        await session.answer(_denied(session))
        session.errors += 1
        await _limit_errors(session)
        return
    session.stage = facts.stage = row.name
    if (
        session.protocol.buffered
        and (row.last or facts.protocol != "ESMTP")
        and not facts.sent_ahead
        and await _sent_ahead(session, row)
    ):
        return
    try:
        request = row.check(session, command)
        reply = None
        if row.restrict is not None:
            reply = await row.restrict(session, request)
            if facts.effects.hangup and session.hung_up():
                return
        if reply is None:
            if row.proceed is not None:
                reply = row.proceed(session, request)
            elif row.later is not None:
                reply = await row.later(session, request)
    except Refused as refused:
        reply = refused.reply
    except LookupTemporaryFailure:
        session.data_error()
        return
    if reply is not None:
        if session.errors or reply.code >= 400:
            await session.answer(reply)
        else:
            session.answer_now(reply)
        if reply.code < 400 or session.unmarked:
            counted[0] += 1
            session.unmarked = False
        else:
            session.errors += 1
        if row.name == "QUIT":
            session.close()
    if row.limited:
        _count_junk(session)
    if session.errors:
        await _limit_errors(session)


def _count_junk(session: Session) -> None:
    session.junk += 1
    if session.junk > session.params.smtpd_junk_command_limit + 1:
        session.errors += 1


def _denied(session: Session) -> Reply:
    """The answer to all that a client says who was refused at connect (RFC 5321 3.1)."""
    denied = session.access_denied
    assert denied is not None
    if denied.code % 100 == 21:
        return denied
    return Reply(503, "5.7.0", f"Error: access denied for {session.facts.client.namaddr}", "policy")


async def _sent_ahead(session: Session, row: Row) -> bool:
    """The client has not waited where it had to; True if that is the end (smtpd_forbid_unauth_pipelining)."""
    ahead = escaped(without_credentials(session.protocol.sent_ahead(100).decode("latin-1")).encode("latin-1"))
    session.env.log.info(lines.improper_pipelining(row.name, session.facts.client.namaddr, ahead))
    session.facts.sent_ahead = True
    if not session.params.smtpd_forbid_unauth_pipelining:
        return False
    await session.answer(replies.SYNCHRONIZATION)
    session.close()
    return True
