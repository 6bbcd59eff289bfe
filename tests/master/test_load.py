"""Sessions of a listener counted over its workers; stress."""

import os

from gatepost.config.configuration import Configuration
from gatepost.config.master_cf import Service
from gatepost.master.listeners import Address, Listener
from gatepost.master.load import STRESS_TIME, ListenerLoad, SharedLoad, warnings_of


class World:
    def __init__(self, limit: int = 3, warnings: tuple[str, ...] = ("full", "do something")) -> None:
        self.now = 50.0
        self.told: list[str] = []
        self.shared = SharedLoad(2, 2)
        self.limit, self.warnings = limit, warnings
        self.workers = [self.worker(0, slot) for slot in range(2)]

    def worker(self, listener: int, slot: int) -> ListenerLoad:
        row = self.shared.row(listener)
        return ListenerLoad(row, slot, self.limit, self.warnings, lambda: self.now, self.told.append)


def test_the_session_that_reaches_the_limit_and_those_after_it_are_under_stress() -> None:
    world = World()
    first, second = world.workers
    assert not first.stressed()
    first.count(1)
    assert not second.stressed() and not world.told
    second.count(1)
    assert first.stressed() and second.stressed() and not world.told
    second.count(2)
    assert world.told == ["full", "do something"]
    first.count(0)
    second.count(0)
    assert first.stressed()
    world.now += STRESS_TIME - 1
    assert first.stressed()
    world.now += 1
    assert not first.stressed() and not second.stressed()
    assert not world.worker(1, 0).stressed()  # another listener


def test_a_warning_is_not_said_again_for_a_while() -> None:
    world = World(limit=1)
    load = world.workers[0]
    for _ in range(3):
        load.count(1)
        load.count(0)
    assert len(world.told) == 2
    world.now += STRESS_TIME + 1
    load.count(1)
    assert len(world.told) == 4


def test_a_dead_worker_leaves_no_sessions_behind() -> None:
    world = World()
    world.workers[0].count(2)
    assert world.workers[1].stressed()
    world.worker(0, 0)
    assert not world.workers[1].stressed()


def test_forked_processes_share_the_counts() -> None:
    world = World()
    pid = os.fork()
    if pid == 0:
        world.workers[1].count(2)
        os._exit(0)
    os.waitpid(pid, 0)
    assert world.workers[0].stressed()


def test_without_warnings_there_is_no_stress() -> None:
    world = World(limit=1, warnings=())
    world.workers[0].count(5)
    assert not world.workers[0].stressed() and not world.told


def test_warnings_are_those_of_postfix() -> None:
    def listener(name: str, *hosts: str) -> Listener:
        line = f"{name} inet n - n - 3 smtpd\n"
        (service,) = Configuration.parse("", line, directory="/etc/gatepost").master
        assert isinstance(service, Service)
        return Listener(service, [Address(0, host, 25) for host in hosts])

    assert warnings_of(listener("smtp", "127.0.0.1", "::1"), 3) == []
    assert warnings_of(listener("smtp", "127.0.0.1", "192.0.2.1"), 3) == [
        'service "smtp" (25) has reached its process limit "3": new clients may experience noticeable delays',
        "to avoid this condition, increase the process count in master.cf or reduce the service time per client",
        "see http://www.postfix.org/STRESS_README.html for examples of stress-adapting configuration settings",
    ]
    assert warnings_of(listener("0.0.0.0:25", "0.0.0.0"), 3)[0].startswith('service "0.0.0.0:25" ([0.0.0.0]:25) has ')
