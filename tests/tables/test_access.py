from gatepost.tables.access import address_keys, domain_keys, find_domain, find_mail_address, find_network
from tests.tables.surroundings import Surroundings


def test_domain_keys() -> None:
    assert list(domain_keys("a.b.c", True)) == ["a.b.c", "b.c", "c"]
    assert list(domain_keys("a.b.c", False)) == ["a.b.c", ".b.c", ".c"]
    assert list(domain_keys("a.b.", True)) == ["a.b.", "b."]
    assert list(domain_keys("1.2.3.4", True)) == ["1.2.3.4"]
    assert list(domain_keys("", True)) == []
    assert list(domain_keys("localhost", False)) == ["localhost"]


def test_address_keys() -> None:
    assert list(address_keys("192.0.2.1")) == ["192.0.2.1", "192.0.2", "192.0", "192"]
    assert list(address_keys("2001:db8::1")) == ["2001:db8::1", "2001:db8:", "2001:db8", "2001"]
    assert list(address_keys("::1")) == ["::1", ":"]


async def test_find(world: Surroundings) -> None:
    maps = world.tables.maps("access", "regexp:{{/^c$/ never}} inline:{c=dom, 10.1=net, u@=user}")
    hit = await find_domain(maps, "a.b.c", parent_style=True)
    assert hit is not None and hit.value == "dom"
    assert await find_domain(maps, "a.b.c", parent_style=False) is None
    hit = await find_network(maps, "10.1.2.3")
    assert hit is not None and (hit.value, hit.key) == ("net", "10.1")
    assert await find_network(maps, "10.2.2.3") is None
    found = await find_mail_address(maps, "u+x@d.e", recipient_delimiter="+", parent_style=True)
    assert found is not None and (found.value, found.extension) == ("user", "+x")
