"""Message content on its way to an SMTP server: LF to CRLF, leading dots doubled, overlong lines folded."""


def encode_content(content: bytes, line_limit: int) -> bytes:
    """Whole content with LF line ends to the octets that follow DATA, without the final `.`.

    `line_limit` (octets) is smtp_line_length_limit: longer lines are broken by CRLF SPACE. 0: there are none.
    """
    if line_limit:
        content = fold_long_lines(content, line_limit)
    if b"\n." in content:
        content = content.replace(b"\n.", b"\n..")
    if content.startswith(b"."):
        content = b"." + content
    if content and not content.endswith(b"\n"):
        content += b"\n"
    return content.replace(b"\n", b"\r\n")


def has_long_line(content: bytes, limit: int) -> bool:
    """Is there a line of more than `limit` octets? Looks at one line end per `limit` octets only."""
    position, end = 0, len(content)
    while end - position > limit:
        line_end = content.rfind(b"\n", position, position + limit + 1)
        if line_end < 0:
            return True
        position = line_end + 1
    return False


def fold_long_lines(content: bytes, limit: int) -> bytes:
    """Insert LF SPACE wherever a line would exceed `limit` octets (at least 2)."""
    lines: list[bytes] = []
    for line in content.split(b"\n"):
        if len(line) <= limit:
            lines.append(line)
            continue
        lines.append(line[:limit])
        lines.extend(b" " + line[at : at + limit - 1] for at in range(limit, len(line), limit - 1))
    return b"\n".join(lines)


class ContentEncoder:
    """encode_content for content that comes in pieces; memory is bounded by the size of the pieces."""

    __slots__ = ("_carry", "_limit", "folded")

    def __init__(self, line_limit: int) -> None:
        self._limit = line_limit or 65536
        self._carry = b""
        self.folded = False  # a line had to be broken

    def encode(self, piece: bytes) -> bytes:
        """The octets that may go out now; the unfinished last line is kept for the next piece."""
        piece = self._carry + piece
        cut = piece.rfind(b"\n") + 1
        head, tail = piece[:cut], piece[cut:]
        if len(tail) > self._limit:
            # Part of an overlong line: fold it now. What is carried begins with the blank of the continuation.
            folded, _, tail = fold_long_lines(tail, self._limit).rpartition(b"\n")
            head += folded + b"\n"
            self.folded = True
        self._carry = tail
        if not has_long_line(head, self._limit):
            return encode_content(head, 0)
        self.folded = True
        return encode_content(head, self._limit)

    def finish(self) -> bytes:
        """What is left, with a line end."""
        tail, self._carry = self._carry, b""
        return encode_content(tail, self._limit)
