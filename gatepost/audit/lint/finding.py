"""What a check says."""

import enum

import msgspec


class Severity(enum.Enum):
    """ERROR: mail is lost, refused or relayed for strangers, or nothing starts. WARNING: it does something else than it
    says. NOTE: it works, and should not stay so."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Remark(msgspec.Struct, frozen=True):
    """One place, what is wrong there, and what to do. `line` from 1; 0: the file as a whole."""

    path: str
    line: int
    parameter: str
    message: str
    remedy: str


class Finding(msgspec.Struct, frozen=True):
    """A remark and the check that made it. The fields are those of `gatepost lint --json`."""

    check: str
    severity: Severity
    path: str
    line: int
    parameter: str
    message: str
    remedy: str

    @property
    def where(self) -> str:
        """`main.cf:12`, as editors understand it."""
        return f"{self.path}:{self.line}" if self.line else self.path
