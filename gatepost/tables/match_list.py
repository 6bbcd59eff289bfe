"""Match lists: mynetworks and its kin, mydestination, relay_domains (match_list(3), postconf(5) mynetworks).

Items are tried in order, the first that matches decides. `!item` decides for no, `/file` is read in place,
`type:table` matches what the table has, whatever the value.
"""

from collections.abc import Iterator
from typing import TypeVar

from gatepost.config.errors import ConfigError
from gatepost.tables.braces import split_items
from gatepost.tables.environment import TableSource
from gatepost.tables.literal import FailTable
from gatepost.tables.match_items import BadItem, Item, TableItem, client, make_item
from gatepost.tables.network import Network
from gatepost.tables.source import BLANKS, Parsed, Remarks, is_valid, printable
from gatepost.tables.table import LookupTemporaryFailure
from gatepost.tables.watched import WatchedFile

# Files that name files: deeper than this is taken for a circle.
_MAX_DEPTH = 20

# Answers kept by a list without tables and files: clients come back.
_CACHE_SIZE = 4096

_Key = TypeVar("_Key")


class FileItem(Item):
    """`/file` in a list: its items stand in its place."""

    __slots__ = ("file",)

    def __init__(self, text: str, negated: bool, file: "WatchedFile[tuple[Item, ...]]") -> None:
        super().__init__(text, negated)
        self.file = file

    def problem(self) -> str:
        return self.file.reason


