"""Transcripts of sessions that went wrong, mailed to the postmaster (notify_classes, error_notice_recipient, and
bounce_notice_recipient where mail would have bounced).

Postfix's servers write down all that is said, always. Here only those do whose notify_classes name what a client may do
wrong. With the default (resource, software) nothing is written down in good times: the transcript then begins with the
command that failed.
"""

from collections.abc import Callable, Coroutine
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
from gatepost.smtpd import replies
from gatepost.smtpd.words import printable, without_credentials

CLASSES = frozenset(("bounce", "data", "policy", "protocol", "resource", "software"))
"""Those of notify_classes that a server has to do with."""

_OURS = frozenset(("resource", "software"))
_LENGTH, _INDENT = 78, 4
_HIDDEN = "..."

_OWN_FAULTS = {
    "451 4.3.0 Error: queue file write error": "resource",
    "452 4.3.1 Insufficient system storage": "resource",
    "451 4.3.5 Server configuration error": "software",
    "451 4.3.5 Server configuration problem": "software",
    replies.TLS_UNAVAILABLE.line(): "software",
}
_OWN_CODES = frozenset((451, 452))
_PROTOCOL_CODES = frozenset((500, 501, 502, 503, 555))
_PROTOCOL_HEADS = frozenset(("521 5.5.4", "554 5.5.0"))
_PROTOCOL_ENDS = ("Error: too many errors", "Error: no valid recipients", "Error: TLS already active")
_NOBODYS = (
    replies.MUST_STARTTLS.line(), replies.AUTH_ABORTED.line(), replies.RESPONSE_TOO_LONG.line(),
    "535 5.7.8 Error: authentication failed", "454 4.7.0 Temporary authentication failure",
)  # fmt: skip
"""How they begin."""

_AFTER_DATA = {"552 5.3.4": "bounce", "554 5.4.0": "bounce"}


def error_class(reply: Reply, stage: str) -> str:
    """Whose fault a refusal is, as Postfix has it: of ours or the tables', else the client's, in form or in matter.

    Empty: nobody's.
    """
    line = reply.line()
    if line in _OWN_FAULTS:
        return _OWN_FAULTS[line]
    head = line[:9]
    if head == "451 4.3.0" or (head == "421 4.3.0" and line.endswith("data error")):
        return "data"
    if line.startswith(_NOBODYS):
        return ""
    if "address rejected: User unknown" in line:
        return "bounce"
    if stage == "END-OF-MESSAGE" and head in _AFTER_DATA:
        return _AFTER_DATA[head]
    if reply.code in _PROTOCOL_CODES or head in _PROTOCOL_HEADS or line.endswith(_PROTOCOL_ENDS):
        return "protocol"
    return "policy"


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
        if not self._all and reply.code not in _OWN_CODES and reply is not replies.TLS_UNAVAILABLE:
            return
        record = self._records.get(protocol)
        if record is None:
            record = self._records[protocol] = _Record(set(), [])
            if type(protocol) is RecordingProtocol:
                protocol.flush = lambda: self.over(protocol, namaddr)
        record.classes.add(error_class(reply, stage))
        if type(protocol) is not RecordingProtocol:
            record.lines += [f"In:  {stage} ...", f"Out: {reply.line()}"]

    def aborted(self, protocol: SmtpServerProtocol, reason: str) -> None:
        """`lost connection`, `timeout`, `too many errors`. Told of good sessions, too."""
        if protocol in self._records:
            self._records[protocol].reason = reason

    def over(self, protocol: SmtpServerProtocol, namaddr: str) -> None:
        """The session has ended, or its transcript has become long."""
        record = self._records.pop(protocol, None)
        if record is None:
            return
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
