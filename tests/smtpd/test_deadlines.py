"""Deadlines that fall together share a timer, and none is told too early."""

import asyncio

from gatepost.smtpd.deadlines import Deadlines


class Note:
    def __init__(self, told: asyncio.Event) -> None:
        self.told = told
        self.moment = 0.0

    def deadline_passed(self) -> None:
        self.moment = asyncio.get_running_loop().time()
        self.told.set()


async def test_who_is_still_there_is_told_after_the_deadline() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    told = asyncio.Event()
    first, second, gone = Note(told), Note(told), Note(told)
    end = loop.time() + 0.05
    deadlines.watch(first, end)
    assert deadlines.watch(second, end) == {first, second}
    deadlines.watch(gone, end).discard(gone)
    await asyncio.wait_for(told.wait(), 10)
    await asyncio.sleep(0)
    assert first.moment >= end
    assert second.moment >= end
    assert gone.moment == 0.0


async def test_a_deadline_may_be_set_anew() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    for _ in range(2):
        told = asyncio.Event()
        end = loop.time() + 0.01
        note = Note(told)
        deadlines.watch(note, end)
        await asyncio.wait_for(told.wait(), 10)
        assert note.moment >= end
