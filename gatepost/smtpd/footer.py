"""Text after each reply that refuses (smtpd_reject_footer, smtpd_reject_footer_maps; smtp_reply_footer(3))."""

from collections.abc import Callable

from gatepost.config.mac_expand import mac_expand
from gatepost.config.settings import Settings
from gatepost.mail.reply import Reply
from gatepost.restrictions.facts import SessionFacts
from gatepost.restrictions.macros import session_macro, unescape
from gatepost.restrictions.ports import Log
from gatepost.tables.maps import Maps
from gatepost.tables.opening import Tables
from gatepost.tables.table import LookupTemporaryFailure

_SAME_LINE = "\\c"
_LINE_BREAK = "\\n"


class RejectFooter:
    """The footers of one listener. `clock` gives wall-clock seconds."""

    def __init__(self, settings: Settings, tables: Tables, log: Log, clock: Callable[[], float]) -> None:
        self._template: str = settings.smtpd_reject_footer
        self._maps: Maps = tables.maps("smtpd_reject_footer_maps", settings.smtpd_reject_footer_maps)
        self._allowed = unescape(settings.smtpd_expansion_filter)
        self._server_name: str = settings.myhostname
        self._log = log
        self._clock = clock

    def __bool__(self) -> bool:
        return bool(self._template or self._maps)

    async def after(self, reply: Reply, facts: SessionFacts) -> Reply:
        """`reply`, which has a code of 400 or more, with its footer. A table that cannot tell has none for it."""
        template = self._template
        if self._maps:
            try:
                hit = await self._maps.find(reply.line())
            except LookupTemporaryFailure:
                hit = None
            if hit is not None:
                template = hit.value
        return self._appended(reply, template, facts) if template else reply

    def after_at_once(self, reply: Reply, facts: SessionFacts) -> Reply:
        """The same where nothing can be awaited: what a table does not know without asking others is left out."""
        answer = self.after(reply, facts)
        try:
            answer.send(None)
        except StopIteration as done:
            completed: Reply = done.value
            return completed
        answer.close()
        return self._appended(reply, self._template, facts) if self._template else reply

    def _appended(self, reply: Reply, template: str, facts: SessionFacts) -> Reply:
        same_line = template.startswith(_SAME_LINE)
        parts = (template[len(_SAME_LINE) :] if same_line else template).split(_LINE_BREAK)
        found = []
        for part in parts:
            expansion = mac_expand(part, lambda name: self._value(name, facts), recurse=False, allowed=self._allowed)
            if expansion.error:
                self._log.warning(expansion.error)
                return reply
            found.append(expansion.text)
        text = reply.text + ("" if same_line else "\n") + "\n".join(found)
        return Reply(reply.code, reply.dsn, text, reply.fault)

    def _value(self, name: str, facts: SessionFacts) -> str | None:
        return session_macro(facts, name, self._server_name, self._clock(), self._log)
