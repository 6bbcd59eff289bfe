"""xtext (RFC 3461 section 4) and its UTF-8 kin (RFC 6533 section 3): values in MAIL, RCPT, XCLIENT and XFORWARD."""

import re

_ESCAPE = re.compile(rb"\+([0-9A-Fa-f]{2})")
_SPECIAL = re.compile(rb"[^!-*,-<>-~]")
_BAD_ESCAPE = re.compile(r"\+(?![0-9A-Fa-f]{2})")
_UXTEXT = re.compile(r"\\x\{([0-9A-F]{2,6})\}")


class XtextError(ValueError):
    """The text is not well-formed xtext, or does not decode to UTF-8."""


def decode(text: str) -> str:
    """The plain form. Lenient as Postfix: only a broken `+` escape is an error; raises XtextError."""
    if "+" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise XtextError(text)
    octets = _ESCAPE.sub(lambda found: bytes((int(found.group(1), 16),)), text.encode("utf-8", "surrogatepass"))
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        raise XtextError(text) from None


def encode(text: str) -> str:
    """The xtext form: printable ASCII without `+` and `=` stays, every other octet becomes `+XX`."""
    octets = text.encode("utf-8", "surrogatepass")
    return _SPECIAL.sub(lambda found: b"+%02X" % found.group()[0], octets).decode("ascii")


def decode_utf8(text: str) -> str:
    """The plain form of utf-8-addr-xtext: `\\x{HEX}` stands for a character; raises XtextError."""
    if "\\" not in text:
        return text
    plain = _UXTEXT.sub(_character, text)
    if "\\x{" in plain or "\\" in _UXTEXT.sub("", text):
        raise XtextError(text)
    return plain


def _character(found: re.Match[str]) -> str:
    number = int(found.group(1), 16)
    if number > 0x10FFFF or 0xD800 <= number < 0xE000:
        raise XtextError(found.group())
    return chr(number)
