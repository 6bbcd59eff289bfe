"""Lines for people, broken at blanks (line_wrap(3) of Postfix)."""


def wrapped_lines(text: str, width: int, indent: int) -> list[str]:
    """`text` in lines of at most `width` characters, all but the first indented; long words stay whole."""
    lines: list[str] = []
    margin, room = "", width
    while len(text) > room:
        cut = max(text.rfind(" ", 0, room + 1), text.rfind("\t", 0, room + 1))
        if cut <= 0:
            # The first word is longer than the line; the break comes behind it.
            behind = [at for at in (text.find(" ", room), text.find("\t", room)) if at >= 0]
            if not behind:
                break
            cut = min(behind)
        lines.append(margin + text[:cut].rstrip())
        text = text[cut:].lstrip()
        margin, room = " " * indent, width - indent
    lines.append(margin + text.rstrip())
    return lines
