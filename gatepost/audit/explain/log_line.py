"""A session from a line of the mail log that tells of a refusal."""

import re

import msgspec

_REFUSAL = re.compile(
    r"(?:reject|reject_warning|hold|discard|filter|redirect|warn|info|permit|hangup): "
    r"(?P<stage>\S+) from (?P<name>[^\s\[]+)\[(?P<address>[^\]]+)\](?::\d+)?: (?P<reply>.*?)"
    r"(?P<fields>; (?:from|to|proto)=.*|;?$)"
)
_FIELD = re.compile(r" (from|to|proto|helo|sasl_username)=(?:<([^>]*)>|(\S+))")


class Told(msgspec.Struct, frozen=True):
    """What the line says. Empty or None: it does not say."""

    stage: str
    name: str
    address: str
    reply: str
    sender: str | None = None
    recipient: str | None = None
    helo: str | None = None
    protocol: str = "SMTP"
    login: str = ""


def told_by(line: str) -> Told | None:
    """The session of a log line; None if it tells of none."""
    found = _REFUSAL.search(line)
    if found is None:
        return None
    fields = {name: angle if angle or not plain else plain for name, angle, plain in _FIELD.findall(found["fields"])}
    return Told(
        found["stage"],
        found["name"],
        found["address"],
        found["reply"],
        fields.get("from"),
        fields.get("to"),
        fields.get("helo"),
        fields.get("proto", "SMTP"),
        fields.get("sasl_username", ""),
    )
