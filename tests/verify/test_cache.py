"""The cache: memory before, a thread with the file behind."""

import asyncio
from pathlib import Path

import pytest

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.verify import cache as module
from gatepost.verify.cache import AddressCache, cache_place
from gatepost.verify.entry import Entry, Rules, Status

RULES = Rules.of(Configuration.parse("").settings)
GOOD = Entry(Status.OK, 0, 1000, "250 2.1.5 Ok")


@pytest.mark.parametrize(
    ("main_cf", "name", "path"),
    [
        ("address_verify_map = btree:/x/cache", "btree:/x/cache", "/x/cache.sqlite"),
        ("address_verify_map = proxy:lmdb:/x/y", "lmdb:/x/y", "/x/y.sqlite"),
        ("data_directory = /d", "btree:/d/verify_cache", "/d/verify_cache.sqlite"),
        ("gatepost_queue_directory = /q", "btree:/q/verify_cache", "/q/verify_cache.sqlite"),
        ("address_verify_map =", "internal:verify", None),
        ("address_verify_map = internal:x", "internal:x", None),
    ],
)
def test_where_the_cache_is_kept(main_cf: str, name: str, path: str | None) -> None:
    settings = Configuration.parse(f"{main_cf}\n").settings
    assert cache_place(settings) == (name, None if path is None else Path(path))


@pytest.mark.parametrize("value", ["memcache:/etc/postfix/x.cf", "btree:", "nonsense"])
def test_what_no_file_stands_behind_is_a_mistake(value: str) -> None:
    with pytest.raises(ConfigError, match="cannot be kept in") as caught:
        cache_place(Configuration.parse(f"address_verify_map = {value}\n").settings)
    assert caught.value.parameter == "address_verify_map"


async def test_it_outlives_its_process(tmp_path: Path) -> None:
    warnings: list[str] = []
    cache = AddressCache(tmp_path / "cache", warnings.append)
    assert cache.at_hand("a@x.example") == (False, None)
    assert await cache.load("a@x.example") is None
    assert cache.at_hand("a@x.example") == (True, None)
    cache.put("a@x.example", GOOD)
    cache.put("b@x.example", GOOD)
    cache.put("b@x.example", None)
    assert cache.at_hand("a@x.example") == (True, GOOD)
    cache.close()
    again = AddressCache(tmp_path / "cache", warnings.append)
    assert await again.load("a@x.example") == GOOD
    assert await again.load("b@x.example") is None
    again.close()
    assert not warnings


async def test_changes_are_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_DELAY", 0.0)
    cache = AddressCache(tmp_path / "cache", pytest.fail)
    other = AddressCache(tmp_path / "cache", pytest.fail)
    for number in range(100):
        cache.put(f"{number}@x.example", GOOD)
    while await other.load("99@x.example") is None:
        other._recent.clear()
        await asyncio.sleep(0.001)
    cache.put("0@x.example", None)
    cache.close()
    assert await other.load("0@x.example") is None
    other.close()


async def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECENT", 100)
    cache = AddressCache(tmp_path / "cache", pytest.fail)
    for number in range(1000):
        cache.put(f"{number}@x.example", GOOD)
    assert cache.entries <= 100
    # What is not written yet is at hand all the same.
    assert cache.at_hand("0@x.example") == (True, GOOD)
    cache.close()


async def test_a_file_that_fails_is_told_of_once(tmp_path: Path) -> None:
    warnings: list[str] = []
    cache = AddressCache(tmp_path / "nosuch" / "cache", warnings.append)
    assert await cache.load("a@x.example") is None
    cache.put("a@x.example", GOOD)
    assert cache.at_hand("a@x.example") == (True, GOOD)
    assert cache.at_hand("b@x.example") == (True, None)
    assert await cache.last_cleanup() == 0
    cache.close()
    (warning,) = warnings
    assert warning.startswith("address verification cache: open ") and warning.endswith("kept in memory only")


@pytest.mark.parametrize("in_file", [True, False])
async def test_cleanup(tmp_path: Path, in_file: bool) -> None:
    cache = AddressCache(tmp_path / "cache" if in_file else None, pytest.fail)
    cache.put("old@x.example", GOOD)
    cache.put("new@x.example", Entry(Status.OK, 0, 90 * 86400, ""))
    if in_file:
        cache._write()
        assert cache._write_task is not None
        await cache._write_task
    assert await cache.clean(RULES, 100 * 86400) == (1, 1)
    if in_file:
        assert await cache.last_cleanup() == 100 * 86400
    cache.close()
