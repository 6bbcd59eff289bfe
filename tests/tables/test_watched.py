import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gatepost.tables.environment import read_file
from gatepost.tables.source import Parsed, Remarks
from gatepost.tables.table import LookupTemporaryFailure
from gatepost.tables.watched import CHECK_INTERVAL, STILL, WatchedFile
from tests.tables.surroundings import Surroundings

Write = Callable[..., str]


def words(text: str) -> Parsed[list[str]]:
    remarks = Remarks("words")
    for word in text.split():
        if word.startswith("bad"):
            remarks.add(0, f"{word} is no word")
    return Parsed(text.split(), remarks.problems)


def watched(world: Surroundings) -> WatchedFile[list[str]]:
    return WatchedFile(world.env, "words:file", "file", words)


def replace(directory: Path, text: str) -> None:
    """As editors and configuration tools do: a new file moved over the old one."""
    (directory / "new").write_text(text)
    (directory / "new").replace(directory / "file")


def test_unchanged_file_is_looked_at_once_in_a_while(tmp_path: Path) -> None:
    looks: list[str] = []

    def stat_file(path: str) -> os.stat_result:
        looks.append(path)
        return Path(path).stat()

    (tmp_path / "file").write_text("a")
    world = Surroundings(tmp_path, stat_file=stat_file)
    file = watched(world)
    for _ in range(100):
        file.current()
        world.later(0.01)
    assert len(looks) <= 3


def test_change_counts_within_a_second(world: Surroundings, write: Write, tmp_path: Path) -> None:
    write("file", "a")
    file = watched(world)
    replace(tmp_path, "b b")
    for _ in range(20):
        file.current()
        world.later(0.05)
    assert file.current() == ["b", "b"]
    assert CHECK_INTERVAL + STILL < 1


def test_growing_file_is_left_alone(world: Surroundings, write: Write) -> None:
    write("file", "a")
    file = watched(world)
    world.later(CHECK_INTERVAL)
    for number in range(2, 10):
        write("file", "b " * number)
        assert file.current() == ["a"]
        world.later(STILL / 2)
    assert file.current() == ["a"]
    world.later(STILL)
    assert file.current() == ["b"] * 9


def test_old_change_counts_at_once(world: Surroundings, write: Write) -> None:
    write("file", "a")
    file = watched(world)
    write("file", "b b")
    world.later(3600)
    world.wall = 1e12
    assert file.current() == ["b", "b"]


def test_missing_file_fails_until_it_appears(world: Surroundings, write: Write) -> None:
    file = watched(world)
    assert len(world.take_warnings()) == 1
    with pytest.raises(LookupTemporaryFailure):
        file.current("key")
    (warning,) = world.take_warnings()
    assert warning.startswith("words:file is unavailable. open ")
    assert warning.endswith(": No such file or directory")
    write("file", "a")
    world.later()
    with pytest.raises(LookupTemporaryFailure):
        file.current()
    world.later()
    assert file.current() == ["a"]


def test_vanished_file_keeps_its_content_and_is_told_once(world: Surroundings, write: Write, tmp_path: Path) -> None:
    write("file", "a")
    file = watched(world)
    (tmp_path / "file").unlink()
    for _ in range(5):
        world.later()
        assert file.current() == ["a"]
    assert len(world.take_warnings()) == 1


def test_broken_edit_keeps_the_content_and_is_told_once(world: Surroundings, write: Write) -> None:
    write("file", "a bad1")
    file = watched(world)
    assert world.take_warnings() == ["words: bad1 is no word"]
    write("file", "b bad1 bad2")
    for _ in range(5):
        world.later()
        assert file.current() == ["a", "bad1"]
    first, second = world.take_warnings()
    assert first == "words: bad2 is no word"
    assert "using the content it had before" in second
    write("file", "b bad1")  # the old mistake alone does not stand in the way
    world.later()
    file.current()
    world.later()
    assert file.current() == ["b", "bad1"]


def test_a_name_that_no_file_can_have(world: Surroundings) -> None:
    file = WatchedFile(world.env, "x", "a\0b", words)
    with pytest.raises(LookupTemporaryFailure):
        file.current()


def test_a_folder_that_is_read_leaves_nothing_open(tmp_path: Path) -> None:
    def open_now() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_now()
    for _ in range(3):
        with pytest.raises(IsADirectoryError):
            read_file(str(tmp_path))
    assert open_now() == before


def test_directory_and_fifo(world: Surroundings, tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(LookupTemporaryFailure):
        watched(world).current()
    os.mkfifo(tmp_path / "fifo")
    assert WatchedFile(world.env, "x", "fifo", words).current() == []
