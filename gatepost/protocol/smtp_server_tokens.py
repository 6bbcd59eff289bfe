"""The words of an SMTP command line, as Postfix's server sees them: `<...>` and `"..."` hold blanks together.

`FROM:` and `TO:` end a word, so that `MAIL FROM:<a@b>` and `MAIL FROM: <a@b>` are the same three words. A word whose
quotes or brackets do not close is marked as broken.
"""

import msgspec

_BLANK = frozenset(" \t\r\n\v\f")
_CLOSING = {'"': '"', "<": ">"}
_COMMAND_WORDS = ("to:", "from:")


class Word(msgspec.Struct, frozen=True, gc=False):
    text: str
    broken: bool = False


def words(line: str) -> list[Word]:
    """All words of `line`; the empty list for an empty one."""
    found: list[Word] = []
    at = 0
    while True:
        while at < len(line) and line[at] in _BLANK:
            at += 1
        if at >= len(line):
            return found
        word, at = _word(line, at)
        found.append(word)


def _word(line: str, at: int) -> tuple[Word, int]:
    start = at
    broken = False
    while at < len(line):
        char = line[at]
        if char in _BLANK:
            return Word(line[start:at], broken), at + 1
        at += 1
        if char == "\\":
            at += 1
        elif char in '<"':
            at, closed = _quoted(line, at, _CLOSING[char])
            broken = broken or not closed
        elif char == ":" and line[start:at].lower() in _COMMAND_WORDS:
            break
    return Word(line[start:at], broken), at  # a backslash at the end escapes nothing


def _quoted(line: str, at: int, wanted: str) -> tuple[int, bool]:
    """Behind the closing mark that belongs to what was opened before `at`; False if there is none."""
    stack = [wanted]
    while at < len(line):
        char = line[at]
        at += 1
        if char == "\\":
            at += 1
        elif char == stack[-1]:
            stack.pop()
            if not stack:
                return at, True
        elif stack[-1] == '"':
            pass
        elif char in _CLOSING:
            stack.append(_CLOSING[char])
    return len(line), False
