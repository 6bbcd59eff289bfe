"""From recipients to transports, next hops and classes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.rewrite.address_classes import AddressClass
from gatepost.rewrite.resolve import Resolved
from gatepost.tables.table import LookupTemporaryFailure
from tests.rewrite.services import Services
from tests.tables.surroundings import conformance

CLASSES = {
    "CLASS_LOCAL": AddressClass.LOCAL,
    "CLASS_ALIAS": AddressClass.VIRTUAL_ALIAS,
    "CLASS_VIRTUAL": AddressClass.VIRTUAL_MAILBOX,
    "CLASS_RELAY": AddressClass.RELAY,
    "CLASS_DEFAULT": AddressClass.DEFAULT,
}


async def test_conformance() -> None:
    text = conformance("units/resolve_clnt.ref").read_text()
    text = text.replace("MYHOSTNAME", "mail.ours.example").replace("MYDOMAIN", "ours.example")
    services = Services(append_dot_mydomain="yes", relayhost="$mydomain")
    blocks = re.findall(
        r"class +(\S+)\naddress +(.*)\ntransport +(.*)\nnexthop +(.*)\nrecipient +(.*)\nflags +(.*)\n", text
    )
    assert len(blocks) == 49
    for kind, address, transport, nexthop, recipient, flags in blocks:
        resolver = services.all.probe_resolver if kind == "verify" else services.all.resolver
        found = await resolver.resolve("", address)
        assert found.recipient == recipient, address
        assert found.error is ("FLAG_ERROR" in flags), address
        assert found.routed is ("FLAG_ROUTED" in flags), address
        assert found.address_class is CLASSES[flags.split()[-1]], address
        if not found.error:
            assert (found.transport, found.nexthop) == (transport, nexthop), address


MAIN_CF = """
relayhost = [relay.example]
relay_domains = rel.example
virtual_alias_domains = va.example
virtual_mailbox_domains = vm.example, inline:{vmt.example=x}
recipient_delimiter = +
transport_maps = inline:{ {joe@t.example=slow:[h.t.example]:26}, {t.example=slow}, {.t.example=:[sub]},
    {e.example=error}, {a@rel.example=:}, {va.example=smtp:} }, regexp:{ {/^re@/ rex:} }
relocated_maps = inline:{ {moved@rel.example=new@place.example}, {gone=nowhere}, {@gone.example=all gone} }
sender_dependent_relayhost_maps = inline:{ {s1@x.example=[s1relay]}, {s2@x.example=DUNNO}, {@y.example=yrelay},
    {<>=nullrelay} }
