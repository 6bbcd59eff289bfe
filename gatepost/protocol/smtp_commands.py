"""MAIL FROM and RCPT TO with their ESMTP parameters (RFC 5321, 1870, 6152, 3461, 6531), as complete command lines."""

from collections.abc import Callable

from gatepost.mail.address_quoting import quote_821_local
from gatepost.mail.envelope import NOTIFY_DELAY, NOTIFY_FAILURE, NOTIFY_NEVER, NOTIFY_SUCCESS, Body, Origin, Ret
from gatepost.protocol import xtext
from gatepost.protocol.smtp_capabilities import Capabilities
from gatepost.protocol.smtp_client_events import Stage

_BODY = {"8bitmime": " BODY=8BITMIME", "7bit": " BODY=7BIT"}
_NOTIFY_WORDS = (
    (NOTIFY_NEVER, "NEVER"),
    (NOTIFY_SUCCESS, "SUCCESS"),
    (NOTIFY_FAILURE, "FAILURE"),
    (NOTIFY_DELAY, "DELAY"),
)


def mail_command(
    sender: str,
    size: int,
    offers: Capabilities,
    *,
    body: Body = "",
    ret: Ret = "",
    envid: str = "",
    smtputf8: bool = False,
    quote: bool = True,
) -> bytes:
    """MAIL FROM with the parameters that the server understands. `sender` in internal form.

    `size` in octets; below 0 it is not told. `quote`: the local part gets quotes where RFC 5321 asks for them.
    """
    line = f"MAIL FROM:<{quote_821_local(sender) if sender and quote else sender}>"
    if offers.size and size >= 0:
        line += f" SIZE={size}"
    if body and offers.eightbitmime:
        line += _BODY[body]
    if offers.dsn:
        if envid:
            line += f" ENVID={xtext.encode(envid)}"
        if ret:
            line += f" RET={ret}"
    if smtputf8 and offers.smtputf8:
        line += " SMTPUTF8"
    return (line + "\r\n").encode("utf-8", "replace")


def xforward_commands(offers: Capabilities, origin: Origin, ident: str) -> list[tuple[Stage, bytes]]:
    """Tell where the message came from, as far as the server wants to know (XFORWARD_README); `ident`: our queue ID."""
    address = f"IPv6:{origin.address}" if ":" in origin.address else origin.address
    first = {"NAME": origin.name, "ADDR": address, "PORT": origin.port}
    source = "LOCAL" if origin.context == "local" else "REMOTE"
    second = {"PROTO": origin.protocol, "HELO": origin.helo, "IDENT": ident, "SOURCE": source}
    commands = []
    for stage, attributes in ((Stage.XFORWARD_CLIENT, first), (Stage.XFORWARD_SESSION, second)):
        asked = {name: value for name, value in attributes.items() if name in offers.xforward}
        if any(asked.values()):
            words = [f"{name}={xtext.encode(value or '[UNAVAILABLE]')}" for name, value in asked.items()]
            commands.append((stage, f"XFORWARD {' '.join(words)}\r\n".encode()))
    return commands


def rcpt_command(
    address: str, offers: Capabilities, *, original: str = "", notify: int = 0, orcpt: str = "", quote: bool = True
) -> bytes:
    """RCPT TO. Where the server offers DSN it is told the original recipient, as `orcpt` or else from `original`."""
    line = f"RCPT TO:<{quote_821_local(address) if quote else address}>"
    if offers.dsn:
        line += _orcpt(orcpt or f"rfc822;{quote_821_local(original or address)}")
        if notify:
            line += " NOTIFY=" + ",".join(word for bit, word in _NOTIFY_WORDS if notify & bit)
    return (line + "\r\n").encode("utf-8", "replace")


def _orcpt(value: str) -> str:
    kind, semicolon, address = value.partition(";")
    if not semicolon:
        return ""
    encode: Callable[[str], str] = _utf8_xtext if kind.lower() == "utf-8" else xtext.encode
    return f" ORCPT={kind};{encode(address)}"


def _utf8_xtext(address: str) -> str:
    """RFC 6533 3, utf-8-addr-xtext: every server understands it."""
    return "".join(c if "!" <= c <= "~" and c not in "+=\\" else f"\\x{{{ord(c):02X}}}" for c in address)
