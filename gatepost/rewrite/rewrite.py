"""Rewriting of addresses to standard form: `user@host.domain` (trivial-rewrite(8), ADDRESS_REWRITING_README)."""

import re
from typing import Literal

from gatepost.config.settings import Settings
from gatepost.mail.address_quoting import quote_822_local, unquote_822_local
from gatepost.mail.address_tokens import QSTRING, Token
from gatepost.rewrite.address_tree import AddressTree

Context = Literal["local", "remote"]

# In standard form already: a local part that needs no quotes, a domain with a dot inside and none at its end. Atom
# characters only, so that rewriting would change nothing in either context, whatever the settings.
STANDARD_FORM = re.compile(
    r"[0-9A-Za-z_+=~#$&'*/?^`{}-]+(?:\.[0-9A-Za-z_+=~#$&'*/?^`{}-]+)*@[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)+"
)

_CACHE_SIZE = 2000


class Rewriter:
    """Rewrites single addresses. Pure: the answer depends on the settings only.

    Context "local" completes addresses with $myorigin and $mydomain: envelopes, and headers of local clients. "remote"
    completes with $remote_header_rewrite_domain, or, where that is empty, not at all.
    """

    def __init__(self, settings: Settings) -> None:
        self.append_at_myorigin = settings.append_at_myorigin
        self.append_dot_mydomain = settings.append_dot_mydomain
        self.swap_bangpath = settings.swap_bangpath
        self.allow_percent_hack = settings.allow_percent_hack
        invalid = settings.remote_header_rewrite_domain
        self._names: dict[str, tuple[str, str]] = {
            "local": (settings.myorigin, settings.mydomain),
            "remote": (invalid, invalid),
        }
        self._external: dict[tuple[str, str], str] = {}
        self._internal: dict[str, str] = {}

    def rewrite(self, context: Context, address: str) -> str:
        """The standard form of one address, both in external (quoted) form. The null address is `""`; "" stays ""."""
        if not address or STANDARD_FORM.fullmatch(address):
            return address
        key = (context, address)
        known = self._external.get(key)
        if known is None:
            tree = AddressTree(address)
            if tree.tokens:
                self.rewrite_tree(context, tree)
            known = tree.external()
            if len(self._external) >= _CACHE_SIZE:
                self._external.clear()
            self._external[key] = known
        return known

    def rewrite_internal(self, address: str, context: Context = "local") -> str:
        """As `rewrite`, from internal form to internal form (envelope addresses). The null address "" stays ""."""
        if context != "local":
            return self._rewritten(address, context)
        # The addresses of a message are asked for several times on its way.
        known = self._internal.get(address)
        if known is None:
            known = self._rewritten(address, context)
            if len(self._internal) >= _CACHE_SIZE:
                self._internal.clear()
            self._internal[address] = known
        return known

    def _rewritten(self, address: str, context: Context) -> str:
        if not address or STANDARD_FORM.fullmatch(address):
            return address
        return unquote_822_local(self.rewrite(context, quote_822_local(address)))

    def rewrite_tree(self, context: Context, tree: AddressTree) -> None:
        """Bring the tokens of an address (at least one) to standard form, in place."""
        tokens = tree.tokens
        if len(tokens) == 1:
            if tokens[0].kind == QSTRING and not tokens[0].text:
                return
            if tokens[0].kind == "@":
                # A lone @ is as good as the null address.
                tokens[0] = Token(QSTRING)
                tree.tight = True
                return
        if tokens[0].kind == "@":
            colon = tree.find(":")
            if 0 < colon < len(tokens) - 1:
                del tokens[: colon + 1]  # source route
        origin, domain = self._names[context]
        if tree.rfind("@") < 0:
            self._add_domain(tree, origin)
        if self.append_dot_mydomain and domain:
            at = tree.rfind("@")
            # user@ is left alone, broken as it is.
            if 0 <= at < len(tree.tokens) - 1 and tree.lacks_dot(at):
                tree.append(".", domain)
        if tree.ends_with_lone_dot():
            tree.cut(len(tree.tokens) - 1)

    def _add_domain(self, tree: AddressTree, origin: str) -> None:
        """Give an address without @ one: site!user, user%site, or our own origin."""
        if self.swap_bangpath and (bang := tree.find("!")) >= 0:
            user = tree.cut(bang)[1:]
            tree.tokens[:0] = [*user, Token("@")]
        elif self.allow_percent_hack and (percent := tree.rfind("%")) >= 0:
            tree.tokens[percent] = Token("@")
        elif self.append_at_myorigin and origin:
            tree.append("@", origin)