sender_dependent_default_transport_maps = inline:{ {s1@x.example=s1t:[s1h]}, {s2@x.example=dunno}, {@z.example=zt} }
"""
MOVED = "5.1.6 User has moved to new@place.example"
L, A, M, R, D = CLASSES.values()


@pytest.mark.parametrize(
    ("sender", "address", "transport", "nexthop", "recipient", "address_class", "routed"),
    [
        ("u@x", "joe@mail.ours.example", "local", "mail.ours.example", "joe@mail.ours.example", L, False),
        ("u@x", "joe@[127.0.0.1]", "local", "mail.ours.example", "joe@[127.0.0.1]", L, False),
        ("u@x", "joe@[IPv6:::1]", "local", "mail.ours.example", "joe@[IPv6:::1]", L, False),
        ("u@x", "joe@[IPv6:0:0::1]", "local", "mail.ours.example", "joe@[IPv6:0:0::1]", L, False),
        ("u@x", "joe@va.example", "error", "5.1.1 User unknown in virtual alias table", "joe@va.example", A, False),
        ("u@x", "joe@vm.example", "virtual", "vm.example", "joe@vm.example", M, False),
        ("u@x", "joe@vmt.example", "virtual", "vmt.example", "joe@vmt.example", M, False),
        ("u@x", "joe@sub.vm.example", "smtp", "[relay.example]", "joe@sub.vm.example", D, False),
        ("u@x", "joe@rel.example", "relay", "[relay.example]", "joe@rel.example", R, False),
        ("u@x", "joe@sub.REL.example", "relay", "[relay.example]", "joe@sub.REL.example", R, False),
        ("u@x", "a@rel.example", "relay", "[relay.example]", "a@rel.example", R, False),
        ("u@x", "joe@a.example", "smtp", "[relay.example]", "joe@a.example", D, False),
        ("", "joe@a.example", "smtp", "nullrelay", "joe@a.example", D, False),
        ("s1@x.example", "joe@a.example", "s1t", "[s1h]", "joe@a.example", D, False),
        ("s1@x.example", "joe@rel.example", "relay", "[s1relay]", "joe@rel.example", R, False),
        ("s2@x.example", "joe@a.example", "smtp", "[relay.example]", "joe@a.example", D, False),
        ("u@y.example", "joe@a.example", "smtp", "yrelay", "joe@a.example", D, False),
        ("u@z.example", "joe@a.example", "zt", "[relay.example]", "joe@a.example", D, False),
        ("u@x", "joe+e@t.example", "slow", "[h.t.example]:26", "joe+e@t.example", D, False),
        ("u@x", "jim@t.example", "slow", "t.example", "jim@t.example", D, False),
        ("u@x", "jim@x.y.t.example", "smtp", "[sub]", "jim@x.y.t.example", D, False),
        ("u@x", "jim@e.example", "error", "Address is undeliverable", "jim@e.example", D, False),
        ("u@x", "re@mail.ours.example", "rex", "mail.ours.example", "re@mail.ours.example", L, False),
        ("u@x", "moved+x@rel.example", "error", MOVED, "moved+x@rel.example", R, False),
        ("u@x", "gone@localhost", "error", "5.1.6 User has moved to nowhere", "gone@localhost", L, False),
        ("u@x", "gone@a.example", "smtp", "[relay.example]", "gone@a.example", D, False),
        ("u@x", "joe%a.example@localhost", "smtp", "[relay.example]", "joe@a.example", D, False),
        ("u@x", "joe@a.example@localhost", "smtp", "[relay.example]", "joe@a.example", D, False),
        ("u@x", "a.example!joe user@localhost", "smtp", "[relay.example]", "joe user@a.example", D, False),
        ("u@x", "joe%b.example@rel.example", "relay", "[relay.example]", "joe%b.example@rel.example", R, True),
        ("u@x", "joe@bücher.example", "smtp", "[relay.example]", "joe@bücher.example", D, False),
    ],
)  # fmt: skip
async def test_routes(
    sender: str, address: str, transport: str, nexthop: str, recipient: str, address_class: AddressClass, routed: bool
) -> None:
    services = Services(MAIN_CF)
    wanted = Resolved(transport, nexthop, recipient, address_class, routed=routed)
    assert await services.all.resolver.resolve(sender, address) == wanted
    assert await services.all.resolver.resolve(sender, address) == wanted  # from memory


@pytest.mark.parametrize(
    "address",
    [
        "joe@a..example",
        "joe@-a.example",
        "joe@1.2.3.4",
        "joe@[1.2.3]",
        "joe@[::1]",
        "joe@",
        "@",
        "-joe@a.example",
        "joe@a.example:25",
        "joe@b..ü",
    ],
)
async def test_invalid(address: str) -> None:
    assert (await Services().all.resolver.resolve("", address)).error


async def test_settings() -> None:
    assert not (await Services(allow_min_user="yes").all.resolver.resolve("", "-joe@a.example")).error
    numeric = Services(resolve_numeric_domain="yes").all.resolver
    assert await numeric.resolve("", "joe@198.51.100.1") == Resolved(
        "smtp", "[198.51.100.1]", "joe@[198.51.100.1]", AddressClass.DEFAULT
    )
    assert (await numeric.resolve("", "joe@192.0.2.25")).address_class is AddressClass.LOCAL
    null = Services(resolve_null_domain="yes").all.resolver
    assert (await null.resolve("", "joe@")).recipient == "joe@mail.ours.example"
    quoted = Services(resolve_dequoted_address="no").all.resolver
    assert (await quoted.resolve("", "a@b@localhost")).recipient == "a@b@localhost"
    plain = Services(virtual_alias_domains="va.example", show_user_unknown_table_name="no").all.resolver
    assert (await plain.resolve("", "joe@va.example")).nexthop == "5.1.1 User unknown"
    ascii_only = Services(smtputf8_enable="no").all.resolver
    assert (await ascii_only.resolve("", "joe@bücher.example")).error


async def test_probes_have_their_own_routes() -> None:
    services = Services(
        relayhost="[relay.example]",
        address_verify_relayhost="",
        address_verify_default_transport="direct",
        address_verify_transport_maps="inline:{t.example=probe:}",
    )
    probe = services.all.probe_resolver
    assert (await probe.resolve("", "joe@a.example")).transport == "direct"
    assert (await probe.resolve("", "joe@a.example")).nexthop == "a.example"
    assert (await probe.resolve("", "joe@t.example")).transport == "probe"
    assert (await services.all.resolver.resolve("", "joe@t.example")).nexthop == "[relay.example]"


async def test_virtual_alias_domains_default_to_the_table() -> None:
    services = Services(virtual_alias_maps="inline:{ {va.example=x}, {joe@va.example=joe@a.example} }")
    assert (await services.all.resolver.resolve("", "x@va.example")).address_class is AddressClass.VIRTUAL_ALIAS


@pytest.mark.parametrize(
    "parameter",
    [
        "mydestination",
        "virtual_alias_domains",
        "virtual_mailbox_domains",
        "relay_domains",
        "transport_maps",
        "relocated_maps",
        "sender_dependent_relayhost_maps",
        "sender_dependent_default_transport_maps",
    ],
)
async def test_a_table_that_cannot_tell(parameter: str) -> None:
    services = Services(**{parameter: "fail:broken"})
    with pytest.raises(LookupTemporaryFailure):
        await services.all.resolver.resolve("joe@x.example", "joe@a.example")
    told = [] if parameter == "mydestination" else [f"{parameter} lookup failure"]
    assert services.warnings[1:] == told


async def test_what_tables_say_is_kept_for_a_second_only() -> None:
    services = Services(relay_domains="inline:{rel.example=x}")
    resolver = services.all.resolver
    first = await resolver.resolve("", "joe@a.example")
    services.now += 0.9
    assert await resolver.resolve("", "joe@a.example") is first
    services.now += 0.2
    again = await resolver.resolve("", "joe@a.example")
    assert again is not first and again == first
    constant = Services().all.resolver
    assert await constant.resolve("", "joe@a.example") is await constant.resolve("", "joe@a.example")


async def test_domains_in_two_lists() -> None:
    services = Services(
        mydestination="a.example", virtual_alias_domains="a.example b.example", relay_domains="b.example"
    )
    await services.all.resolver.resolve("", "joe@a.example")
    await services.all.resolver.resolve("", "joe@b.example")
    assert services.warnings == [
        "do not list domain a.example in BOTH mydestination and virtual_alias_domains",
        "do not list domain b.example in BOTH virtual_alias_domains and relay_domains",
    ]
    quiet = Services(mydestination="a.example", virtual_alias_domains="a.example", helpful_warnings="no")
    await quiet.all.resolver.resolve("", "joe@a.example")
    assert not quiet.warnings


async def test_an_empty_address_that_stays_empty() -> None:
    services = Services(empty_address_recipient='""')
    with pytest.raises(LookupTemporaryFailure):
        await services.all.resolver.resolve("", "")
    assert services.warnings == ["resolve_addr: <>: giving up after 100 iterations"]


SERVICES = Services(MAIN_CF)


@given(st.text(st.sampled_from('abé.@!%"\\()<>[],:; '), max_size=20) | st.text(max_size=50), st.booleans())
async def test_any_address_resolves(address: str, ours: bool) -> None:
    if ours:
        address += "@localhost"
    found = await SERVICES.all.resolver.resolve("", address)
    assert "@" in found.recipient
    # No way round: what is left on a local recipient is local.
    if found.address_class is AddressClass.LOCAL and not found.error:
        assert await SERVICES.all.resolver.is_local_domain(found.recipient.rpartition("@")[2])


async def test_relocated_without_prefix() -> None:
    services = Services("relocated_maps = inline:{ {gone@a.example=5.2.0 all gone} }\nrelocated_prefix_enable = no\n")
    resolved = await services.all.resolver.resolve("", "gone@a.example")
    assert (resolved.transport, resolved.nexthop) == ("error", "5.2.0 all gone")


class Told:
    """A Trace that writes down what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def classified(self, address_class: AddressClass, parameter: str, domain: str) -> None:
        self.lines.append(f"class {address_class.value} {parameter} {domain}".replace("  ", " "))

    def transport(self, parameter: str, value: str) -> None:
        self.lines.append(f"transport {parameter} {value}".strip())

    def nexthop(self, parameter: str, value: str) -> None:
        self.lines.append(f"nexthop {parameter} {value}".strip())

    def own_nexthop(self) -> None:
        self.lines.append("its own nexthop")


