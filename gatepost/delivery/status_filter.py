"""smtp_delivery_status_filter and its kin: other words, or another outcome, for what became of a recipient."""

import re

from msgspec.structs import replace

from gatepost.delivery.interface import Log
from gatepost.mail.status import RecipientStatus
from gatepost.tables.maps import Hit, Maps
from gatepost.tables.table import LookupTemporaryFailure

_DSN = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?:\s+|\Z)", re.ASCII)


class StatusFilter:
    """`maps`: tables with `D.S.N text` on both sides. Success stays success, and failure failure."""

    def __init__(self, maps: Maps, warn: Log) -> None:
        self._maps = maps
        self._warn = warn

    def apply(self, status: RecipientStatus) -> RecipientStatus:
        """The status as it is to be logged and reported. Where a table cannot tell, it stays."""
        hit = self._find(f"{status.dsn} {status.text}")
        if hit is None:
            return status
        found = _DSN.match(hit.value)
        if found is None or (found[1][0] == "2") != (status.action == "sent"):
            self._warn(f"{self._maps.parameter}: bad status code: {hit.value}")
            return status
        dsn, text = found[1], hit.value[found.end() :]
        if status.action == "sent":
            return replace(status, dsn=dsn, text=text)
        return replace(status, dsn=dsn, text=text, action="deferred" if dsn[0] == "4" else "bounced")

    def _find(self, text: str) -> Hit | None:
        # An outcome is logged at once: nothing can be waited for here.
        search = self._maps.find(text)
        try:
            search.send(None)
        except StopIteration as found:
            hit: Hit | None = found.value
            return hit
        except LookupTemporaryFailure:
            return None
        search.close()
        self._warn(f"{self._maps.parameter}: a table that has to be waited for is of no use here")
        return None
