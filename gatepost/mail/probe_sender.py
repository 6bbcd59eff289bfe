"""The sender of address probes, which may change with time (address_verify_sender, address_verify_sender_ttl).

An address that a spammer cannot learn and keep need not be judged; see verify(8). Pure: `now` is wall-clock seconds.
"""

from collections.abc import Callable

DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZ"
"""Base 31, without vowels, so that no words come out."""


class ProbeSender:
    """`address`: address_verify_sender; `ttl`: seconds, 0: it never changes; `rewrite` brings it to standard form."""

    __slots__ = ("_domain", "_fixed", "_local", "_rewrite", "_ttl")

    def __init__(self, address: str, ttl: int, rewrite: Callable[[str], str]) -> None:
        self._rewrite = rewrite
        null = address in ("", "<>")
        local, at, domain = address.partition("@")
        self._ttl = 0 if null else ttl
        self._local = local
        self._domain = at + domain
        self._fixed = "" if null else rewrite(address)

    @property
    def null(self) -> bool:
        """Is it the null sender?"""
        return not self._fixed

    def at(self, now: float) -> str:
        """The sender to use now."""
        if not self._ttl:
            return self._fixed
        return self._rewrite(self._local + stamp(int(now) // self._ttl) + self._domain)

    def is_valid(self, address: str, now: float) -> bool:
        """Is this the sender of probes now, or was it, or will it be, one time span earlier or later?"""
        if not self._fixed:
            return not address
        if not self._ttl:
            return address.lower() == self._fixed.lower()
        local, _, domain = address.rpartition("@")
        own_local, _, own_domain = self._fixed.rpartition("@")
        if domain.lower() != own_domain.lower() or local[: len(own_local)].lower() != own_local.lower():
            return False
        epoch = _epoch(local[len(own_local) :])
        return epoch is not None and abs(int(now) // self._ttl - epoch) <= 1


def stamp(epoch: int) -> str:
    """A number of 0 or more in base 31."""
    text = ""
    while True:
        epoch, digit = divmod(epoch, 31)
        text = DIGITS[digit] + text
        if epoch <= 0:
            return text


def _epoch(text: str) -> int | None:
    """The number that a stamp tells; None: it is none."""
    if not 0 < len(text) <= 20:
        return None
    epoch = 0
    for char in text:
        digit = DIGITS.find(char)
        if digit < 0:
            return None
        epoch = epoch * 31 + digit
    return epoch
