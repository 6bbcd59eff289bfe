"""One compiled item of a restriction list."""

from collections.abc import Callable, Coroutine
from typing import Any

from gatepost.restrictions.registry import Subject
from gatepost.restrictions.verdict import Verdict

Run = Callable[[Any], Coroutine[Any, Any, Verdict]]
"""`async (Context) -> Verdict`, the argument from the list already bound."""


class Check:
    """What the evaluator walks over.

    `warn`: warn_if_reject stood before it. `permits`: whom its permit is logged for. `ignored`: the item after it, if
    it ends the list in any case and is not the last one.
    """

    __slots__ = ("ignored", "name", "permits", "run", "warn")

    def __init__(self, name: str, run: Run, *, permits: Subject = "", ignored: str = "") -> None:
        self.name = name
        self.run = run
        self.warn = False
        self.permits = permits
        self.ignored = ignored

    def __repr__(self) -> str:
        return f"Check({'warn_if_reject ' if self.warn else ''}{self.name})"


CheckList = tuple[Check, ...]
