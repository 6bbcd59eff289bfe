"""An SQLite file system whose machine can lose power, run out of space, or fail to sync.

The files themselves hold what running programs see. Beside them it keeps what a disk would hold: what was synced, and
apart from it each write since. `after_power_cut` writes what is left into another folder: the synced state with a
random choice of the later writes, by sectors of 512 octets, so that pages are torn and writes come out of order.
"""

import random
from dataclasses import dataclass, field
from pathlib import Path

import apsw

SECTOR = 512


@dataclass
class Disk:
    """What the disk holds of one file: `synced` is None until it is certain that the file exists."""

    synced: bytearray | None = None
    # Since the last sync: (offset, data), or (size, None) for a truncation.
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    deleted: bool = False

    def sync(self) -> None:
        self.synced = self.synced if self.synced is not None else bytearray()
        for operation in self.pending:
            _apply(self.synced, *operation)
        self.pending.clear()

    def survivor(self, chance: random.Random) -> bytearray | None:
        """What is found after the power came back; None: no such file."""
        if self.deleted and chance.random() < 0.5:
            return None
        if self.synced is None and chance.random() < 0.5:
            return None
        content = bytearray(self.synced or b"")
        share = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for offset, data in self.pending:
            if data is None:
                if chance.random() < share:
                    _apply(content, offset, None)
                continue
            # Sectors as the disk has them: writes need not begin at one.
            at = 0
            while at < len(data):
                end = min(len(data), (offset + at) // SECTOR * SECTOR + SECTOR - offset)
                if chance.random() < share:
                    _apply(content, offset + at, data[at:end])
                at = end
        return content


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


class PowerCutVFS(apsw.VFS):
    """`steps`: how many more writes, syncs, truncations and deletions happen before the power goes; None: it stays."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.name = name
        self.steps: int | None = None
        self.full = False
        self.sync_fails = False
        self.syncs: list[str] = []
        self.disks: dict[str, Disk] = {}

    def step(self) -> None:
        if self.steps is not None:
            if self.steps <= 0:
                raise apsw.exception_for(apsw.SQLITE_IOERR)
            self.steps -= 1

    def xOpen(self, name: "str | apsw.URIFilename | None", flags: list[int]) -> "PowerCutFile":
        path = name.filename() if isinstance(name, apsw.URIFilename) else (name or "")
        file = PowerCutFile(self, path, name, flags)
        if path not in self.disks or self.disks[path].deleted:
            self.disks[path] = Disk()
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.step()
        super().xDelete(filename, False)
        if syncdir:
            self.disks.pop(filename, None)
        elif filename in self.disks:
            self.disks[filename].deleted = True

    def sync_folder(self) -> None:
        """The folder was synced: deleted files stay deleted, those that are there exist."""
        for path in [path for path, disk in self.disks.items() if disk.deleted]:
            del self.disks[path]
        for disk in self.disks.values():
            disk.synced = disk.synced if disk.synced is not None else bytearray()

    def after_power_cut(self, folder: Path, chance: random.Random) -> None:
        """Write what a disk would hold now to `folder`."""
        for path, disk in self.disks.items():
            # The index of the log is memory, rebuilt from the log.
            if path and not path.endswith("-shm"):
                content = disk.survivor(chance)
                if content is not None:
                    (folder / Path(path).name).write_bytes(content)


class PowerCutFile(apsw.VFSFile):
    def __init__(self, vfs: PowerCutVFS, path: str, name: "str | apsw.URIFilename | None", flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._vfs = vfs
        self._path = path

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._vfs.full:
            raise apsw.exception_for(apsw.SQLITE_FULL)
        try:
            self._vfs.step()
        finally:
            # The write that the cut falls into may still reach the disk in part.
            self._vfs.disks[self._path].pending.append((offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._vfs.step()
        self._vfs.disks[self._path].pending.append((newsize, None))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self._vfs.step()
        if self._vfs.sync_fails:
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        self._vfs.syncs.append(self._path)
        self._vfs.disks[self._path].sync()
