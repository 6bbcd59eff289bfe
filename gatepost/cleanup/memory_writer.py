"""A QueueWriter that keeps all in memory: the double for tests."""

import asyncio

from gatepost.cleanup.interface import QueueFull, QueueUnavailable
from gatepost.mail.envelope import Message


class MemoryContent:
    """Large content as a list of pieces. `full_at`: octets from which on there is no space."""

    def __init__(self, name: str, full_at: int = 0) -> None:
        self.name = name
        self.pieces: list[bytes] = []
        self.finished = False
        self.abandoned = False
        self._full_at = full_at

    def write(self, data: bytes) -> None:
        self.pieces.append(data)
        if self._full_at and sum(map(len, self.pieces)) > self._full_at:
            raise QueueFull

    def finish(self) -> "asyncio.Future[None]":
        self.finished = True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    def abandon(self) -> None:
        self.abandoned = True


class MemoryWriter:
    """`messages` holds what was submitted. `failure`: what submissions end with; `full_at`: for large content."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.large: dict[str, MemoryContent] = {}
        self.failure: QueueFull | QueueUnavailable | None = None
        self.full_at = 0
        self._number = 0

    def new_queue_id(self) -> str:
        self._number += 1
        return f"{self._number:010X}"

    def submit(self, message: Message) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.failure is not None:
            future.set_exception(self.failure)
        else:
            self.messages.append(message)
            future.set_result(None)
        return future

    def large_content(self, queue_id: str) -> MemoryContent:
        content = self.large[queue_id] = MemoryContent(queue_id, self.full_at)
        return content

    def free(self) -> int:
        return 1 << 40

    def content(self, message: Message) -> bytes:
        """The content of a submitted message, wherever it is."""
        return b"".join(self.large[message.content_file].pieces) if message.content_file else message.content
