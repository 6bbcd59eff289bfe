"""What an address table's value means: a list of addresses in standard form (mail_addr_map(3), mail_addr_crunch(3))."""

from gatepost.mail.address_quoting import quote_822_local, unquote_822_local
from gatepost.mail.address_tokens import addresses, externalize, parse
from gatepost.rewrite.rewrite import Rewriter


def addresses_of(text: str, rewriter: Rewriter, extension: str = "") -> list[str]:
    """The addresses in a table's value, rewritten (local context), in internal form; empty if there are none.

    `extension` (`+ext`) is put behind each local part. The null address is "".
    """
    found: list[str] = []
    for token in addresses(parse('""' if text in ("", "<>") else text)):
        address = rewriter.rewrite("local", externalize(token.children, inside_address=True))
        internal = unquote_822_local(address)
        if extension:
            local, at, domain = internal.rpartition("@")
            internal = f"{local}{extension}@{domain}" if at else internal + extension
        found.append(internal)
    return found


def value_for(value: str, address: str, extension: str) -> str:
    """A table's value for an (internal) address; `@domain` stands for the same user there.

    The extension that the key did not have (`+ext`) is no part of the user.
    """
    if not value.startswith("@"):
        return value
    local = address.rpartition("@")[0] if "@" in address else address
    return quote_822_local(local.removesuffix(extension) + value)
