"""A text file that is read again when it changes, without a reload and without anybody being told."""

import os
from collections.abc import Callable
from typing import Generic, TypeVar

from gatepost.tables.environment import TableEnvironment, error_text
from gatepost.tables.source import Parsed, Problem, decode
from gatepost.tables.table import LookupTemporaryFailure

T = TypeVar("T")

# Seconds between two looks at a file in use. With STILL a change counts within a second.
CHECK_INTERVAL = 0.7

# Seconds that a file must have stood still before it is taken: an editor may be writing it in pieces.
STILL = 0.2

Signature = tuple[int, int, int, int, int]


def signature_of(status: os.stat_result) -> Signature:
    """What tells that a file has changed."""
    # The change time notices `cp -p` and `chmod`, after which an unreadable file may be readable.
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


class WatchedFile(Generic[T]):
    """The content of one file as `parse` makes it.

    A file that is missing at first has no content (`reason` says why) until it appears. Once there is content,
    an edit that cannot be read, or in which more is broken than before, does not replace it; that is said once.
    """

    def __init__(
        self,
        env: TableEnvironment,
        name: str,
        path: str,
        parse: Callable[[str], Parsed[T]],
        unreadable: Callable[[str, str, bool], str] = lambda path, why, missing: f"open {path}: {why}",
    ) -> None:
        """`unreadable`: what lookups say of a file that cannot be read, made of its path, the system's reason, and
        whether it is not there.
        """
        self.name = name
        self.path = env.path(path)
        self.content: T | None = None
        self.reason = ""
        self.problems: list[Problem] = []
        self.next_check = 0.0
        self._env = env
        self._parse = parse
        self._words = unreadable
        self._plain = ""
        self._looked_at: Signature | None = None  # taken, or refused: not to be read again
        self._pending: Signature | None = None
        self._pending_since = 0.0
        self._complaint = ""
        self._open()

    def current(self, key: str = "") -> T:
        """The content now; raises LookupTemporaryFailure if there is none."""
        if self._env.clock() >= self.next_check:
            self.check()
        if self.content is None:
            self._env.warn(f"{self.name} is unavailable. {self.reason}")
            raise LookupTemporaryFailure(self.name, key, self.reason)
        return self.content

    def all_problems(self) -> list[Problem]:
        """What is wrong with the content, or why there is none."""
        if self.content is None:
            return [Problem(f"{self.name} is unavailable. {self._plainly()}")]
        return self.problems

    def _plainly(self) -> str:
        """Of the very file that is read, unless `reason` has more to say than the system."""
        return self._plain if self.reason.endswith(self._plain.rpartition(": ")[2]) else self.reason

    def _open(self) -> None:
        self.next_check = self._env.clock() + CHECK_INTERVAL
        try:
            signature = signature_of(self._env.stat_file(self.path))
            data = self._env.read_file(self.path)
        except (OSError, ValueError) as error:
            self._unreadable(error, at_first=True)
            return
        self._take(signature, self._parse(decode(data)))

    def check(self) -> None:
        """Look at the file and take it if it changed and stands still."""
        now = self._env.clock()
        self.next_check = now + CHECK_INTERVAL
        try:
            signature = signature_of(self._env.stat_file(self.path))
        except (OSError, ValueError) as error:
            self._unreadable(error)
            self._pending = None
            return
        if signature == self._looked_at:
            self._pending = None
            self._complaint = ""
        elif self._stands_still(signature, now):
            self._read_again(signature)
        else:
            self.next_check = min(self.next_check, self._pending_since + STILL)

    def _stands_still(self, signature: Signature, now: float) -> bool:
        if signature != self._pending:
            self._pending, self._pending_since = signature, now
            # A table that nobody asked for a while: its change may be long past.
            age = self._env.wall_clock() - max(signature[1], signature[2]) / 1e9
            return age >= STILL
        return now - self._pending_since >= STILL

    def _read_again(self, signature: Signature) -> None:
        try:
            data = self._env.read_file(self.path)
            after = signature_of(self._env.stat_file(self.path))
        except (OSError, ValueError) as error:
            self._unreadable(error)
            return
        if after != signature:  # written while we read it
            self._pending, self._pending_since = after, self._env.clock()
            self.next_check = self._pending_since + STILL
            return
        self._pending = None
        self._complaint = ""
        parsed = self._parse(decode(data))
        if self.content is None or not self._broken(parsed):
            self._take(signature, parsed)
        else:
            self._looked_at = signature

    def _broken(self, parsed: Parsed[T]) -> bool:
        """Does this edit lose something that its writer meant? Then the last good content stays."""
        known = {problem.what for problem in self.problems if problem.skipped}
        new = [problem for problem in parsed.problems if problem.skipped and problem.what not in known]
        for problem in new:
            self._env.warn(problem.text)
        if new:
            self._env.warn(f"{self.name}: {self.path} has errors, using the content it had before the last edit")
        return bool(new)

    def _take(self, signature: Signature, parsed: Parsed[T]) -> None:
        for problem in parsed.problems:
            self._env.warn(problem.text)
        self.content, self.problems, self.reason = parsed.content, parsed.problems, ""
        self._looked_at = signature

    def _unreadable(self, error: OSError | ValueError, *, at_first: bool = False) -> None:
        why = error_text(error) if isinstance(error, OSError) else str(error)
        complaint = self._plain = f"open {self.path}: {why}"
        if complaint == self._complaint:
            return
        self._complaint = complaint
        if self.content is None:
            self.reason = complaint = self._words(self.path, why, isinstance(error, FileNotFoundError))
            if at_first and self._env.error is not None:
                self._env.error(complaint)
            else:
                self._env.warn(f"{self.name} is unavailable. {complaint}")
        else:
            self._env.warn(f"{self.name}: {complaint}, using the content it had before")
