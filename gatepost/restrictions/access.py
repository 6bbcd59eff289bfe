"""What stands at the right-hand side of an access table, and what it does (access(5))."""

import re

from gatepost.mail.reply import Reply
from gatepost.restrictions.context import Context
from gatepost.restrictions.lists import DEPTH_LIMIT, log_permit, run_list
from gatepost.restrictions.reply import fix_dsn, split_dsn
from gatepost.restrictions.verdict import (
    DUNNO,
    PERMIT,
    DeferIfPermit,
    DeferIfReject,
    Refused,
    Reject,
    ServerConfigurationError,
    Verdict,
)

HANGUP_REPLY = Reply(421, "4.7.0", "Error: connection closed")
"""Never sent: `effects.hangup` tells the server to close without a word."""

# Word characters as isspace(3) sees them end a command.
_HEADER = re.compile(r"[\x21-\x39\x3b-\x7e]+[ \t]*:")
_DIGITS = frozenset("0123456789")


class AccessResult:
    """One table's answer on its way to a verdict: command word, text, and what it is about."""

    __slots__ = ("command", "ctx", "datum", "reply_class", "reply_name", "table", "text", "value")

    def __init__(self, ctx: Context, value: str, table: str, datum: str, reply_name: str, reply_class: str) -> None:
        self.ctx = ctx
        self.value = value
        self.table = table
        self.datum = datum
        self.reply_name = reply_name
        self.reply_class = reply_class
        self.command, self.text = _split(value)

    def about(self, text: str) -> str:
        """`<name>: Client host text`, as in log lines of actions."""
        return f"<{self.reply_name}>: {self.reply_class} {text}"

    def reply(self, code: int, dsn: str, default: str) -> Reply:
        """A refusal in the table's words; its text may begin with a status of its own."""
        dsn, text = split_dsn(dsn, self.text)
        dsn = fix_dsn(dsn, self.reply_class, self.ctx.ports.log.info)
        return Reply(code, dsn, self.about(f"rejected: {text or default}"))

    async def permit(self) -> Verdict:
        await log_permit(self.ctx, self.command, self.reply_class, self.reply_name, self.table)
        return PERMIT

    def warn(self, text: str) -> None:
        self.ctx.ports.log.warning(f"access table {self.table}{text}")

    def warn_entry(self, text: str) -> None:
        self.warn(f' entry "{self.datum}" {text}')


def _split(value: str) -> tuple[str, str]:
    """Command and text; the text without the blanks before it."""
    for index, char in enumerate(value):
        if char in " \t":
            return value[:index], value[index:].lstrip()
    return value, ""


def lookup_failed(reply_name: str, reply_class: str) -> Verdict:
    """A table that cannot tell counts as one with the entry `451 4.3.5 Server configuration error`."""
    return Reject(Reply(451, "4.3.5", f"<{reply_name}>: {reply_class} rejected: Server configuration error"))


async def apply_result(ctx: Context, value: str, table: str, datum: str, reply_name: str, reply_class: str) -> Verdict:
    """Do what `table` says for `datum`; `reply_name` and `reply_class` tell whom replies and log lines are about."""
    result = AccessResult(ctx, value, table, datum, reply_name, reply_class)
    action = _ACTIONS.get(result.command.upper())
    if action is not None:
        return action(result)
    word = result.command.upper()
    if word == "OK" or word == "RELAY" or (value and _DIGITS.issuperset(value)):
        return await result.permit()
    if word == "DISCARD":
        return await _discard(result)
    if len(word) == 3 and word[0] in "45" and _DIGITS.issuperset(word) and result.text:
        return Reject(result.reply(int(word), f"{word[0]}.7.1", "Access denied"))
    return await _run_as_list(result)


async def _run_as_list(result: AccessResult) -> Verdict:
    """The entry names restrictions. It cannot name tables: those are opened at start, before privileges are dropped."""
    ctx, value = result.ctx, result.value
    log = ctx.ports.log
    if ":" in value:
        result.warn(f" has entry with lookup table: {value}")
        log.warning("do not specify lookup tables inside SMTPD access maps")
        log.warning("define a restriction class and specify its name instead.")
        raise ServerConfigurationError
    if ctx.depth > DEPTH_LIMIT:
        result.warn(f" entry {value} causes unreasonable recursion")
        raise ServerConfigurationError
    checks = ctx.parts.compile_result(value, ctx.default_access)
    if not checks and not value.strip(", \t"):
        result.warn(f" entry {value} has empty value")
        return PERMIT
    name, class_ = ctx.reply_name, ctx.reply_class
    ctx.reply_name, ctx.reply_class = result.reply_name, result.reply_class
    try:
        return await run_list(ctx, checks)
    finally:
        ctx.reply_name, ctx.reply_class = name, class_


