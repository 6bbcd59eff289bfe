"""The resolver that Gatepost itself uses: cache, one question at a time per name, retries over all servers.

A question that is in the cache is answered without suspension. Any other runs in a task of its own, so that callers
which are stepped without a task (the SMTP server) may ask, and a caller that goes away does not stop the others.
"""

import asyncio
import random
from collections.abc import Callable

from gatepost.dns.answers import Answer, RRType
from gatepost.dns.cache import AnswerCache, Question
from gatepost.dns.exchange import ask_tcp, ask_udp
from gatepost.dns.hostname import acceptable_target, query_name
from gatepost.dns.servers import Server, ServerSettings, ServerSource
from gatepost.dns.wire import CNAME_LIMIT, MalformedReply, Reply, decode_reply, encode_query

# Words of the C library (h_errno) as Postfix logs them.
HOST_NOT_FOUND = "Host not found"
NO_DATA = "Host found but no data record of requested type"
TRY_AGAIN = "Host not found, try again"
MALFORMED = "Malformed or unexpected name server reply"
INVALID_NAME = "Invalid host or domain name"

IN_FLIGHT_LIMIT = 100  # questions under way; more at once overflow the socket buffer of a server on this host

_FINAL = frozenset({"NOERROR", "NXDOMAIN"})
_NO_EDNS = frozenset({"FORMERR", "NOTIMP", "BADVERS"})


class DnsResolver:
    """Ask the servers of `source`; implements Resolver.

    `clock`: monotonic seconds. `randbits(16)` gives query ids and is to be unpredictable (secrets.randbits).
    `cache_size`: number of answers kept. `dnssec`: have the servers say which answers they have found authentic, and
    believe them, whoever they are (as Postfix: RES_USE_DNSSEC, RES_TRUSTAD); without it no answer is authentic.
    """

    def __init__(
        self,
        source: ServerSource,
        clock: Callable[[], float],
        *,
        randbits: Callable[[int], int] | None = None,
        cache_size: int = 10_000,
        dnssec: bool = False,
    ) -> None:
        self._source = source
        self._clock = clock
        self._randbits = randbits or random.SystemRandom().getrandbits
        self._cache = AnswerCache(cache_size)
        self._running: dict[Question, asyncio.Task[Answer]] = {}
        self._slots: asyncio.Semaphore | None = None
        self._dnssec = dnssec
        self._closed = False
        self._first = 0

    async def query(self, name: str, rrtype: RRType) -> Answer:
        """Ask one question; never raises. Suspends only if the answer is not in the cache."""
        question = (name, rrtype)
        answer = self._cache.get(question, self._clock())
        if answer is not None:
            return answer
        asked = query_name(name, rrtype)
        if asked is None:
            return Answer("invalid", reason=INVALID_NAME)
        if asked != name:
            question = (asked, rrtype)
            answer = self._cache.get(question, self._clock())
            if answer is not None:
                return answer
        if self._closed:
            return Answer("try_again", reason="resolver closed")
        task = self._running.get(question)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._work(question))
            self._running[question] = task
            task.add_done_callback(lambda _: self._running.pop(question, None))
        # A waiter that is cancelled must not take the question away from the others.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Answer everything that is still open with try_again and take no more questions."""
        self._closed = True
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, question: Question) -> Answer:
        if self._slots is None:
            self._slots = asyncio.Semaphore(IN_FLIGHT_LIMIT)
        try:
            async with self._slots:
                answer = await self._follow(*question)
        except asyncio.CancelledError:
            return Answer("try_again", reason="resolver closed")
        self._cache.put(question, answer, self._clock())
        return answer

    async def _follow(self, name: str, rrtype: RRType) -> Answer:
        """Ask, and go on asking where a CNAME chain leaves the reply."""
        settings = self._source.settings()
        authentic, ttl, hops, target = self._dnssec, 1 << 31, 0, name
        while True:
            reply = await self._ask_all(settings, target, rrtype)
            if reply is None:
                return Answer("try_again", reason=TRY_AGAIN)
            authentic = authentic and reply.authentic
            hops += reply.hops
            if reply.records or reply.hops == 0 or reply.rcode == "NXDOMAIN":
                ttl = min(ttl, reply.ttl) if reply.records else min(ttl, reply.negative_ttl)
                return _answer(reply, rrtype, ttl, authentic)
            ttl = min(ttl, reply.ttl)
            target = reply.target
            if hops > CNAME_LIMIT:
                return Answer("no_data", reason=f"Name server loop for {name}")
            if reply.negative_ttl:
                # The server followed the chain itself and says that its end has no such data.
                return Answer("no_data", ttl=min(ttl, reply.negative_ttl), authentic=authentic, reason=NO_DATA)

    async def _ask_all(self, settings: ServerSettings, name: str, rrtype: RRType) -> Reply | None:
        """The first usable reply of any server."""
        servers = list(settings.servers)
        if settings.rotate and servers:
            self._first = (self._first + 1) % len(servers)
            servers = servers[self._first :] + servers[: self._first]
        for _ in range(settings.attempts):
            for server in tuple(servers):
                try:
                    reply = await self._ask(server, name, rrtype, settings.timeout)
                except TimeoutError:
                    continue
                except (OSError, MalformedReply, ValueError):
                    servers.remove(server)  # a second try would bring the same
                    continue
                if reply.rcode in _FINAL:
                    return reply
                servers.remove(server)
        return None

    async def _ask(self, server: Server, name: str, rrtype: RRType, limit: float) -> Reply:
        reply = await self._ask_once(server, name, rrtype, limit, edns=True)
        if reply.rcode in _NO_EDNS:
            # RFC 6891 7: a server that does not know EDNS says FORMERR or NOTIMP.
            reply = await self._ask_once(server, name, rrtype, limit, edns=False)
        return reply

    async def _ask_once(self, server: Server, name: str, rrtype: RRType, limit: float, *, edns: bool) -> Reply:
        query_id = self._randbits(16)
        wire = encode_query(name, rrtype, query_id, edns=edns, dnssec=self._dnssec)

        def accept(datagram: bytes) -> Reply | None:
            try:
                return decode_reply(datagram, name, rrtype, query_id)
            except MalformedReply:
                # Perhaps forged: go on listening; unless its id is ours, then this server talks nonsense.
                return _NONSENSE if datagram[:2] == wire[:2] else None

        reply = await ask_udp(server, wire, accept, limit)
        if reply.truncated:
            reply = await ask_tcp(server, wire, accept, limit)
        return reply


_NONSENSE = Reply("NONSENSE", False, False, (), "", 0, 0, 0)


def _answer(reply: Reply, rrtype: RRType, ttl: int, authentic: bool) -> Answer:
    if reply.rcode == "NXDOMAIN":
        return Answer("no_name", ttl=ttl, authentic=authentic, reason=HOST_NOT_FOUND)
    if not reply.records:
        return Answer("no_data", ttl=ttl, authentic=authentic, reason=NO_DATA)
    records = reply.records
    malformed: tuple[str, ...] = ()
    if rrtype in ("MX", "NS", "CNAME"):
        # As Postfix: an address instead of a name passes here, other malformed names are dropped.
        # The empty name is the null MX of RFC 7505.
        records = tuple(r for r in records if acceptable_target(r.data))
        if len(records) < len(reply.records):
            malformed = tuple(r.data for r in reply.records if not acceptable_target(r.data))
        if not records:
            return Answer("invalid", (), ttl, authentic, MALFORMED, malformed)
    return Answer("found", records, ttl, authentic, "", malformed)
