"""smtp_header_checks and their kin: what the SMTP client looks for in content on its way out (header_checks(5))."""

import re
from collections.abc import Callable, Mapping

from gatepost.delivery.interface import Log
from gatepost.mail.headers import header_name
from gatepost.mail.mime_state import Kind
from gatepost.tables.maps import Maps
from gatepost.tables.table import LookupTemporaryFailure

PARAMETERS: Mapping[Kind, str] = {
    "header": "_header_checks",
    "mime_header": "_mime_header_checks",
    "nested_header": "_nested_header_checks",
    "body": "_body_checks",
}
"""Which parameter (behind `smtp` or `lmtp`) is for which kind of text."""

_BLANKS = re.compile(r"[ \t]\s*")
_SHOWN_AS_QUESTION_MARK = re.compile(r"[\x00-\x1f\x7f\udc80-\udcff]")


class CheckFailure(Exception):
    """A table cannot tell; the log has the reason."""


class ContentChecks:
    """`maps`: the tables for each kind, those that there are. `log`, `warn`: lines of the mail log."""

    def __init__(self, maps: Mapping[Kind, Maps], log: Log, warn: Log) -> None:
        self._maps = {kind: found for kind, found in maps.items() if found}
        self._log = log
        self._warn = warn
        self.mime = set(self._maps) != {"body"}
        """Do headers matter?"""

    def __bool__(self) -> bool:
        return bool(self._maps)

    async def apply(self, kind: Kind, text: bytes, queue_id: str) -> tuple[bytes, ...]:
        """What stands in place of `text`, each without its line end. Raises CheckFailure."""
        maps = self._maps.get(kind)
        if maps is None or not text:
            return (text,)
        try:
            hit = await maps.find(text.decode("utf-8", "surrogateescape"))
        except LookupTemporaryFailure:
            where = "body" if kind == "body" else "header"
            prefix = maps.parameter.partition("_")[0]
            self._warn(f"{queue_id}: {prefix} {where} checks lookup error")
            raise CheckFailure(maps.parameter) from None
        if hit is None:
            return (text,)
        return self._act(hit.value, "body" if kind == "body" else "header", text, maps.parameter, queue_id)

    def _act(self, value: str, where: str, text: bytes, parameter: str, queue_id: str) -> tuple[bytes, ...]:
        command, *others = _BLANKS.split(value, maxsplit=1)
        command, rest = command.upper(), others[0] if others else ""  # with the blanks at its end, which $1 may have
        match command:
            case "WARN" | "INFO" | "STRIP":
                word = "warning" if command == "WARN" else command.lower()
                self._tell(self._log, word, where, text, rest, queue_id)
                return () if command == "STRIP" else (text,)
            case "IGNORE":
                return ()
            case "REPLACE" | "PREPEND":
                if not self._usable(command, rest, where, parameter):
                    return (text,)
                self._tell(self._log, command.lower(), where, text, rest, queue_id)
                new = rest.encode("utf-8", "surrogateescape")
                return (new,) if command == "REPLACE" else (new, text)
            case "DUNNO" | "OK":
                return (text,)
        self._warn(f"unsupported command in {parameter} map: {value}")
        return (text,)

    def _usable(self, command: str, rest: str, where: str, parameter: str) -> bool:
        if not rest:
            self._warn(f"{command} action without text in {parameter} map")
        elif where == "header" and not header_name(rest.encode("utf-8", "surrogateescape")):
            need = 'need "headername: headervalue"'
            self._warn(f'bad {command} header text "{rest}" in {parameter} map -- {need}')
        else:
            return True
        return False

    @staticmethod
    def _tell(log: Callable[[str], object], word: str, where: str, text: bytes, rest: str, queue_id: str) -> None:
        shown = _SHOWN_AS_QUESTION_MARK.sub("?", text[:60].decode("utf-8", "surrogateescape"))
        said = _SHOWN_AS_QUESTION_MARK.sub("?", f": {rest}" if rest else "")
        log(f"{queue_id}: {word}: {where} {shown}{said}")
