"""A database table in a test: its configuration file, and the surroundings that open it."""

import asyncio
from pathlib import Path

from gatepost.tables.table import Table
from tests.tables.postmap import make_old
from tests.tables.surroundings import Surroundings


class Asked:
    """Opens tables of one type; `close` ends their connections, which a test must do while its loop runs."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.world = Surroundings()
        self.kind = kind
        self.folder = folder

    def open(self, text: str, name: str = "table.cf") -> Table:
        (self.folder / name).write_text(text)
        make_old(self.folder / name)
        return self.world.tables.open(f"{self.kind}:{self.folder}/{name}")

    async def close(self) -> None:
        self.world.tables.close()
        if leaving := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(leaving, timeout=30)
