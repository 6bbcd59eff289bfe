"""gatepost on a wall clock of the test's own: time.time() plus the seconds that stand in a file.

Run as the program, by the name of the file and gatepost's arguments. All processes see a change at once. Whatever takes
the time does so through time.time(), which is replaced before anything of gatepost is imported.
"""

import mmap
import runpy
import struct
import sys
import time
from pathlib import Path

_FORMAT = struct.Struct("<d")


class Offset:
    """The file's seconds, shared by all who map it."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(_FORMAT.pack(0.0))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _FORMAT.size)

    def get(self) -> float:
        return float(_FORMAT.unpack_from(self._memory)[0])

    def set(self, seconds: float) -> None:
        _FORMAT.pack_into(self._memory, 0, seconds)


def main() -> None:
    offset = Offset(Path(sys.argv.pop(1)))
    right = time.time
    time.time = lambda: right() + offset.get()
    sys.argv[0] = "gatepost"
    runpy.run_module("gatepost.cli.program", run_name="__main__", alter_sys=False)


if __name__ == "__main__":
    main()
