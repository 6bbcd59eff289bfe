"""POSIX regular expressions (regex(7), as glibc reads them in the C locale) in the Perl-like syntax of our engines.

The two differ more than it seems: a backslash in brackets stands for itself, `\\d` is no digit, `$` never matches
before a newline, `{,3}` counts, an interval after nothing is an error. Text is octets, kept as Latin-1.
"""

from dataclasses import dataclass, field

# RE_DUP_MAX
_MAX_REPEAT = 32767

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "\\x21-\\x7e",
    "lower": "a-z",
    "print": "\\x20-\\x7e",
    "punct": "\\x21-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7e",
    "space": " \\t\\n\\x0b\\f\\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}

# GNU operators that a backslash makes: classes, and places in the text.
_GNU_CLASSES = {
    "w": "[0-9A-Za-z_]",
    "W": "[^0-9A-Za-z_]",
    "s": "[ \\t\\n\\x0b\\f\\r]",
    "S": "[^ \\t\\n\\x0b\\f\\r]",
}
_GNU_ANCHORS = {
    "b": "\\b",
    "B": "\\B",
    "`": "\\A",
    "'": "\\z",
    "<": "(?<![0-9A-Za-z_])(?=[0-9A-Za-z_])",
    ">": "(?<=[0-9A-Za-z_])(?![0-9A-Za-z_])",
}


class PosixError(ValueError):
    """Not a regular expression; the text is that of regerror(3)."""


@dataclass(slots=True)
class Translated:
    """A pattern in Perl-like syntax. `\\z` is the end of the text (`\\Z` in Python's re)."""

    text: str
    groups: int


@dataclass(slots=True)
class _State:
    out: list[str] = field(default_factory=list)
    groups: int = 0
    closed: frozenset[int] = frozenset()
    before: frozenset[int] = frozenset()  # groups closed before the alternatives that we are in
    other: frozenset[int] = frozenset()  # groups closed in the alternatives before this one
    # (place in out, number, `before` and `other` outside) of each open group
    open: list[tuple[int, int, frozenset[int], frozenset[int]]] = field(default_factory=list)
    atom: int = -1  # where in `out` the last thing begins that may be repeated; -1: nothing
    fresh: bool = True  # at the start of an alternative


def literal(char: str) -> str:
    """One octet, standing for itself in every engine."""
    if char.isalnum() or char == "_" or char >= "\x80":
        return char
    return f"\\x{ord(char):02x}"


