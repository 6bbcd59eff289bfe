"""`cdb:` and `lmdb:` files that Postfix has written, without their source."""

import fcntl
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from gatepost.config.errors import ConfigError
from gatepost.tables.cdb_file import cdb_bytes
from gatepost.tables.index_files import CdbFile, IndexFailure
from gatepost.tables.table import LookupTemporaryFailure
from tests.tables.database_servers import need_library
from tests.tables.postmap import make_old, postmap
from tests.tables.surroundings import Surroundings

SOURCE = "joe@example.com one two\nann three\njürgen umlaut\n" + "".join(f"key{n} value{n}\n" for n in range(500))


def make(folder: Path, kind: str, source: str = SOURCE, program: Callable[[], str] = postmap) -> None:
    """What postmap makes of a source, without the source."""
    (folder / "table").write_text(source)
    (folder / "etc").mkdir(exist_ok=True)
    (folder / "etc/main.cf").write_text("compatibility_level = 3.6\nsmtputf8_enable = yes\n")
    make_old(folder / "etc/main.cf")
    subprocess.run(
        [program(), "-c", str(folder / "etc"), f"{kind}:{folder}/table"], check=True, timeout=60, capture_output=True
    )
    (folder / "table").unlink()


@pytest.fixture(params=["cdb", "lmdb"])
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    if kind == "lmdb":
        need_library("lmdb")
    return kind


async def test_what_postfix_writes(tmp_path: Path, kind: str) -> None:
    make(tmp_path, kind)
    world = Surroundings(tmp_path)
    table = world.tables.open(f"{kind}:table")
    assert table.fixed
    assert await table.lookup("Joe@Example.COM") == "one two"
    assert await table.lookup("JÜRGEN") == "umlaut"
    assert await table.lookup("key499") == "value499"
    assert await table.lookup("key500") is None
    assert await table.lookup("") is None
    assert await table.lookup("x" * 10_000) is None
    assert world.tables.problems() == []
    world.tables.close()


async def test_a_new_index_counts_within_a_second(tmp_path: Path, kind: str) -> None:
    make(tmp_path, kind)
    world = Surroundings(tmp_path)
    table = world.tables.open(f"{kind}:table")
    assert await table.lookup("ann") == "three"
    make(tmp_path, kind, "ann four\n")
    world.later(1)
    assert await table.lookup("ann") == "four"
    assert await table.lookup("key1") is None
    world.tables.close()


async def test_the_source_counts_more(tmp_path: Path, kind: str) -> None:
    make(tmp_path, kind)
    (tmp_path / "table").write_text("ann from the text\n")
    assert await Surroundings(tmp_path).tables.open(f"{kind}:table").lookup("ann") == "from the text"


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 4096])
async def test_not_an_index(tmp_path: Path, kind: str, content: bytes) -> None:
    (tmp_path / f"table.{kind}").write_bytes(content)
    world = Surroundings(tmp_path)
    table = world.tables.open(f"{kind}:table")
    with pytest.raises(LookupTemporaryFailure):
        await table.lookup("ann")
    assert "is unavailable" in world.warnings[0]
    world.tables.close()


async def test_index_goes_away(tmp_path: Path) -> None:
    make(tmp_path, "cdb")
    world = Surroundings(tmp_path)
    table = world.tables.open("cdb:table")
    assert await table.lookup("ann") == "three"
    (tmp_path / "table.cdb").unlink()
    world.later(1)
    with pytest.raises(LookupTemporaryFailure, match="No such file"):
        await table.lookup("ann")
    assert "No such file" in world.tables.problems()[0].text
    world.tables.close()


async def test_lmdb_that_is_being_written(tmp_path: Path) -> None:
    need_library("lmdb")
    make(tmp_path, "lmdb")
    world = Surroundings(tmp_path)
    table = world.tables.open("lmdb:table")
    assert await table.lookup("ann") == "three"
    writer = os.open(tmp_path / "table.lmdb", os.O_RDWR)
    fcntl.flock(writer, fcntl.LOCK_EX)
    with pytest.raises(LookupTemporaryFailure, match="being written"):
        await table.lookup("ann")
    os.close(writer)
    assert await table.lookup("ann") == "three"
    world.tables.close()


def test_library_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "table.lmdb").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    with pytest.raises(ConfigError, match=r"pip install 'gatepost\[lmdb\]'"):
        Surroundings(tmp_path).tables.open("lmdb:table")


@hypothesis.given(strategies.binary(max_size=200), strategies.binary(max_size=8), strategies.integers(0, 2400))
def test_any_damage_is_told(tmp_path_factory: pytest.TempPathFactory, noise: bytes, key: bytes, position: int) -> None:
    data = bytearray(cdb_bytes([(b"key", b"value"), (b"other", b"text"), (key, b"mine")]))
    data[position : position + len(noise)] = noise
    path = tmp_path_factory.mktemp("cdb") / "x.cdb"
    path.write_bytes(data)
    try:
        file = CdbFile(str(path))
        file.get(key)
        file.close()
    except IndexFailure:
        pass
