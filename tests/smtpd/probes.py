"""Address verification for a server under test: the real service and its probes; a queue that only knows discard,
error and retry delivers them at once."""

import asyncio
import time

from gatepost.cleanup.memory_writer import MemoryWriter
from gatepost.cleanup.pipeline import MailCleanup
from gatepost.config.settings import Settings
from gatepost.delivery.discard import DiscardAgent
from gatepost.delivery.error import ErrorAgent
from gatepost.ipc.messages import DeliveryRecipient, DeliveryRequest
from gatepost.mail.envelope import Message
from gatepost.maillog.sink import MailLog
from gatepost.rewrite.assemble import AddressServices
from gatepost.verify.cache import AddressCache
from gatepost.verify.entry import Rules, Status
from gatepost.verify.probe import Prober, report
from gatepost.verify.service import Answer, Verifier


class Probing(MemoryWriter):
    """An AddressVerifier. `log` is where the lines of the other programs go."""

    def __init__(self, settings: Settings, services: AddressServices, log: MailLog) -> None:
        super().__init__()
        self._settings = settings
        self._services = services
        self._log = log
        self._verifier: Verifier | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        program = log.program("error")
        self._agents = {
            "discard": DiscardAgent(settings, program),
            "error": ErrorAgent(settings, program),
            "retry": ErrorAgent(settings, program, retry=True),
        }

    async def verify(self, address: str) -> Answer:
        settings = self._settings
        if self._verifier is None:
            services = self._services
            cleanup = MailCleanup(
                settings, self, self._log.program("cleanup"), services.rewriter, services.virtual_aliases
            )
            log = self._log.program("verify")
            prober = Prober(settings, cleanup, services.rewriter.rewrite_internal, log, time.time, self._told)
            cache = AddressCache(None, log.warning)
            self._verifier = Verifier(Rules.of(settings), cache, prober.send, time.time, lambda kept, dropped: None, 0)
        patience = (settings.address_verify_poll_count - 1) * settings.address_verify_poll_delay
        return await self._verifier.verify(address, float(patience))

    def submit(self, message: Message) -> "asyncio.Future[None]":
        task = asyncio.get_running_loop().create_task(self._deliver(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return super().submit(message)

    def _told(self, address: str, status: Status, text: str) -> None:
        assert self._verifier is not None
        self._verifier.told(address, status, text)

    async def _deliver(self, message: Message) -> None:
        for number, recipient in enumerate(message.recipients):
            found = await self._services.probe_resolver.resolve(message.sender, recipient.address)
            request = DeliveryRequest(
                request_id=1,
                epoch=1,
                queue_id=message.queue_id,
                transport=found.transport,
                nexthop=found.nexthop,
                sender=message.sender,
                recipients=[DeliveryRecipient(number, found.recipient)],
                size=message.size,
                arrival=message.arrival,
                active=message.arrival,
                trace=message.trace,
            )
            for status in (await self._agents[found.transport].deliver(request)).statuses:
                report(self._told, recipient, status)
