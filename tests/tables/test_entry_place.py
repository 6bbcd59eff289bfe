"""Where entries stand, and tables that take note of what was found in them."""

from pathlib import Path

import pytest

from gatepost.tables.entry_place import entry_place
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.noted import Found, NotedTables
from gatepost.tables.table import LookupTemporaryFailure

FILES = {
    "hash": '# comment\n\nA@x.example one\n two\nb@x.example three\na@x.example second\n"q r"@x.example four\n',
    "aliases": "# comment\nroot: joe\npostmaster:\n  root\n",
    "regexp": "/^no/ x\nif /x$/\n/^a/ one\nendif\n!/b/ two\n",
    "pcre": "/^(.)b/ one $1\n/c/ two\n",
    "cidr": "192.0.2.0/25 one\n!192.0.2.0/24 two\n2001:db8::/32 three\n",
}


@pytest.fixture
def tables(tmp_path: Path) -> NotedTables:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    spec = frozenset((f"hash:{tmp_path}/aliases",))
    return NotedTables(TableEnvironment(clock=lambda: 0.0, warn=lambda text: None, alias_tables=spec))


@pytest.mark.parametrize(
    ("kind", "name", "key", "line"),
    [
        ("texthash", "hash", "a@x.example", 3),
        ("texthash", "hash", "B@X.example", 5),
        ("texthash", "hash", '"q r"@x.example', 7),
        ("texthash", "hash", "none", 0),
        ("hash", "aliases", "postmaster", 3),
        ("proxy:texthash", "hash", "b@x.example", 5),
        ("regexp", "regexp", "ax", 3),
        ("regexp", "regexp", "cc", 5),
        ("regexp", "regexp", "b", 0),
        ("pcre", "pcre", "ab", 1),
        ("pcre", "pcre", "c", 2),
        ("cidr", "cidr", "192.0.2.1", 1),
        ("cidr", "cidr", "198.51.100.1", 2),
        ("cidr", "cidr", "2001:db8::1", 3),
        ("cidr", "cidr", "192.0.2.200", 0),
    ],
)
async def test_lines(tables: NotedTables, tmp_path: Path, kind: str, name: str, key: str, line: int) -> None:
    table = tables.open(f"{kind}:{tmp_path}/{name}")
    assert (await table.lookup(key) is not None) is bool(line)
    assert entry_place(table, key) == ((f"{tmp_path}/{name}", line) if line else None)


def test_tables_without_lines(tables: NotedTables) -> None:
    for spec in ("inline:{a=b}", "static:x", "regexp:{{/a/ b}}", "cidr:{{192.0.2.1 x}}"):
        assert entry_place(tables.open(spec), "a") is None


def test_a_file_that_is_gone_has_no_lines(tables: NotedTables, tmp_path: Path) -> None:
    table = tables.open(f"texthash:{tmp_path}/hash")
    (tmp_path / "hash").unlink()
    assert entry_place(table, "a@x.example") is None


async def test_what_is_found_is_noted(tables: NotedTables, tmp_path: Path) -> None:
    maps = tables.maps("transport_maps", f"inline:{{x=y}} texthash:{tmp_path}/hash fail:none")
    assert (await maps.find("b@x.example")) is not None
    with pytest.raises(LookupTemporaryFailure):
        await maps.find("z")
    assert await maps.find_partial("x") is not None
    hit, failure, partial = tables.found
    assert hit == Found("transport_maps", f"texthash:{tmp_path}/hash", "b@x.example", "three")
    assert (failure.table, failure.key, bool(failure.failure)) == ("fail:none", "z", True)
    assert partial.value == "y"
    assert tables.place_of(hit) == (f"{tmp_path}/hash", 5)
    assert tables.place_of(failure) is None and tables.place_of(partial) is None
