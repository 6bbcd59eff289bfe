"""The cache of probe results: what was asked for lately in memory, all of it in a file (address_verify_map).

The file is read and written by a thread of its own; nobody waits for its writes, which go together every second.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import apsw

from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.verify.entry import Entry, Rules
from gatepost.verify.file import CacheFile, CacheUnusable

RECENT = 10_000
"""Addresses kept in memory, if there is a file that has them all."""

MOST = 200_000
"""Addresses kept in memory, if there is none."""

WRITE_DELAY = 1.0
"""Seconds for which changes are gathered before they are written."""

_FILE_TYPES = frozenset(("btree", "hash", "lmdb", "dbm", "sdbm", "sqlite"))
T = TypeVar("T")


def cache_place(settings: Settings) -> tuple[str, Path | None]:
    """How the log calls the cache, and its file; no file: it is kept in memory only, as with an empty value in Postfix.

    The file is ours alone, whatever the type in address_verify_map. Where main.cf names neither a map nor a
    data_directory, it is in our queue directory: Postfix's data_directory need not exist. Raises ConfigError for
    types that no file stands behind.
    """
    spec = settings.address_verify_map.strip()
    if not settings.defined("address_verify_map") and not settings.defined("data_directory"):
        spec = f"btree:{settings.gatepost_queue_directory}/verify_cache"
    while spec.startswith("proxy:"):
        spec = spec[6:]
    if not spec or spec.startswith("internal:"):
        return spec or "internal:verify", None
    kind, _, name = spec.partition(":")
    if kind not in _FILE_TYPES or not name:
        raise ConfigError(
            f"the cache cannot be kept in {spec}; specify btree:/file/name, or nothing to keep it in memory",
            parameter="address_verify_map",
        )
    return spec, Path(f"{name}.sqlite")


class AddressCache:
    """`warn` writes a warning to the log. A file that fails is told of, once; then memory has to do."""

    def __init__(self, path: Path | None, warn: Callable[[str], None]) -> None:
        self.path = path
        self._warn = warn
        self._recent: dict[str, Entry | None] = {}  # None: the file has nothing
        self._changed: dict[str, Entry | None] = {}
        self._writing: dict[str, Entry | None] = {}
        self._file: CacheFile | None = None
        self._failed = path is None
        self._thread: ThreadPoolExecutor | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._write_task: asyncio.Task[None] | None = None

    @property
    def entries(self) -> int:
        """How many are in memory."""
        return sum(entry is not None for entry in self._recent.values())

    def at_hand(self, address: str) -> tuple[bool, Entry | None]:
        """(True, what is kept of the address), or (False, None): the file must be asked."""
        for known in (self._recent, self._changed, self._writing):
            if address in known:
                return True, known[address]
        return self._failed, None

    async def load(self, address: str) -> Entry | None:
        """What is kept of the address, from the file."""
        entry = await self._apart(lambda: self._opened().load(address), None)
        known, changed = self.at_hand(address)
        if known:
            return changed  # somebody was faster
        self._remember(address, entry)
        return entry

    def put(self, address: str, entry: Entry | None) -> None:
        """Keep, or forget (None)."""
        if self._failed:
            if entry is None:
                self._recent.pop(address, None)
            else:
                self._remember(address, entry)
            return
        self._remember(address, entry)
        self._changed[address] = entry
        if self._timer is None and self._write_task is None:
            self._timer = asyncio.get_running_loop().call_later(WRITE_DELAY, self._write)

    def _remember(self, address: str, entry: Entry | None) -> None:
        recent = self._recent
        recent[address] = entry
        limit = MOST if self._failed else RECENT
        if len(recent) > limit:
            for old in list(recent)[: limit // 10]:
                del recent[old]

    def _write(self) -> None:
        self._timer = None
        self._writing, self._changed = self._changed, {}
        loop = asyncio.get_running_loop()
        changes = self._writing
        self._write_task = loop.create_task(self._apart(lambda: self._opened().write(changes), None))
        self._write_task.add_done_callback(self._written)

    def _written(self, task: "asyncio.Task[None]") -> None:
        self._writing = {}
        self._write_task = None
        if self._changed and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WRITE_DELAY, self._write)

    async def clean(self, rules: Rules, now: int) -> tuple[int, int]:
        """Drop what has expired: (entries kept, entries dropped)."""
        retained = dropped = 0
        if self._failed:
            old = [a for a, entry in self._recent.items() if entry is not None and rules.expired(entry, now)]
            for address in old:
                del self._recent[address]
            return self.entries, len(old)
        last = 0
        while last >= 0:
            step = partial(self._clean_step, last, rules, now)
            last, kept, gone = await self._apart(step, (-1, 0, 0))
            retained += kept
            dropped += gone
        await self._apart(lambda: self._opened().cleaned(now), None)
        # What is in memory may be older than the file now, and is judged by the same rules when it is asked for.
        return retained, dropped

    async def last_cleanup(self) -> int:
        """When one was completed, in wall-clock seconds; 0: never."""
        return await self._apart(lambda: self._opened().last_cleanup(), 0)

    def close(self) -> None:
        """Write what is still to be written. Waits for the disk."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._changed and not self._failed:
            self._executor().submit(lambda: self._opened().write(self._changed))
        if self._thread is not None:
            self._thread.submit(self._close_file)
            self._thread.shutdown(wait=True)

    # --- the thread -----------------------------------------------------------------------------------------------

    async def _apart(self, work: Callable[[], T], otherwise: T) -> T:
        """What `work` returns, from the thread; `otherwise` if the file is of no use."""
        if self._failed:
            return otherwise
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor(), work)
        except (CacheUnusable, apsw.Error) as failure:
            if not self._failed:
                self._failed = True
                self._warn(f"address verification cache: {failure}; results are kept in memory only")
        return otherwise

    def _executor(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="verify")
        return self._thread

    def _clean_step(self, after: int, rules: Rules, now: int) -> tuple[int, int, int]:
        return self._opened().clean_range(after, rules, now)

    def _opened(self) -> CacheFile:
        if self._file is None:
            assert self.path is not None
            self._file = CacheFile(self.path)
        return self._file

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
