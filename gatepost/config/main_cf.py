"""main.cf: `name = value` lines, kept with the place where each was set."""

from collections.abc import Iterable
from typing import NamedTuple

from gatepost.config.errors import ConfigError
from gatepost.config.logical_lines import logical_lines, read_file, split_name_value


class Setting(NamedTuple):
    """A value as written, and the line (from 1; 0 = not from a file) of `path` where it stands."""

    value: str
    path: str = ""
    line: int = 0


class MainCf:
    """The settings of one main.cf. `warnings` holds what Postfix would log, e.g. about names set twice."""

    __slots__ = ("path", "settings", "warnings")

    def __init__(self, path: str, settings: dict[str, Setting], warnings: Iterable[str] = ()) -> None:
        self.path = path
        self.settings = settings
        self.warnings = list(warnings)

    @classmethod
    def read(cls, path: str) -> "MainCf":
        """Read the file; raises ConfigError that names file and line."""
        return cls.parse(read_file(path), path)

    @classmethod
    def parse(cls, data: bytes, path: str) -> "MainCf":
        """Read `data` as if it were the file `path`. The last of several definitions wins. Raises ConfigError."""
        settings: dict[str, Setting] = {}
        warnings: list[str] = []
        for number, text in logical_lines(data, path, warnings):
            try:
                name, value = split_name_value(text)
            except ValueError as problem:
                raise ConfigError(f'{problem}: "{text}"', path=path, line=number) from None
            if name in settings and settings[name].value != value:
                warnings.append(f"{path}, line {number}: overriding earlier entry: {name}={settings[name].value}")
            settings[name] = Setting(value, path, number)
        return cls(path, settings, warnings)
