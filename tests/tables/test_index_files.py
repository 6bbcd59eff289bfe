"""`cdb:` and `lmdb:` files that Postfix has written, without their source."""

import fcntl
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from gatepost.tables.cdb_file import cdb_bytes
from gatepost.tables.index_files import CdbFile, IndexFailure
from gatepost.tables.lmdb_pages import DamagedLmdb, find, snapshot
from gatepost.tables.table import LookupTemporaryFailure
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
    return kind


@pytest.fixture(scope="module")
def lmdb_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("lmdb")
    make(folder, "lmdb")
    return (folder / "table.lmdb").read_bytes()


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


async def test_index_goes_away(tmp_path: Path, kind: str) -> None:
    make(tmp_path, kind)
    world = Surroundings(tmp_path)
    table = world.tables.open(f"{kind}:table")
    assert await table.lookup("ann") == "three"
    (tmp_path / f"table.{kind}").unlink()
    for _ in range(2):
        world.later(1)
        assert await table.lookup("ann") == "three"
    complaint = f"{kind}:table: open database {tmp_path}/table.{kind}: No such file or directory"
    assert world.take_warnings() == [f"{complaint}, using the content it had before"]
    assert world.tables.problems()[0].text == complaint
    make(tmp_path, kind, "ann five\n")
    world.later(1)
    assert await table.lookup("ann") == "five"
    assert world.tables.problems() == []
    world.tables.close()


async def test_nonsense_in_its_place_leaves_the_last_good_one(tmp_path: Path, kind: str) -> None:
    make(tmp_path, kind)
    world = Surroundings(tmp_path)
    table = world.tables.open(f"{kind}:table")
    assert await table.lookup("ann") == "three"
    (tmp_path / "new").write_bytes(b"\xff" * 4096)
    (tmp_path / "new").rename(tmp_path / f"table.{kind}")
    world.later(1)
    assert await table.lookup("ann") == "three"
    assert "using the content it had before" in world.take_warnings()[0]
    world.tables.close()


@pytest.mark.parametrize("left", [0, 100, 3000, 6000])
async def test_a_file_that_is_cut_short_while_it_is_in_use(tmp_path: Path, kind: str, left: int) -> None:
    make(tmp_path, kind)
    world = Surroundings(tmp_path)
    table = world.tables.open(f"{kind}:table")
    assert await table.lookup("key7") == "value7"
    os.truncate(tmp_path / f"table.{kind}", left)
    with pytest.raises(LookupTemporaryFailure):
        await table.lookup("key7")
    (tmp_path / f"table.{kind}").write_bytes(bytes(100_000))
    with pytest.raises(LookupTemporaryFailure):
        await table.lookup("key7")
    world.later(1)
    with pytest.raises(LookupTemporaryFailure):
        await table.lookup("key7")
    assert "is unavailable" in world.warnings[0]
    world.tables.close()


async def test_lmdb_that_is_being_written(tmp_path: Path) -> None:
    make(tmp_path, "lmdb")
    world = Surroundings(tmp_path)
    table = world.tables.open("lmdb:table")
    assert await table.lookup("ann") == "three"
    writer = os.open(tmp_path / "table.lmdb", os.O_RDWR)
    fcntl.flock(writer, fcntl.LOCK_EX)
    assert await table.lookup("ann") == "three"  # nothing of it is overwritten before the writer is done
    make(tmp_path, "lmdb", "")
    os.close(writer)
    writer = os.open(tmp_path / "table.lmdb", os.O_RDWR)
    fcntl.flock(writer, fcntl.LOCK_EX)
    world.later(1)
    with pytest.raises(LookupTemporaryFailure, match="being written"):  # or made for the first time
        await table.lookup("ann")
    os.close(writer)
    assert await table.lookup("ann") is None
    world.tables.close()


async def test_lmdb_of_many_keys_and_of_long_values(tmp_path: Path) -> None:
    long = {f"long{n}": f"{n}" * (1000 * n) for n in range(1, 9)}
    text = "".join(f"key{n} value{n}\n" for n in range(20_000))
    make(tmp_path, "lmdb", text + "".join(f"{key} {value}\n" for key, value in long.items()))
    world = Surroundings(tmp_path)
    table = world.tables.open("lmdb:table")
    assert [await table.lookup(key) for key in long] == list(long.values())
    for n in range(0, 20_000, 61):
        assert await table.lookup(f"key{n}") == f"value{n}"
        assert await table.lookup(f"key{n}.") is None
    assert await table.lookup("\x01") is None
    assert await table.lookup("zzz") is None
    world.tables.close()


@hypothesis.given(strategies.binary(min_size=1, max_size=200), strategies.integers(0, 24_000))
def test_any_damage_of_lmdb_is_told(lmdb_bytes: bytes, noise: bytes, position: int) -> None:
    data = bytearray(lmdb_bytes)
    data[position : position + len(noise)] = noise
    descriptor = os.memfd_create("lmdb")
    os.write(descriptor, data)
    try:
        table = snapshot(descriptor)
        for key in (b"joe@example.com\0", b"key250\0", b"\xff" * 20):
            find(descriptor, table, key)
    except DamagedLmdb:
        pass
    finally:
        os.close(descriptor)


@hypothesis.given(strategies.binary(max_size=200), strategies.binary(max_size=8), strategies.integers(0, 2400))
def test_any_damage_is_told(tmp_path_factory: pytest.TempPathFactory, noise: bytes, key: bytes, position: int) -> None:
    data = bytearray(cdb_bytes([(b"key", b"value"), (b"other", b"text"), (key, b"mine")]))
    data[position : position + len(noise)] = noise
    path = tmp_path_factory.mktemp("cdb") / "x.cdb"
    path.write_bytes(data)
    try:
        file = CdbFile(os.open(path, os.O_RDONLY))
        file.get(key)
        file.close()
    except IndexFailure:
        pass
