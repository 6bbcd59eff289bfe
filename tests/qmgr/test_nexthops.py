"""Next hops that failed come behind the others, and are tried again."""

from gatepost.qmgr.nexthops import NexthopHealth

LIST = "[a]:25, [b]:25, [c]:25"


class World:
    def __init__(self) -> None:
        self.now = 1000.0
        self.lines: list[str] = []
        self.health = NexthopHealth(60, {"smtp"}, lambda: self.now, self.lines.append, self.lines.append)

    def order(self, transport: str = "smtp", nexthop: str = LIST) -> str:
        return self.health.order(transport, nexthop)


def test_all_well() -> None:
    assert World().order() == LIST


def test_one_that_failed_comes_last_until_it_is_tried_and_works() -> None:
    world = World()
    world.health.outcome("smtp", [("[a]:25", "connect to a: refused"), ("[b]:25", "")])
    assert world.order() == "[b]:25, [c]:25, [a]:25"
    assert world.lines == ["next hop [a]:25 of transport smtp is put behind the others: connect to a: refused"]
    world.now += 61
    assert world.order() == LIST
    # While one delivery finds out, the others go on without it.
    assert world.order() == "[b]:25, [c]:25, [a]:25"
    world.health.outcome("smtp", [("[a]:25", "")])
    assert world.order() == LIST
    assert world.lines[1:] == ["next hop [a]:25 of transport smtp works again"]


def test_a_clock_that_was_set_back_by_a_day_leaves_no_next_hop_resting_for_a_day() -> None:
    world = World()
    world.health.outcome("smtp", [("[a]:25", "refused")])
    world.now -= 86400
    assert world.order() == LIST
    assert world.order() == "[b]:25, [c]:25, [a]:25"


def test_one_that_fails_again_rests_again_and_is_not_told_twice() -> None:
    world = World()
    world.health.outcome("smtp", [("[a]:25", "refused")])
    world.now += 61
    world.order()
    world.health.outcome("smtp", [("[a]:25", "still refused"), ("[b]:25", "")])
    assert world.order() == "[b]:25, [c]:25, [a]:25"
    assert len(world.lines) == 1
    (sick,) = world.health.listing()
    assert (sick.nexthop, sick.since, sick.until, sick.reason) == ("[a]:25", 1000.0, 1121.0, "still refused")


def test_when_all_failed_their_order_stays() -> None:
    world = World()
    world.health.outcome("smtp", [("[c]:25", "x"), ("[a]:25", "x"), ("[b]:25", "x")])
    assert world.order() == LIST


def test_lists_of_lmtp() -> None:
    world = World()
    world.health.outcome("smtp", [("[a]:24", "x")])
    assert world.order(nexthop="inet:[a]:24, [b]:24") == "inet:[b]:24, [a]:24"
    assert world.order(nexthop="inet:[a]:24") == "inet:[a]:24"
    assert world.order(nexthop="unix:private/lmtp") == "unix:private/lmtp"


def test_texts_and_other_transports_are_left_alone() -> None:
    world = World()
    world.health.outcome("smtp", [("5.1.1", "x")])
    assert world.order("error", "5.1.1 User unknown, sorry") == "5.1.1 User unknown, sorry"
    world.health.outcome("smtp", [("[a]:25", "x")])
    assert world.order("relay") == LIST
