"""A queue of a stopped system for tests of the commands, and how to run a command on it."""

import os
import pwd
from pathlib import Path

from gatepost.cli.program import run
from gatepost.mail.envelope import Message
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch

ARRIVAL = 1795363571.25
"""Sun Nov 22 16:06:11 2026 UTC."""


class StoppedQueue:
    """A configuration and a queue folder as `gatepost stop` leaves them; mail_owner is who runs the test."""

    def __init__(self, folder: Path, *settings: str, owner: str = "") -> None:
        self.config = folder / "config"
        self.queue = folder / "queue"
        self.log = folder / "maillog"
        self.config.mkdir()
        lines = (
            f"gatepost_queue_directory = {self.queue}",
            f"maillog_file = {self.log}",
            f"maillog_file_prefixes = {folder}",
            f"mail_owner = {owner or pwd.getpwuid(os.geteuid()).pw_name}",
            *settings,
        )
        (self.config / "main.cf").write_text("".join(f"{line}\n" for line in lines))
        (self.config / "master.cf").write_text("smtp unix - - n - - smtp\n")
        for name in ("pid", "private", "public", "content"):
            (self.queue / name).mkdir(parents=True)
        (self.queue / "pid" / "master.pid").touch()

    def commit(self, *batches: Batch) -> None:
        """Write these, as the queue manager did while it ran."""
        store = SqliteStore(self.queue)
        for batch in batches:
            store.commit(batch)
        store.close()

    def put(self, *messages: Message) -> None:
        """Messages that nobody has tried to deliver yet."""
        self.commit(Batch(new=list(messages)))

    def stored(self) -> dict[str, str]:
        """Queue IDs, and the queues that they are in."""
        store = SqliteStore(self.queue)
        found = {item.queue_id: str(item.queue) for item in store.listing()}
        store.close()
        return found

    def run(self, *command: str) -> int:
        """`gatepost -c DIR COMMAND`; its exit status."""
        return run("gatepost", ["-c", str(self.config), *command])
