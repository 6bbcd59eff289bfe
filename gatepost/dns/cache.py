"""Answers kept until their time to live is over."""

from gatepost.dns.answers import Answer, RRType

Question = tuple[str, RRType]

POSITIVE_TTL_LIMIT = 86400  # seconds
NEGATIVE_TTL_LIMIT = 900  # seconds; RFC 2308 5 allows hours, a mail server wants to see a repaired zone sooner


class AnswerCache:
    """A bounded cache; the answer that was not asked for the longest goes first. Times are monotonic seconds."""

    __slots__ = ("_entries", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[Question, tuple[float, Answer]] = {}

    def get(self, question: Question, now: float) -> Answer | None:
        """The kept answer, or None."""
        entry = self._entries.pop(question, None)
        if entry is None or entry[0] <= now:
            return None
        self._entries[question] = entry  # dicts keep insertion order: the newest use stands last
        return entry[1]

    def put(self, question: Question, answer: Answer, now: float) -> None:
        """Keep `answer` for its TTL. What could not be found out (try_again) is not kept."""
        if answer.outcome == "try_again" or answer.ttl <= 0:
            return
        limit = POSITIVE_TTL_LIMIT if answer.outcome == "found" else NEGATIVE_TTL_LIMIT
        self._entries.pop(question, None)
        while len(self._entries) >= self._size:
            del self._entries[next(iter(self._entries))]
        self._entries[question] = (now + min(answer.ttl, limit), answer)

    def clear(self) -> None:
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