@pytest.mark.parametrize(
    ("sender", "recipient", "told"),
    [
        (
            "",
            "a@ours.example",
            "class default ours.example; transport default_transport smtp; "
            "nexthop sender_dependent_relayhost_maps nullrelay",
        ),
        (
            "s1@x.example",
            "a@far.example",
            "class default far.example; transport sender_dependent_default_transport_maps s1t:[s1h]; "
            "nexthop sender_dependent_relayhost_maps [s1relay]; its own nexthop",
        ),
        (
            "s2@x.example",
            "a@rel.example",
            "class relay relay_domains rel.example; nexthop relayhost [relay.example]; "
            "transport relay_transport relay",
        ),
        (
            "",
            "joe@t.example",
            "class default t.example; transport default_transport smtp; "
            "nexthop sender_dependent_relayhost_maps nullrelay; "
            "transport transport_maps slow:[h.t.example]:26; nexthop transport_maps slow:[h.t.example]:26",
        ),
        (
            "x@q.example",
            "b@x.t.example",
            "class default x.t.example; transport default_transport smtp; nexthop relayhost [relay.example]; "
            "nexthop transport_maps :[sub]",
        ),
        ("", "a@va.example", "class virtual alias virtual_alias_domains va.example; transport virtual_alias_maps; "
         "nexthop virtual_alias_maps"),
        ("", "a@vm.example", "class virtual mailbox virtual_mailbox_domains vm.example; "
         "transport virtual_transport virtual"),
        ("", "a@localhost", "class local mydestination localhost; transport local_transport local:mail.ours.example; "
         "its own nexthop"),
    ],
)  # fmt: skip
async def test_how_a_route_comes_about_can_be_traced(sender: str, recipient: str, told: str) -> None:
    resolver = Services(MAIN_CF).all.resolver
    trace = resolver.routing.trace = Told()
    await resolver.resolve(sender, recipient)
    assert "; ".join(trace.lines) == told
