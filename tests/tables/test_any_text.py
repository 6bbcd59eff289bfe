"""No text of a table, list or key makes anything raise but ConfigError and LookupTemporaryFailure."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatepost.config.errors import ConfigError
from gatepost.tables.address_find import Find, QueryForm, find_address
from gatepost.tables.match_list import MatchList
from gatepost.tables.table import LookupTemporaryFailure
from tests.tables.surroundings import Surroundings

UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
_WORDS = r"""/ \ ! $ $1 ${1} ${ ( ) [ ] [^ [: :] [[:alpha:]] { } {1,2} * + ? | ^ . a b i m x 1 1.2.3.4 10.0.0.0/8
    [::1]/128 : @ if IF endif = , " # key value \d \< \b (?= (?i) -"""
PIECES = st.sampled_from([*_WORDS.split(), "\n", " ", "\t", "\n ", "\xe9", "\x00", "\r"])
TEXTS = st.one_of(UNICODE, st.lists(PIECES, max_size=25).map("".join), st.lists(PIECES, max_size=25).map(" ".join))
OCTETS = st.one_of(st.binary(max_size=60), TEXTS.map(str.encode))
ANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.mark.parametrize("kind", ["texthash", "hash", "cidr", "regexp", "pcre"])
@ANY
@given(source=OCTETS, key=TEXTS)
async def test_files(tmp_path: Path, kind: str, source: bytes, key: str) -> None:
    path = tmp_path / "table"
    path.write_bytes(source)
    world = Surroundings()
    for syntax in ("postmap", "aliases"):
        table = world.tables.open(f"{kind}:{path}", syntax=syntax)
        with contextlib.suppress(LookupTemporaryFailure):
            value = await table.lookup(key)
            assert value is None or value.encode()
    assert all(text.encode() for text in world.warnings)


@pytest.mark.parametrize(
    "kind", ["inline", "static", "cidr", "regexp", "pcre", "randmap", "unionmap", "pipemap", "unix"]
)
@ANY
@given(text=TEXTS, key=TEXTS)
async def test_text_in_main_cf(kind: str, text: str, key: str) -> None:
    for spec in (f"{kind}:{text}", f"{kind}:{{{text}}}", f"{kind}:{{{{{text}}}}}"):
        with contextlib.suppress(ConfigError, LookupTemporaryFailure):
            maps = Surroundings("/no/such/directory").tables.maps("p", spec)
            await maps.find(key)


@ANY
@given(text=TEXTS, name=TEXTS, address=TEXTS)
async def test_match_lists(text: str, name: str, address: str) -> None:
    try:
        mine = MatchList.compile("p", text, Surroundings("/no/such").tables, match_parent=True)
    except ConfigError:
        return
    calls: list[Callable[[], object]] = [mine.problems, mine.ranges, mine.useless_exceptions]
    for call in calls:
        call()
    for answer in (mine.match_host(name, address), mine.match_name(name), mine.match_string(name)):
        with contextlib.suppress(LookupTemporaryFailure):
            await answer


@ANY
@given(address=TEXTS, delimiter=st.sampled_from(["", "+", "-+", '"']), form=st.sampled_from(list(QueryForm)))
async def test_addresses(address: str, delimiter: str, form: QueryForm) -> None:
    maps = Surroundings().tables.maps("p", "inline:{a=b}")
    strategy = Find.ACCESS | Find.DEFAULT | Find.PMS
    await find_address(
        maps, address, recipient_delimiter=delimiter, is_local=lambda _: True, strategy=strategy, query_form=form
    )
