"""aliases(5) that redirect to addresses."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.rewrite.aliases import AliasError
from gatepost.tables.table import LookupTemporaryFailure
from tests.rewrite.services import Services

TABLE = r"""
postmaster: root
root: joe@a.example, Jim
list: "a b"@x.example, joe@host.example,
  list2, jim
list2: jim, kim@mail.ours.example, JOE@host.example
jim: jim, jim@elsewhere.example
owner-list: boss
"two words": joe
cmd: joe, "|/bin/cat -u"
file: /var/mail/x
home: ~/Mailbox
incl: ":include:/etc/list"
nobody: ,
loop1: loop2
loop2: loop3
loop3: loop1
virtual: joe@va.example
"""


@pytest.fixture
def services(tmp_path: Path) -> Services:
    (tmp_path / "aliases").write_text(TABLE)
    return Services(alias_maps=f"hash:{tmp_path}/aliases", recipient_delimiter="+", virtual_alias_domains="va.example")


HERE = "mail.ours.example"


@pytest.mark.parametrize(
    ("name", "results"),
    [
        ("nosuch", None),
        ("jim", [f"jim@{HERE}", "jim@elsewhere.example"]),
        ("postmaster", ["joe@a.example", f"Jim@{HERE}", "jim@elsewhere.example"]),
        ("jim+ext", [f"jim@{HERE}", "jim@elsewhere.example"]),
        (
            "LIST",
            ["a b@x.example", "joe@host.example", f"jim@{HERE}", "jim@elsewhere.example", f"kim@{HERE}"],
        ),
        ("two words", [f"joe@{HERE}"]),
        ("virtual", ["joe@va.example"]),
    ],
)
async def test_results(services: Services, name: str, results: list[str] | None) -> None:
    found = await services.all.aliases.expand(name)
    if results is not None and found is not None:
        assert [address.lower() for address in found] == [address.lower() for address in results]
    else:
        assert found == results


@pytest.mark.parametrize(
    ("name", "dsn", "text"),
    [
        ("cmd", "4.3.5", "alias cmd delivers to a command, which is not supported yet: |/bin/cat -u"),
        ("file", "4.3.5", "alias file delivers to a file, which is not supported yet: /var/mail/x"),
        ("home", "4.3.5", "alias home delivers to a file, which is not supported yet: ~/Mailbox"),
        ("incl", "4.3.5", "alias incl delivers to an included list, which is not supported yet: :include:/etc/list"),
        ("nobody", "4.3.5", "alias nobody names no address"),
        ("loop1", "5.4.6", "possible alias database loop for loop1"),
    ],
)
async def test_errors(services: Services, name: str, dsn: str, text: str) -> None:
    with pytest.raises(AliasError) as caught:
        await services.all.aliases.expand(name)
    assert (caught.value.dsn, caught.value.text) == (dsn, text)


async def test_owner(services: Services) -> None:
    assert await services.all.aliases.owner("list") == "owner-list"
    assert await services.all.aliases.owner("jim") is None


async def test_extensions() -> None:
    services = Services(
        alias_maps="inline:{a=b@x.example}", recipient_delimiter="+", propagate_unmatched_extensions="alias"
    )
    assert await services.all.aliases.expand("a+q") == ["b+q@x.example"]


async def test_no_tables_and_broken_tables() -> None:
    assert await Services().all.aliases.expand("joe") is None
    with pytest.raises(LookupTemporaryFailure):
        await Services(alias_maps="fail:x").all.aliases.expand("joe")


async def test_many_ways_to_the_same_names_end_soon() -> None:
    # Each name expands to the next one twice: 2 ** 60 ways, were each taken.
    pairs = " ".join(f"{{n{number}=n{number + 1}, N{number + 1}}}" for number in range(60))
    services = Services(alias_maps=f"inline:{{ {pairs} }}")
    assert await services.all.aliases.expand("n0") == [f"n60@{HERE}"]


async def test_names_that_grow_without_end_are_refused() -> None:
    longer = Services(alias_maps="regexp:{ {/^(.*)$$/ $$1-$$1} }")
    with pytest.raises(AliasError) as refused:
        await longer.all.aliases.expand("joe")
    assert refused.value.dsn == "5.4.6" and "makes an address of 10" in refused.value.text
    more = Services(alias_maps="regexp:{ {/^(.*)$$/ $$1-x, $$1-y} }")
    with pytest.raises(AliasError) as refused:
        await more.all.aliases.expand("joe")
    assert "possible alias database loop" in refused.value.text


ANY = Services(
    alias_maps='regexp:{ {/^(.*)a(.*)$$/ "$$1"$$2, $$1!$$2 <$$2@a.example>} {/b/ ab} }', recipient_delimiter="+-"
)


@given(st.text(st.sampled_from('ab+-é.@!%"\\()<>[],:; '), max_size=20) | st.text(max_size=50))
async def test_any_name_is_expanded_or_refused(name: str) -> None:
    try:
        await ANY.all.aliases.expand(name)
    except (AliasError, LookupTemporaryFailure):
        pass


async def test_owner_is_nothing_special(tmp_path: Path) -> None:
    table = tmp_path / "aliases"
    table.write_text("list: joe@a.example\nowner-list: boss\n")
    services = Services(alias_maps=f"hash:{table}", owner_request_special="no")
    assert await services.all.aliases.owner("list") is None
