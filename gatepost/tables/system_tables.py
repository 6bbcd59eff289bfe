"""`unix:passwd.byname` and `unix:group.byname`: the accounts of this host."""

from gatepost.config.errors import ConfigError
from gatepost.tables.accounts import group_of, user_of
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.table import EmptyResult

# Seconds that an answer is good for: the C library reads /etc/passwd anew for each question.
KEEP = 1.0
_MAX_KEPT = 10_000


def passwd_by_name(name: str) -> str | None:
    """The account's line of passwd(5); raises LookupTemporaryFailure."""
    entry = user_of(name)
    if entry is None:
        return None
    numbers = f"{entry.pw_uid}:{entry.pw_gid}"
    return f"{entry.pw_name}:{entry.pw_passwd}:{numbers}:{entry.pw_gecos}:{entry.pw_dir}:{entry.pw_shell}"


def group_by_name(name: str) -> str | None:
    """The group's line of group(5); raises LookupTemporaryFailure."""
    entry = group_of(name)
    if entry is None:
        return None
    return f"{entry.gr_name}:{entry.gr_passwd}:{entry.gr_gid}:{','.join(entry.gr_mem)}"


_SOURCES = {"passwd.byname": passwd_by_name, "group.byname": group_by_name}


class UnixTable:
    """One of the system's databases, asked through the C library (and so through nsswitch.conf)."""

    __slots__ = ("_ask", "_clock", "_fold", "_kept", "_kept_until", "fixed", "name")

    def __init__(self, env: TableEnvironment, name: str, source: str) -> None:
        if source not in _SOURCES:
            raise ConfigError(f"unknown table: {name}")
        self.name = name
        self.fixed = True
        self._ask = _SOURCES[source]
        self._clock = env.clock
        self._fold = env.fold
        self._kept: dict[str, str | None] = {}
        self._kept_until = 0.0

    async def lookup(self, key: str) -> str | None:
        now = self._clock()
        if now >= self._kept_until or len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
            self._kept_until = now + KEEP
        key = self._fold(key)
        if key not in self._kept:
            self._kept[key] = self._ask(key)
        value = self._kept[key]
        if value == "":
            raise EmptyResult(self.name, key)
        return value
