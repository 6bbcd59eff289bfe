"""Which pages a damaged log still gives, frame by frame; what SQLite had before the damage is the measure."""

import os
import random
from pathlib import Path

import pytest

from gatepost.queue.log_file import FRAME, FRAME_HEADER, PAGE, place
from gatepost.queue.log_frames import LogPages, read_log
from tests.queue.logged import another_page_number, in_page, in_sums, logged, overwrite, whole_frame


def read(log: Path) -> LogPages:
    descriptor = os.open(log, os.O_RDONLY)
    try:
        return read_log(descriptor, (log.parent / "queue.db").stat().st_size // PAGE)
    finally:
        os.close(descriptor)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return logged().copy(tmp_path / "queue")


def sound() -> LogPages:
    return read(logged().folder / "queue.db-wal")


def test_a_sound_log() -> None:
    found = sound()
    expected = {page: place(frame) + FRAME_HEADER for frame, page in enumerate(logged().pages)}
    assert found.pages == expected
    assert (found.lost, found.doubtful, found.images) == (0, frozenset(), ())


@pytest.mark.parametrize("share", range(10))
def test_a_header_is_had_back(log: Path, share: int) -> None:
    """Of the first frame of a transaction, of its last, and of any other; and of two with one between them."""
    frame = 5 + share * (logged().ends[-3] // 10)
    for at in (frame, frame + 2, logged().ends[share], logged().ends[share] + 1):
        overwrite(log, place(at), FRAME_HEADER, random.Random(at))
    found = read(log)
    if logged().ends[share] not in (frame, frame + 2):  # the two beside each other are lost, perhaps
        assert found.lost <= 2
    assert {page: at for page, at in sound().pages.items() if page not in found.doubtful} == {
        page: at for page, at in found.pages.items() if page not in found.doubtful
    }


def test_sums_that_are_wrong(log: Path) -> None:
    in_sums(log, 100)
    assert read(log) == sound()


def test_a_page_that_the_log_has_once_more(log: Path) -> None:
    pages = logged().pages
    frame = next(at for at in range(50, len(pages)) if pages[at] in pages[at + 1 : logged().ends[-3]])
    in_page(log, frame)
    found = read(log)
    assert (found.lost, found.doubtful, found.pages) == (1, frozenset(), sound().pages)


def last_of_its_page() -> int:
    """In the middle of a transaction."""
    pages, ends = logged().pages, logged().ends
    return next(
        at for at in range(100, len(pages)) if pages[at] not in pages[at + 1 :] and not {at - 1, at, at + 1} & set(ends)
    )


def test_a_page_that_is_lost(log: Path) -> None:
    """It is known which, and of the image before it nothing is lost."""
    frame = last_of_its_page()
    in_page(log, frame)
    found = read(log)
    assert found.doubtful == {logged().pages[frame]}
    assert found.lost == 1 and found.pages.get(logged().pages[frame]) != place(frame) + FRAME_HEADER
    assert {image.page for image in found.images} >= found.doubtful


def test_a_number_that_is_wrong(log: Path) -> None:
    """Either it, or the page is damaged: both pages are in doubt."""
    frame = last_of_its_page()
    another_page_number(log, frame)
    assert logged().pages[frame] in read(log).doubtful


def test_a_frame_that_is_lost(log: Path) -> None:
    """Its page lies between those of the frames beside it."""
    frame = last_of_its_page()
    whole_frame(log, frame)
    found = read(log)
    before, page, after = logged().pages[frame - 1 : frame + 2]
    assert page in found.doubtful and found.doubtful <= set(range(before + 1, after))


def test_nothing_tells_which(log: Path) -> None:
    """At the end of a transaction it may be any page."""
    end = logged().ends[5]
    overwrite(log, place(end), FRAME)
    found = read(log)
    later = set(logged().pages[end + 1 :])
    assert found.doubtful == set(range(1, found.count + 1)) - later
