"""master.cf: which services there are and with which overrides (master(5)).

Eight fields a line: name, type, private, unprivileged, chroot, wakeup time, process limit, command with arguments.
"""

from gatepost.config.errors import ConfigError
from gatepost.config.logical_lines import BLANKS, LogicalLine, logical_lines, read_file, split_name_value

SERVICE_TYPES = ("inet", "unix", "unix-dgram", "fifo", "pass")
FIELD_COUNT = 8


class Service:
    """One line of master.cf.

    wakeup is in seconds, 0 = never. maxproc: None = `default_process_limit`, 0 = no limit. `fields` are the eight
    fields as written; `words` the arguments without braces around them; `args` those that are no `-o` override.
    """

    __slots__ = (
        "args",
        "chroot",
        "fields",
        "line",
        "maxproc",
        "name",
        "overrides",
        "path",
        "private",
        "program",
        "type",
        "unpriv",
        "wakeup",
        "wakeup_if_used",
        "words",
    )

    def __init__(self, fields: list[str], words: list[str], *, path: str = "", line: int = 0) -> None:
        self.fields = fields
        self.words = words
        self.path = path
        self.line = line
        self.name, self.type = fields[0], fields[1]
        if self.type not in SERVICE_TYPES:
            raise self._bad("type", self.type)
        # An internet service cannot be private, whatever the field says.
        self.private = self._flag("private", fields[2], True) and self.type != "inet"
        self.unpriv = self._flag("unprivileged", fields[3], True)
        self.chroot = self._flag("chroot", fields[4], False)
        self.wakeup_if_used = fields[5].endswith("?")
        self.wakeup = self._number("wakeup time", fields[5].removesuffix("?"), fields[5]) or 0
        self.maxproc = self._number("process limit", fields[6], fields[6])
        self.program = fields[7]
        self.overrides, self.args = self._options(words)

    @property
    def key(self) -> str:
        """`name/type`, as postconf writes it."""
        return f"{self.name}/{self.type}"

    def __repr__(self) -> str:
        return f"Service({self.key}, {self.program}, {self.overrides}, {self.args})"

    def _bad(self, field: str, value: str) -> ConfigError:
        return ConfigError(f'field "{field}": bad value: "{value}"', path=self.path, line=self.line)

    def _flag(self, field: str, value: str, default: bool) -> bool:
        if value not in ("y", "n", "-"):
            raise self._bad(field, value)
        return default if value == "-" else value == "y"

    def _number(self, field: str, value: str, shown: str) -> int | None:
        if value == "-":
            return None
        if not (value.isascii() and value.isdigit()) or len(value) > 9:
            raise self._bad(field, shown)
        return int(value)

    def _options(self, words: list[str]) -> tuple[dict[str, str], list[str]]:
        """Take the `-o` overrides out. Options end where the first other word stands, as for getopt(3)."""
        overrides: dict[str, str] = {}
        position = 0
        others: list[str] = []
        while position < len(words) and words[position].startswith("-") and words[position] not in ("-", "--"):
            word = words[position]
            position += 1
            if not word.startswith("-o"):
                others.append(word)
                continue
            text = word[2:]
            if not text:
                if position == len(words):
                    raise ConfigError("missing argument of -o", path=self.path, line=self.line)
                text = words[position]
                position += 1
            try:
                name, value = split_name_value(text)
            except ValueError as problem:
                raise ConfigError(f'-o option: {problem}: "{text}"', path=self.path, line=self.line) from None
            overrides[name] = value
        return overrides, others + words[position:]


class MasterCf:
    """The services of one master.cf, in its order. `entries` has every line, also those that a later one replaces."""

    __slots__ = ("entries", "path", "services", "warnings")

    def __init__(self, path: str, entries: list[Service], warnings: list[str]) -> None:
        self.path = path
        self.entries = entries
        self.warnings = warnings
        last: dict[tuple[str, str], Service] = {}
        for service in entries:
            if (service.name, service.type) in last:
                warnings.append(
                    f'duplicate master.cf entry for service "{service.name}" ({service.type}) -- using the last entry'
                )
            last[service.name, service.type] = service
        self.services = list(last.values())

    @classmethod
    def read(cls, path: str) -> "MasterCf":
        """Read the file; raises ConfigError that names file and line."""
        return cls.parse(read_file(path), path)

    @classmethod
    def parse(cls, data: bytes, path: str) -> "MasterCf":
        """Read `data` as if it were the file `path`. Raises ConfigError."""
        warnings: list[str] = []
        entries = [_service(line, path) for line in logical_lines(data, path, warnings)]
        return cls(path, entries, warnings)


def _service(line: LogicalLine, path: str) -> Service:
    words = _words(line.text)
    if len(words) < FIELD_COUNT:
        raise ConfigError("bad field count", path=path, line=line.number)
    try:
        arguments = [_unbraced(word) for word in words[FIELD_COUNT:]]
    except ValueError as problem:
        raise ConfigError(str(problem), path=path, line=line.number) from None
    return Service(words[:FIELD_COUNT], arguments, path=path, line=line.number)


def _words(text: str) -> list[str]:
    """Split at blanks outside `{ }`."""
    words: list[str] = []
    word: list[str] = []
    level = 0
    for character in text:
        if character in BLANKS and level == 0:
            if word:
                words.append("".join(word))
                word = []
            continue
        if character == "{":
            level += 1
        elif character == "}" and level > 0:
            level -= 1
        word.append(character)
    if word:
        words.append("".join(word))
    return words


def _unbraced(word: str) -> str:
    """What stands in the braces of `{ argument with blanks }`, or the word itself."""
    if not word.startswith("{"):
        return word
    level = 0
    for position, character in enumerate(word):
        if character == "{":
            level += 1
        elif character == "}":
            level -= 1
            if level == 0:
                if position + 1 < len(word):
                    raise ValueError(f"syntax error after '}}' in \"{word}\"")
                return word[1:-1].strip(BLANKS)
    raise ValueError(f"missing '}}' in \"{word}\"")
