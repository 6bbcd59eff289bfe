"""Transcripts of the SMTP client's sessions that went wrong, for the postmaster (notify_classes = protocol, data).

Postfix's clients write down all that is said, always. Here they do only where notify_classes asks for these classes.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from gatepost.cleanup.interface import Cleanup
from gatepost.cleanup.to_postmaster import PostmasterMail
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.delivery.smtp_session import SmtpSession
from gatepost.ipc.messages import DeliveryRequest
from gatepost.mail.wrap import wrapped_lines
from gatepost.maillog.sink import ProgramLog
from gatepost.protocol.smtp_client import SmtpClientProtocol
from gatepost.protocol.smtp_client_events import Stage
from gatepost.protocol.smtp_client_login import LoginProtocol
from gatepost.protocol.smtp_reply import SmtpReply

_LENGTH, _INDENT = 78, 4
_UNJUDGED = frozenset((Stage.EHLO, Stage.RSET, Stage.XFORWARD_CLIENT, Stage.XFORWARD_SESSION))


def transcript_classes(settings: Settings) -> frozenset[str]:
    """Those of notify_classes that a client has to do with."""
    return frozenset(("data", "protocol")) & frozenset(split_list(settings.notify_classes.lower()))


class _Recording(SmtpClientProtocol):
    """Writes down what is said, content and logins excepted. `classes`: what has gone wrong."""

    said: list[str]
    classes: set[str]

    def begin(self) -> None:
        """A new transcript."""
        self.said = []
        self.classes = set()

    def data_to_send(self) -> bytes:
        return self._recorded(super().data_to_send())

    def content_sent(self) -> bytes:
        return self._recorded(super().content_sent())

    def quit(self) -> bytes:
        return self._recorded(super().quit())

    def _recorded(self, data: bytes) -> bytes:
        self.said += [f"Out: {line}" for line in self._shown(data.decode("utf-8", "replace")).splitlines()]
        return data

    def _shown(self, text: str) -> str:
        """Mail may be read by many: what would log in is left out (Postfix has it in its transcripts)."""
        return self.conceal(text) if isinstance(self, LoginProtocol) else text

    def _take_reply(self, reply: SmtpReply) -> None:
        self.said += [f"In:  {line}" for line in self._shown(reply.text).split("\n")]
        stage = self._expected[0] if self._expected else Stage.IDLE
        if (
            stage not in _UNJUDGED
            and not (isinstance(self, LoginProtocol) and self.logging_in)
            and not (self._refused_mail and stage is not Stage.MAIL)
            and _is_protocol_error(reply.code, stage)
        ):
            self.classes.add("protocol")
        super()._take_reply(reply)


def _is_protocol_error(code: int, stage: Stage) -> bool:
    """Is this a refusal that speaks of how something was said, or no refusal at all? (RFC 5321 4.2.1: x0z is syntax)"""
    if code // 100 == (3 if stage is Stage.DATA else 2):
        return False
    return code < 400 or code > 599 or code == 555 or 500 <= code < 510


def recording(protocol: type[SmtpClientProtocol]) -> Callable[..., SmtpClientProtocol]:
    """`protocol` with transcripts."""
    made = type("RecordingProtocol", (_Recording, protocol), {})

    def begun(*arguments: Any, **options: Any) -> SmtpClientProtocol:
        core = cast(_Recording, made(*arguments, **options))
        core.begin()
        return core

    return begun


class ClientTranscripts:
    """Those of a transport. `kind`: SMTP or LMTP; `date` is the text of a Date: header for now."""

    def __init__(
        self, settings: Settings, kind: str, cleanup: Cleanup, log: ProgramLog, date: Callable[[], str]
    ) -> None:
        self._classes = transcript_classes(settings)
        self._kind = kind
        self._mail = PostmasterMail(settings, cleanup, log, date)
        self._tasks: set[asyncio.Task[None]] = set()

    def over(self, session: SmtpSession, request: DeliveryRequest, *, data_error: bool = False) -> None:
        """A delivery over the session is over, or there will be none. `data_error`: for lack of its content.

        Of notices to the postmaster nothing is told: a server that cannot take them cannot take what tells of that,
        and there would be no end (Postfix goes on as long as it is refused).
        """
        core = cast(_Recording, session.core)
        said, classes = core.said, core.classes | ({"data"} if data_error else set())
        core.begin()
        to_postmaster = request.sender == self._mail.sender and not request.trace
        if classes & self._classes and not to_postmaster:
            task = asyncio.get_running_loop().create_task(self._mail.send(self._text(session.target.namaddrport, said)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait until all that is under way is in the queue."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _text(self, namaddrport: str, said: list[str]) -> bytes:
        told = [
            f"Unexpected response from {namaddrport}.",
            "",
            "Transcript of session follows.",
            "",
        ]
        for line in said:
            told += [f" {part}" for part in wrapped_lines(line, _LENGTH, _INDENT)]
        told += ["", "For other details, see the local mail logfile"]
        return self._mail.text(f"{self._kind} client: errors from {namaddrport}", told)
