"""How Postfix words resource records (dns_strrecord(3)), which reply filters are asked for, and failures."""

from gatepost.dns.answers import Answer, Record, RRType

_HOST_DATA = frozenset({"CNAME", "NS", "PTR"})


def record_text(record: Record) -> str:
    """`name. ttl IN TYPE data`, names with their final dot; the time to live is in seconds."""
    data = record.data
    if record.type == "MX":
        data = f"{record.preference} {data}."
    elif record.type in _HOST_DATA:
        data = f"{data}."
    elif record.type == "SRV":
        data = f"{record.preference} {data}."
    return f"{record.name}. {record.ttl} IN {record.type} {data}"


def name_error(name: str, rrtype: RRType, answer: Answer) -> str:
    """Postfix's text for a failed question."""
    prefix = "" if answer.outcome == "invalid" else "Host or domain name not found. "
    return f"{prefix}Name service error for name={name} type={rrtype}: {answer.reason}"
