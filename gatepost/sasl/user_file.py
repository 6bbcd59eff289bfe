"""The file of gatepost_sasl_users as `gatepost user` writes it: a name and its verifiers a line; comments stay."""

import os
import tempfile
from pathlib import Path

MODE = 0o600
"""Of a new file: verifiers are as good as passwords to who has much time."""


class UserFileError(Exception):
    """The file cannot be read or written, or has not the form; the message is for the operator."""


class UserFile:
    """The file at `path`. Raises UserFileError where it says so."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._lines: list[str] = []

    def read(self) -> "UserFile":
        """A file that is not there is empty. Raises UserFileError."""
        try:
            self._lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            self._lines = []
        except (OSError, UnicodeDecodeError) as error:
            raise UserFileError(f"cannot read {self.path}: {_words(error)}") from None
        if any(line[:1].isspace() and line.strip() for line in self._lines):
            raise UserFileError(f"{self.path} has lines that go on in the next one: change it by hand")
        return self

    def names(self) -> list[str]:
        """Login names, in their order."""
        return [name for name in map(_name, self._lines) if name]

    def put(self, name: str, verifiers: str) -> None:
        """Add a user, or give one a new password. Raises UserFileError for a name that cannot stand in the file."""
        if not name or name.startswith("#") or any(char.isspace() or not char.isprintable() for char in name):
            raise UserFileError("a login name has no blanks, no control characters, and does not begin with #")
        line = f"{name} {verifiers}"
        for place, known in enumerate(self._lines):
            if _name(known).lower() == name.lower():  # as tables are searched
                self._lines[place] = line
                return
        self._lines.append(line)

    def has(self, name: str) -> bool:
        return name.lower() in (known.lower() for known in self.names())

    def remove(self, name: str) -> None:
        self._lines = [line for line in self._lines if _name(line).lower() != name.lower()]

    def write(self) -> None:
        """All at once: whoever reads it sees the old file or the new one. Owner and mode stay. Raises UserFileError."""
        path = self.path.resolve()
        try:
            status = path.stat() if path.exists() else None
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        except OSError as error:
            raise UserFileError(f"cannot write {path}: {_words(error)}") from None
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in self._lines))
                file.flush()
                os.fchmod(file.fileno(), MODE if status is None else status.st_mode & 0o7777)
                if status is not None and os.geteuid() == 0:
                    os.fchown(file.fileno(), status.st_uid, status.st_gid)
                os.fsync(file.fileno())
            Path(name).replace(path)
        except OSError as error:
            Path(name).unlink(missing_ok=True)
            raise UserFileError(f"cannot write {path}: {_words(error)}") from None


def _name(line: str) -> str:
    """The login name of a line; empty for comments and empty lines."""
    return "" if line.startswith("#") or not line.strip() else line.split(None, 1)[0]


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
