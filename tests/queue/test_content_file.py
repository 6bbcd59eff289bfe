import os
import zlib
from pathlib import Path

import pytest

from gatepost.queue.content_file import ContentDamaged, ContentFile, content_path, read_content
from gatepost.queue.store import StoreFailure, StoreFull


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "content").mkdir()
    return tmp_path


def test_content_is_written_and_read_back(folder: Path) -> None:
    file = ContentFile(folder, "ABC")
    for piece in (b"one\n", b"", b"two\n" * 50_000):
        file.write(piece)
    file.finish()
    content = b"one\n" + b"two\n" * 50_000
    assert file.size == len(content)
    path = content_path(folder, file.name)
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"".join(read_content(path, file.size, zlib.crc32(content))) == content


def test_finish_syncs_the_file_and_then_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    file = ContentFile(folder, "ABC")
    file.write(b"x")
    assert synced == []
    file.finish()
    assert synced == ["ABC", "content"]


def test_an_abandoned_file_is_gone(folder: Path) -> None:
    file = ContentFile(folder, "ABC")
    file.write(b"x")
    file.abandon()
    file.abandon()
    assert list((folder / "content").iterdir()) == []


def test_a_name_is_used_once(folder: Path) -> None:
    ContentFile(folder, "ABC").finish()
    with pytest.raises(StoreFailure):
        ContentFile(folder, "ABC")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\0b"])
def test_names_that_lead_elsewhere(folder: Path, name: str) -> None:
    with pytest.raises(ValueError):
        ContentFile(folder, name)


def test_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = ContentFile(folder, "ABC")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, file._descriptor)
    os.close(full)
    with pytest.raises(StoreFull):
        file.write(b"x" * 100)
    file.abandon()


@pytest.mark.parametrize(
    ("size", "checksum", "what"), [(3, 5, "checksum mismatch"), (4, zlib.crc32(b"abc"), "has 3 of 4 octets")]
)
def test_damaged_content_is_noticed_at_its_end(folder: Path, size: int, checksum: int, what: str) -> None:
    path = content_path(folder, "ABC")
    path.write_bytes(b"abc")
    with pytest.raises(ContentDamaged, match=f"^content file {what}$"):
        list(read_content(path, size, checksum))
    path.unlink()
    with pytest.raises(ContentDamaged, match="missing"):
        list(read_content(path, size, checksum))
    path.symlink_to(path)  # no loss, but nothing that can be read now
    with pytest.raises(OSError):
        list(read_content(path, size, checksum))
