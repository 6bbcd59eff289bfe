"""Dates in headers (RFC 5322 3.3), as Postfix writes them."""

from datetime import UTC, datetime, timedelta

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _civil(seconds: float) -> datetime:
    try:
        return _EPOCH + timedelta(seconds=int(seconds))
    except (OverflowError, ValueError):  # beyond the calendar, or not a number
        return _EPOCH


def mail_date(seconds: float, offset: int = 0, zone: str = "UTC") -> str:
    """`Mon,  2 Feb 2026 03:04:05 +0100 (CET)` for wall-clock `seconds` where `offset` seconds east of UTC apply.

    The day of the month takes two places, as mail_date(3) has it; a nameless zone (or one that would end the
    comment) leaves the comment out.
    """
    moment = _civil(seconds + offset)
    minutes = abs(offset) // 60
    sign = "-" if offset < 0 else "+"
    name = f" ({zone})" if zone and zone.isascii() and zone.isprintable() and not set(zone) & set("()\\") else ""
    return (
        f"{_DAYS[moment.weekday()]}, {moment.day:2d} {_MONTHS[moment.month - 1]} {moment.year:04d} "
        f"{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d} {sign}{minutes // 60:02d}{minutes % 60:02d}{name}"
    )


def compact_utc(seconds: float) -> str:
    """`20260202020405`: the time part of a Message-ID, in UTC."""
    moment = _civil(seconds)
    return (
        f"{moment.year:04d}{moment.month:02d}{moment.day:02d}{moment.hour:02d}{moment.minute:02d}{moment.second:02d}"
    )
