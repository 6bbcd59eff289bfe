"""A resource record as Postfix writes it (dns_strrecord(3)): what reply filters are asked for, and what they log."""

from gatepost.dns.answers import Record

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
