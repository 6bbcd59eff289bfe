"""What a start does about content files and rows that do not belong together. Nothing with a row is ever deleted."""

import os
from collections.abc import Callable
from pathlib import Path

import apsw

ABANDONED_AFTER = 86400.0
"""Seconds after which a content file without a row is taken for the remains of mail that was never acknowledged."""


def recover_content(connection: apsw.Connection, folder: Path, now: float, warn: Callable[[str], None]) -> list[str]:
    """Remove abandoned content files; queue IDs of messages whose file is missing or has the wrong length."""
    present: dict[str, os.stat_result] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                present[entry.name] = entry.stat(follow_symlinks=False)
    damaged = []
    rows = connection.execute(
        "SELECT m.queue_id, f.name, f.size, w.queue FROM content_file AS f JOIN message AS m ON m.id = f.id "
        "LEFT JOIN waiting AS w ON w.id = f.id"
    )
    for queue_id, name, size, queue in rows:
        file = present.pop(name, None)
        if (file is None or file.st_size != size) and queue != "corrupt":
            damaged.append(queue_id)
            what = "missing" if file is None else f"has {file.st_size} of {size} octets"
            warn(f"{queue_id}: damaged message, moved to the corrupt queue: content file {what}")
    for name, file in present.items():
        if file.st_mtime < now - ABANDONED_AFTER:
            (folder / name).unlink(missing_ok=True)
    return damaged
