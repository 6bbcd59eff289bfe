"""AUTH in an SMTP or LMTP client's session (RFC 4954), for sessions that may have to log in.

    READY -> send_login -> LOGIN event: the server's reply -> send_login ... -> logged_in -> IDLE

Who decides what to say is elsewhere (sasl/client); here is what keeps it apart from the rest. What was said of a login
is concealed in the server's replies to it: some servers repeat commands that they do not understand.
"""

import re

import msgspec

from gatepost.protocol.smtp_client import NEED_DATA, SmtpClientProtocol
from gatepost.protocol.smtp_client_events import Event, Kind, Stage
from gatepost.protocol.smtp_reply import SmtpReply

CONCEALED = "..."
_KEYWORD = re.compile(r"[ \t]*([^ \t=]+)[ \t=]?(.*)")
_SHORTEST = 4  # what is shorter may well be a word of the server's own


class LoginProtocol(SmtpClientProtocol):
    """To be combined with SmtpClientProtocol or LmtpClientProtocol (`with_login`)."""

    logging_in = False
    """Is a login under way? Its replies are no part of what else is said."""
    _secrets: tuple[str, ...] = ()
    offered_logins: tuple[str, ...] = ()
    """What stands behind AUTH in the reply to EHLO, one text for each line that has it."""

    def send_login(self, line: str) -> None:
        """AUTH, or the answer to a challenge, without its end. To be called when READY, or after a LOGIN event."""
        self.logging_in = True
        self.stage = self.hello  # Postfix's log and time limit know no other
        self._expected.append(self.stage)
        words = line.split(" ")
        secret = line if words[0] != "AUTH" else words[-1] if len(words) > 2 else ""
        if len(secret) >= _SHORTEST:
            self._secrets += (secret,)
        self._out.append(line.encode("ascii") + b"\r\n")

    def logged_in(self) -> None:
        """The server has let us in, and showed what it had to: transactions may start."""
        self.logging_in = False
        self._secrets = ()
        self.stage = Stage.IDLE

    def encrypted(self) -> None:
        super().encrypted()
        self.offered_logins = ()

    def conceal(self, text: str) -> str:
        """`text` without what was said of the login."""
        for secret in self._secrets:
            text = text.replace(secret, CONCEALED)
        return text

    def next_event(self) -> Event:
        if self.logging_in and not self._expected and not self._events:
            return NEED_DATA  # what else the server says counts as the reply to what we say next
        return super().next_event()

    def _take_reply(self, reply: SmtpReply) -> None:
        if self._secrets:
            reply = msgspec.structs.replace(reply, text=self.conceal(reply.text))
        super()._take_reply(reply)

    def _take_handshake(self, stage: Stage, reply: SmtpReply) -> None:
        if self.logging_in:
            self._events.append(Event(Kind.LOGIN, reply))
            return
        if stage is Stage.EHLO or stage is Stage.LHLO:
            self.offered_logins = () if "auth" in self._ignored else offered_logins(reply)
        super()._take_handshake(stage, reply)


def offered_logins(reply: SmtpReply) -> tuple[str, ...]:
    """What stands behind AUTH (`AUTH PLAIN LOGIN`; old servers write `AUTH=`) in a reply to EHLO."""
    found = (_KEYWORD.match(line[4:]) for line in reply.text.split("\n")[1:])
    return tuple(match[2].rstrip() for match in found if match is not None and match[1].upper() == "AUTH")


def with_login(protocol: type[SmtpClientProtocol]) -> type[LoginProtocol]:
    """`protocol`, able to log in."""
    return type("LoginProtocol", (LoginProtocol, protocol), {})
