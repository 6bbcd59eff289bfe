"""TLSA records as values (RFC 6698, 7671); what is done with them: dane.py."""

import msgspec

TRUST_ANCHOR = 2
"""DANE-TA: a CA of the chain. The certificate must have the server's name."""
END_ENTITY = 3
"""DANE-EE: the server's own certificate or key. Its names and times do not matter (RFC 7672 3.1.1)."""

_SHOWN = 32
"""Octets of each end of a record that are logged."""


class TlsaRecord(msgspec.Struct, frozen=True, order=True):
    """A TLSA record (RFC 6698 2.1). `matching` 0: `data` is the certificate or key itself, else a digest of it."""

    usage: int
    selector: int
    matching: int
    data: bytes

    def __str__(self) -> str:
        """As Postfix logs it: of what is longer than a digest, the beginning and the end."""
        octets, size = self.data.hex().upper(), 2 * _SHOWN
        shown = octets if len(self.data) <= 2 * _SHOWN else f"{octets[:size]}...{octets[-size:]}"
        return f"{self.usage} {self.selector} {self.matching} {shown}"


def parse_tlsa(text: str) -> TlsaRecord:
    """From the text of a record, `3 1 1 89ab...`; without octets if it was cut short."""
    usage, selector, matching, octets = (*text.split(" "), "")[:4]
    return TlsaRecord(int(usage), int(selector), int(matching), bytes.fromhex(octets))


def for_smtp(record: TlsaRecord) -> bool:
    """May mail servers be verified by it? Not by the usages that count on public CAs (RFC 7672 3.1.3)."""
    return record.usage in (TRUST_ANCHOR, END_ENTITY)
