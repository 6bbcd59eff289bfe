"""Keys that need no talking about."""

from gatepost.smtpd.tls_tickets import TicketKeys
from gatepost.tls.tickets import KEYS_SIZE


def test_all_who_have_the_secret_have_the_same_keys() -> None:
    here, there = TicketKeys(b"s" * 32, lambda: 7200.0), TicketKeys(b"s" * 32, lambda: 7300.0)
    assert here.period(3600) == there.period(3600) == 2
    assert here.keys("smtp", 2) == there.keys("smtp", 2)
    assert len(here.keys("smtp", 2)) == KEYS_SIZE


def test_keys_differ_by_secret_listener_and_time() -> None:
    keys = TicketKeys(b"s" * 32, lambda: 0.0)
    other = TicketKeys(b"t" * 32, lambda: 0.0)
    found = {keys.keys("smtp", 2), keys.keys("smtp", 3), keys.keys("submission", 2), other.keys("smtp", 2)}
    assert len(found) == 4
    # The parts of a key (name, HMAC, AES) are no copies of each other.
    one = keys.keys("smtp", 2)
    assert len({one[:16], one[16:32], one[32:48], one[48:64], one[64:]}) == 5
