"""Text of a client made fit for replies and the log, and taken apart into SMTP words."""

import re

from gatepost.protocol.smtp_server_tokens import Word, words

_NEUTERED = re.compile(r'[ <>()\\";@]')
_PLAIN_ARGUMENT = re.compile(r'(?:FROM|TO): ?(<[^\x00-\x20\x7f<>"()\\]*>)((?: [!#-9;=-~]+)*)', re.I)
_AUTH = re.compile(r"(?:^|\n)\s*AUTH\s+\S+\s*", re.I)
_ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\a": "\\a", "\\": "\\\\"}


def printable(text: str) -> str:
    """`text` with each control character as `?`; what is beyond ASCII stays (Postfix with smtputf8_enable)."""
    if text.isprintable():
        return text
    return "".join("?" if char < " " or char == "\x7f" else char for char in text)


def without_credentials(text: str) -> str:
    """Command lines for the log: what comes behind the mechanism of AUTH is as good as a password. Postfix shows it."""
    found = _AUTH.search(text)
    return text if found is None or found.end() == len(text) else f"{text[: found.end()].rstrip()} ..."


def neutral_helo(name: str) -> str:
    """A HELO name as it may stand in a Received: header."""
    name = printable(name)
    return name if name.replace(".", "").replace("-", "").isalnum() else _NEUTERED.sub("?", name)


def escaped(data: bytes) -> str:
    """Octets for a log line: C escapes, octal for the rest (escape(3) of Postfix)."""
    out = []
    for char in data.decode("latin-1"):
        if char in _ESCAPES:
            out.append(_ESCAPES[char])
        elif " " <= char < "\x7f":
            out.append(char)
        else:
            out.append(f"\\{ord(char):03o}")
    return "".join(out)


def path_words(argument: str, keyword: str) -> list[Word] | None:
    """The words behind `FROM:` or `TO:` (`keyword`, lower case): path, then parameters. None: not the syntax."""
    plain = _PLAIN_ARGUMENT.fullmatch(argument)
    if plain is not None and argument[: len(keyword)].lower() == keyword:
        parameters = plain.group(2)
        path = [Word(plain.group(1))]
        return path + [Word(text) for text in parameters.split()] if parameters else path
    found = words(argument)
    if len(found) < 2 or found[0].text.lower() != keyword:
        return None
    return found[1:]
