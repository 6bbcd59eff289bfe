"""What a policy server answers (SMTPD_POLICY_README): `name=value` lines, ended by an empty one. No sockets."""

REPLY_LIMIT = 65536
"""Octets of one answer; Postfix has no limit but its memory."""


class BadReply(Exception):
    """The answer is none. `complaint` is the line for the log, with `{}` in the place of the server's name."""

    def __init__(self, complaint: str) -> None:
        self.complaint = complaint
        super().__init__(complaint)


class ReplyReader:
    """Takes octets of one answer until it is complete. Of several `action` attributes the first one counts."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> bytes | None:
        """The value of `action`; None: the answer goes on. What follows the empty line is no answer to anything.

        Raises BadReply.
        """
        buffer = self._buffer = self._buffer + data if self._buffer else data
        if buffer.startswith(b"\n"):
            lines = b""
        else:
            end = buffer.find(b"\n\n")
            if end < 0:
                self._complain_early()
                return None
            lines = buffer[:end]
        for line in lines.split(b"\n"):
            name, equals, value = line.partition(b"=")
            if name == b"action":
                if not equals:
                    raise BadReply("missing value for string attribute action from {}")
                return value.partition(b"\0")[0]  # strings of C programs end there
        raise BadReply("missing attribute action in input from {}")

    def _complain_early(self) -> None:
        buffer = self._buffer
        if b"action\n" in buffer and (buffer.startswith(b"action\n") or b"\naction\n" in buffer):
            raise BadReply("missing value for string attribute action from {}")
        if len(buffer) > REPLY_LIMIT:
            raise BadReply(f"answer of more than {REPLY_LIMIT} octets from {{}}")

    def broken_off(self, why: str) -> str:
        """What to tell if nothing more comes (`why`: `timeout` or `premature end-of-input`).

        Empty if nothing came at all: the connection itself may be old.
        """
        if not self._buffer:
            return ""
        what = "value" if b"=" in self._buffer.rpartition(b"\n")[2] else "name"
        return f"{why} on {{}} while reading input attribute {what}"
