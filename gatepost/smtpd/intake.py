"""Whether a client may send its message's content now, or has to wait for the queue (in_flow_delay, a slow disk).

A client that waits gets its `354` later; what it sends ahead in chunks stays in its socket.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

PATIENCE = 90.0
"""Seconds until a client that waits is sent away with 451: it waits for two minutes itself (RFC 5321 4.5.3.2.4)."""


class Intake:
    """`delay` is in_flow_delay, seconds. `sleep` waits for seconds, in a task of its own."""

    __slots__ = ("_behind", "_delay", "_full", "_open", "_patience", "_silent", "_sleep", "busy")

    def __init__(self, delay: float, sleep: Callable[[float], Awaitable[Any]], patience: float = PATIENCE) -> None:
        self.busy = False  # if not, nothing needs to be asked
        self._delay = delay
        self._sleep = sleep
        self._patience = patience
        self._behind = self._full = self._silent = False
        self._open = asyncio.Event()
        self._open.set()

    def told(self, behind: bool, full: bool) -> None:
        """What the queue manager says of itself (qmgr/inflow.py)."""
        self._behind, self._full = behind, full
        self._changed()

    def silent(self, silent: bool) -> None:
        """The queue manager says nothing of itself, and not whether it has stored what it was given."""
        self._silent = silent
        self._changed()

    def _changed(self) -> None:
        self.busy = self._behind or self._silent or (self._full and self._delay > 0)
        if self._behind or self._silent:
            self._open.clear()
        else:
            self._open.set()

    async def admitted(self, first: bool) -> bool:
        """Wait until content may be sent; `first`: it is the message's first. False: it has been too long."""
        if first and self._full and self._delay > 0:
            await self._sleep(self._delay)
        if self._open.is_set():
            return True
        return await asyncio.get_running_loop().create_task(self._opened())

    async def _opened(self) -> bool:
        try:
            await asyncio.wait_for(self._open.wait(), self._patience)
        except TimeoutError:
            return False
        return True
