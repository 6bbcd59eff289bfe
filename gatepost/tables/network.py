"""Addresses and networks as numbers, with the errors that Postfix finds in them (cidr_table(5))."""

import socket
from typing import NamedTuple

_DIGITS = frozenset("0123456789")


class NetworkError(ValueError):
    """A pattern that is no network; the text says why, in Postfix's words."""


class Network(NamedTuple):
    """`bits` is 32 or 128; an address of that family is inside if `address & mask == net`."""

    bits: int
    net: int
    mask: int

    @property
    def prefix(self) -> int:
        """Length of the mask in bits."""
        return self.mask.bit_count()

    def __str__(self) -> str:
        return f"{address_text(self.bits, self.net)}/{self.prefix}"

    def contains(self, other: "Network") -> bool:
        """Is all of `other` inside?"""
        return self.bits == other.bits and self.prefix <= other.prefix and other.net & self.mask == self.net


def parse_address(text: str) -> tuple[int, int] | None:
    """(32 or 128, the address as a number); None if `text` is not an address in its plain form."""
    try:
        if ":" in text:
            return 128, int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
        return 32, int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
    except (OSError, ValueError):  # ValueError: NUL, or not encodable
        return None


def address_text(bits: int, number: int) -> str:
    """The address in the form that inet_ntop(3) gives."""
    if bits == 32:
        return socket.inet_ntop(socket.AF_INET, number.to_bytes(4, "big"))
    return socket.inet_ntop(socket.AF_INET6, number.to_bytes(16, "big"))


def parse_network(pattern: str) -> Network:
    """The network that `net/len`, `address`, `[net]/len` or `[net/len]` names. Raises NetworkError."""
    text, mask_text = _split_mask(pattern)
    if mask_text is None:
        address = parse_address(text)
        if address is None:
            raise NetworkError(f'bad address pattern: "{text}"')
        bits, net = address
        return Network(bits, net, (1 << bits) - 1)
    bits = 128 if ":" in text else 32
    if not mask_text or not _DIGITS.issuperset(mask_text):
        raise NetworkError(f'bad mask value in "{text}/{mask_text}"')
    if len(mask_text) > 9 or int(mask_text) > bits:
        raise NetworkError(f'bad mask length in "{text}/{mask_text}"')
    address = parse_address(text)
    if address is None:
        raise NetworkError(f'bad network value in "{text}/{mask_text}"')
    length = int(mask_text)
    mask = ((1 << length) - 1) << (bits - length)
    net = address[1]
    if net & ~mask:
        better = f"{address_text(bits, net & mask)}/{length}"
        raise NetworkError(
            f'non-null host address bits in "{text}/{mask_text}", perhaps you should use "{better}" instead'
        )
    return Network(bits, net, mask)


def _split_mask(pattern: str) -> tuple[str, str | None]:
    """The address text and the text after the slash, brackets removed."""
    rest = pattern
    if pattern.startswith("["):
        inside, bracket, after = pattern[1:].partition("]")
        if not bracket:
            raise NetworkError(f"missing ']' character after \"[{inside}\"")
        if after.startswith("/"):
            return inside, after[1:]
        if after:
            raise NetworkError(f'garbage after "[{inside}]"')
        rest = inside
    text, slash, mask = rest.partition("/")
    return text, mask if slash else None
