"""A stored message taken in anew, as postsuper -r wants it: addresses rewritten and expanded again, another queue ID.

As in Postfix, where pickup(8) takes it from the maildrop queue: recipients that are done are left out, the time of
arrival stays, filters of access tables give way to content_filter, and a Received: header is added.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Literal

from gatepost.cleanup.interface import Cleanup, Incoming, QueueUnavailable, Transaction
from gatepost.cleanup.received import Dates
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.mail.address_quoting import quote_822_local
from gatepost.mail.envelope import Message
from gatepost.maillog import lines
from gatepost.maillog.sink import ProgramLog
from gatepost.qmgr.requests import DAMAGED
from gatepost.queue.content_file import ContentDamaged, read_content
from gatepost.queue.store import Store, Stored

Outcome = Literal["taken", "left", "damaged"]


class Requeue:
    """`settings` are those of pickup(8). `log` is that of the program `pickup`, `user` the user ID that it names.

    `clock` gives wall-clock seconds.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        cleanup: Cleanup,
        log: ProgramLog,
        *,
        user: int,
        clock: Callable[[], float] = time.time,
        local_time: Callable[[float], time.struct_time] = time.localtime,
    ) -> None:
        self._received = f"Received: by {settings.myhostname} ({settings.mail_name}, from userid {user})\n\tid "
        options = split_list(settings.receive_override_options.lower())
        self._mappings = "no_address_mappings" not in options
        self._filter = settings.content_filter
        self._store = store
        self._cleanup = cleanup
        self._log = log
        self._user = user
        self._clock = clock
        self._dates = Dates(local_time)

    async def __call__(self, stored: Stored) -> Outcome:
        """When it is `taken`, the new message is on stable storage; else the old one is still needed."""
        message = stored.message
        try:
            incoming = self._cleanup.open()
        except QueueUnavailable:
            return "left"
        sender = message.sender and quote_822_local(message.sender)
        self._log.info(lines.pickup(incoming.queue_id, self._user, sender, message.queue_id))
        transaction = self._transaction(stored, incoming.queue_id)
        incoming.begin(transaction)
        try:
            await self._copy(message, incoming)
        except OSError as error:
            incoming.abandon()
            self._log.warning(f"{message.queue_id}: content file {message.content_file}: {error.strerror}")
            return "left"
        except ContentDamaged as error:
            incoming.abandon()
            if error.args:
                self._log.warning(f"{message.queue_id}: {DAMAGED}: {error}")
            return "damaged"
        result = await incoming.finish(transaction)
        if result.outcome != "ok":
            self._log.warning(f"{message.queue_id}: not requeued: {result.text or result.outcome}")
            return "left"
        return "taken"

    def _transaction(self, stored: Stored, queue_id: str) -> Transaction:
        message = stored.message
        return Transaction(
            sender=message.sender,
            recipients=[message.recipients[index] for index in stored.open],
            origin=message.origin,
            body=message.body,
            smtputf8=message.smtputf8,
            ret=message.ret,
            envid=message.envid,
            received=False,
            filter=self._filter,
            mappings=self._mappings,
            prepend=[f"{self._received}{queue_id}; {self._dates.at(self._clock()).date}"],
            arrival=message.arrival,
            verp=message.verp,
        )

    async def _copy(self, message: Message, incoming: Incoming) -> None:
        """Raises OSError; ContentDamaged, at the end, empty if the store has told of it."""
        if not message.content_file:
            stored = self._store.load(message.queue_id)
            if stored is None:
                raise ContentDamaged
            incoming.write(stored.message.content)
            return
        for piece in read_content(self._store.content_path(message.content_file), message.size, message.checksum):
            incoming.write(piece)
            await asyncio.sleep(0)
