"""Connections and rates per service and client."""

import time

import msgspec
import pytest

from gatepost.anvil import Anvil

WHEN = time.mktime((2026, 11, 2, 18, 28, 47, 0, 0, -1))


def anvil() -> Anvil:
    return Anvil(60, lambda: WHEN)


def test_connections_come_and_go() -> None:
    a = anvil()
    assert a.count("connect", "smtp", "192.0.2.1", 0) == (1, 1)
    assert a.count("connect", "smtp", "192.0.2.1", 1) == (2, 2)
    assert a.count("connect", "smtp", "192.0.2.2", 1) == (1, 1)
    assert a.count("connect", "submission", "192.0.2.1", 1) == (1, 1)
    a.disconnect("smtp", "192.0.2.1")
    assert a.count("connect", "smtp", "192.0.2.1", 3) == (2, 3)
    a.disconnect("smtp", "192.0.2.1", 7)
    assert a.count("connect", "smtp", "192.0.2.1", 3) == (1, 4)


def test_rates_begin_anew_once_the_time_unit_is_over() -> None:
    a = anvil()
    for second in range(5):
        connections, rate = a.count("mail", "smtp", "192.0.2.1", 10.9 + second)
    assert (connections, rate) == (0, 5)
    assert a.count("mail", "smtp", "192.0.2.1", 70.9) == (0, 6)  # whole seconds, and more than 60 of them
    assert a.count("mail", "smtp", "192.0.2.1", 71.0) == (0, 1)


def test_idle_clients_are_forgotten() -> None:
    a = anvil()
    a.count("mail", "smtp", "192.0.2.1", 0)
    a.count("connect", "smtp", "192.0.2.2", 0)
    a.count("mail", "smtp", "192.0.2.3", 121)
    assert set(a._counts) == {("smtp", "192.0.2.2"), ("smtp", "192.0.2.3")}


def test_statistics_are_those_of_anvil() -> None:
    a = anvil()
    for address in ("192.0.2.1", "192.0.2.1", "2001:db8::1"):
        a.count("connect", "127.0.0.1:25", address, 0)
    a.disconnect("127.0.0.1:25", "192.0.2.1")
    a.count("mail", "smtp", "2001:db8::1", 1)
    assert a.statistics() == [
        "statistics: max connection rate 2/60s for (127.0.0.1:25:192.0.2.1) at Nov  2 18:28:47",
        "statistics: max connection count 2 for (127.0.0.1:25:192.0.2.1) at Nov  2 18:28:47",
        "statistics: max message rate 1/60s for (smtp:2001:db8::1) at Nov  2 18:28:47",
        "statistics: max cache size 3 at Nov  2 18:28:47",
    ]
    assert a.statistics() == []
    for event in ("rcpt", "newtls", "auth"):
        a.count(event, "smtp", "192.0.2.1", 2)  # type: ignore[arg-type]
    assert [line.split(" for ")[0] for line in a.statistics()] == [
        "statistics: max recipient rate 1/60s",
        "statistics: max newtls rate 1/60s",
        "statistics: max auth rate 1/60s",
        "statistics: max cache size 4 at Nov  2 18:28:47",
    ]


def test_those_who_are_gone_do_not_count_as_cached() -> None:
    a = anvil()
    for number in range(3):
        a.count("mail", "smtp", f"192.0.2.{number}", 0)
    a.statistics()
    a.count("mail", "smtp", "192.0.2.9", 61)
    assert a.statistics()[-1] == "statistics: max cache size 1 at Nov  2 18:28:47"


def test_rates_pass_to_a_successor_and_connections_are_told_anew() -> None:
    old, new = anvil(), anvil()
    old.count("mail", "smtp", "192.0.2.1", 1)
    for _ in range(3):
        old.count("connect", "smtp", "192.0.2.2", 40)
    new.restore(old.saved(), 62)
    new.resume("smtp", "192.0.2.2", 2, 62)
    assert new.count("connect", "smtp", "192.0.2.2", 62) == (3, 4)
    assert new.count("mail", "smtp", "192.0.2.1", 62) == (0, 1)
    new.restore(old.saved(), 5)  # of another boot: its clock has not come so far
    assert new.count("connect", "smtp", "192.0.2.2", 62) == (4, 5)
    with pytest.raises(msgspec.MsgspecError):
        new.restore(b"\xc1 nonsense", 5)
