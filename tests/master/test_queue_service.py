"""What workers ask of the queue manager's process, where it is none of mail."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gatepost.anvil import Anvil
from gatepost.cleanup.interface import QueueUnavailable
from gatepost.ipc.messages import Claim, Frame, Hello, IdRange, Verified, Verify
from gatepost.master.dispatcher import WorkerDispatcher
from gatepost.master.notices import DirectQueue
from gatepost.master.queue_service import QueueService
from gatepost.queue.store import StoreFull
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


class Numbers:
    """A store that sets numbers aside, unless it is full."""

    full = False

    def reserve(self, count: int) -> int:
        if self.full:
            raise StoreFull("full")
        return 7000

    def free(self) -> int:
        return 0


def service(verifier: OneGoodAddress | None, **more: Any) -> QueueService:
    manager = SimpleNamespace(dispatching=True, on_pumped=None, epoch=5, **more)
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


def test_a_worker_that_comes_while_the_disk_is_full_gets_its_queue_ids_later() -> None:
    """What else its Hello tells counts at once: the deliveries it has under way must not be started again."""

    async def run() -> None:
        store, recovered, warnings = Numbers(), [], []
        served = service(None, store=store, recover=lambda finished, running: recovered.append(running))
        served._warn = warnings.append
        store.full = True
        channel = cast(Any, Channel())
        served._opened(channel)
        claim = Claim(1, 4, "ABC", [0])
        served._frame(channel, Hello("local", 99, 4, [claim], [], ids=50))
        assert recovered == [[claim]] and warnings == ["no queue IDs can be set aside: full"]
        served.tell_space()
        assert not [frame for frame in channel.sent if isinstance(frame, IdRange)] and len(warnings) == 1
        store.full = False
        served.tell_space()
        served.tell_space()
        assert [frame for frame in channel.sent if isinstance(frame, IdRange)] == [IdRange(7000, 50)]

    asyncio.run(run())


def test_queue_ids_of_our_own_are_asked_for_again_once_there_is_space() -> None:
    store = Numbers()
    queue = DirectQueue(cast(Any, store), "/nowhere", long_ids=False)
    store.full = True
    for _ in range(2):
        with pytest.raises(QueueUnavailable):
            queue.new_queue_id()
    store.full = False
    assert queue.new_queue_id()
