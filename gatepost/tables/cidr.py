"""`cidr:` tables: networks to results, first match in the order of the file (cidr_table(5))."""

from collections.abc import Iterable
from dataclasses import dataclass

from gatepost.tables.environment import TableEnvironment
from gatepost.tables.network import Network, NetworkError, parse_address, parse_network
from gatepost.tables.rule_table import RuleTable
from gatepost.tables.source import BLANKS, Remarks, split_word
from gatepost.tables.table import EmptyResult


@dataclass(slots=True)
class Rule:
    """One line. `result` None: an IF; then `end` is the number of the rule after its ENDIF."""

    network: Network
    negated: bool
    result: str | None
    line: int
    end: int = -1


class Rules:
    """The rules of one table, and for plain ones (no IF, no `!`) an index by length of mask."""

    __slots__ = ("_index", "rules")

    def __init__(self, rules: list[Rule]) -> None:
        self.rules = rules
        self._index: dict[int, list[tuple[int, dict[int, int]]]] | None = None
        if not any(rule.negated or rule.result is None for rule in rules):
            self._index = _index(rules)

    def find(self, text: str) -> str | None:
        """The result for an address; None also for what is not an address."""
        parsed = parse_address(text)
        if parsed is None:
            return None
        bits, address = parsed
        if self._index is None:
            return self._search(bits, address)
        first = -1
        for mask, networks in self._index[bits]:
            number = networks.get(address & mask)
            if number is not None and (first < 0 or number < first):
                first = number
        return self.rules[first].result if first >= 0 else None

    def _search(self, bits: int, address: int) -> str | None:
        number, rules = 0, self.rules
        while number < len(rules):
            rule = rules[number]
            network = rule.network
            # An address of the other family is neither inside nor outside: `!` does not match it either.
            if bits == network.bits and (address & network.mask == network.net) is not rule.negated:
                if rule.result is not None:
                    return rule.result
            elif rule.result is None:
                if rule.end < 0:  # an IF that is never closed
                    return None
                number = rule.end
                continue
            number += 1
        return None


def _index(rules: list[Rule]) -> dict[int, list[tuple[int, dict[int, int]]]]:
    by_mask: dict[tuple[int, int], dict[int, int]] = {}
    for number, rule in enumerate(rules):
        network = rule.network
        by_mask.setdefault((network.bits, network.mask), {}).setdefault(network.net, number)
    index: dict[int, list[tuple[int, dict[int, int]]]] = {32: [], 128: []}
    for (bits, mask), networks in by_mask.items():
        index[bits].append((mask, networks))
    return index


class _Skip(Exception):
    """This rule does not count; the text says why."""


def parse_rules(lines: Iterable[tuple[int, str]], remarks: Remarks) -> Rules:
    """The rules of (line number, text) pairs. What is wrong is noted and skipped, as Postfix does."""
    rules: list[Rule] = []
    open_ifs: list[Rule] = []
    for number, line in lines:
        try:
            rule = _parse_rule(line, number, open_ifs, len(rules))
        except (_Skip, NetworkError) as error:
            remarks.add(number, f"{error}: skipping this rule")
            continue
        if rule is not None:
            rules.append(rule)
            if rule.result is None:
                open_ifs.append(rule)
    for rule in reversed(open_ifs):
        remarks.add(rule.line, "IF has no matching ENDIF")
    return Rules(rules)


def _parse_rule(line: str, number: int, open_ifs: list[Rule], position: int) -> Rule | None:
    word = line[:5].lower()
    if word.startswith("if") and not line[2:3].isalnum():
        negated, pattern = _strip_negation(line[2:])
        if not pattern:
            raise _Skip("no address pattern")
        return Rule(parse_network(pattern), negated, None, number)
    if word == "endif" and not line[5:6].isalnum():
        if not open_ifs:
            raise _Skip("ENDIF without IF")
        if line[5:].strip(BLANKS):
            raise _Skip("garbage after ENDIF")
        open_ifs.pop().end = position
        return None
    negated, rest = _strip_negation(line)
    pattern, result = split_word(rest)
    if not pattern:
        raise _Skip("no address pattern")
    if not result:
        raise _Skip("no lookup result")
    return Rule(parse_network(pattern), negated, result, number)


def _strip_negation(text: str) -> tuple[bool, str]:
    negated = False
    text = text.strip(BLANKS)
    while text.startswith("!"):
        negated = not negated
        text = text[1:].lstrip(BLANKS)
    return negated, text


class CidrTable(RuleTable[Rules]):
    """`cidr:/file`, or `cidr:{{net result}, ...}`."""

    __slots__ = ("_clock",)

    def __init__(self, env: TableEnvironment, name: str, text: str) -> None:
        super().__init__(env, "cidr", name, text, lambda where, lines, remarks: parse_rules(lines, remarks))
        self._clock = env.clock

    async def lookup(self, key: str) -> str | None:
        rules = self._rules
        if rules is None:
            file = self._file
            assert file is not None
            if self._clock() >= file.next_check:
                file.check()
            rules = file.content or file.current(key)
        result = rules.find(key)
        if result == "":
            raise EmptyResult(self.name, key)
        return result
