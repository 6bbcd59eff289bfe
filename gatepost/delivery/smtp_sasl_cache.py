"""Logins that a server has lately refused (smtp_sasl_auth_cache_name), so that it is not asked again and again.

An SQLite file that all delivery workers share. It may be lost. Passwords are not in it, but what tells whether one has
changed: a digest under a key that only this file has.
"""

import hmac
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from gatepost.config.errors import ConfigError
from gatepost.delivery.interface import Log
from gatepost.sasl.client import Credentials

_TYPES = frozenset(("btree", "hash", "lmdb", "dbm", "sdbm", "sqlite"))
_SCHEMA = """
CREATE TABLE IF NOT EXISTS key(octets BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS failure(
    host TEXT NOT NULL, user BLOB NOT NULL, at INTEGER NOT NULL, digest BLOB NOT NULL, dsn TEXT NOT NULL,
    said TEXT NOT NULL, PRIMARY KEY(host, user)) WITHOUT ROWID;
"""


def cache_path(spec: str, parameter: str) -> Path | None:
    """The file of `proxy:btree:/file/name` (the type is of no account); None if none is wanted. Raises ConfigError."""
    name = spec.strip()
    if not name:
        return None
    while name.startswith("proxy:"):
        name = name[6:]
    kind, _, path = name.partition(":")
    if kind not in _TYPES or not path:
        raise ConfigError(f"the cache cannot be kept in {spec}; specify proxy:btree:/file/name", parameter=parameter)
    return Path(f"{path}.sqlite")


class LoginFailures:
    """`lifetime`: seconds (smtp_sasl_auth_cache_time). `clock` gives wall-clock seconds. A file that cannot be used is
    told of once; then nothing is remembered.
    """

    def __init__(self, path: Path, lifetime: float, clock: Callable[[], float], warn: Log) -> None:
        self._path = path
        self._lifetime = lifetime
        self._clock = clock
        self._warn = warn
        self._key = b""
        self._connection: apsw.Connection | None = None
        self._failed = False

    def find(self, host: str, credentials: Credentials) -> tuple[str, str] | None:
        """Status code and words of the last refusal, if it is young and the password is still the same."""
        query = "SELECT at, digest, dsn, said FROM failure WHERE host = ? AND user = ?"
        rows = self._run(query, (host.lower(), _user(credentials)))
        if not rows:
            return None
        at, digest, dsn, said = rows[0]
        if self._clock() - at < self._lifetime and hmac.compare_digest(digest, self._digest(host, credentials)):
            return dsn, said
        self._run("DELETE FROM failure WHERE host = ? AND user = ?", (host.lower(), _user(credentials)))
        return None

    def store(self, host: str, credentials: Credentials, dsn: str, said: str) -> None:
        """The server has refused it."""
        if not self._opened():
            return
        digest = self._digest(host, credentials)
        row = (host.lower(), _user(credentials), int(self._clock()), digest, dsn, said)
        self._run("INSERT OR REPLACE INTO failure VALUES(?, ?, ?, ?, ?, ?)", row)

    def close(self) -> None:
        """To be called before another process takes over."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _digest(self, host: str, credentials: Credentials) -> bytes:
        # A plain hash of a password, as Postfix keeps, can be searched for passwords; this one only with the file.
        return hmac.digest(self._key, host.lower().encode() + b"\0" + credentials.password, "sha256")

    def _run(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        if not self._opened() or self._connection is None:
            return []
        try:
            return list(self._connection.execute(query, values))
        except apsw.Error as error:
            self._give_up(error)
            return []

    def _opened(self) -> bool:
        if self._connection is None and not self._failed:
            try:
                self._connection = self._open()
            except (apsw.Error, OSError) as error:
                self._give_up(error)
        return self._connection is not None

    def _open(self) -> apsw.Connection:
        # Others need not read what servers say of our logins.
        self._path.touch(mode=0o600)
        connection = apsw.Connection(str(self._path))
        try:
            connection.set_busy_timeout(1000)
            connection.execute("PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE")
            connection.execute(_SCHEMA)
            if not list(connection.execute("SELECT 1 FROM key")):
                connection.execute("INSERT INTO key VALUES(?)", (secrets.token_bytes(32),))
            row: Any = connection.execute("SELECT octets FROM key").fetchone()
            connection.execute("COMMIT")
            self._key = bytes(row[0])
        except BaseException:
            connection.close()
            raise
        return connection

    def _give_up(self, error: Exception) -> None:
        self._failed = True
        self.close()
        self._warn(f"cache of failed logins: {self._path}: {error}; they are not remembered")


def _user(credentials: Credentials) -> bytes:
    return credentials.user.encode("utf-8", "surrogateescape")
