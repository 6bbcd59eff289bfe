"""Templates of database tables: a query made of the key's parts, an answer made of the values found.

The `%` expansions of pgsql_table(5), mysql_table(5), sqlite_table(5), ldap_table(5) and memcache_table(5).
"""

from collections.abc import Callable, Sequence

Quote = Callable[[str], str]

# Text before an expansion, and the expansion's letter; the last piece has none.
_Piece = tuple[str, str]

_LETTERS = "suSUdD123456789"


class TemplateError(ValueError):
    """A `%` that starts no expansion."""


def _parse(text: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    literal = ""
    characters = iter(text)
    for character in characters:
        if character != "%":
            literal += character
            continue
        letter = next(characters, "")
        if letter == "%":
            literal += "%"
        elif letter and letter in _LETTERS:
            pieces.append((literal, letter))
            literal = ""
        else:
            raise TemplateError(text)
    pieces.append((literal, ""))
    return pieces


class QueryForm:
    """The templates of one table. Whatever one of them needs of the key, a key must have to be asked for at all."""

    __slots__ = ("_format", "_key_domain", "_key_user", "_labels", "_queries", "_value_domain", "_value_user", "name")

    def __init__(self, name: str, queries: Sequence[str], result_format: str = "%s") -> None:
        """`name`: of the table, for warnings. Raises TemplateError."""
        self.name = name
        self._queries = [_parse(query) for query in queries]
        self._format = _parse(result_format)
        in_queries = {letter for query in self._queries for _, letter in query}
        in_format = {letter for _, letter in self._format}
        digits = [int(letter) for letter in in_queries | in_format if letter.isdigit()]
        self._labels = max(digits, default=0)
        self._key_user = bool(in_queries & {"u", "U"} or "U" in in_format)
        self._key_domain = bool(in_queries & {"d", "D"} or "D" in in_format or digits)
        self._value_user = "u" in in_format
        self._value_domain = "d" in in_format

    def is_fixed(self, number: int) -> bool:
        """Does this query hold no part of the key?"""
        return len(self._queries[number]) == 1

    def query(self, number: int, key: str, quote: Quote) -> str | None:
        """Query `number` for `key`, its parts quoted; None if the key lacks a part that a template needs."""
        user, at, domain = _split(key)
        labels = self._key_labels(user, at, domain)
        if labels is None:
            return None
        return _expand(self._queries[number], (key, user, domain), (key, user, domain), labels, quote)

    def suits(self, key: str) -> bool:
        """Has the key all the parts that the templates need?"""
        return self._key_labels(*_split(key)) is not None

    def _key_labels(self, user: str, at: str, domain: str) -> list[str] | None:
        if self._key_domain and not domain:
            return None
        if self._key_user and at and not user:
            return None
        if not self._labels:
            return []
        labels = [label for label in domain.split(".") if label]
        return labels if len(labels) >= self._labels else None

    def result(self, value: str, key: str) -> str | None:
        """The result for one value found, None if the value lacks a part that the format needs."""
        user, at, domain = _split(value)
        if (self._value_domain and not domain) or (self._value_user and at and not user):
            return None
        key_user, key_at, key_domain = _split(key)
        labels = self._key_labels(key_user, key_at, key_domain)
        if labels is None:
            return None
        return _expand(self._format, (value, user, domain), (key, key_user, key_domain), labels, str)


def _split(address: str) -> tuple[str, str, str]:
    """Local part, `@` if there is one, domain."""
    user, at, domain = address.rpartition("@")
    return (user, at, domain) if at else (address, "", "")


def _expand(
    pieces: list[_Piece], value: tuple[str, str, str], key: tuple[str, str, str], labels: list[str], quote: Quote
) -> str:
    """`value` and `key`: whole, local part, domain. Lower case letters stand for `value`, upper case ones for `key`."""
    text = ""
    for literal, letter in pieces:
        text += literal
        if not letter:
            continue
        if letter.isdigit():
            text += quote(labels[-int(letter)])
        else:
            source = key if letter.isupper() else value
            text += quote(source["sud".index(letter.lower())])
    return text


class ResultTooLong(Exception):
    """More results than expansion_limit allows."""


class ResultCollector:
    """Joins the results of one lookup with commas. `limit`: how many there may be, 0 for any number."""

    __slots__ = ("_form", "_key", "_limit", "_results", "_warn")

    def __init__(self, form: QueryForm, key: str, limit: int, warn: Callable[[str], None]) -> None:
        self._form = form
        self._key = key
        self._limit = limit
        self._warn = warn
        self._results: list[str] = []

    def add(self, value: str | None) -> None:
        """One value; None (SQL's NULL) counts for nothing. Raises ResultTooLong."""
        if value is None:
            return
        if not value:
            self._warn(f'table "{self._form.name}": empty lookup result for: "{self._key}" -- ignored')
            return
        result = self._form.result(value, self._key)
        if result is None:
            return
        self._results.append(result)
        if 0 < self._limit < len(self._results):
            raise ResultTooLong(f"expansion limit exceeded for key: '{self._key}'")

    def text(self) -> str | None:
        """All results, None if there is none."""
        return ",".join(self._results) or None
