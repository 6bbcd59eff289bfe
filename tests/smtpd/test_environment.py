"""The rates that are counted in this process."""

from gatepost.smtpd.environment import CountedRates


async def test_connections_and_rates() -> None:
    now = 0.0
    rates = CountedRates(lambda: now, unit=60)
    assert await rates.connect("smtp", "192.0.2.1") == (1, 1)
    assert await rates.connect("smtp", "192.0.2.1") == (2, 2)
    assert await rates.connect("smtp", "192.0.2.2") == (1, 1)
    rates.disconnect("smtp", "192.0.2.1")
    now = 60.0
    assert await rates.connect("smtp", "192.0.2.1") == (2, 1)
    assert [await rates.rate("mail", "smtp", "192.0.2.1") for _ in range(3)] == [1, 2, 3]
    assert await rates.rate("rcpt", "smtp", "192.0.2.1") == 1
