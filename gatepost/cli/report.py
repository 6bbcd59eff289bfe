"""What a command tells: on standard error, and in the mail log where this user may write it."""

import os
import sys

from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.maillog.sink import MailLog, ProgramLog
from gatepost.master.logfile import open_log


class Report:
    """The lines of one program. The log is opened for the first of them, and must be closed at the end."""

    def __init__(self, program: str, settings: Settings) -> None:
        self._program = program
        self._settings = settings
        self._log: ProgramLog | None = None
        self._opened = False
        self._descriptor = -1

    def info(self, text: str) -> None:
        print(f"{self._program}: {text}", file=sys.stderr)
        if (log := self._opened_log()) is not None:
            log.info(text)

    def all(self, texts: list[str]) -> None:
        """Several lines, in one go."""
        sys.stderr.write("".join([f"{self._program}: {text}\n" for text in texts]))
        if (log := self._opened_log()) is not None:
            for text in texts:
                log.info(text)

    def warning(self, text: str) -> None:
        print(f"{self._program}: warning: {text}", file=sys.stderr)
        if (log := self._opened_log()) is not None:
            log.warning(text)

    def fatal(self, text: str) -> None:
        print(f"{self._program}: fatal: {text}", file=sys.stderr)
        if (log := self._opened_log()) is not None:
            log.fatal(text)

    def close(self) -> None:
        if self._log is not None:
            self._log.flush()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def open(self) -> None:
        """Open the log now: before rights are given up that are needed for it."""
        self._opened_log()

    def _opened_log(self) -> ProgramLog | None:
        settings = self._settings
        # Standard output would be the running system's, not ours.
        if not self._opened and settings.maillog_file != "/dev/stdout":
            try:
                output, self._descriptor = open_log(settings, foreground=False)
                self._log = MailLog(output, settings.syslog_name, os.getpid()).program(self._program)
            except ConfigError:
                pass
        self._opened = True
        return self._log
