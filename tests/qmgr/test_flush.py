import time

from gatepost.config.configuration import Configuration
from gatepost.mail.status import RecipientStatus
from gatepost.qmgr.active import ActiveMessage
from gatepost.qmgr.flush import LOOK_INTERVAL, FastFlush
from gatepost.queue.memory import MemoryStore
from gatepost.queue.store import Batch, Deferral
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables
from tests.queue.messages import a_message


class World:
    def __init__(self, main_cf: str = "") -> None:
        self.now = 10_000.0
        self.store = MemoryStore()
        settings = Configuration.parse(f"relay_domains = near.example, [192.0.2.1]\n{main_cf}").settings
        tables = Tables(TableEnvironment(clock=time.monotonic, warn=lambda text: None))
        self.flush = FastFlush(settings, tables, self.store, lambda: self.now)

    def list(self, *domains: str) -> None:
        message = a_message(self.store.reserve(1))
        self.store.commit(Batch(new=[message]))
        self.store.commit(Batch(deferred=[Deferral(message.queue_id, 1e9, sites=domains)]))


def entry(*addresses: str) -> ActiveMessage:
    message = a_message(1, recipients=len(addresses))
    for recipient, address in zip(message.recipients, addresses, strict=True):
        recipient.address = address
    made = ActiveMessage(message, 0.0, 0)
    made.deferred = [RecipientStatus(index, "deferred", "4.4.1", "none", "no") for index in range(len(addresses))]
    return made


async def test_the_domains_of_those_who_wait_and_are_served() -> None:
    flush = World().flush
    assert await flush.sites(entry("a@NEAR.example", "b@near.example", "c@far.example", "d@x.near.example", "e")) == [
        "near.example",
        "x.near.example",
    ]
    one = entry("a@near.example", "b@far.example", "c@sub.near.example")
    one.deferred = one.deferred[1:2]  # the others are done
    assert await flush.sites(one) == []
    one.addresses[1] = "b@sub.near.example"  # as the resolver has rewritten it
    assert await flush.sites(one) == ["sub.near.example"]


async def test_a_table_that_cannot_tell_lists_nothing() -> None:
    flush = World("fast_flush_domains = fail:x\n").flush
    assert await flush.sites(entry("a@near.example")) == []
    told: list[bool] = []
    flush.ask("near.example", told.append)
    assert told == [False]


def test_who_is_served() -> None:
    flush = World("parent_domain_matches_subdomains =\n").flush
    told: list[bool] = []
    for domain in ("near.example", "Near.Example", "x.near.example", "far.example"):
        flush.ask(domain, told.append)
    assert told == [True, True, False, False]
    assert flush and not World("fast_flush_domains =\n").flush and not World("relay_domains =\n").flush


def test_lists_are_read_after_the_refresh_time() -> None:
    world = World("fast_flush_refresh_time = 1h\n")
    world.list("a.example", "b.example")
    assert world.flush.unread() == []
    world.now += 3600 - LOOK_INTERVAL
    assert world.flush.unread() == []  # nobody has read them, but not for long
    world.flush.read("b.example")
    world.now += LOOK_INTERVAL
    assert world.flush.unread() == ["a.example"]
    assert world.flush.unread() == []  # one look in LOOK_INTERVAL
    world.flush.read("a.example")
    world.now += LOOK_INTERVAL
    assert world.flush.unread() == []
    world.now += 3600
    assert world.flush.unread() == ["a.example", "b.example"]


def test_a_list_that_is_new_is_not_read_at_once_however_long_the_queue_manager_runs() -> None:
    world = World("fast_flush_refresh_time = 1h\n")
    assert world.flush.unread() == []
    world.now += 86400
    world.list("a.example")
    assert world.flush.unread() == []
    world.now += 3600
    assert world.flush.unread() == ["a.example"]
