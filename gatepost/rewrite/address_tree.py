"""An address as a list of tokens, as rewriting and resolving work on it."""

from gatepost.mail.address_quoting import quote_822_local
from gatepost.mail.address_tokens import DOMLIT, Token, internalize, scan


class AddressTree:
    """The tokens of one address in external form.

    Words that touch each other come out with a blank between them, as from Postfix (`a[b]` becomes `"a [b]"`); `tight`
    is set, as there, once nothing is left of the original tokens.
    """

    __slots__ = ("tight", "tokens")

    def __init__(self, external: str) -> None:
        self.tokens: list[Token] = scan(external)
        self.tight = False

    def find(self, kind: str, start: int = 0) -> int:
        """Position of the first token of this kind, -1 if there is none."""
        tokens = self.tokens
        for at in range(start, len(tokens)):
            if tokens[at].kind == kind:
                return at
        return -1

    def rfind(self, kind: str) -> int:
        """Position of the last token of this kind, -1 if there is none."""
        tokens = self.tokens
        for at in range(len(tokens) - 1, -1, -1):
            if tokens[at].kind == kind:
                return at
        return -1

    def cut(self, at: int) -> list[Token]:
        """Remove, and return, the tokens from position `at` on."""
        removed = self.tokens[at:]
        del self.tokens[at:]
        if not self.tokens:
            self.tight = True
        return removed

    def append(self, operator: str, text: str) -> None:
        """Append an operator and the tokens of `text`."""
        self.tokens.append(Token(operator))
        self.tokens.extend(scan(text))

    def lacks_dot(self, at: int) -> bool:
        """Is the text from position `at` on a name without any dot, and no address literal?"""
        return all(token.kind not in (".", DOMLIT) for token in self.tokens[at:])

    def ends_with_lone_dot(self) -> bool:
        """Does it end in a dot that neither another dot nor an "@" precedes?"""
        tokens = self.tokens
        return len(tokens) > 1 and tokens[-1].kind == "." and tokens[-2].kind not in (".", "@")

    def internal(self, start: int = 0) -> str:
        """Internal form of the tokens from position `start` on."""
        return internalize(self.tokens[start:] if start else self.tokens, inside_address=self.tight)

    def external(self) -> str:
        """External form, the local part quoted where it needs quotes."""
        return quote_822_local(self.internal())
