"""A small DNS world as text, for `gatepost smtpd-check --zone` and for tests.

One record a line, `name TYPE data`; `#` starts a comment line. A name that is not there does not exist; a name that is
there but lacks the asked type has no data. `*.x` matches any name below x that is not listed itself. Names are complete
and have no final dot; `.` is the root (a null MX). TXT text stands in double quotes. Types of our own:

    name SERVFAIL          every question about the name fails for now
    name DELAY seconds     the server waits before it answers
    name TRUNCATE          the server cuts every UDP reply (TC), so that the question comes again by TCP
    name DROP              the server does not answer at all
    name GARBAGE           the server answers with octets that are no DNS message
    name INSECURE          answers about the name are not authentic, wherever others are (DNSSEC)
"""

from typing import get_args

import msgspec

from gatepost.dns.answers import Record, RRType

_RR_TYPES: frozenset[str] = frozenset(get_args(RRType))
_BEHAVIOURS = frozenset({"SERVFAIL", "DELAY", "TRUNCATE", "DROP", "GARBAGE", "INSECURE"})
_NAME_DATA = frozenset({"PTR", "NS", "CNAME"})
_TTL = 3600
"""Of every record, in seconds."""


class ZoneError(ValueError):
    """A line of the zone text that cannot be read; the message names its number."""


class Zone(msgspec.Struct):
    """Records by name and type; `behaviour` by name (see the module's text) with its argument."""

    records: dict[str, dict[str, list[Record]]]
    behaviour: dict[str, dict[str, float]]

    def find(self, name: str) -> str | None:
        """The listed name that speaks for `name`: itself or the closest wildcard above it; None: NXDOMAIN."""
        if name in self.records:
            return name
        rest = name
        while "." in rest:
            rest = rest.partition(".")[2]
            if f"*.{rest}" in self.records:
                return f"*.{rest}"
            if rest in self.records:
                return None  # RFC 4592: a name in between hides the wildcards above it
        return None


def parse_zone(text: str) -> Zone:
    """Read zone text. Raises ZoneError."""
    zone = Zone({}, {})
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split(None, 2)
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 2:
            raise ZoneError(f"line {number}: name TYPE data expected")
        name, kind, data = _plain(words[0]), words[1].upper(), words[2].strip() if len(words) > 2 else ""
        zone.records.setdefault(name, {})
        try:
            if kind in _BEHAVIOURS:
                zone.behaviour.setdefault(name, {})[kind] = float(data or 0)
            elif kind in _RR_TYPES and data:
                record = _record(name, kind, data)
                zone.records[name].setdefault(kind, []).append(record)
            else:
                raise ValueError(f"cannot read {kind}")
        except (ValueError, msgspec.ValidationError) as exc:
            raise ZoneError(f"line {number}: {exc}") from exc
    return zone


def _record(name: str, kind: str, data: str) -> Record:
    preference = 0
    if kind == "MX":
        first, _, host = data.partition(" ")
        preference, data = int(first), _plain(host.strip())
    elif kind in _NAME_DATA:
        data = _plain(data)
    elif kind == "TXT":
        data = data[1:-1] if data[:1] == '"' and data[-1:] == '"' and len(data) > 1 else data
    return Record(name, msgspec.convert(kind, RRType), data, preference, _TTL)


def _plain(name: str) -> str:
    return name.rstrip(".").lower()
