"""Against glibc itself, through the C library of this host: regcomp(3) and regexec(3)."""

import ctypes
import ctypes.util
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gatepost.tables.engines import PatternError
from gatepost.tables.pattern_dialects import compile_regexp

REG_EXTENDED, REG_ICASE, REG_NEWLINE = 1, 2, 4

_WORDS = r"""a b B . * + ? | ( ) ^ $ [ab] [^a] [[:upper:]] {2} {,1} {1,} { \w \W \b \B \1 \( \) \{ \} \| \+ \? \< \>
    \d \D \. 1 []a-b] \` \'"""
PIECES = [*_WORDS.split(), " ", "\n"]


def glibc_answers(pattern: bytes, flags: int, text: bytes) -> bool | None:
    """Does it match? None: not a pattern."""
    library = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6")
    room = ctypes.create_string_buffer(1024)
    if library.regcomp(room, pattern, flags) != 0:
        return None
    try:
        return bool(library.regexec(room, text, 0, None, 0) == 0)
    finally:
        library.regfree(room)


@settings(deadline=None, max_examples=400)
@given(
    pattern=st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join),
    text=st.text("abAB1 .\n(d{", max_size=6),
    letters=st.sampled_from(["", "i", "m", "x", "ix"]),
)
def test_same_as_the_c_library(pattern: str, text: str, letters: str) -> None:
    flags = 0 if "x" in letters else REG_EXTENDED
    flags |= 0 if "i" in letters else REG_ICASE
    flags |= REG_NEWLINE if "m" in letters else 0
    # Without REG_NEWLINE, glibc has `$` hold before a newline that the next atom takes. POSIX and we do not.
    assume("m" in letters or "\n" not in text or not re.search(r"\$[^$]", pattern))
    wanted = glibc_answers(pattern.encode(), flags, text.encode())
    try:
        found = compile_regexp(pattern, letters).search(text.encode()) is not None
    except PatternError:
        assert wanted is None
        return
    assert wanted is not None
    assert found == wanted


def test_messages() -> None:
    for pattern, message in (("a)(", "Unmatched ( or \\("), ("[", "Invalid regular expression")):
        with pytest.raises(PatternError) as caught:
            compile_regexp(pattern, "")
        assert str(caught.value) == message


def test_groups_are_those_of_the_longest_match() -> None:
    assert compile_regexp("(a|ab)", "").search(b"ab") == (b"ab",)
    assert compile_regexp("|(a+)", "").search(b"aa") == (b"aa",)
    assert compile_regexp("(a+|ab)(c|bcd)(d*)", "").search(b"abcd") == (b"a", b"bcd", b"")
