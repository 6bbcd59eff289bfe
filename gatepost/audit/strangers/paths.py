"""One way through the lists of a listener, and all ways, one after the other.

A way is the row of choices that were made where something may turn out in several ways. Each run follows the choices it
was given and takes the first of what comes after; the next run differs from it in its last choice that has another.
"""

from collections.abc import Iterator

import msgspec

Values = frozenset[str]


class DeadEnd(Exception):
    """Nothing that a stranger could be or say leads on from here."""


class Step(msgspec.Struct, frozen=True):
    """A permit on the way: the restriction as written, the parameter that names it, what made it permit."""

    restriction: str
    parameter: str
    why: str


class Path:
    """`narrowed` holds what is left for each property of a session; `assumptions`: what must be so for this way to be
    open; `trusted_as`: what the client must be that no stranger is.
    """

    def __init__(self, start: dict[str, Values], choices: list[int]) -> None:
        self.narrowed = dict(start)
        self.assumptions: list[str] = []
        self.trusted_as: list[str] = []
        self.steps: list[Step] = []
        self._given = choices
        self._taken: list[tuple[int, int]] = []

    def pick(self, count: int) -> int:
        """One of `count` ways; raises DeadEnd if there is none."""
        if not count:
            raise DeadEnd
        position = len(self._taken)
        choice = self._given[position] if position < len(self._given) else 0
        self._taken.append((choice, count))
        return choice

    def next_choices(self) -> list[int] | None:
        """The choices of the next way; None after the last."""
        taken = list(self._taken)
        while taken:
            choice, count = taken.pop()
            if choice + 1 < count:
                return [*(each for each, _ in taken), choice + 1]
        return None


def all_paths(start: dict[str, Values], limit: int) -> Iterator[Path]:
    """Each way, to be followed before the next is asked for. Raises TooManyPaths."""
    choices: list[int] | None = []
    while choices is not None:
        if not limit:
            raise TooManyPaths
        limit -= 1
        path = Path(start, choices)
        yield path
        choices = path.next_choices()


class TooManyPaths(Exception):
    """The lists have more ways through them than can be followed."""