def _dunno(result: AccessResult) -> Verdict:
    return DUNNO


def _reject(result: AccessResult) -> Verdict:
    return Reject(result.reply(result.ctx.params.access_map_reject_code, "5.7.1", "Access denied"))


def _defer(result: AccessResult) -> Verdict:
    return Reject(result.reply(result.ctx.params.access_map_defer_code, "4.7.1", "Access denied"))


def _defer_if_permit(result: AccessResult) -> Verdict:
    return DeferIfPermit(result.reply(result.ctx.params.access_map_defer_code, "4.7.1", "Service unavailable"))


def _defer_if_reject(result: AccessResult) -> Verdict:
    return DeferIfReject(result.reply(result.ctx.params.access_map_defer_code, "4.7.1", "Service unavailable"))


def _hangup(result: AccessResult) -> Verdict:
    result.ctx.log("hangup", result.text)
    result.ctx.facts.effects.hangup = True
    return Refused(HANGUP_REPLY)


def _info(result: AccessResult) -> Verdict:
    result.ctx.log("info", result.text)
    return DUNNO


def _warn(result: AccessResult) -> Verdict:
    result.ctx.log("warn", result.text)
    return DUNNO


def _has_transaction(result: AccessResult, action: str) -> bool:
    if result.ctx.sender is not None:
        return True
    result.warn(
        f": with smtpd_delay_reject=no, action {action} is always skipped in Client host or Helo command restrictions"
    )
    return False


def _can_delegate(result: AccessResult, action: str) -> bool:
    """Is there a message, and a cleanup of ours, that could do this later?"""
    if result.ctx.params.smtpd_proxy_filter:
        result.warn(f": with smtpd_proxy_filter specified, action {action} is unavailable")
        return False
    if result.ctx.facts.stage == "ETRN":
        result.warn(f": action {action} is unavailable in smtpd_etrn_restrictions")
        return False
    return _has_transaction(result, action)


def _filter(result: AccessResult) -> Verdict:
    if _can_delegate(result, "FILTER"):
        if not result.text:
            result.warn_entry("has FILTER entry without value")
        elif ":" not in result.text:
            result.warn_entry("requires transport:destination")
        else:
            result.ctx.facts.effects.filter = result.text
            result.ctx.log("filter", result.about(f"triggers FILTER {result.text}"))
    return DUNNO


def _hold(result: AccessResult) -> Verdict:
    effects = result.ctx.facts.effects
    if _can_delegate(result, "HOLD") and not effects.hold:
        result.ctx.log("hold", result.about(result.text or "triggers HOLD action"))
        effects.hold = True
    return DUNNO


async def _discard(result: AccessResult) -> Verdict:
    if not _can_delegate(result, "DISCARD"):
        return DUNNO
    result.ctx.log("discard", result.about(result.text or "triggers DISCARD action"))
    result.ctx.facts.effects.discard = True
    return await result.permit()


def _redirect(result: AccessResult) -> Verdict:
    if _can_delegate(result, "REDIRECT"):
        if "@" not in result.text:
            result.warn_entry("requires user@domain target")
        else:
            result.ctx.log("redirect", result.about(f"triggers REDIRECT {result.text}"))
            result.ctx.facts.effects.redirect = result.text
    return DUNNO


def _bcc(result: AccessResult) -> Verdict:
    if _can_delegate(result, "BCC"):
        if "@" not in result.text:
            result.warn_entry("requires user@domain target")
        else:
            result.ctx.log("bcc", result.about(f"triggers BCC {result.text}"))
            result.ctx.facts.effects.bcc.append(result.text)
    return DUNNO


def _prepend(result: AccessResult) -> Verdict:
    if not _has_transaction(result, "PREPEND"):
        return DUNNO
    if result.ctx.facts.stage == "END-OF-MESSAGE":
        result.warn(": action PREPEND must be used before smtpd_end_of_data_restrictions")
    elif _HEADER.match(result.text) is None:
        result.warn_entry("requires header: text")
    else:
        result.ctx.facts.effects.prepend.append(result.text)
    return DUNNO


_ACTIONS = {
    "DUNNO": _dunno,
    "REJECT": _reject,
    "DEFER": _defer,
    "DEFER_IF_PERMIT": _defer_if_permit,
    "DEFER_IF_REJECT": _defer_if_reject,
    "HANGUP": _hangup,
    "INFO": _info,
    "WARN": _warn,
    "FILTER": _filter,
    "HOLD": _hold,
    "REDIRECT": _redirect,
    "BCC": _bcc,
    "PREPEND": _prepend,
}
