from pathlib import Path

import pytest

from gatepost.audit.lint.table_rows import Row, split_spec, table_rows
from gatepost.config.configuration import Configuration
from gatepost.tables.network import parse_network
from gatepost.tables.opening import Tables
from tests.audit.lint.configurations import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def rows(folder: Folder, spec: str, main_cf: str = "alias_maps =\n") -> list[Row] | None:
    return table_rows(Tables(folder.environment(Configuration.parse(main_cf))), spec)


def test_indexed_tables_with_their_lines(folder: Folder) -> None:
    folder.write("/etc/t", "# first\nJoe@Example.com joe,\n  jim\n\nbob bob\nbob twice\n")
    assert rows(folder, "hash:/etc/t") == [
        Row("joe@example.com", "joe,  jim", 2),
        Row("bob", "bob", 5),
        Row("bob", "twice", 6),
    ]
    assert rows(folder, "proxy:lmdb:/etc/t") == rows(folder, "texthash:/etc/t")


def test_alias_files(folder: Folder) -> None:
    folder.write("/etc/aliases", "root: joe, bob\n")
    assert rows(folder, "hash:/etc/aliases", "alias_maps = hash:/etc/aliases\n") == [Row("root", "joe, bob", 1)]


def test_networks(folder: Folder) -> None:
    folder.write("/etc/t", "192.0.2.0/24  REJECT go away\n!10.0.0.0/8 OK\n")
    assert rows(folder, "cidr:/etc/t") == [
        Row("192.0.2.0/24", "REJECT go away", 1, parse_network("192.0.2.0/24")),
        Row("!10.0.0.0/8", "OK", 2),
    ]
    assert rows(folder, "cidr:{{192.0.2.0/24 OK}}") == [Row("192.0.2.0/24", "OK", 0, parse_network("192.0.2.0/24"))]


def test_patterns(folder: Folder) -> None:
    folder.write("/etc/t", "/^a b/i  REJECT\nif /c/\n/d/ OK\nendif\n/(e)/ $1\n")
    assert rows(folder, "pcre:/etc/t") == [
        Row("/^a b/i", "REJECT", 1),
        Row("(if) /d/", "OK", 3),
        Row("/(e)/ $1", "", 5),
    ]


def test_tables_in_main_cf(folder: Folder) -> None:
    assert rows(folder, "inline:{a=b, {C = d e}}") == [Row("a", "b"), Row("c", "d e")]
    assert rows(folder, "static:OK") == [Row("*", "OK")]


@pytest.mark.parametrize("spec", ["pgsql:/etc/t", "hash:/etc/missing", "hash:t", "inline:{", "cidr:{{", "unix:a"])
def test_what_cannot_be_listed(folder: Folder, spec: str) -> None:
    assert rows(folder, spec) is None


def test_types_and_names() -> None:
    assert split_spec("proxy:hash:/etc/t") == ("hash", "/etc/t")
    assert split_spec("none") == ("none", "")