class _Translator:
    def __init__(self, pattern: str, extended: bool, newline: bool, icase: bool) -> None:
        self.pattern = pattern
        self.icase = icase
        self.extended = extended
        self.newline = newline
        self.at = 0
        self.state = _State()

    def run(self) -> Translated:
        pattern, state = self.pattern, self.state
        while self.at < len(pattern):
            char = pattern[self.at]
            self.at += 1
            if char == "\\":
                self._backslash()
            elif char == "[":
                self._atom(self._bracket())
            elif char == ".":
                self._atom("[^\\n]" if self.newline else "(?s:.)")
            elif char in "^$":
                self._anchor(char)
            elif char == "*":
                self._repeat("*")
            elif self.extended and char in "()|+?{":
                self._operator(char)
            else:
                self._atom(literal(char))
        if state.open:
            raise PosixError("Unmatched ( or \\(")
        return Translated("".join(state.out), state.groups)

    def _atom(self, text: str) -> None:
        self.state.atom = len(self.state.out)
        self.state.out.append(text)
        self.state.fresh = False

    def _backslash(self) -> None:
        if self.at >= len(self.pattern):
            raise PosixError("Trailing backslash")
        char = self.pattern[self.at]
        self.at += 1
        if not self.extended and char in "(){|+?":
            self._operator(char)
        elif char in "123456789":
            if int(char) not in self.state.closed:
                raise PosixError("Invalid back reference")
            self._atom(f"(?:\\{char})")
        elif char in _GNU_ANCHORS:
            self._place(_GNU_ANCHORS[char])
        elif char in _GNU_CLASSES:
            self._atom(_GNU_CLASSES[char])
        elif self.icase and "a" <= char <= "z":
            # With REG_ICASE glibc compares this letter as it stands with text in upper case.
            self._atom("[^\\x00-\\xff]")
        else:
            self._atom(literal(char))

    def _operator(self, char: str) -> None:
        if char == "(":
            self._open_group()
        elif char == ")":
            self._close_group()
        elif char == "|":
            state = self.state
            state.out.append("|")
            state.atom, state.fresh = -1, True
            # A back reference does not reach from one alternative into another.
            state.other |= state.closed
            state.closed = state.before
        elif char == "{":
            self._repeat(None)
        else:
            self._repeat(char)

    def _open_group(self) -> None:
        state = self.state
        state.groups += 1
        state.open.append((len(state.out), state.groups, state.before, state.other))
        state.before, state.other = state.closed, frozenset()
        state.out.append("(")
        state.atom, state.fresh = -1, True

    def _close_group(self) -> None:
        state = self.state
        if not state.open:
            if not self.extended:
                raise PosixError("Unmatched ) or \\)")
            self._atom("\\x29")
            return
        closed = state.closed | state.other
        start, number, state.before, state.other = state.open.pop()
        state.closed = closed | {number}
        state.out[start:] = ["".join(state.out[start:]) + ")"]
        state.atom, state.fresh = start, False

    def _anchor(self, char: str) -> None:
        state = self.state
        rest = self.pattern[self.at :]
        if not self.extended:
            # Basic: an anchor only where it can mean nothing else.
            ends = not rest or rest.startswith(("\\)", "\\|"))
            if not (state.fresh if char == "^" else ends):
                self._atom(literal(char))
                return
        if self.newline:
            self._place("(?m:^)" if char == "^" else "(?m:$)")
        else:
            self._place("\\A" if char == "^" else "\\z")

    def _place(self, text: str) -> None:
        """An anchor. It cannot be repeated."""
        self.state.out.append(text)
        self.state.atom, self.state.fresh = -1, False

    def _repeat(self, how: str | None) -> None:
        """`*`, `+`, `?`, or an interval (None) on what came last."""
        state = self.state
        if state.atom < 0:
            if not self.extended and how is not None:
                self._atom(literal(how))
                return
            raise PosixError("Invalid preceding regular expression")
        if how is None:
            how = self._interval()
        again = self.pattern[self.at : self.at + 2]
        if not self.extended and (again[:1] == "*" or again == "\\{"):
            raise PosixError("Invalid preceding regular expression")
        state.out[state.atom :] = [f"(?:{''.join(state.out[state.atom :])}){how}"]

    def _interval(self) -> str:
        closing = "}" if self.extended else "\\}"
        end = self.pattern.find(closing, self.at)
        text = self.pattern[self.at : end if end >= 0 else len(self.pattern)]
        low, comma, high = text.partition(",")
        if end < 0:
            raise PosixError("Unmatched \\{")
        numbers = [part for part in (low, high) if part]
        if not all(part.isascii() and part.isdigit() for part in numbers) or (not low and not high):
            raise PosixError("Invalid content of \\{\\}")
        if any(len(part) > 5 or int(part) > _MAX_REPEAT for part in numbers):
            raise PosixError("Regular expression too big")
        if low and high and int(low) > int(high):
            raise PosixError("Invalid content of \\{\\}")
        self.at = end + len(closing)
        return f"{{{int(low or 0)}{comma}{int(high) if high else ''}}}"

    def _bracket(self) -> str:
        """The bracket expression that begins here, `[` already taken."""
        unmatched = PosixError("Unmatched [, [^, [:, [., or [=")
        pattern = self.pattern
        negated = pattern.startswith("^", self.at)
        self.at += negated
        parts: list[str] = []
        first = True
        while True:
            if self.at >= len(pattern):
                raise PosixError("Invalid regular expression") if first else unmatched
            if pattern[self.at] == "]" and not first:
                self.at += 1
                break
            first = False
            if pattern.startswith("[:", self.at):
                parts.append(self._class())
                continue
            low = self._bracket_char()
            if pattern.startswith("-", self.at) and self.at + 1 < len(pattern) and pattern[self.at + 1] != "]":
                self.at += 1
                high = self._bracket_char()
                if self.at >= len(pattern):
                    raise unmatched
                if low > high:
                    raise PosixError("Invalid range end")
                parts.append(f"\\x{ord(low):02x}-\\x{ord(high):02x}")
            else:
                parts.append(f"\\x{ord(low):02x}")
        if negated and self.newline:
            parts.append("\\n")
        return f"[{'^' if negated else ''}{''.join(parts)}]"

    def _class(self) -> str:
        end = self.pattern.find(":]", self.at + 2)
        if end < 0:
            raise PosixError("Unmatched [, [^, [:, [., or [=")
        name = self.pattern[self.at + 2 : end]
        if name not in _CLASSES:
            raise PosixError("Invalid character class name")
        self.at = end + 2
        return _CLASSES[name]

    def _bracket_char(self) -> str:
        """One character of a bracket expression, also as `[.x.]` or `[=x=]`."""
        pattern = self.pattern
        if self.at >= len(pattern):
            raise PosixError("Unmatched [, [^, [:, [., or [=")
        char = pattern[self.at]
        kind = pattern[self.at : self.at + 2]
        if kind not in ("[.", "[="):
            self.at += 1
            return char
        end = pattern.find(kind[1] + "]", self.at + 2)
        if end < 0:
            raise PosixError("Unmatched [, [^, [:, [., or [=")
        if end != self.at + 3:
            raise PosixError("Invalid collation character")
        self.at = end + 2
        return pattern[end - 1]


def translate(pattern: str, *, extended: bool = True, newline: bool = False, icase: bool = True) -> Translated:
    """`pattern` for a Perl-like engine. `newline`: REG_NEWLINE, `icase`: REG_ICASE. Raises PosixError."""
    return _Translator(pattern, extended, newline, icase).run()
