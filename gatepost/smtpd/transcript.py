"""Transcripts of sessions that went wrong, mailed to the postmaster (notify_classes, error_notice_recipient, and
bounce_notice_recipient where mail would have bounced).

Postfix's servers write down all that is said, always. Here only those do whose notify_classes name what a client may do
wrong. With the default (resource, software) nothing is written down in good times: the transcript then begins with the
command that failed.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from gatepost.cleanup.interface import Cleanup
from gatepost.cleanup.to_postmaster import PostmasterMail
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.mail.reply import Reply
from gatepost.mail.wrap import wrapped_lines
from gatepost.maillog.lines import COMMAND_ORDER
from gatepost.maillog.sink import ProgramLog
from gatepost.protocol.smtp_server import Command, Content, Event, Response, SmtpServerProtocol
from gatepost.smtpd.words import printable, without_credentials

CLASSES = frozenset(("bounce", "data", "policy", "protocol", "resource", "software"))
"""Those of notify_classes that a server has to do with."""

_OURS = frozenset(("resource", "software"))
_LENGTH, _INDENT = 78, 4
_HIDDEN = "..."

_PROTOCOL_CODES = frozenset((500, 501, 502, 503, 555))


def error_class(reply: Reply) -> str:
    """Whose fault a refusal is: what its maker says (`none`: nobody's), else the client's, in form or in matter."""
    return reply.fault or ("protocol" if reply.code in _PROTOCOL_CODES else "policy")


class RecordingProtocol(SmtpServerProtocol):
    """Writes down what is said; content excepted. `flush` is called where a long transcript may be cut.

    `threshold` lines are long (smtpd_history_flush_threshold).
    """

    __slots__ = ("_after_auth", "_message_over", "_threshold", "flush", "lines")

    def __init__(self, line_limit: int, threshold: int) -> None:
        super().__init__(line_limit)
        self.lines: list[str] = []
        self.flush: Callable[[], None] = self.lines.clear
        self._threshold = threshold
        self._message_over = False
        self._after_auth = False

    def next_event(self) -> Event:
        event = super().next_event()
        if type(event) is Command:
            self.lines.append(f"In:  {self._shown(event)}")
            if event.verb in ("EHLO", "HELO", "RSET"):
                self._flush_if_long()
        elif type(event) is Response:
            self.lines.append(f"In:  {_HIDDEN}")
        elif type(event) is Content:
            self._message_over = event.last
        return event

    def _shown(self, command: Command) -> str:
        """The line without what is as good as a password, and without what follows an AUTH that was refused."""
        known = command.verb.lower() in COMMAND_ORDER
        if known:
            self._after_auth = command.verb == "AUTH"
        elif self._after_auth:
            return _HIDDEN
        return without_credentials(command.line)

    def send_reply(self, wire: bytes) -> None:
        super().send_reply(wire)
        self.lines += [f"Out: {line}" for line in wire.decode(errors="replace").removesuffix("\r\n").split("\r\n")]
        if self._message_over:
            self._message_over = False
            self._flush_if_long()

    def _flush_if_long(self) -> None:
        if len(self.lines) > self._threshold:
            self.flush()


class _Record(msgspec.Struct, eq=False):
    """What is known of a session with failures: their classes, why it ended, and what was said (where nobody else
    writes it down).
    """

    classes: set[str]
    lines: list[str]
    reason: str = ""


class Transcripts:
    """Those of a listener. `date` is the text of a Date: header for now; `post` carries a coroutine out."""

    def __init__(
        self,
        settings: Settings,
        cleanup: Cleanup,
        log: ProgramLog,
        date: Callable[[], str],
        post: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._classes = CLASSES & frozenset(split_list(settings.notify_classes.lower()))
        self._all = not self._classes <= _OURS  # all that is said is written down
        self._threshold = settings.smtpd_history_flush_threshold
        self._mail = PostmasterMail(settings, cleanup, log, date)
        self._post = post
        self._records: dict[SmtpServerProtocol, _Record] = {}

    def __bool__(self) -> bool:
        return bool(self._classes)

    def protocol(self, line_limit: int) -> SmtpServerProtocol:
        """For a new session."""
        return RecordingProtocol(line_limit, self._threshold) if self._all else SmtpServerProtocol(line_limit)

    def failed(self, protocol: SmtpServerProtocol, reply: Reply, stage: str, namaddr: str) -> None:
        """The client `namaddr` is given this refusal of what it said at `stage`."""
        fault = error_class(reply)
        if not self._all and fault not in self._classes:
            return
        record = self._records.get(protocol)
        if record is None:
            record = self._records[protocol] = _Record(set(), [])
            if type(protocol) is RecordingProtocol:
                protocol.flush = lambda: self.over(protocol, namaddr)
        record.classes.add(fault)
        if type(protocol) is not RecordingProtocol:
            record.lines += [f"In:  {stage} ...", f"Out: {reply.line()}"]

    def aborted(self, protocol: SmtpServerProtocol, reason: str) -> None:
        """`lost connection`, `timeout`, `too many errors`. Told of good sessions, too."""
        if protocol in self._records:
            self._records[protocol].reason = reason

    def over(self, protocol: SmtpServerProtocol, namaddr: str, warned_of: Sequence[str] = ()) -> None:
        """The session has ended, or its transcript has become long. `warned_of`: classes of what was let pass."""
        record = self._records.pop(protocol, None)
        if record is None:
            if not warned_of:
                return
            record = _Record(set(), [])
        record.classes.update(warned_of)
        lines = record.lines
        if type(protocol) is RecordingProtocol:
            lines = [*protocol.lines]
            protocol.lines.clear()
            protocol.flush = protocol.lines.clear
        if record.classes & self._classes:
            text = self._text(namaddr, lines, record.reason)
            self._post(self._mail.send(text, of_bounce="bounce" in record.classes))

    def _text(self, namaddr: str, lines: list[str], reason: str) -> bytes:
        told = [
            "Transcript of session follows.",
            "",
        ]
        for line in lines:
            told += [f" {part}" for part in wrapped_lines(printable(line), _LENGTH, _INDENT)]
        told += ["", *([f"Session aborted, reason: {reason}"] if reason else []), ""]
        told.append("For other details, see the local mail logfile")
        return self._mail.text(f"SMTP server: errors from {namaddr}", told)
