"""`memcache:` tables: a memcached, with another table behind it if wanted (memcache_table(5))."""

import asyncio
from collections.abc import Awaitable, Callable

from gatepost.config.errors import ConfigError
from gatepost.tables.asking import in_own_task
from gatepost.tables.connection_pool import ConnectionFailure, ConnectionPool, NoAnswer, PoolLimits, Shared
from gatepost.tables.database_config import CompileDomains, ConfiguredTable, DatabaseConfig, in_domains
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.source import printable
from gatepost.tables.stream_server import StreamConnection, stream_pool
from gatepost.tables.table import EmptyResult, LookupTemporaryFailure, Table

KEYS = frozenset(
    [
        "memcache",
        "backup",
        "flags",
        "ttl",
        "key_format",
        "domain",
        "data_size_limit",
        "line_size_limit",
        "max_try",
        "retry_pause",
        "timeout",
        "gatepost_connections",
    ]
)

OpenTable = Callable[[str], Table]
Question = Callable[[StreamConnection], Awaitable[str | None]]

# What memcached takes for a key: 250 octets, none of them a blank or a control character.
_KEY_LIMIT = 250


class MemcachePlan:
    """What one configuration of a table comes to. Raises ConfigError."""

    def __init__(
        self,
        env: TableEnvironment,
        shared: Shared,
        config: DatabaseConfig,
        compile_domains: CompileDomains,
        open_table: OpenTable,
    ) -> None:
        self.form = config.form([config.text("key_format", "%s")], parameter="key_format")
        self.flags = config.number("flags", 0)
        self.ttl = config.number("ttl", 3600)
        self.data_limit = config.number("data_size_limit", 10240, 1)
        self.line_limit = config.number("line_size_limit", 1024, 1)
        self.max_try = config.number("max_try", 2, 1)
        self.retry_pause = config.number("retry_pause", 1, 1)
        limits = PoolLimits(
            connections=config.number("gatepost_connections", 5, 1), timeout=config.number("timeout", 2, 1)
        )
        self.domains = config.domains(compile_domains)
        server = config.text("memcache", "inet:localhost:11211")
        try:
            self.pool: ConnectionPool[StreamConnection] = shared.get(
                ("memcache", server, limits), lambda: stream_pool(env, "memcache", server, limits)
            )
        except ConfigError as error:
            raise ConfigError(error.message, parameter="memcache") from None
        self.backup: Table | None = None
        if backup := config.text("backup"):
            try:
                self.backup = open_table(backup)
            except ConfigError as error:
                raise ConfigError(error.message, parameter="backup") from None


class MemcacheTable(ConfiguredTable[MemcachePlan]):
    """One memcache table. What the backup finds is put into the memcache for the next time."""

    async def lookup(self, key: str) -> str | None:
        plan = self.current(key)
        folded = self._env.fold(key)
        if not await in_domains(plan.domains, folded):
            return None
        name = plan.form.query(0, folded, str)
        data = name.encode() if name else b""
        # Postfix passes such keys over, too; it goes by the blanks, memcached by all of these.
        if not data or len(data) > _KEY_LIMIT or any(octet <= 0x20 or octet == 0x7F for octet in data):
            return None
        value: str | None = None
        try:
            value = await in_own_task(self._try_often(plan, lambda connection: _get(connection, plan, data)))
        except NoAnswer as failure:
            if plan.backup is None:
                raise LookupTemporaryFailure(self.name, key, str(failure)) from None
        if value is None and plan.backup is not None:
            value = await plan.backup.lookup(key)
            if value:
                await in_own_task(self._remember(plan, data, value.encode()))
        if value == "":
            raise EmptyResult(self.name, key)
        return value

    async def _remember(self, plan: MemcachePlan, key: bytes, value: bytes) -> None:
        try:
            await self._try_often(plan, lambda connection: _set(connection, plan, key, value))
        except NoAnswer:
            return  # the pool has told it; the answer is good all the same

    @staticmethod
    async def _try_often(plan: MemcachePlan, question: Question) -> str | None:
        """`max_try` times, unless the server cannot be reached at all. Raises NoAnswer."""
        for left in range(plan.max_try - 1, -1, -1):
            reached = False

            async def ask(connection: StreamConnection) -> str | None:
                nonlocal reached
                reached = True
                return await question(connection)

            try:
                return await plan.pool.ask(ask)
            except NoAnswer:
                if not left or not reached:
                    raise
            await asyncio.sleep(plan.retry_pause)
        raise AssertionError("max_try is 1 at least")


async def _get(connection: StreamConnection, plan: MemcachePlan, key: bytes) -> str | None:
    await connection.send(b"get " + key + b"\r\n")
    line = await connection.read_until(b"\r\n", plan.line_limit)
    if line == b"END":
        return None
    words = line.split()
    if len(words) < 4 or words[0] != b"VALUE" or not words[3].isdigit():
        raise _unexpected(line)
    size = int(words[3])
    if size > plan.data_limit:
        raise ConnectionFailure(f"a reply of {size} octets, more than data_size_limit allows")
    data = await connection.read_exactly(size + 2)
    end = await connection.read_until(b"\r\n", plan.line_limit)
    if data[-2:] != b"\r\n" or end != b"END":
        raise _unexpected(end)
    try:
        return data[:-2].decode()
    except UnicodeDecodeError:
        raise ConnectionFailure("a value that is not UTF-8") from None


async def _set(connection: StreamConnection, plan: MemcachePlan, key: bytes, value: bytes) -> None:
    await connection.send(b"set %s %d %d %d\r\n%s\r\n" % (key, plan.flags, plan.ttl, len(value), value))
    line = await connection.read_until(b"\r\n", plan.line_limit)
    if line != b"STORED":
        raise _unexpected(line)


def _unexpected(line: bytes) -> ConnectionFailure:
    return ConnectionFailure(f"unexpected memcache server reply: {printable(line[:30].decode('utf-8', 'replace'))}")


def opener(
    env: TableEnvironment, shared: Shared, compile_domains: CompileDomains, open_table: OpenTable
) -> Callable[[str], MemcacheTable]:
    """Opens tables by their names (`memcache:/etc/x.cf`); they raise ConfigError. `open_table` opens the backup."""

    def plan(config: DatabaseConfig) -> MemcachePlan:
        return MemcachePlan(env, shared, config, compile_domains, open_table)

    return lambda name: MemcacheTable(env, name, KEYS, plan)
