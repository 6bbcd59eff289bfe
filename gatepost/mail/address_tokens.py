"""RFC 822 address tokens: text to tokens and address groups, and back to internal or external form.

Internal form is what the mail system compares and looks up (`joe user@example.com`); external form is what goes on the
wire or into a header (`"joe user"@example.com`). As in Postfix, nothing that is not understood is thrown away: a token
list can always be turned back into text, and no input is an error.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from gatepost.mail.address_quoting import quote_822_local

ATOM = "atom"
QSTRING = "quoted string"
DOMLIT = "domain literal"
COMMENT = "comment"
ADDR = "address"
STARTGRP = "group"
# Every other kind is the operator character itself. % and ! are operators because not all the world is RFC 822.
_WORDS = frozenset((ATOM, QSTRING, DOMLIT))
_NON_OPERATORS = frozenset((ATOM, QSTRING, DOMLIT, COMMENT, ADDR))

# Non-address text beyond this many octets in one list element is dropped on request (CERT CA-2003-07: old Sendmail
# versions overflow a buffer of 256 octets).
MAX_NONADDR_LENGTH = 250

_TOKEN = re.compile(
    r"""[ \t\r\n]*+(?:
      (?P<comment>\()
    | \[(?P<domlit>(?>(?:[^\]\\]++|\\.)*))\\?\]?
    | "(?P<qstring>(?>(?:[^"\\]++|\\.)*))\\?"?
    | (?P<op>[|),.:;<>@\]%!])
    | (?P<atom>(?>(?:[^ \t\r\n|"(),.:;<>@\[\]%!\\]++|\\.)*)\\?)
    )""",
    re.X | re.S,
)
_COMMENT_PART = re.compile(r"[()]|\\.?", re.S)
_ESCAPE = re.compile(r"\\(.?)", re.S)
_FOLDED = str.maketrans("\t\r\n", "   ")
_ATOM_NEEDS_QUOTES = re.compile(r'[\x00-\x20\x7f|"(),.:;<>@\[\]%!\\]')
_QSTRING_SPECIAL = re.compile(r'["\\\r\n]')
_DOMLIT_SPECIAL = re.compile(r"[\\\r\n]")


class Token:
    """One token. `children` are the tokens of an ADDR; all other kinds have none."""

    __slots__ = ("children", "kind", "text")

    def __init__(self, kind: str, text: str = "", children: "list[Token] | None" = None) -> None:
        self.kind = kind
        self.text = text
        self.children: list[Token] = children if children is not None else []

    def __repr__(self) -> str:
        return f"Token({self.kind!r}, {self.text!r}, {self.children!r})"


def scan(text: str, limit: int = 0) -> list[Token]:
    """The flat tokens of external-form `text`, at most `limit` of them (0: no limit)."""
    tokens: list[Token] = []
    pos, end = 0, len(text)
    while pos < end:
        found = _TOKEN.match(text, pos)
        if found is None or found.end() == pos:  # pragma: no cover - the pattern takes at least one character
            break
        pos = found.end()
        kind, value = found.lastgroup, found.group(found.lastgroup or 0)
        if kind == "op":
            tokens.append(Token(value))
        elif kind == "comment":
            stop = _comment_end(text, pos)
            tokens.append(Token(COMMENT, text[pos - 1 : stop]))
            pos = stop
        elif kind == "qstring":
            tokens.append(Token(QSTRING, _unescape(value)))
        elif kind == "domlit":
            tokens.append(Token(DOMLIT, _unescape(value)))
        elif value:
            word = _unescape(value)
            tokens.append(Token(QSTRING if _ATOM_NEEDS_QUOTES.search(word) else ATOM, word))
        if limit and len(tokens) >= limit:
            break
    return tokens


def _unescape(raw: str) -> str:
    # Line ends and tabs become blanks, also after a backslash: internal forms are one line.
    return (_ESCAPE.sub(r"\1", raw) if "\\" in raw else raw).translate(_FOLDED)


def _comment_end(text: str, pos: int) -> int:
    """Where the comment ends whose "(" stands before `pos`. Comments keep their external form; they can nest."""
    level = 1
    for part in _COMMENT_PART.finditer(text, pos):
        what = part.group()
        if what == "(":
            level += 1
        elif what == ")":
            level -= 1
            if level == 0:
                return part.end()
    return len(text)


class _Tree:
    """Builds the parse tree from right to left; both lists are kept in that order."""

    def __init__(self) -> None:
        self.done: list[Token] = []
        self.pending: list[Token] = []  # address tokens between the current position and what is done

    def close(self, comma: bool = False) -> None:
        """Make one address of the pending tokens, and put the comma that its author forgot before it."""
        if self.pending:
            self.pending.reverse()
            self.done.append(Token(ADDR, children=self.pending))
            self.pending = []
            if comma:
                self.done.append(Token(","))


def parse(text: str, limit: int = 0) -> list[Token]:
    """The tokens of a list of addresses, with address tokens grouped under ADDR and missing commas added.

    Comments move behind the address they stand in; phrases before `<` and group names stay plain tokens.
    """
    tokens = scan(text, limit)
    tree = _Tree()
    in_group = False
    word_fits = True  # a word here belongs to the address being collected; otherwise it starts another
    at = len(tokens) - 1
    while at >= 0:
        token = tokens[at]
        kind = token.kind
        at -= 1
        if kind == COMMENT:
            tree.done.append(token)
        elif kind in _WORDS:
            if not word_fits:
                tree.close(comma=True)
            tree.pending.append(token)
            word_fits = False
        else:
            word_fits = True
            if kind == ",":
                tree.close()
                tree.done.append(token)
            elif kind == ";":
                tree.close(comma=True)
                tree.done.append(token)
                in_group = True
            elif kind == ":" and in_group:
                at = _take_group_name(tokens, at, tree)
            elif kind == ">":
                at = _take_route(tokens, at, tree, token, in_group)
            else:
                tree.pending.append(token)
    tree.close()
    tree.done.reverse()
    return tree.done


def _take_group_name(tokens: list[Token], at: int, tree: _Tree) -> int:
    """`named group: a, b;` seen from the colon: all up to the comma before it is the name."""
    tree.close()
    tree.done.append(Token(STARTGRP))
    while at >= 0 and tokens[at].kind != ",":
        tree.done.append(tokens[at])
        at -= 1
    return at


def _take_route(tokens: list[Token], at: int, tree: _Tree, bracket: Token, in_group: bool) -> int:
    """`phrase <address>` seen from the `>`."""
    tree.close(comma=True)
    tree.done.append(bracket)
    while at >= 0 and tokens[at].kind != "<":
        (tree.done if tokens[at].kind == COMMENT else tree.pending).append(tokens[at])
        at -= 1
    tree.close()
    while at >= 0 and tokens[at].kind not in (">", ";", ",", ":"):
        tree.done.append(tokens[at])
        at -= 1
    if at >= 0 and tokens[at].kind == ":" and not in_group:
        # A colon that opens no group is no part of the next address either.
        tree.done.append(tokens[at])
        at -= 1
    return at


def addresses(tokens: Iterable[Token]) -> Iterator[Token]:
    """The ADDR tokens of a parse tree, to be rewritten in place (`token.children = ...`)."""
    return (token for token in tokens if token.kind == ADDR)


def _space_follows(token: Token, after: Token) -> bool:
    kind = token.kind
    return kind in (",", STARTGRP) or after.kind == "<" or (kind in _NON_OPERATORS and after.kind in _NON_OPERATORS)


def internalize(tokens: list[Token], *, inside_address: bool = False) -> str:
    """Internal form. Inside an address no blanks stand between tokens; in a list they part words and elements."""
    out: list[str] = []
    last = len(tokens) - 1
    for number, token in enumerate(tokens):
        kind = token.kind
        if kind in (ATOM, QSTRING, COMMENT):
            out.append(token.text)
        elif kind == ADDR:
            out.append(internalize(token.children, inside_address=True))
        elif kind == DOMLIT:
            out.append(f"[{token.text}]")
        else:
            out.append(":" if kind == STARTGRP else kind)
        if not inside_address and number < last and _space_follows(token, tokens[number + 1]):
            out.append(" ")
    return "".join(out)


def externalize(
    tokens: list[Token],
    *,
    inside_address: bool = False,
    newlines: bool = False,
    truncate: bool = False,
    warn: Callable[[str], None] | None = None,
) -> str:
    """External form, quoted where needed.

    `newlines` puts a line end instead of a blank after each comma (for folding a header). `truncate` reduces a list
    element with more than MAX_NONADDR_LENGTH octets of comments and phrases to its bare `<address>`, and tells `warn`.
    """
    separator = ",\n" if newlines else ", "
    out: list[str] = []
    start = 0
    while start <= len(tokens):
        stop = next((n for n in range(start, len(tokens)) if tokens[n].kind == ","), len(tokens))
        out.append(_externalize_element(tokens[start:stop], inside_address, truncate, warn))
        if stop < len(tokens):
            out.append(separator)
        start = stop + 1
    return "".join(out)


def _externalize_element(
    tokens: list[Token], inside_address: bool, truncate: bool, warn: Callable[[str], None] | None
) -> str:
    out: list[str] = []
    address: str | None = None
    last = len(tokens) - 1
    for number, token in enumerate(tokens):
        kind = token.kind
        if kind == ADDR:
            # Quoting single atoms would not do: whether a local part needs quotes shows only in the whole.
            address = quote_822_local(internalize(token.children, inside_address=True))
            out.append(address)
        elif kind in (ATOM, COMMENT):
            out.append(token.text)
        elif kind == QSTRING:
            out.append('"' + _QSTRING_SPECIAL.sub(r"\\\g<0>", token.text) + '"')
        elif kind == DOMLIT:
            out.append("[" + _DOMLIT_SPECIAL.sub(r"\\\g<0>", token.text) + "]")
        else:
            out.append(":" if kind == STARTGRP else kind)
            if kind == "<" and number < last and tokens[number + 1].kind == ">":
                address = ""
        if not inside_address and number < last and _space_follows(token, tokens[number + 1]):
            out.append(" ")
    text = "".join(out)
    if truncate and address is not None and _octets(text) - _octets(address) > MAX_NONADDR_LENGTH:
        if warn is not None:
            warn(f"stripping too many comments from address: {text[:100]}...")
        return f"<{address}>"
    return text


def _octets(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
