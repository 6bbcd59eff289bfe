"""A server with ports for STARTTLS, submission and TLS first, its keys where only root may read, and the next host."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.certificates import certificates
from tests.scenarios.peers import Peer, Received
from tests.scenarios.server import MASTER_CF, Gatepost, free_port, temporary_folder, until

AUTHORITY = str(certificates().folder / "ca.pem")


class World:
    """In main.cf `{port}` is the next host's and `{secret}` the folder with the keys; in `listeners` there are
    `{submission}` and `{smtps}`.
    """

    def __init__(self, folder: Path, main_cf: str, listeners: str) -> None:
        self.folder = folder
        self.secret = folder / "secret"
        self.secret.mkdir(mode=0o700)
        for name in ("rsa.chain", "ec.chain", "ca.pem"):
            shutil.copy(certificates().folder / name, self.secret)
            (self.secret / name).chmod(0o600)
        self.peer = Peer()
        self.port, self.submission, self.smtps = free_port(), free_port(), free_port()
        self.main_cf = main_cf.format(port=self.peer.port, secret=self.secret, folder=folder)
        more = listeners.format(submission=self.submission, smtps=self.smtps)
        master_cf = MASTER_CF.format(listen=f"127.0.0.1:{self.port}") + more
        self.server = Gatepost(folder, self.main_cf, port=self.port, master_cf=master_cf)

    def arrived(self, sender: str) -> Received:
        """The only message of this sender, once it is there."""

        def found() -> list[Received]:
            return [message for message in self.peer.messages if message.sender == sender]

        until(lambda: bool(found()), f"the message of {sender}")
        (message,) = found()
        return message


@contextlib.contextmanager
def encrypted(main_cf: str, listeners: str) -> Iterator[World]:
    """Yet to be started."""
    with temporary_folder() as folder:
        world = World(folder, main_cf, listeners)
        try:
            yield world
        finally:
            try:
                world.server.stop()
            finally:
                world.peer.stop()
