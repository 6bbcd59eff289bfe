"""Which regular expression engine runs a pattern: RE2 where it means the same, else PCRE2, else Python's own.

RE2 takes time in proportion to the text, whatever a stranger sends. The others can be made to run for long by a
chosen text, so that patterns which need them are counted, for `gatepost check` to tell.
"""

import importlib
import re
import signal
import threading
from collections.abc import Callable
from typing import Any

import re2

# Octets of a key that Python's re is given, and seconds of processor time for it: it has no limits of its own.
RE_KEY_LIMIT = 2048
RE_TIME_LIMIT = 0.1

try:
    _pcre2: Any = importlib.import_module("pcre2")
except ImportError:  # the optional extra is not installed
    _pcre2 = None

Groups = tuple[bytes | None, ...]


class PatternError(ValueError):
    """No engine takes the pattern."""


class GaveUp(Exception):
    """The engine reached its limit; whether the text matches is not known."""


class Pattern:
    """A compiled pattern. `groups` is how many it has, `set_text` the pattern for a RE2 set (None: not for RE2)."""

    __slots__ = ("engine", "groups", "search", "set_text")

    def __init__(
        self, engine: str, groups: int, search: Callable[[bytes], Groups | None], set_text: bytes | None = None
    ) -> None:
        self.engine = engine
        self.groups = groups
        self.search = search
        self.set_text = set_text


def re2_options() -> Any:
    """Octets, case as the pattern says."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    return options


def compile_re2(text: str, *, longest: bool = False) -> Pattern | None:
    """With RE2; None if it cannot. `longest`: of all matches that begin first the longest, as POSIX wants it."""
    pattern = text.encode("latin-1")
    options = re2_options()
    options.longest_match = longest
    try:
        compiled = re2.compile(pattern, options)
    except re2.error:
        return None

    def search(data: bytes) -> Groups | None:
        found = compiled.search(data)
        return None if found is None else found.groups()

    return Pattern("re2", compiled.groups, search, pattern)


def compile_pcre2(text: str, flags: str) -> Pattern | None:
    """With PCRE2; None if it is not installed. Raises PatternError if the pattern is none."""
    if _pcre2 is None:
        return None
    bits = 0
    for letter, bit in (("i", _pcre2.I), ("s", _pcre2.S), ("m", _pcre2.M), ("x", _pcre2.X)):
        bits |= bit if letter in flags else 0
    try:
        compiled = _pcre2.compile(text.encode("latin-1"), bits)
    except _pcre2.error as error:
        position = getattr(error, "pos", 0)
        reason = str(error).partition("; ")[2] or str(error)
        raise PatternError(f"error in regex at offset {position}: {reason}") from None
    failure = _pcre2.LibraryError

    def search(data: bytes) -> Groups | None:
        try:
            found = compiled.search(data)
        except failure as error:
            raise GaveUp(str(error)) from None
        return None if found is None else tuple(found.group(number) for number in range(1, compiled.groups + 1))

    return Pattern("pcre2", compiled.groups, search)


# What re reads without complaint, but in another sense than PCRE.
_MISREAD_BY_RE = re.compile(r"\[[:.=]|\\[vZ]")


def compile_re(text: str, flags: str) -> Pattern:
    """With Python's re. Raises PatternError if it cannot, or would read the pattern in another sense."""
    if _MISREAD_BY_RE.search(text):
        raise PatternError("error in regex: needs the pcre2 package")
    bits = 0
    for letter, bit in (("i", re.I), ("s", re.S), ("m", re.M), ("x", re.X)):
        bits |= bit if letter in flags else 0
    try:
        compiled = re.compile(text.replace("\\z", "\\Z").encode("latin-1"), bits)
    except (re.error, OverflowError, RecursionError) as error:
        position = getattr(error, "pos", None) or 0
        raise PatternError(f"error in regex at offset {position}: {getattr(error, 'msg', error)}") from None

    def search(data: bytes) -> Groups | None:
        if len(data) > RE_KEY_LIMIT:
            raise GaveUp(f"more than {RE_KEY_LIMIT} octets to match, and no safe engine for the pattern")
        found = _within_limit(compiled, data)
        return None if found is None else found.groups()

    return Pattern("re", compiled.groups, search)


def _within_limit(pattern: re.Pattern[bytes], data: bytes) -> re.Match[bytes] | None:
    """Search, for RE_TIME_LIMIT at most. Raises GaveUp.

    The engine looks for signals once in a while: a timer's signal can end it, in the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return pattern.search(data)
    before = signal.signal(signal.SIGVTALRM, _give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, RE_TIME_LIMIT)
    try:
        return pattern.search(data)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _give_up(*_: object) -> None:
    raise GaveUp("time limit exceeded")


def compile_fallback(text: str, flags: str) -> Pattern:
    """With PCRE2 or, where it is not installed, re. Raises PatternError."""
    return compile_pcre2(text, flags) or compile_re(text, flags)


class PatternSet:
    """Many RE2 patterns, asked at once: which of them are in a text?"""

    __slots__ = ("_all", "_set")

    def __init__(self, patterns: list[bytes]) -> None:
        self._all = len(patterns)
        self._set: Any = re2.Set.SearchSet(re2_options())
        try:
            for pattern in patterns:
                self._set.Add(pattern)
            # Matches always: its absence in an answer tells that RE2 ran out of memory, which it does not tell itself.
            self._set.Add(b"")
            self._set.Compile()
        except re2.error:
            self._set = None

    def search(self, data: bytes) -> set[int] | None:
        """Numbers of the patterns that are in `data`; None if it cannot tell and each has to be asked."""
        if self._set is None:
            return None
        found = set(self._set.Match(data))
        if self._all not in found:
            return None
        found.discard(self._all)
        return found
