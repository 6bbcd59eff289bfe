"""What names a DNS list in a restriction: `zone`, or `zone=d.d.d.d` to count some of its answers only (ip_match(3))."""

import msgspec


class BadPattern(ValueError):
    """A pattern that cannot be read; the text shows where."""


class DnsList(msgspec.Struct, frozen=True):
    """One DNS list as the restriction names it.

    `text` is the whole argument. `octets`: for each octet of an answer the numbers that count; empty: all do.
    """

    text: str
    zone: str
    octets: tuple[frozenset[int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "DnsList":
        """Raises BadPattern."""
        zone, equals, pattern = text.partition("=")
        return cls(text, zone, _parse(pattern) if equals else ())

    def counts(self, address: str) -> bool:
        """Does an answer of the list count?"""
        if not self.octets:
            return True
        numbers = address.split(".")
        return len(numbers) == 4 and all(
            int(number) in allowed for number, allowed in zip(numbers, self.octets, strict=True)
        )


def _parse(pattern: str) -> tuple[frozenset[int], ...]:
    """Four of `n` or `[n;m;a..b]`, with dots between them."""
    reader = _Reader(pattern)
    octets = [reader.field()]
    while len(octets) < 4:
        reader.expect(".")
        octets.append(reader.field())
    if reader.at < len(pattern):
        raise reader.bad("garbage after pattern", len(pattern) - reader.at)
    return tuple(octets)


class _Reader:
    __slots__ = ("at", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def field(self) -> frozenset[int]:
        if self.text[self.at : self.at + 1] != "[":
            return frozenset((self.number(' or "["'),))
        self.at += 1
        numbers: set[int] = set()
        while True:
            first = last = self.number()
            start = self.at
            if self.text.startswith("..", self.at):
                self.at += 2
                last = self.number()
                if last < first:
                    raise _bad("numeric range error", self.text, start, self.at)
            numbers.update(range(first, last + 1))
            following = self.text[self.at : self.at + 1]
            if following == "]":
                self.at += 1
                return frozenset(numbers)
            if following != ";":
                raise self.bad('need ";" or "]"', 1)
            self.at += 1

    def number(self, instead: str = "") -> int:
        end = self.at
        while end < len(self.text) and self.text[end] in "0123456789":
            end += 1
        value = int(self.text[self.at : end][:4] or "256")
        if value > 255:
            raise self.bad(f"need decimal number 0..255{instead}", max(end - self.at, 1))
        self.at = end
        return value

    def expect(self, what: str) -> None:
        if self.text[self.at : self.at + 1] != what:
            raise self.bad(f'need "{what}"', 1)
        self.at += 1

    def bad(self, gripe: str, length: int) -> BadPattern:
        return _bad(gripe, self.text, self.at, self.at + length)


def _bad(gripe: str, text: str, start: int, end: int) -> BadPattern:
    return BadPattern(f'{gripe} at "{text[:start]}>{text[start:end]}<{text[end:]}"')
