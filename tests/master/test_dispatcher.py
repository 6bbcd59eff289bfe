"""Requests to one destination stay with one worker while it has few of them; the rest spread out."""

from gatepost.ipc.messages import DeliveryRequest
from gatepost.master.dispatcher import AFFINITY, WorkerDispatcher


class Worker:
    def __init__(self, role: str = "delivery") -> None:
        self.role = role
        self.load = 0
        self.requests: dict[int, tuple[str, str]] = {}
        self.got: list[int] = []

    def deliver(self, request: DeliveryRequest) -> None:
        self.got.append(request.request_id)


def request(number: int, nexthop: str = "a.example", transport: str = "smtp") -> DeliveryRequest:
    return DeliveryRequest(number, 1, "4FA0000001", transport, nexthop, "", [], 0, 0.0, 0.0)


def dispatcher(*workers: Worker) -> WorkerDispatcher:
    made = WorkerDispatcher(lambda transport: transport == "local")
    for worker in workers:
        made.add(worker)
    return made


def test_one_destination_stays_with_one_worker() -> None:
    one, two = Worker(), Worker()
    d = dispatcher(one, two)
    for number in range(10):
        d.send(request(number))
    assert sorted(map(len, (one.got, two.got))) == [0, 10]


def test_beyond_its_share_the_least_busy_worker_is_asked() -> None:
    one, two = Worker(), Worker()
    d = dispatcher(one, two)
    for number in range(AFFINITY + 4):
        d.send(request(number))
    assert sorted(map(len, (one.got, two.got))) == [4, AFFINITY]


def test_destinations_spread_out() -> None:
    one, two = Worker(), Worker()
    d = dispatcher(one, two)
    for number in range(8):
        d.send(request(number, f"{number}.example"))
    assert len(one.got) == len(two.got) == 4


def test_finished_requests_do_not_count() -> None:
    one, two = Worker(), Worker()
    d = dispatcher(one, two)
    for number in range(3 * AFFINITY):
        d.send(request(number))
        home = one if number in one.requests else two
        d.finished(home, number)
        d.finished(home, number)  # told twice: nothing happens
    assert one.load == two.load == 0
    assert not d._busy and not d._homes


def test_requests_wait_for_the_first_worker() -> None:
    d = dispatcher()
    d.send(request(1))
    worker = Worker()
    d.add(worker)
    assert worker.got == [1]


def test_local_deliveries_have_a_worker_of_their_own_only_if_there_is_one() -> None:
    plain, local = Worker(), Worker("local")
    d = dispatcher(plain, local)
    d.send(request(1, "one.example", "local"))
    d.separate_local = True
    d.send(request(2, "two.example", "local"))
    d.send(request(3))
    assert plain.got == [1, 3]
    assert local.got == [2]


def test_a_lost_worker_is_asked_no_more() -> None:
    one, two = Worker(), Worker()
    d = dispatcher(one, two)
    d.send(request(1))
    gone, left = (one, two) if one.got else (two, one)
    d.remove(gone)
    assert gone.requests == {}
    d.send(request(2))
    assert left.got == [2]


def test_claimed_requests_count_as_load() -> None:
    one, two = Worker(), Worker()
    d = dispatcher(one, two)
    d.claim(one, 99, "", "")
    d.send(request(1))
    assert two.got == [1]
    d.finished(one, 99)
    assert one.load == 0


def test_a_worker_that_leaves_keeps_what_it_has_and_gets_no_more() -> None:
    one, two = Worker(), Worker()
    d = dispatcher(one, two)
    d.send(request(1))
    leaving, staying = (one, two) if one.got else (two, one)
    d.retire(leaving)
    d.send(request(2))
    d.send(request(3, "b.example"))
    assert (leaving.got, staying.got) == ([1], [2, 3])
    assert list(leaving.requests) == [1]
    d.finished(leaving, 1)
    d.remove(leaving)
    assert (leaving.requests, leaving.load) == ({}, 0)
