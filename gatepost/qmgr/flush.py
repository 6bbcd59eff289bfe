"""Fast flush: which deferred mail is listed by its domain, for whoever wants all of one domain tried now (flush(8)).

The lists are in the store (queue/schema.py: flush_list) and written with the deferral, so that ETRN looks at what it
asked for, and at nothing else. A list is read by `Operations` (`flush-site`, `flush-listed`), which clears it: what is
deferred again is listed again.
"""

import asyncio
from collections.abc import Callable

from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.net.stepping import carry_out
from gatepost.qmgr.active import ActiveMessage
from gatepost.queue.store import Store
from gatepost.tables.environment import TableSource
from gatepost.tables.match_list import MatchList
from gatepost.tables.table import LookupTemporaryFailure

LOOK_INTERVAL = 1000.0
"""Seconds between two looks for lists that nobody has read: the wakeup time of flush(8) in Postfix's master.cf."""


class FastFlush:
    """False if there are no such domains: then nothing needs to be asked. `clock` gives wall-clock seconds.

    `fast_flush_refresh_time`: a list that nobody has read for so long is read as though somebody had asked for it.
    (Of one that is new, or of an earlier queue manager, the first look counts.) Empty lists take no room here, so
    `fast_flush_purge_time` has nothing to purge. Raises ConfigError.
    """

    def __init__(self, settings: Settings, tables: TableSource, store: Store, clock: Callable[[], float]) -> None:
        parents = split_list(settings.parent_domain_matches_subdomains)
        name = "fast_flush_domains"
        self._domains = MatchList.compile(name, settings.fast_flush_domains, tables, match_parent=name in parents)
        self._refresh = float(settings.fast_flush_refresh_time)
        self._store = store
        self._clock = clock
        self._read: dict[str, float] = {}  # when
        self._next_look = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        return bool(self._domains)

    def ask(self, domain: str, told: Callable[[bool], None]) -> None:
        """Is mail for this domain listed?"""

        async def look() -> None:
            told(await self._listed(domain))

        carry_out(look(), self._tasks)

    async def sites(self, entry: ActiveMessage) -> list[str]:
        """The domains under which a message that is deferred now is to be listed."""
        found: dict[str, bool] = {}
        recipients, addresses = entry.message.recipients, entry.addresses
        for status in entry.deferred:
            index = status.index
            domain = addresses.get(index, recipients[index].address).rpartition("@")[2].lower()
            if domain not in found:
                found[domain] = bool(domain) and await self._listed(domain)
        return [domain for domain, listed in found.items() if listed]

    async def _listed(self, domain: str) -> bool:
        try:
            return await self._domains.match_name(domain)
        except LookupTemporaryFailure:  # the log has it
            return False

    def read(self, domain: str) -> None:
        """Its list is being read."""
        self._read[domain] = self._clock()

    def unread(self) -> list[str]:
        """The domains whose lists want to be read now (fast_flush_refresh_time). To be called now and then."""
        now = self._clock()
        if now < self._next_look:
            return []
        self._next_look = now + LOOK_INTERVAL
        domains = self._store.flush_domains()
        self._read = {domain: self._read.get(domain, now) for domain in domains}
        return [domain for domain in domains if now >= self._read[domain] + self._refresh]
