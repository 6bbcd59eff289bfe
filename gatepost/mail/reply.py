"""An SMTP reply as a value (RFC 5321 4.2, RFC 3463)."""

import msgspec


class Reply(msgspec.Struct, frozen=True):
    """`code` 200-599; `dsn` like `5.7.1`, or empty where Postfix gives none; `text` may hold `\\n` for more lines.

    `fault`: whose fault a refusal is, a class of notify_classes or `none`, where the code does not tell.
    """

    code: int
    dsn: str
    text: str
    fault: str = ""

    def line(self) -> str:
        """`CODE DSN text`: the form in log lines and for single-line replies."""
        return f"{self.code} {self.dsn} {self.text}" if self.dsn else f"{self.code} {self.text}"

    def encode(self) -> bytes:
        """The octets on the wire, CRLF included."""
        if "\n" not in self.text:
            return self.line().encode() + b"\r\n"
        mark = f"{self.code}-{self.dsn} " if self.dsn else f"{self.code}-"
        *more, last = self.text.split("\n")
        return "".join(f"{mark}{part}\r\n" for part in more).encode() + Reply(self.code, self.dsn, last).encode()
