import shlex

import pytest

from gatepost.mail.address_quoting import quote_822_local, unquote_822_local
from gatepost.tables.address_find import Find, QueryForm, find_address
from gatepost.tables.maps import Maps
from gatepost.tables.table import LookupTemporaryFailure
from tests.tables.surroundings import Surroundings, conformance

STRATEGIES = {
    "default": Find.DEFAULT,
    "full": Find.FULL,
    "noext": Find.NOEXT,
    "localpart_if_local": Find.LOCALPART_IF_LOCAL,
    "localpart_at_if_local": Find.LOCALPART_AT_IF_LOCAL,
    "at_domain": Find.AT_DOMAIN,
    "domain": Find.DOMAIN,
    "pdms": Find.PMS,
    "pddms": Find.PMDS,
    "localpart_at": Find.LOCALPART_AT,
}


def is_local(domain: str) -> bool:
    return domain == "localhost.localdomain"


async def shown(maps: Maps, case: str) -> str:
    """The answer to a line of the script, in the form of the reference."""
    in_form, query_form, out_form, strategies, query, *_ = case.split(":")
    strategy = Find(0)
    for name in strategies.split("|"):
        strategy |= STRATEGIES[name]
    hit = await find_address(
        maps,
        query if in_form == "internal" else unquote_822_local(query),
        recipient_delimiter="+",
        is_local=is_local,
        strategy=strategy,
        query_form=QueryForm(query_form),
    )
    value = "(not found)" if hit is None else unquote_822_local(hit.value) if out_form == "internal" else hit.value
    extension = hit.extension if hit is not None and hit.extension is not None else "null extension"
    return f"{in_form}:{query} -{query_form}-> {out_form}:{value} ({extension})"


async def test_conformance(world: Surroundings) -> None:
    script = conformance("units/mail_addr_find.in").read_text()
    reference = conformance("units/mail_addr_find.ref").read_text().splitlines()
    maps = world.tables.maps("test", "")
    answers: list[str] = []
    for line in script.splitlines():
        if line.startswith("echo "):
            answers.append(" ".join(shlex.split(line)[1:]))
        elif line.startswith("maps "):
            answers.append(line.removeprefix("maps "))
            maps = world.tables.maps("test", line.removeprefix("maps "))
        elif line.startswith("test "):
            answers.append(await shown(maps, line.removeprefix("test ")))
    assert len(answers) > 40
    assert answers == reference


async def test_access_order(world: Surroundings) -> None:
    asked: list[str] = []

    class Recorder:
        name = "record:x"
        fixed = True

        async def lookup(self, key: str) -> str | None:
            asked.append(key)
            return None

    maps = Maps("p", [Recorder()], world.env.warn)
    await find_address(
        maps,
        "a b+x@s.example.com",
        recipient_delimiter="+",
        strategy=Find.ACCESS | Find.PMS,
        query_form=QueryForm.EXTERNAL_FIRST,
    )
    assert asked == [
        '"a b+x"@s.example.com',
        "a b+x@s.example.com",
        '"a b"@s.example.com',
        "a b@s.example.com",
        "s.example.com",
        "example.com",
        "com",
        '"a b+x"@',
        "a b+x@",
        '"a b"@',
        "a b@",
    ]


async def test_pattern_tables_see_the_full_address_only(world: Surroundings) -> None:
    maps = world.tables.maps("p", "regexp:{{/^x$/ part},{/@b\\.c$/ whole}}")
    hit = await find_address(maps, "x@b.c", is_local=lambda domain: True)
    assert hit is not None and hit.value == "whole"
    assert await find_address(maps, "x@other", is_local=lambda domain: True) is None


async def test_is_local_may_suspend_and_fail(world: Surroundings) -> None:
    async def local(domain: str) -> bool:
        return domain == "here"

    async def cannot_tell(domain: str) -> bool:
        raise LookupTemporaryFailure("mydestination", domain)

    maps = world.tables.maps("p", "inline:{u=v}")
    hit = await find_address(maps, "u+x@here", recipient_delimiter="+", is_local=local)
    assert hit is not None and (hit.value, hit.extension) == ("v", "+x")
    assert await find_address(maps, "u@there", is_local=local) is None
    with pytest.raises(LookupTemporaryFailure):
        await find_address(maps, "u@there", is_local=cannot_tell)


async def test_nothing_to_find(world: Surroundings) -> None:
    assert await find_address(world.tables.maps("p", ""), "a@b") is None
    assert await find_address(world.tables.maps("p", "static:x"), "") is None
    assert quote_822_local("a@b") == "a@b"
