"""Address verification joined: the service beside the queue manager, and the listeners' ways of asking it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gatepost.cleanup.interface import Cleanup, QueueUnavailable
from gatepost.config.configuration import Configuration
from gatepost.config.master_cf import Service
from gatepost.mail.envelope import Recipient
from gatepost.mail.status import RecipientStatus
from gatepost.maillog.sink import MailLog
from gatepost.master.foundation import Foundation
from gatepost.master.queue_link import QueueLink
from gatepost.restrictions.ports import Verification
from gatepost.verify.cache import AddressCache, cache_place
from gatepost.verify.entry import Rules, Status
from gatepost.verify.probe import Prober, report
from gatepost.verify.service import Answer, Verifier

T = TypeVar("T")

Ask = Callable[[str, float], Awaitable[Verification]]
"""What is known of an address; while nothing is, it may take so many seconds to find out."""


class VerifyService:
    """The Verifier of the process that has the queue, with `earlier` that of the configuration before (in one process).

    Raises ConfigError.
    """

    def __init__(
        self, foundation: Foundation, cleanup: Cleanup, log: MailLog, earlier: "VerifyService | None" = None
    ) -> None:
        settings = foundation.settings
        program = log.program("verify")
        rules = Rules.of(settings)
        named, path = cache_place(settings)
        prober = Prober(settings, cleanup, foundation.rewriter.rewrite_internal, program, time.time, self.told)

        def log_cleanup(retained: int, dropped: int) -> None:
            program.info(f"cache {named} full cleanup: retained={retained} dropped={dropped} entries")

        interval = settings.address_verify_cache_cleanup_interval
        if earlier is None:
            cache = AddressCache(path, program.warning)
            self.verifier = Verifier(rules, cache, prober.send, time.time, log_cleanup, interval)
            return
        self.verifier = earlier.verifier
        cache = self.verifier.cache
        if cache.path != path:
            cache.close()
            cache = AddressCache(path, program.warning)
        self.verifier.configure(rules, cache, prober.send, log_cleanup, interval)

    def told(self, address: str, status: Status, text: str) -> None:
        """A probe of the address has come to its end."""
        self.verifier.told(address, status, text)

    def report(self, recipient: Recipient, status: RecipientStatus) -> None:
        """For the queue manager: a probe has come to its end."""
        report(self.verifier.told, recipient, status)


class ListenerVerifier:
    """The AddressVerifier of one listener: it waits as long as Postfix's smtpd(8) would ask again and again.

    (address_verify_poll_count times, with address_verify_poll_delay between.) The answer comes as soon as it is there.
    """

    def __init__(
        self, configuration: Configuration, service: Service, ask: Ask, is_stressed: Callable[[], bool]
    ) -> None:
        self._ask = ask
        self._calm = _patience(configuration, service, "")
        self._stressed = _patience(configuration, service, "yes")
        self._is_stressed = is_stressed

    async def verify(self, address: str) -> Verification:
        wait = self._calm
        if wait != self._stressed and self._is_stressed():
            wait = self._stressed
        return await self._ask(address, wait)


def _patience(configuration: Configuration, service: Service, stress: str) -> float:
    settings = configuration.settings_for(service, stress=stress)
    return float((settings.address_verify_poll_count - 1) * settings.address_verify_poll_delay)


class LinkedServices:
    """Asks the queue manager's process. While there is none (a reload, a crash), the next one is waited for."""

    def __init__(self, link: QueueLink) -> None:
        self._link = link

    async def ask(self, address: str, wait: float) -> Verification:
        """Address verification."""
        return await self._answer(lambda: self._link.verify(address, wait)) or Answer("trouble", "")

    async def flush(self, domain: str) -> bool:
        """Fast flush."""
        return await self._answer(lambda: self._link.flush(domain)) is not None

    async def _answer(self, ask: "Callable[[], asyncio.Future[T] | None]") -> T | None:
        for _ in range(2):
            future = ask()
            if future is None:
                await asyncio.get_running_loop().create_task(self._link.reach())
                future = ask()
            if future is None:
                break
            try:
                return await future
            except QueueUnavailable:
                pass
        return None
