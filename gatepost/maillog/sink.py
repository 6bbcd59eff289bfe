"""Where log lines go: a file, standard output or syslog. A log that fails never blocks mail.

Lines are collected and written with one `write` when the process asks for it (once per turn of its event loop, and
before a frame goes out that lets another process log about the same queue ID).
"""

import os
import socket
import time
from collections.abc import Callable
from typing import Protocol

MAX_TEXT = 2000
"""Octets of text per line, as Postfix."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class LogOutput(Protocol):
    """Takes whole lines, each as (unix seconds, severity, tag, text)."""

    def write(self, lines: list[tuple[float, int, str, str]]) -> None:
        """`lines` is not empty."""
        ...


LOG_INFO, LOG_WARNING, LOG_ERR, LOG_CRIT = 6, 4, 3, 2
FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "", "",
    "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
"""Their places are the numbers of RFC 3164 4.1.1; what syslog.h has no name for is empty."""


class FileOutput:
    """A descriptor that master opened for appending (maillog_file, or standard output).

    Lines that cannot be written are lost; once it can be written to again, it is told how many.
    """

    def __init__(self, descriptor: int, hostname: str) -> None:
        self.descriptor = descriptor
        self._lost = 0
        self._why = ""
        self._cut = False  # the last thing written is the beginning of a line
        self._host = hostname.split(".", 1)[0]
        self._second = -1
        self._stamp = ""

    def write(self, lines: list[tuple[float, int, str, str]]) -> None:
        if int(lines[0][0]) == int(lines[-1][0]):
            stamp = self._stamp_of(lines[0][0])
            text = "".join([f"{stamp}{tag}{text}\n" for _, _, tag, text in lines])
        else:
            text = "".join([f"{self._stamp_of(moment)}{tag}{text}\n" for moment, _, tag, text in lines])
        data = text.encode("utf-8", "backslashreplace")
        if self._lost and not self._told_of_loss(lines[0]):
            self._lost += len(lines)
            return
        self._lost += self._put(data).count(b"\n")

    def _told_of_loss(self, line: tuple[float, int, str, str]) -> bool:
        text = f"{self._stamp_of(line[0])}{line[2]}warning: {self._lost} lines of the log were lost: {self._why}\n"
        if self._put(f"{self._cut * chr(10)}{text}".encode()):
            return False
        self._lost = 0
        return True

    def _put(self, data: bytes) -> bytes:
        """What of it could not be written."""
        while data:
            try:
                written = os.write(self.descriptor, data)
            except OSError as error:
                self._why = error.strerror or str(error)
                break
            self._cut = data[written - 1] != 10
            data = data[written:]
        return data

    def _stamp_of(self, moment: float) -> str:
        second = int(moment)
        if second != self._second:
            self._second = second
            t = time.localtime(second)
            clock = f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}"
            self._stamp = f"{_MONTHS[t.tm_mon - 1]} {t.tm_mday:02d} {clock} {self._host} "
        return self._stamp


class SyslogOutput:
    """The local syslog daemon's socket; lines are lost while nobody listens there."""

    def __init__(self, path: str = "/dev/log", facility: str = "mail") -> None:
        """`facility`: one of FACILITIES."""
        self._path = path
        self._facility = FACILITIES.index(facility) << 3
        self._socket: socket.socket | None = None

    def write(self, lines: list[tuple[float, int, str, str]]) -> None:
        for moment, severity, tag, text in lines:
            t = time.localtime(moment)
            stamp = f"{_MONTHS[t.tm_mon - 1]} {t.tm_mday:2d} {t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}"
            self._send(f"<{self._facility | severity}>{stamp} {tag}{text}".encode("utf-8", "backslashreplace"))

    def _send(self, datagram: bytes) -> None:
        for _ in range(2):
            try:
                if self._socket is None:
                    self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                    self._socket.setblocking(False)
                    self._socket.connect(self._path)
                self._socket.send(datagram)
                return
            except BlockingIOError:
                return
            except OSError:
                if self._socket is not None:
                    self._socket.close()
                self._socket = None


class MemoryOutput:
    """Keeps the lines: for tests and for commands that show them."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, lines: list[tuple[float, int, str, str]]) -> None:
        self.lines.extend(text for _, _, _, text in lines)


class MailLog:
    """One process's log. `flush` writes what is pending; `wake` is called when the first line becomes pending."""

    def __init__(self, output: LogOutput, syslog_name: str, pid: int, clock: Callable[[], float] = time.time) -> None:
        self.output = output
        self.syslog_name = syslog_name
        self.pid = pid
        self.wake: Callable[[], object] | None = None
        self._clock = clock
        self._pending: list[tuple[float, int, str, str]] = []

    def program(self, name: str, syslog_name: str = "") -> "ProgramLog":
        """The log of one program: `smtpd`, `cleanup`, `qmgr`, ... (`syslog_name`: a service's own)."""
        return ProgramLog(self, f"{syslog_name or self.syslog_name}/{name}[{self.pid}]: ")

    def add(self, severity: int, tag: str, text: str) -> None:
        if len(text) > MAX_TEXT:
            text = text[:MAX_TEXT]
        if "\n" in text:
            text = text.replace("\n", "?")
        self._pending.append((self._clock(), severity, tag, text))
        if self.wake is not None and len(self._pending) == 1:
            self.wake()

    def flush(self) -> None:
        if self._pending:
            lines, self._pending = self._pending, []
            self.output.write(lines)


class ProgramLog:
    """Writes lines under one tag; the text of each line comes from `maillog.lines`."""

    __slots__ = ("_log", "tag")

    def __init__(self, log: MailLog, tag: str) -> None:
        self._log = log
        self.tag = tag

    def program(self, name: str) -> "ProgramLog":
        """The same process in the name of another program."""
        return self._log.program(name)

    def info(self, text: str) -> None:
        self._log.add(LOG_INFO, self.tag, text)

    def warning(self, text: str) -> None:
        self._log.add(LOG_WARNING, self.tag, "warning: " + text)

    def error(self, text: str) -> None:
        self._log.add(LOG_ERR, self.tag, "error: " + text)

    def fatal(self, text: str) -> None:
        self._log.add(LOG_CRIT, self.tag, "fatal: " + text)

    def flush(self) -> None:
        self._log.flush()