class MatchList:
    """The value of one parameter, ready to be asked. Compile it anew when the configuration changes."""

    __slots__ = (
        "_addresses", "_items", "_match_parent", "_names", "_strings", "_tables", "_variable", "parameter", "text",
    )  # fmt: skip

    def __init__(self, parameter: str, text: str, tables: TableSource, match_parent: bool) -> None:
        self.parameter = parameter
        self.text = text
        self._tables = tables
        self._match_parent = match_parent
        self._items = self._parse(text, Remarks(parameter), negated=False, depth=0)
        self._variable = any(isinstance(item, (TableItem, FileItem)) for item in self._items)
        self._addresses: dict[tuple[str, str], bool] = {}
        self._names: dict[str, bool] = {}
        self._strings: dict[str, bool] = {}

    @classmethod
    def compile(cls, parameter: str, text: str, tables: TableSource, *, match_parent: bool) -> "MatchList":
        """The list that `text` is. `match_parent`: the parameter is in parent_domain_matches_subdomains.

        Raises ConfigError where Postfix would not start (no pattern after `!`). All else that is wrong with an item is
        an error when that item is reached; `problems` tells of it at once.
        """
        return cls(parameter, text, tables, match_parent)

    def __bool__(self) -> bool:
        return bool(self._items)

    async def match_host(self, name: str, address: str) -> bool:
        """Is this client in the list? Each item is compared with the name, then with the address.

        Raises LookupTemporaryFailure, after a warning in the log, if an item cannot be compared.
        """
        key = (name, address)
        known = self._addresses.get(key)
        if known is not None:
            return known
        who = client(self._tables.env.fold(name), address)
        parents = self._match_parent
        answer = False
        for item in self._walk(self._items):
            try:
                if isinstance(item, TableItem):
                    found = await item.has_name(who.name, parents) or bool(who.address and await item.has(who.address))
                else:
                    found = item.matches_name(who.name, parents) or item.matches_address(who)
            except BadItem as bad:
                raise self._error(item, address, bad) from None
            if found:
                answer = not item.negated
                break
        self._remember(self._addresses, key, answer)
        return answer

    async def match_name(self, name: str) -> bool:
        """Is this domain in the list, itself or below one of its domains (domain_list(3): relay_domains)?"""
        return await self._match_text(name, subdomains=True)

    async def match_string(self, text: str) -> bool:
        """Is exactly this in the list (string_list(3): mydestination, virtual_alias_domains)?"""
        return await self._match_text(text, subdomains=False)

    async def _match_text(self, text: str, *, subdomains: bool) -> bool:
        cache = self._names if subdomains else self._strings
        known = cache.get(text)
        if known is not None:
            return known
        item = await self.decisive_item(text, subdomains=subdomains)
        answer = item is not None and not item.negated
        self._remember(cache, text, answer)
        return answer

    async def decisive_item(self, text: str, *, subdomains: bool) -> Item | None:
        """The item that decides whether the text is in the list, as match_name (`subdomains`) or match_string."""
        folded = self._tables.env.fold(text)
        parents = self._match_parent
        for item in self._walk(self._items):
            try:
                if isinstance(item, TableItem):
                    found = await (item.has_name(folded, parents) if subdomains else item.has(folded))
                elif subdomains:
                    found = item.matches_name(folded, parents)
                else:
                    found = item.text == folded
            except BadItem as bad:
                raise self._error(item, text, bad) from None
            if found:
                return item
        return None

    def problems(self) -> list[str]:
        """What is wrong with each item that is an error when it is reached."""
        texts = [(item, item.problem()) for item in self._walk(self._items, with_files=True)]
        return [f"{item}: {text}" for item, text in texts if text]

    def ranges(self) -> list[str]:
        """The networks of the list, in order and in their usual form, `!` before exceptions."""
        return [("!" if item.negated else "") + str(network) for item, network in self.networks()]

    def networks(self) -> list[tuple[Item, Network]]:
        """Each item that stands for addresses, with its network, in order."""
        found = ((item, item.network()) for item in self._walk(self._items))
        return [(item, network) for item, network in found if network is not None]

    def items(self) -> list[tuple[Item, str]]:
        """Each item with the file that it stands in (empty: the value of the parameter), in order."""
        return list(self._with_file(self._items, ""))

    def _with_file(self, items: tuple[Item, ...], path: str) -> Iterator[tuple[Item, str]]:
        for item in items:
            if isinstance(item, FileItem) and item.file.content is not None:
                yield from self._with_file(item.file.content, item.file.path)
            else:
                for each in self._walk((item,)):
                    yield each, path

    def useless_exceptions(self) -> list[str]:
        """`!` items that decide nothing, because an item before them matches all that they match."""
        useless: list[str] = []
        before: list[Item] = []
        for item in self._walk(self._items):
            if item.negated:
                cover = next((early for early in before if early.covers(item, self._match_parent)), None)
                if cover is not None:
                    useless.append(f'"{item}" has no effect: "{cover}" before it matches first')
            before.append(item)
        return useless

    @property
    def has_tables(self) -> bool:
        """Does the answer depend on tables?"""
        return any(isinstance(item, TableItem) for item in self._walk(self._items))

    def _remember(self, cache: dict[_Key, bool], key: _Key, answer: bool) -> None:
        if not self._variable:
            if len(cache) >= _CACHE_SIZE:
                cache.clear()
            cache[key] = answer

    def _error(self, item: Item, key: str, bad: BadItem) -> LookupTemporaryFailure:
        self._tables.env.warn(f"{self.parameter}: {bad}")
        return LookupTemporaryFailure(f"{self.parameter}: {item}", key, str(bad))

    def _walk(self, items: tuple[Item, ...], *, with_files: bool = False) -> Iterator[Item]:
        """The items, those of files in their place. A file that cannot be read is an error when it is reached."""
        for item in items:
            if not isinstance(item, FileItem):
                yield item
                continue
            if with_files:
                yield item
            if self._tables.env.clock() >= item.file.next_check:
                item.file.check()
            if item.file.content is not None:
                yield from self._walk(item.file.content, with_files=with_files)
            elif not with_files:
                table = FailTable(self._tables.env, f"non-existent:{item.text}", item.file.reason)
                yield TableItem(item.text, item.negated, table, item.file.reason)

    def _parse(self, text: str, remarks: Remarks, *, negated: bool, depth: int) -> tuple[Item, ...]:
        items: list[Item] = []
        words = split_items(text)
        for number, word in enumerate(words):
            if word.startswith("#"):
                rest = " ".join(words[number:])
                remarks.add(0, f"comment at end of line is not supported: {rest}", skipped=False)
                break
            pattern = word.lstrip("!")
            negative = negated ^ ((len(word) - len(pattern)) % 2 == 1)
            if not pattern:
                raise ConfigError("no pattern after '!'", parameter=self.parameter)
            items.append(self._item(pattern, negative, depth))
        if depth == 0:
            for problem in remarks.problems:
                self._tables.env.warn(problem.text)
        return tuple(items)

    def _item(self, pattern: str, negated: bool, depth: int) -> Item:
        if pattern.startswith("/"):
            return self._file_item(pattern, negated, depth)
        if ":" in pattern and not pattern.startswith("["):
            try:
                return TableItem(pattern, negated, self._tables.open(pattern))
            except ConfigError as error:
                return TableItem(pattern, negated, FailTable(self._tables.env, pattern, error.message), error.message)
        return make_item(self._tables.env.fold(pattern), negated)

    def _file_item(self, path: str, negated: bool, depth: int) -> Item:
        if depth >= _MAX_DEPTH:
            raise ConfigError(f"{path}: files that name files, more than {_MAX_DEPTH} deep", parameter=self.parameter)

        def parse(text: str) -> Parsed[tuple[Item, ...]]:
            remarks = Remarks(f"{self.parameter}: {path}")
            items: list[Item] = []
            for number, line in _file_lines(text, remarks):
                for item in self._parse_line(line, remarks, negated=negated, depth=depth + 1):
                    items.append(item)
                    if item.problem():
                        remarks.add(number, item.problem())
            return Parsed(tuple(items), remarks.problems)

        return FileItem(path, negated, WatchedFile(self._tables.env, path, path, parse))

    def _parse_line(self, line: str, remarks: Remarks, *, negated: bool, depth: int) -> tuple[Item, ...]:
        """The items of a line of a file, which may be edited while we run: what cannot be read fails when reached."""
        try:
            return self._parse(line, remarks, negated=negated, depth=depth)
        except ConfigError as error:
            return (TableItem(line, negated, FailTable(self._tables.env, line, error.message), error.message),)


def _file_lines(text: str, remarks: Remarks) -> Iterator[tuple[int, str]]:
    """The lines of a `/file`: no continuation lines as in tables, but `{` may stand lines before its `}`."""
    start, joined, level = 0, "", 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("#") or not line.strip(BLANKS):
            continue
        if not is_valid(line):
            remarks.add(number, f'non-UTF-8 input "{printable(line)}" -- ignoring this line')
            continue
        if not level:
            start, joined = number, ""
        joined += line + "\n"
        level = max(0, level + line.count("{") - line.count("}"))
        if not level:
            yield start, joined
    if level:
        yield start, joined
