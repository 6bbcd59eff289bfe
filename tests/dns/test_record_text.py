import pytest

from gatepost.dns.answers import Record
from gatepost.dns.record_text import record_text


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (Record("h.example", "A", "192.0.2.1", ttl=60), "h.example. 60 IN A 192.0.2.1"),
        (Record("h.example", "AAAA", "2001:db8::1"), "h.example. 0 IN AAAA 2001:db8::1"),
        (Record("x.example", "MX", "mx.example", 10, 3600), "x.example. 3600 IN MX 10 mx.example."),
        (Record("x.example", "MX", "", 0, 3600), "x.example. 3600 IN MX 0 ."),
        (Record("x.example", "NS", "ns.example", ttl=1), "x.example. 1 IN NS ns.example."),
        (Record("x.example", "TXT", "v=spf1 -all", ttl=1), "x.example. 1 IN TXT v=spf1 -all"),
        (Record("_s.x.example", "SRV", "5 25 h.example", 1, 1), "_s.x.example. 1 IN SRV 1 5 25 h.example."),
    ],
)
def test_records_as_postfix_prints_them(record: Record, text: str) -> None:
    assert record_text(record) == text
