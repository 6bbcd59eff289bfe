"""Large content as cleanup sees it: the file's blocking sync in a thread, the store's errors as the queue's."""

import asyncio
import os

from gatepost.cleanup.interface import QueueFull, QueueUnavailable
from gatepost.queue.content_file import ContentFile, content_path
from gatepost.queue.store import StoreFailure, StoreFull


class LargeFile:
    """A LargeContent (gatepost.cleanup.interface) on a ContentFile."""

    def __init__(self, queue_directory: str, name: str, owner: int = -1) -> None:
        """`owner`: the user ID that is to have the file, where a process of root's writes it. Raises as `write`."""
        self.name = name
        try:
            self._file = ContentFile(queue_directory, name)
            if owner >= 0:
                os.chown(content_path(queue_directory, name), owner, -1)
        except StoreFull as failure:
            raise QueueFull(str(failure)) from failure
        except (StoreFailure, OSError) as failure:
            raise QueueUnavailable(str(failure)) from failure

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except StoreFull as failure:
            raise QueueFull(str(failure)) from failure
        except StoreFailure as failure:
            raise QueueUnavailable(str(failure)) from failure

    def finish(self) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().run_in_executor(None, self._finish)

    def _finish(self) -> None:
        try:
            self._file.finish()
        except StoreFull as failure:
            raise QueueFull(str(failure)) from failure
        except StoreFailure as failure:
            raise QueueUnavailable(str(failure)) from failure

    def abandon(self) -> None:
        self._file.abandon()
