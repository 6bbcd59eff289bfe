"""smtp_delivery_status_filter and its kin: other words, or another outcome, for what became of a recipient."""

import re

from msgspec.structs import replace

from gatepost.delivery.interface import Log
from gatepost.mail.status import RecipientStatus
from gatepost.tables.maps import Hit, Maps
from gatepost.tables.table import LookupTemporaryFailure

_DSN = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?:\s+|\Z)", re.ASCII)


class StatusFilter:
    """`maps`: tables with `D.S.N text` on both sides. Success stays success, and failure failure. A result without
    text leaves the text as it is.
    """

    def __init__(self, maps: Maps, warn: Log) -> None:
        self._maps = maps
        self._warn = warn

    def apply(self, status: RecipientStatus) -> RecipientStatus | None:
        """The status as it is to be logged and reported; None if the tables have to be waited for (`wait_for`). Where
        they cannot tell, it stays.
        """
        search = self._maps.find(_key(status))
        try:
            search.send(None)
        except StopIteration as found:
            return self._changed(status, found.value)
        except LookupTemporaryFailure:
            return status
        search.close()
        return None

    async def wait_for(self, status: RecipientStatus) -> RecipientStatus:
        """As `apply`, for any table."""
        try:
            return self._changed(status, await self._maps.find(_key(status)))
        except LookupTemporaryFailure:
            return status

    def _changed(self, status: RecipientStatus, hit: Hit | None) -> RecipientStatus:
        if hit is None:
            return status
        found = _DSN.match(hit.value)
        if found is None or (found[1][0] == "2") != (status.action == "sent"):
            self._warn(f"{self._maps.parameter}: bad status code: {hit.value}")
            return status
        dsn, text = found[1], hit.value[found.end() :] or status.text
        if status.action == "sent":
            return replace(status, dsn=dsn, text=text)
        return replace(status, dsn=dsn, text=text, action="deferred" if dsn[0] == "4" else "bounced")


def _key(status: RecipientStatus) -> str:
    return f"{status.dsn} {status.text}"
