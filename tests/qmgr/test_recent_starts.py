from gatepost.qmgr import recent_starts
from gatepost.qmgr.recent_starts import BUSY, RecentStarts


def test_a_destination_is_busy_for_a_moment() -> None:
    starts = RecentStarts()
    assert not starts.note("smtp", "a.example", 0.0)
    assert starts.note("smtp", "a.example", 0.5)
    assert not starts.note("relay", "a.example", 0.5)
    assert not starts.note("smtp", "a.example", 0.5 + BUSY)


def test_it_remembers_so_many() -> None:
    starts = RecentStarts()
    for number in range(3 * recent_starts.MANY):
        starts.note("smtp", str(number), 0.0)
        assert len(starts._last) <= recent_starts.MANY
