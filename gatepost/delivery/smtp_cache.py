"""Sessions that have just delivered a message and wait for the next one to the same destination."""

from gatepost.delivery.smtp_destination import domain_of
from gatepost.delivery.smtp_session import SmtpSession
from gatepost.tables.match_list import MatchList
from gatepost.tables.table import LookupTemporaryFailure


async def always_keeps(listed: MatchList, destination: str) -> bool:
    """Is it one of smtp_connection_cache_destinations? If nobody can tell, it is not."""
    try:
        return await listed.match_string(domain_of(destination).lower())
    except LookupTemporaryFailure:
        return False


class SessionCache:
    """Idle sessions by key: the nexthop, or the server's `host[address]:port`.

    A session closes itself when its time is over, and then leaves the cache.
    """

    __slots__ = ("_idle",)

    def __init__(self) -> None:
        self._idle: dict[str, dict[SmtpSession, None]] = {}  # the values are sets in order

    def take(self, key: str) -> SmtpSession | None:
        """The session that became idle last, for the caller's use; None if there is none that still works."""
        sessions = self._idle.get(key)
        while sessions:
            session = next(reversed(sessions))
            self._remove(session)
            if session.reusable:
                return session
            session.quit()
        return None

    def put(self, session: SmtpSession, keys: tuple[str, ...]) -> None:
        """Keep an idle session under `keys`."""
        session.keys = keys
        session.on_idle_end = self._remove
        for key in keys:
            self._idle.setdefault(key, {})[session] = None

    def close(self) -> None:
        """Say goodbye to all."""
        for session in self.sessions():
            self._remove(session)
            session.quit()

    def sessions(self) -> set[SmtpSession]:
        """All idle sessions."""
        return {session for sessions in self._idle.values() for session in sessions}

    def _remove(self, session: SmtpSession) -> None:
        session.on_idle_end = None
        for key in session.keys:
            sessions = self._idle.get(key)
            if sessions is not None:
                sessions.pop(session, None)
                if not sessions:
                    del self._idle[key]
        session.keys = ()
