"""What workers ask of the queue manager's process, where it is none of mail."""

import time
from types import SimpleNamespace
from typing import Any, cast

from gatepost.anvil import Anvil
from gatepost.ipc.messages import Frame, Verified, Verify
from gatepost.master.dispatcher import WorkerDispatcher
from gatepost.master.queue_service import QueueService
from gatepost.verify.service import Answer
from tests.smtpd.world import until


class Channel:
    """Keeps what is sent to a worker."""

    def __init__(self) -> None:
        self.sent: list[Frame] = []

    def send(self, frame: Frame) -> None:
        self.sent.append(frame)


class OneGoodAddress:
    """A Verifier that has a fault."""

    async def verify(self, address: str, wait: float) -> Answer:
        if address != "good@x.example":
            raise ZeroDivisionError
        return Answer("ok", "250 2.1.5 Ok")


def service(verifier: OneGoodAddress | None) -> QueueService:
    manager = SimpleNamespace(dispatching=True, on_pumped=None)
    return QueueService(
        cast(Any, manager), WorkerDispatcher(lambda transport: False), Anvil(60, time.time), cast(Any, None),
        flush_log=lambda: None, monotonic=time.monotonic, expected=(), verifier=cast(Any, verifier),
    )  # fmt: skip


async def answers(verifier: OneGoodAddress | None, *addresses: str) -> list[Frame]:
    served, channel = service(verifier), Channel()
    served._opened(cast(Any, channel))
    for ticket, address in enumerate(addresses, 1):
        served._frame(cast(Any, channel), Verify(ticket, address, 1.0))
    await until(lambda: len(channel.sent) == len(addresses))
    return channel.sent


async def test_every_question_about_an_address_is_answered() -> None:
    good, fault = Verified(1, "ok", "250 2.1.5 Ok"), Verified(2, "trouble", "")
    assert await answers(OneGoodAddress(), "good@x.example", "fault@x.example") == [good, fault]


async def test_without_verification_nobody_knows() -> None:
    assert await answers(None, "good@x.example") == [Verified(1, "trouble", "")]
