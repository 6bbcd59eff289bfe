"""Past decisions on disk: files of frames, the oldest of which go when there are too many or they are too old.

A frame is its length, the time, a checksum of the client's address (by which readers skip those of others), and the
decision in compressed MessagePack. Each process writes files of its own; a frame that was cut short by a crash ends the
file for readers.
"""

import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from gatepost.audit.explain.asked import Asked
from gatepost.audit.explain.recorder import Event

KEPT_DAYS = 14
"""Days after which decisions go even where there is room: they tell who wrote to whom."""
DAY = 86400.0
SUFFIX = ".decisions"
CONFIGURATION = "configuration-"
_HEAD = struct.Struct("<IdI")
_FRAME_LIMIT = 1 << 20


class Decision(msgspec.Struct, omit_defaults=True):
    """One refusal (or HOLD, DISCARD, ...: `verb`, as in the log), as of `time` (Unix seconds).

    `configuration` names the copy of the values of main.cf and master.cf. `events` is empty if there were too many
    refusals at that time to keep more than the answer; `decisive` as in Explained.
    """

    time: float
    listener: str
    asked: Asked
    stage: str
    verb: str
    reply: str
    configuration: str = ""
    events: list[Event] = []
    decisive: int = -1
    implied: str = ""
    log: list[str] = []


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Decision)


def frame(decision: Decision) -> bytes:
    """As it is written."""
    body = zlib.compress(_encoder.encode(decision), 1)
    return _HEAD.pack(len(body), decision.time, _mark(decision.asked.client.address)) + body


def _mark(address: str) -> int:
    return zlib.crc32(address.encode())


class DecisionFiles:
    """The files of one process. `limit`: octets of all files of all `writers` processes together, as a bound.

    `clock` gives wall-clock seconds. All methods raise OSError.
    """

    def __init__(self, directory: Path, limit: int, writers: int, clock: Callable[[], float], pid: int) -> None:
        self._directory = directory
        self._segment = limit // (2 * (writers + 4))
        # While nobody looks, each of the others may fill one file more.
        self._room = limit - (writers + 2) * self._segment
        self._clock = clock
        self._pid = pid
        self._descriptor = -1
        self._size = 0
        self._begun = 0.0

    def write(self, data: bytes) -> None:
        """Whole frames, no more than fit a file."""
        now = self._clock()
        if self._descriptor < 0 or self._size + len(data) > self._segment or now >= self._begun + DAY:
            self._begin(now)
        self._size += os.write(self._descriptor, data)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def keep_configuration(self, values: Mapping[str, Mapping[str, str]]) -> str:
        """Have a copy of the values (by file and service, by name) and return its name."""
        data = msgspec.json.encode(values)
        name = f"{zlib.crc32(data):08x}{zlib.adler32(data):08x}"
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._directory / (CONFIGURATION + name)
        if not path.exists():
            draft = path.with_suffix(f".{self._pid}")
            draft.write_bytes(zlib.compress(data))
            draft.replace(path)
        os.utime(path)
        return name

    def _begin(self, now: float) -> None:
        self.close()
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._remove_old(now)
        path = self._directory / f"{int(now * 1000):014d}-{self._pid}{SUFFIX}"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._descriptor).st_size
        self._begun = now

    def _remove_old(self, now: float) -> None:
        total = 0
        for changed, size, path in sorted(self._found(), reverse=True):
            if total + size > self._room or changed < now - KEPT_DAYS * DAY:
                path.unlink(missing_ok=True)
            else:
                total += size
        oldest = min((changed for changed, _, _ in self._found()), default=now)
        for path in self._directory.glob(CONFIGURATION + "*"):
            # A process that serves touches its own when it starts; nobody serves for months without a reload.
            if path.stat().st_mtime < min(oldest, now - 90 * DAY):
                path.unlink(missing_ok=True)

    def _found(self) -> Iterator[tuple[float, int, Path]]:
        """When each file was written to last, and its size."""
        for path in _files(self._directory):
            try:
                found = path.stat()
            except FileNotFoundError:
                continue  # another process has removed it
            yield found.st_mtime, found.st_size, path


def _files(directory: Path) -> list[Path]:
    """The newest first."""
    return sorted(directory.glob("*" + SUFFIX), reverse=True)


def decisions(directory: Path, address: str) -> Iterator[Decision]:
    """What is kept about a client. Raises OSError."""
    wanted = _mark(address)
    for path in _files(directory):
        data = path.read_bytes()
        place = 0
        while place + _HEAD.size <= len(data):
            length, _, mark = _HEAD.unpack_from(data, place)
            place += _HEAD.size + length
            if length > _FRAME_LIMIT or place > len(data):
                break
            if mark == wanted:
                try:
                    decision = _decoder.decode(zlib.decompress(data[place - length : place]))
                except (zlib.error, msgspec.MsgspecError):
                    break
                if decision.asked.client.address == address:
                    yield decision


def kept_configuration(directory: Path, name: str) -> dict[str, dict[str, str]] | None:
    """The values of that time; None if they are not kept any more."""
    try:
        data = zlib.decompress((directory / (CONFIGURATION + name)).read_bytes())
        return msgspec.json.decode(data, type=dict[str, dict[str, str]])
    except (OSError, zlib.error, msgspec.MsgspecError):
        return None
