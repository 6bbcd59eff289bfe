"""Connections and rates per service and client."""

from gatepost.anvil import Anvil


def test_connections_come_and_go() -> None:
    anvil = Anvil(60)
    assert anvil.count("connect", "smtp", "192.0.2.1", 0) == (1, 1)
    assert anvil.count("connect", "smtp", "192.0.2.1", 1) == (2, 2)
    assert anvil.count("connect", "smtp", "192.0.2.2", 1) == (1, 1)
    assert anvil.count("disconnect", "smtp", "192.0.2.1", 2) == (1, 0)
    assert anvil.count("connect", "smtp", "192.0.2.1", 3) == (2, 3)


def test_rates_begin_anew_with_each_time_unit() -> None:
    anvil = Anvil(60)
    for second in range(5):
        connections, rate = anvil.count("mail", "smtp", "192.0.2.1", second)
    assert (connections, rate) == (0, 5)
    assert anvil.count("mail", "smtp", "192.0.2.1", 60) == (0, 1)


def test_a_lost_worker_takes_its_connections_with_it() -> None:
    anvil = Anvil(60)
    for _ in range(3):
        anvil.count("connect", "smtp", "192.0.2.1", 0)
    anvil.forget({("smtp", "192.0.2.1"): 2, ("smtp", "192.0.2.9"): 1})
    assert anvil.count("connect", "smtp", "192.0.2.1", 1)[0] == 2


def test_idle_clients_are_forgotten() -> None:
    anvil = Anvil(60)
    anvil.count("mail", "smtp", "192.0.2.1", 0)
    anvil.count("connect", "smtp", "192.0.2.2", 0)
    anvil.count("mail", "smtp", "192.0.2.3", 121)
    assert set(anvil._counts) == {("smtp", "192.0.2.2"), ("smtp", "192.0.2.3")}
