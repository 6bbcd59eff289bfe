"""Who may ask for what of the queue (authorized_mailq_users, authorized_flush_users, postqueue(1), postsuper(1))."""

import pwd
from collections.abc import Callable

from gatepost.config.settings import Settings
from gatepost.control.client import RESERVED
from gatepost.tables.environment import TableSource
from gatepost.tables.match_list import MatchList
from gatepost.tables.table import LookupTemporaryFailure

VIEWS = frozenset(("list", "active", "count", "nexthops"))
FLUSHES = frozenset(("flush", "flush-site", "flush-listed"))



def user_name(uid: int) -> str:
    """The login name; `unknown` for a user whom the password file does not know."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "unknown"


class Authority:
    """Root and `owner`, the user as whom the mail system runs, may do everything. All others may look at the queue and
    flush it as far as the lists let them.
    """

    def __init__(
        self, settings: Settings, tables: TableSource, owner: int, name_of: Callable[[int], str] = user_name
    ) -> None:
        def users(parameter: str) -> MatchList:
            return MatchList.compile(parameter, settings.text(parameter), tables, match_parent=False)

        self._viewers = users("authorized_mailq_users")
        self._flushers = users("authorized_flush_users")
        self._all = frozenset((0, owner))
        self._name_of = name_of

    def trusts(self, uid: int) -> bool:
        """May this user do everything?"""
        return uid in self._all

    async def refusal(self, uid: int, what: str) -> str:
        """Why this user may not ask for that; empty if he may."""
        if uid in self._all:
            return ""
        if what in VIEWS:
            users, act = self._viewers, "view"
        elif what in FLUSHES:
            users, act = self._flushers, "flush"
        else:
            return RESERVED
        name = self._name_of(uid)
        try:
            allowed = await users.match_string(name)
        except LookupTemporaryFailure:
            return f"cannot tell whether User {name}({uid}) is allowed to {act} the mail queue"
        return "" if allowed else f"User {name}({uid}) is not allowed to {act} the mail queue"
