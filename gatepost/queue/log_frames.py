"""What can be had of a write-ahead log, damaged in its middle or not: which page images count, and which may be old.

Each frame's checksum goes on from that of the frame before it. So whatever stands behind the damage is verified all the
same, and a frame of which only the header is lost is had back: the frame behind it tells its checksum, that and the
frame before it tell its page. If the page itself is lost, all that is left of it are earlier images.

The state of a file whose log was damaged is that of the last transaction, with `doubtful` pages: those that the lost
frames may have held and that no later frame holds. If it is known of which page a frame was, it is that one. If not,
a transaction's frames stand in the order of their pages, unless it was very large: then it is one between those of the
frames beside it; else it may be any. Nothing is said of mail by this: that is queue/salvage.py's business.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from gatepost.queue.log_file import (
    FRAME,
    FRAME_HEADER,
    PAGE,
    Head,
    LogHeader,
    Sums,
    checksum_before,
    follows,
    frames_in,
    goes_on,
    heads,
    place,
    pread,
    read_header,
)

IN_THE_FILE = -1
NONE = 0
_WORD = 0xFFFFFFFF


class Image(NamedTuple):
    """An image of a page that is not its newest, or was lost in part.

    `at`: where it stands in the log, or IN_THE_FILE. What is not in the image at `after` (or NONE), though it is in
    this one, was moved to another page, or removed.
    """

    page: int
    at: int
    after: int


@dataclass(frozen=True)
class LogPages:
    """`pages`: where the newest whole image of each page stands in the log. `count`: pages of the file; 0: not known.

    `lost`: how many frames could not be used. `images`: where else rows of the doubtful pages may be, newest first.
    """

    pages: dict[int, int]
    count: int
    lost: int = 0
    doubtful: frozenset[int] = frozenset()
    images: tuple[Image, ...] = ()


def read_log(log: int, pages: int) -> LogPages:
    """Of the open file `log`; `pages`: in the queue file."""
    header = read_header(log, pages)
    if header is None:
        return LogPages({}, 0)
    frames = frames_in(log)
    found = heads(log, header.salts, range(frames))
    good = _taken(log, header, found)
    beyond = {frame: head for frame, head in found.items() if frame >= len(good)}
    if not goes_on(log, header, beyond):
        return LogPages(_newest(dict(enumerate(good))), good[-1].committed if good else 0)
    last = max(frame for frame, head in beyond.items() if head.committed)
    return _Damaged(log, header, found, good, last, pages + frames).pages()


def _taken(log: int, header: LogHeader, found: dict[int, Head]) -> list[Head]:
    """What SQLite takes of the log: whole transactions."""
    taken: list[Head] = []
    whole = 0
    before = header.sums
    while before is not None and (head := found.get(len(taken))) is not None:
        if not follows(log, header.order, len(taken), before, head):
            break
        taken.append(head)
        whole = len(taken) if head.committed else whole
        before = head.sums
    return taken[:whole]


def _newest(good: dict[int, Head]) -> dict[int, int]:
    return {head.page: _image(frame) for frame, head in sorted(good.items())}


class _Damaged:
    """`known`: frames whose page is known; `good`: those whose image is whole. `limit`: no page has a higher number."""

    def __init__(
        self, log: int, header: LogHeader, found: dict[int, Head], good: list[Head], last: int, limit: int
    ) -> None:
        self._log = log
        self._order = header.order
        self._limit = limit
        self._last = last
        self._known = {frame: head for frame, head in found.items() if frame <= last}
        self._good = dict(enumerate(good))
        self._lost: list[int] = []
        self._else: dict[int, int] = {}  # the page of a lost frame if, against all odds, its number was damaged
        before = good[-1].sums if good else header.sums
        for frame in range(len(good), last + 1):
            before = self._resolve(frame, before)
        self._ends = sorted(frame for frame, head in self._known.items() if head.committed)
        self._last_good = {head.page: frame for frame, head in sorted(self._good.items())}
        self._count = min(self._known[last].committed, limit)

    def _resolve(self, frame: int, before: Sums | None) -> Sums | None:
        """The frame's checksum, if it is known."""
        head = self._known.get(frame)
        if head is None or not (
            pread(self._log, FRAME, place(frame))
            if before is None  # then there is no telling, but what damages a page damages the header before it first
            else follows(self._log, self._order, frame, before, head)
        ):
            solved = self._solved(frame, before)
            if solved is None or (head is not None and head.sums == solved.sums and self._is_page(head.page)):
                # All else that the frame says of itself is right: not its page's number, but its page is damaged.
                self._lost.append(frame)
                self._else[frame] = solved.page if solved is not None else 0
                return head.sums if head is not None else None
            self._known[frame] = head = solved
        self._good[frame] = head
        return head.sums

    def _solved(self, frame: int, before: Sums | None) -> Head | None:
        """What its header must have been, from the frames beside it; None if its page is damaged, or a neighbour."""
        data, following = (pread(self._log, FRAME, place(at)) for at in (frame, frame + 1))
        if before is None or frame + 1 not in self._known or not data or not following:
            return None
        sums = checksum_before(following[FRAME_HEADER:], self._order, self._known[frame + 1].sums)
        sums = checksum_before(following[:8], self._order, sums)
        first, second = checksum_before(data[FRAME_HEADER:], self._order, sums)
        page = self._number(first - before[0] - before[1])
        committed = self._number(second - before[1] - first)
        if self._is_page(page) and committed <= self._limit:
            return Head(page, committed, sums)
        return None

    def _is_page(self, number: int) -> bool:
        return 0 < number <= self._limit

    def _number(self, word: int) -> int:
        """Of that word of the checksum, which reads the octets in the log's order."""
        return int.from_bytes((word & _WORD).to_bytes(4, "little" if self._order == "little" else "big"), "big")

    def pages(self) -> LogPages:
        doubtful: set[int] = set()
        missed: list[int] = []  # frames that no later one makes up for
        latest: dict[range, int] = {}  # of the frames that may have held one of those pages
        for frame in self._lost:
            candidates = self._candidates(frame)
            latest.update(dict.fromkeys(candidates, frame))
            if any(self._is_last(page, frame) for pages in candidates for page in pages):
                missed.append(frame)
        for pages, frame in latest.items():
            doubtful.update(page for page in pages if self._is_last(page, frame))
        images = self._images(missed, doubtful) if missed else []
        return LogPages(_newest(self._good), self._count, len(self._lost), frozenset(doubtful), tuple(images))

    def _is_last(self, page: int, frame: int) -> bool:
        return self._last_good.get(page, -1) < frame

    def _transaction(self, frame: int) -> range:
        start = max((end for end in self._ends if end < frame), default=-1) + 1
        return range(start, min((end for end in self._ends if end >= frame), default=self._last) + 1)

    def _candidates(self, frame: int) -> list[range]:
        """Pages that the frame may have held."""
        if frame in self._known:
            return [range(page, page + 1) for page in (self._known[frame].page, self._else[frame]) if page]
        transaction = self._transaction(frame)
        order = [self._known[at].page for at in transaction if at in self._known]
        low, high = 0, self._count + 1
        if all(one < other for one, other in pairwise(order)):
            low = max((self._known[at].page for at in transaction if at in self._known and at < frame), default=low)
            high = min((self._known[at].page for at in transaction if at in self._known and at > frame), default=high)
        return [range(low + 1, high)]

    def _images(self, missed: list[int], doubtful: set[int]) -> list[Image]:
        """Where rows may be that those frames took from other pages, or should have brought."""
        images = []
        if any((page - 2) % (PAGE // 5 + 1) == 0 for page in doubtful):
            # The map of pages is old: it calls pages unused that the log has, from there on.
            since = self._transaction(missed[0]).start
            images += [Image(page, _image(at), NONE) for page, at in self._last_good.items() if at >= since]
        for frame in reversed(missed):
            images.append(Image(self._known[frame].page if frame in self._known else 0, _image(frame), NONE))
        for start in sorted({self._transaction(frame).start for frame in missed}, reverse=True):
            images += self._before(self._transaction(start), doubtful)
        return images

    def _before(self, transaction: range, doubtful: set[int]) -> list[Image]:
        """Of the pages that it changed, or may have changed, as they were."""
        changed = {self._known[at].page: at for at in transaction if at in self._known}
        before = {head.page: at for at, head in self._good.items() if at < transaction.start and head.page in changed}
        images = []
        for page, at in changed.items():
            after = _image(at) if at in self._good else NONE
            if page in before:
                images.append(Image(page, _image(before[page]), after))
            if page not in before or page in doubtful:
                images.append(Image(page, IN_THE_FILE, after))
        return images


def _image(frame: int) -> int:
    return place(frame) + FRAME_HEADER
