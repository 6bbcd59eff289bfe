"""The name that somebody meant who wrote another."""

from collections.abc import Iterable
from difflib import get_close_matches

_ALIKE = 0.8
_SHORT = 5
_ALIKE_IF_SHORT = 0.7


def nearest(name: str, names: Iterable[str]) -> str:
    """The most similar name; empty if none is similar enough to be meant."""
    return next(iter(get_close_matches(name, list(names), 1, _ALIKE if len(name) > _SHORT else _ALIKE_IF_SHORT)), "")
