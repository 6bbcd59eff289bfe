"""The clock is set: what is stored moves along, and nobody's mail gets older than it is."""

from gatepost.mail.envelope import Message
from gatepost.qmgr.clock_jumps import KEPT, ClockJumps
from tests.queue.messages import a_message

DAY = 86400.0


class World:
    def __init__(self, skipped: list[tuple[float, float]] | None = None) -> None:
        self.wall, self.steady = 1_000_000.0, 50.0
        self.told: list[float] = []
        self.jumps = ClockJumps(lambda: self.wall, lambda: self.steady, skipped)
        self.jumps.jumped = self.told.append

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def skipped(self, arrival: float) -> float:
        return self.jumps.skipped_by(arrived(arrival))


def arrived(when: float) -> Message:
    message = a_message(1)
    message.arrival = when
    return message


def test_time_that_passes_and_small_corrections_are_no_jumps() -> None:
    world = World()
    for _ in range(100):
        world.passes(3600)
        world.wall += 50
        assert not world.jumps.look()
    assert not world.told and world.skipped(0) == 0


def test_what_was_skipped_does_not_count_for_those_who_were_there() -> None:
    world = World()
    before = world.wall
    world.passes(10)
    world.wall += 9 * DAY
    assert world.jumps.look() and not world.jumps.look()
    assert world.told == [9 * DAY]
    assert world.skipped(before) == 9 * DAY
    assert world.skipped(world.wall) == 0


def test_a_jump_back_undoes_a_jump_forward() -> None:
    world = World()
    before = world.wall
    world.wall += 9 * DAY
    world.jumps.look()
    world.wall -= 8 * DAY
    world.jumps.look()
    assert world.told == [9 * DAY, -8 * DAY]
    assert world.skipped(before) == DAY
    world.wall -= 3 * DAY
    world.jumps.look()
    assert world.skipped(before) == 0


def test_jumps_outlive_a_restart_and_do_not_heap_up() -> None:
    world = World()
    for _ in range(KEPT + 5):
        world.wall += DAY
        world.jumps.look()
    assert len(world.jumps.skipped) == KEPT
    again = World(world.jumps.skipped)
    assert again.skipped(0) == KEPT * DAY
