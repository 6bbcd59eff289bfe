"""Mail that is made here: the queue manager's own way into the queue, and the notices that go that way."""

import asyncio
import time
from collections.abc import Callable

from gatepost.bounce.notice import NoticeWriter
from gatepost.bounce.notify import Notifier
from gatepost.bounce.template_file import Texts
from gatepost.cleanup.interface import LargeContent, QueueFull, QueueUnavailable, QueueWriter
from gatepost.cleanup.mapped_incoming import mail_cleanup
from gatepost.cleanup.pipeline import MailCleanup
from gatepost.cleanup.received import Dates
from gatepost.ipc.messages import IdRange
from gatepost.mail.envelope import Message
from gatepost.maillog.sink import MailLog
from gatepost.master.foundation import Foundation
from gatepost.master.large_content import LargeFile
from gatepost.master.queue_link import QueueIds
from gatepost.queue.store import Store, StoreFailure, StoreFull

Submit = Callable[[Message, Callable[[Exception | None], None]], None]


class DirectQueue:
    """A QueueWriter for the process that has the store. `submit_to`: the queue manager's submit, once it exists."""

    def __init__(self, store: Store, queue_directory: str, *, long_ids: bool) -> None:
        self._store = store
        self._queue_directory = queue_directory
        self._ids = QueueIds(long_ids, time.time, self._reserve)
        self.submit_to: Submit | None = None

    def _reserve(self, count: int) -> None:
        try:
            first = self._store.reserve(count)
        except (StoreFull, StoreFailure):
            self._ids.connection_lost()  # so that it asks again
        else:
            self._ids.add(IdRange(first, count))

    def new_queue_id(self) -> str:
        try:
            return self._ids.new()
        except QueueUnavailable:
            return self._ids.new()  # the first range has been reserved meanwhile

    def submit(self, message: Message) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(failure: Exception | None) -> None:
            if future.done():
                return
            if failure is None:
                future.set_result(None)
            else:
                future.set_exception(QueueFull() if isinstance(failure, StoreFull) else QueueUnavailable(str(failure)))

        assert self.submit_to is not None
        self.submit_to(message, done)
        return future

    def large_content(self, queue_id: str) -> LargeContent:
        return LargeFile(self._queue_directory, queue_id)

    def free(self) -> int:
        return self._store.free()


def make_cleanup(foundation: Foundation, writer: QueueWriter, log: MailLog) -> MailCleanup:
    """Cleanup for mail that comes in, or is made, in this process."""
    return mail_cleanup(
        foundation.settings,
        writer,
        log.program("cleanup"),
        foundation.rewriter,
        foundation.virtual_aliases,
        foundation.canonical,
    )


def make_notifier(foundation: Foundation, cleanup: MailCleanup, log: MailLog) -> Notifier:
    """Raises ConfigError for a bad bounce_template_file."""
    settings, dates, bounce = foundation.settings, Dates(time.localtime), log.program("bounce")
    texts = Texts(settings, bounce.warning)
    texts.check()
    writer = NoticeWriter(settings, texts, lambda seconds: dates.at(seconds).date, bounce.warning)
    return Notifier(settings, cleanup, writer, bounce, time.time)
