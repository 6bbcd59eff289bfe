"""How many sends the system calls of gatepost.net.gathered_writes have."""

import pytest

from gatepost.net import gathered_writes
from gatepost.net.linux_aio import SocketSends


def count_sends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of each call from now on."""
    calls: list[int] = []

    class Counted(SocketSends):
        def submit(self) -> list[int]:
            results = super().submit()
            calls.append(len(results))
            return results

    monkeypatch.setattr(gathered_writes, "SocketSends", Counted)
    return calls
