"""The options that MySQL's own programs read from my.cnf, for `option_file` and `option_group` of mysql_table(5)."""

import os
from collections.abc import Callable

from gatepost.tables.source import BLANKS, decode, is_valid

# Where the client library looks when no file is named.
DEFAULT_FILES = ("/etc/my.cnf", "/etc/mysql/my.cnf")

# The settings that matter for a connection.
NAMES = frozenset(
    [
        "user",
        "password",
        "host",
        "port",
        "socket",
        "database",
        "ssl-ca",
        "ssl-capath",
        "ssl-cert",
        "ssl-key",
        "ssl-cipher",
        "ssl-verify-server-cert",
    ]
)

_MAX_DEPTH = 5

ReadFile = Callable[[str], bytes]


def read_options(path: str, group: str, read_file: ReadFile) -> dict[str, str]:
    """The options of `[client]`, then those of `[group]`, which count more. Raises OSError.

    `!include FILE` and `!includedir DIR` are followed. Lines that mean nothing to us are passed over.
    """
    groups: dict[str, dict[str, str]] = {}
    _read(path, read_file, groups, 0)
    found = dict(groups.get("client", {}))
    found.update(groups.get(group, {}))
    return found


def default_options(group: str, read_file: ReadFile) -> dict[str, str]:
    """The same of the files that are looked for by default; files that cannot be read are passed over."""
    found: dict[str, str] = {}
    for path in DEFAULT_FILES:
        try:
            found.update(read_options(path, group, read_file))
        except OSError:
            continue
    return found


def _read(path: str, read_file: ReadFile, groups: dict[str, dict[str, str]], depth: int) -> None:
    options: dict[str, str] = {}
    for line in decode(read_file(path)).split("\n"):
        line = line.strip(BLANKS)
        if not line or line[0] in "#;" or not is_valid(line):
            continue
        if line.startswith("[") and line.endswith("]"):
            options = groups.setdefault(line[1:-1].strip(BLANKS), {})
        elif line.startswith("!"):
            _include(line, read_file, groups, depth)
        else:
            name, _, value = line.partition("=")
            name = name.strip(BLANKS).replace("_", "-").removeprefix("loose-")
            if name in NAMES:
                options[name] = _unquoted(value.strip(BLANKS))


def _include(line: str, read_file: ReadFile, groups: dict[str, dict[str, str]], depth: int) -> None:
    word, _, target = line[1:].partition(" ")
    target = target.strip(BLANKS)
    if depth >= _MAX_DEPTH or not target:
        return
    paths = [target] if word == "include" else []
    try:
        if word == "includedir":
            paths = sorted(f"{target}/{name}" for name in os.listdir(target) if name.endswith(".cnf"))  # noqa: PTH208
        for path in paths:
            _read(path, read_file, groups, depth + 1)
    except OSError:
        return


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value
