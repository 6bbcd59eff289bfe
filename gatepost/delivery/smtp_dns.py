"""smtp_dns_reply_filter: records that the SMTP client is not to see (postconf(5))."""

from gatepost.delivery.interface import Log
from gatepost.dns.answers import Answer, Resolver, RRType
from gatepost.dns.record_text import record_text
from gatepost.tables.maps import Maps
from gatepost.tables.table import LookupTemporaryFailure


class Filtered(Exception):
    """Nothing is left of an answer (4.7.0), or nobody can tell what to leave out (4.4.3)."""

    def __init__(self, dsn: str, text: str) -> None:
        super().__init__(text)
        self.dsn = dsn
        self.text = text


class FilteredResolver:
    """Asks `resolver`, and leaves out the records for which `maps` say IGNORE. `log`, `warn`: lines of the mail log."""

    def __init__(self, resolver: Resolver, maps: Maps, log: Log, warn: Log) -> None:
        self._resolver = resolver
        self._maps = maps
        self._log = log
        self._warn = warn

    async def query(self, name: str, rrtype: RRType) -> Answer:
        """As Resolver's; but raises Filtered."""
        answer = await self._resolver.query(name, rrtype)
        if answer.outcome != "found":
            return answer
        kept = []
        why = f"Error looking up name={name} type={rrtype}: "
        for record in answer.records:
            text = record_text(record)
            try:
                hit = await self._maps.find(text)
            except LookupTemporaryFailure:
                raise Filtered("4.4.3", f"{why}Invalid DNS reply filter syntax") from None
            if hit is None:
                kept.append(record)
            elif hit.value.upper().split()[:1] == ["IGNORE"]:
                self._log(f"ignoring DNS RR: {text}")
            else:
                self._warn(f'{self._maps.parameter}: unknown DNS filter action: "{hit.value}"')
                raise Filtered("4.4.3", f"{why}Invalid DNS reply filter syntax")
        if not kept:
            raise Filtered("4.7.0", f"{why}DNS reply filter drops all results")
        return Answer("found", tuple(kept), answer.ttl, answer.authentic, answer.reason, answer.malformed)
