"""Virtual aliases: the results are those of Postfix's cleanup for the same table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.rewrite.virtual_alias import AliasExpansionError
from gatepost.tables.table import LookupTemporaryFailure
from tests.rewrite.services import Services

TABLE = r"""
a@va.example b@elsewhere.example+x, "c d"@elsewhere.example, plain
@dom.va.example @moved.example
joe@va.example joe+there@x.example, Jim <jim@x.example> (c)
self@va.example self@va.example, other@x.example
"p q"@va.example "r s"@x.example
pp@va.example p q@x.example
loop@va.example loop2@va.example
loop2@va.example loop@va.example
grow@va.example grow1@va.example grow@va.example grow2@va.example a1@x b1@x
grow1@va.example grow2@va.example grow3@va.example
grow2@va.example grow4@va.example grow5@va.example
empty@va.example ,
null@va.example <>
grp@va.example g: a@x.example, b@x.example;
bare somebody@x.example
host@va.example joe@host
long@va.example aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@x.example
"""


@pytest.fixture
def services(tmp_path_factory: pytest.TempPathFactory) -> Services:
    table = tmp_path_factory.mktemp("tables") / "virtual"
    table.write_text(TABLE)
    return Services(
        virtual_alias_maps=f"texthash:{table}",
        virtual_alias_domains="va.example, dom.va.example",
        recipient_delimiter="+",
        virtual_alias_recursion_limit="20",
        virtual_alias_expansion_limit="20",
        virtual_alias_address_length_limit="60",
    )


@pytest.mark.parametrize(
    ("address", "results"),
    [
        ("a@va.example", ["b@elsewhere.example+x", "c d@elsewhere.example", "plain@mail.ours.example"]),
        ("a+q@va.example", ["b+q@elsewhere.example+x", "c d+q@elsewhere.example", "plain+q@mail.ours.example"]),
        ("x+e@dom.va.example", ["x+e@moved.example"]),
        ("x y@dom.va.example", ["x y@moved.example"]),
        ("joe+ext@va.example", ["joe+there+ext@x.example", "jim+ext@x.example"]),
        ("joe+@va.example", ["joe+there+@x.example", "jim+@x.example"]),
        ("self@va.example", ["self@va.example", "other@x.example"]),
        ("Self+x@va.example", ["self+x@va.example", "other+x@x.example"]),
        ("p q@va.example", ["r s@x.example"]),
        ("pp@va.example", ["p@mail.ours.example", "q@x.example"]),
        ("null@va.example", [""]),
        ("grp@va.example", ["a@x.example", "b@x.example"]),
        ("bare@mail.ours.example", ["somebody@x.example"]),
        ("bare@a.example", ["bare@a.example"]),
        ("host@va.example", ["joe@host"]),
        ("nobody@va.example", ["nobody@va.example"]),
        ("", [""]),
    ],
)
async def test_results(services: Services, address: str, results: list[str]) -> None:
    assert await services.all.virtual_aliases.expand(address) == results
    assert not services.warnings


async def test_a_result_that_grows(services: Services) -> None:
    found = await services.all.virtual_aliases.expand("grow@va.example")
    assert sorted(set(found)) == [
        "a1@x",
        "b1@x",
        *(f"grow{number}@va.example" for number in (3, 4, 5)),
        "grow@va.example",
    ]


@pytest.mark.parametrize(
    ("address", "warning"),
    [
        ("loop@va.example", "map nesting for loop@va.example"),
        ("long@va.example", "result " + "a" * 60 + "@x.example..."),
    ],
)
async def test_limits(services: Services, address: str, warning: str) -> None:
    with pytest.raises(AliasExpansionError) as caught:
        await services.all.virtual_aliases.expand(address, "3abcDEF")
    assert f"{caught.value.dsn} {caught.value.text}" == "4.6.0 Alias expansion error"
    assert services.warnings == [
        f"3abcDEF: unreasonable virtual_alias_maps {warning} -- message not accepted, try again later"
    ]


async def test_expansion_limit() -> None:
    services = Services(
        virtual_alias_maps="inline:{ {a@b.example=1@x 2@x 3@x 4@x} }", virtual_alias_expansion_limit="3"
    )
    with pytest.raises(AliasExpansionError):
        await services.all.virtual_aliases.expand("a@b.example")
    assert services.warnings == [
        "NOQUEUE: unreasonable virtual_alias_maps map expansion size for a@b.example -- "
        "message not accepted, try again later"
    ]


async def test_no_address_in_the_value(services: Services) -> None:
    with pytest.raises(LookupTemporaryFailure):
        await services.all.virtual_aliases.expand("empty@va.example", "3abcDEF")
    assert services.warnings == [
        'virtual_alias_maps lookup of empty@va.example returns non-address result ","',
        "3abcDEF: virtual_alias_maps map lookup problem for empty@va.example -- message not accepted, try again later",
    ]


async def test_a_table_that_cannot_tell() -> None:
    services = Services(virtual_alias_maps="fail:broken")
    with pytest.raises(LookupTemporaryFailure):
        await services.all.virtual_aliases.expand("a@b.example", "3abcDEF")
    assert services.warnings[-1] == (
        "3abcDEF: virtual_alias_maps map lookup problem for a@b.example -- message not accepted, try again later"
    )


async def test_extensions_stay_behind_if_told_so() -> None:
    services = Services(
        virtual_alias_maps="inline:{a@va.example=b@x.example}",
        recipient_delimiter="+",
        propagate_unmatched_extensions="canonical",
    )
    assert await services.all.virtual_aliases.expand("a+q@va.example") == ["b@x.example"]


ANY = Services(
    virtual_alias_maps='regexp:{ {/^(.*)a(.*)@(.*)/ "$$1"$$2@$$3, $$1!$$2 <$$3>} {/b/ @c.example} }',
    recipient_delimiter="+-",
    virtual_alias_recursion_limit="10",
    virtual_alias_expansion_limit="30",
)


@given(st.text(st.sampled_from('ab+-é.@!%"\\()<>[],:; '), max_size=20) | st.text(max_size=50))
async def test_any_address_is_expanded_or_refused(address: str) -> None:
    try:
        assert await ANY.all.virtual_aliases.expand(address)
    except (AliasExpansionError, LookupTemporaryFailure):
        pass
