"""A delivery worker remembers what it does and has done, for the next queue manager."""

import asyncio

from gatepost.ipc.messages import DeliveryDone, DeliveryRecipient, DeliveryRequest, Draining, Welcome
from gatepost.mail.status import RecipientStatus
from gatepost.master.delivery_worker import DeliveryWorker


class Agent:
    """Delivers when it is let."""

    taskless = True

    def __init__(self, *, fail: bool = False) -> None:
        self.let = asyncio.Event()
        self.fail = fail
        self.closed = False

    async def deliver(self, request: DeliveryRequest) -> DeliveryDone:
        if self.fail:
            raise KeyError("a fault of ours")
        await self.let.wait()
        statuses = [RecipientStatus(r.index, "sent", "2.0.0", "none", "ok") for r in request.recipients]
        return DeliveryDone(request.request_id, request.epoch, request.queue_id, statuses)

    async def close(self) -> None:
        self.closed = True


def request(number: int, transport: str = "smtp") -> DeliveryRequest:
    return DeliveryRequest(
        number,
        5,
        f"4FA000000{number}",
        transport,
        "a.example",
        "",
        [DeliveryRecipient(0, "a@b"), DeliveryRecipient(3, "c@d")],
        0,
        0.0,
        0.0,
    )


async def test_results_are_reported_and_said_again() -> None:
    agent = Agent()
    told: list[DeliveryDone] = []
    worker = DeliveryWorker("delivery", 1, {"smtp": agent}, told.append)
    worker.epoch = 5
    worker.frame(request(1))
    hello = worker.hello()
    assert [(claim.queue_id, claim.indexes, claim.request_id) for claim in hello.running] == [("4FA0000001", [0, 3], 1)]
    assert hello.epoch == 5 and not hello.finished and not worker.idle.is_set()
    agent.let.set()
    await asyncio.wait_for(worker.idle.wait(), 10)
    assert [done.request_id for done in told] == [1]
    again = worker.hello()
    assert not again.running
    assert [(result.queue_id, [s.index for s in result.statuses]) for result in again.finished] == [
        ("4FA0000001", [0, 3])
    ]
    await worker.close()
    assert agent.closed


async def test_an_unknown_transport_defers() -> None:
    told: list[DeliveryDone] = []
    worker = DeliveryWorker("delivery", 1, {}, told.append)
    worker.frame(request(2, "nowhere"))
    assert [(s.action, s.dsn, s.text) for s in told[0].statuses] == [
        ("deferred", "4.3.0", "mail transport unavailable")
    ] * 2
    assert told[0].transport_failure == "mail transport unavailable"


async def test_a_fault_in_an_agent_defers_its_recipients_only() -> None:
    told: list[DeliveryDone] = []
    worker = DeliveryWorker("delivery", 1, {"smtp": Agent(fail=True)}, told.append)
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context["exception"]))
    worker.frame(request(3))
    assert [type(fault) for fault in faults] == [KeyError]
    assert [s.text for s in told[0].statuses] == ["unknown mail transport error"] * 2
    assert worker.idle.is_set()


async def test_it_may_go_when_the_queue_manager_knows() -> None:
    worker = DeliveryWorker("delivery", 1, {}, lambda done: None)
    assert not worker.hello().draining
    worker.draining = True
    worker.welcomed(Welcome(7))  # the answer to a Hello that did not say so
    assert worker.epoch == 7 and not worker.released.is_set()
    worker.frame(Draining())
    assert worker.released.is_set()
    worker.released.clear()
    assert worker.hello().draining
    worker.welcomed(Welcome(8))
    assert worker.released.is_set()
