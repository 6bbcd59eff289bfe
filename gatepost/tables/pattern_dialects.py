"""From the pattern and flags of a rule to a compiled pattern, for regexp_table(5) and pcre_table(5)."""

import re
from collections.abc import Callable

from gatepost.tables.engines import Pattern, PatternError, compile_fallback, compile_re2
from gatepost.tables.posix_regex import PosixError, translate

# Escapes that RE2 takes in another sense than PCRE, or that change how the rest of the pattern is read.
_NOT_FOR_RE2 = re.compile(r"\\[vCQEpPXZ]|\[\[[.=]")
_PCRE_FLAGS = frozenset("imsxAEUX")
_REGEXP_FLAGS = frozenset("imx")


class FlagError(ValueError):
    """An unknown flag."""


def compile_regexp(pattern: str, letters: str) -> Pattern:
    """A POSIX pattern. Flags, each the opposite of what was before: i (on: any case), m, x (on: extended).

    Raises FlagError, PatternError.
    """
    flags = _toggled({"i", "x"}, letters, _REGEXP_FLAGS)
    try:
        translated = translate(_octets(pattern), extended="x" in flags, newline="m" in flags, icase="i" in flags)
    except PosixError as error:
        raise PatternError(str(error)) from None
    case = "i" if "i" in flags else ""
    text = f"(?{case}:{translated.text})" if case else translated.text
    return compile_re2(text, longest=True) or compile_fallback(translated.text, case)


def compile_pcre(pattern: str, letters: str) -> Pattern:
    """A Perl-compatible pattern. Flags, each the opposite of before: i and s (on), m, x, A, E, U, X.

    Raises FlagError, PatternError.
    """
    flags = _toggled({"i", "s"}, letters, _PCRE_FLAGS)
    text = _octets(pattern)
    flags_before = f"(?{''.join(sorted(flags & set('ims')))}{'U' if 'U' in flags else ''})"
    if "x" not in flags and not _NOT_FOR_RE2.search(text):
        plain = _without_dollar(text, "m" in flags, "E" in flags)
        if plain is not None:
            anchored = f"\\A(?:{plain})" if "A" in flags else plain
            compiled = compile_re2(flags_before.replace("(?)", "") + anchored)
            if compiled is not None:
                return compiled
    if "E" in flags and "m" not in flags:
        text = _replace_dollar(text, "\\z")
    text = f"\\A(?:{text})" if "A" in flags else text
    return compile_fallback(("(?U)" if "U" in flags else "") + text, "".join(flags & set("imsx")))


DIALECTS: dict[str, Callable[[str, str], Pattern]] = {"regexp": compile_regexp, "pcre": compile_pcre}


def _toggled(flags: set[str], letters: str, known: frozenset[str]) -> set[str]:
    for letter in letters:
        if letter not in known:
            raise FlagError(f'unknown regexp option "{letter}": skipping this rule')
        flags ^= {letter}
    return flags


def _octets(text: str) -> str:
    """The octets of `text`, each as one character: Postfix matches octets, whatever smtputf8_enable says."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _dollars(text: str) -> list[int]:
    """Places of `$` that are anchors."""
    places: list[int] = []
    index, bracket = 0, -1
    while index < len(text):
        char = text[index]
        if char == "\\":
            index += 1
        elif bracket >= 0:
            if text.startswith("[:", index):
                end = text.find(":]", index)
                index = end + 1 if end >= 0 else index
            elif char == "]" and index > bracket:
                bracket = -1
        elif char == "[":
            # A "]" that comes first stands for itself.
            bracket = index + 1 + text.startswith("^", index + 1)
        elif char == "$":
            places.append(index)
        index += 1
    return places


def _without_dollar(text: str, multiline: bool, only_end: bool) -> str | None:
    """`text` for RE2, whose `$` is the very end; PCRE's is also before a newline there. None: it cannot be said."""
    if multiline:
        return text
    places = _dollars(text)
    if not only_end and any(text[place + 1 : place + 2] not in ("", ")", "|") for place in places):
        return None
    return _replace_dollar(text, "\\z" if only_end else "(?:\\n?\\z)")


def _replace_dollar(text: str, anchor: str) -> str:
    for place in reversed(_dollars(text)):
        text = text[:place] + anchor + text[place + 1 :]
    return text
