"""Plays the scripts of `gatepost smtpd-check` (their language is described in the conformance folder's README).

One ScriptPlayer is one session: parameters, client, HELO name and sender stay until they are set again.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec

from gatepost.config.errors import ConfigError
from gatepost.config.parameters import find
from gatepost.config.values import parse_bool
from gatepost.dns.answers import Resolver
from gatepost.mail.reply import Reply
from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.restrictions.facts import NAME_OK, NAME_TEMPORARY, Client, Effects, SessionFacts
from gatepost.restrictions.parameters import AccessParameters
from gatepost.restrictions.ports import Ports
from gatepost.rewrite.address_classes import AddressClass, ClassLists, LocalDomains
from gatepost.rewrite.resolve import Resolved
from gatepost.tables.braces import split_items
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.match_list import MatchList
from gatepost.tables.opening import Tables

_LISTS = {
    f"{stage}_restrictions": f"smtpd_{stage}_restrictions"
    for stage in ("client", "helo", "sender", "relay", "recipient", "etrn")
}
_DOMAINS = ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains")
_STATUSES = {"2", "4", "5", "6"}


class AsWritten:
    """Leaves addresses as they are and resolves them by the four address classes alone."""

    def __init__(self, values: dict[str, Any], tables: Tables) -> None:
        lists = [
            MatchList.compile(name, values.get(name, ""), tables, match_parent=name == "relay_domains")
            for name in _DOMAINS
        ]
        self.local = LocalDomains(lists[0], ("127.0.0.1",), "")
        self.classes = ClassLists(lists[1], lists[2], lists[3], None)

    def rewrite_internal(self, address: str) -> str:
        return address

    async def resolve(self, sender: str, address: str) -> Resolved:
        domain = address.rpartition("@")[2]
        is_local = await self.local.is_local_domain(domain)
        address_class = AddressClass.LOCAL if is_local else await self.classes.classify(domain)
        return Resolved("unknown", domain, address, address_class)


class ScriptPlayer:
    """`play` takes one line of a script and gives the lines of the answer, the echo first."""

    def __init__(self, dns: Resolver, directory: str) -> None:
        self._dns = dns
        self._output: list[str] = []
        self._values: dict[str, Any] = {"mydestination": "localhost", "smtpd_relay_restrictions": ""}
        self._classes: dict[str, str] = {}
        self._policy: AccessPolicy | None = None
        self._tables = Tables(TableEnvironment(clock=lambda: 0.0, warn=self.warning, directory=directory))
        client = Client("localhost", "127.0.0.1", reverse_name="localhost", reverse_name_status=NAME_OK)
        self._facts = SessionFacts(client, queue_id="<queue id>")
        self._commands: dict[str, Callable[[list[str]], Awaitable[str]]] = {
            "client": self._client,
            "helo": self._helo,
            "mail": self._mail,
            "rcpt": self._rcpt,
            "restriction_class": self._restriction_class,
        }

    # The log.

    def info(self, text: str) -> None:
        self._output.append(f"smtpd: {text}")

    def warning(self, text: str) -> None:
        self._output.append(f"smtpd: warning: {text}")

    def error(self, text: str) -> None:
        self._output.append(f"smtpd: error: {text}")

    async def play(self, line: str) -> list[str]:
        self._output = [f">>> {line}"]
        words = split_items_at_blanks(line)
        if words and not line.startswith("#"):
            command = self._commands.get(words[0].lower())
            if command is not None:
                self._output.append(await command(words[1:]))
            else:
                self._output.append(self._set(words))
        return self._output

    # Parameters.

    def _set(self, words: list[str]) -> str:
        if len(words) != 2:
            return "bad command"
        name = _LISTS.get(words[0].lower(), words[0].lower())
        parameter = find(name)
        if parameter is None:
            return "bad command"
        self._values[name] = words[1]
        self._policy = None
        return "OK"

    async def _restriction_class(self, words: list[str]) -> str:
        name, _, text = words[0].partition(",") if len(words) == 1 else ("", "", "")
        if not name:
            return "bad command"
        self._classes[name] = text
        self._policy = None
        return "OK"

    def _current(self) -> AccessPolicy:
        if self._policy is None:
            resolver = AsWritten(self._values, self._tables)
            ports = Ports(resolver, resolver, resolver.local.is_local_or_origin, self._tables, self._dns, self)
            self._policy = AccessPolicy(self._parameters(), ports)
        return self._policy

    def _parameters(self) -> AccessParameters:
        values: dict[str, Any] = {}
        for field in msgspec.structs.fields(AccessParameters):
            if field.name in self._values:
                text = self._values[field.name]
                if field.type is bool:
                    values[field.name] = parse_bool(field.name, {"0": "no", "1": "yes"}.get(text, text))
                else:
                    values[field.name] = int(text) if field.type is int else text
        return AccessParameters(**values, classes=self._classes, smtpd_restriction_classes=" ".join(self._classes))

    # Commands.

    async def _client(self, words: list[str]) -> str:
        if len(words) not in (2, 3) or (len(words) == 3 and words[2] not in _STATUSES):
            return "bad command"
        name, address = words[:2]
        status = int(words[2]) if len(words) == 3 else NAME_TEMPORARY if name == "unknown" else NAME_OK
        self._facts.client = Client(name, address, "0", status, name, status)
        return await self._judge("CONNECT", lambda policy: policy.judge_client)

    async def _helo(self, words: list[str]) -> str:
        if len(words) != 1:
            return "bad command"
        self._facts.helo_name = words[0]
        return await self._judge("HELO", lambda policy: policy.judge_helo)

    async def _mail(self, words: list[str]) -> str:
        if len(words) != 1:
            return "bad command"
        self._facts.sender = _address(words[0])
        return await self._judge("MAIL", lambda policy: policy.judge_sender)

    async def _rcpt(self, words: list[str]) -> str:
        if len(words) != 1:
            return "bad command"
        self._facts.recipient = _address(words[0])
        reply = await self._judge("RCPT", lambda policy: policy.rcpt)
        self._facts.recipient = None
        return reply

    async def _judge(
        self, stage: str, method: Callable[[AccessPolicy], Callable[[SessionFacts], Awaitable[Reply | None]]]
    ) -> str:
        self._facts.stage = stage
        self._facts.effects = Effects()
        try:
            reply = await method(self._current())(self._facts)
        except ConfigError as error:
            self.warning(str(error))
            return "451 4.3.5 Server configuration error"
        return "OK" if reply is None else reply.line()


def _address(word: str) -> str:
    return word[1:-1] if word.startswith("<") and word.endswith(">") else word


def split_items_at_blanks(line: str) -> list[str]:
    """Words between blanks; what stands in braces is one word."""
    return list(_words(line))


def _words(line: str) -> Iterator[str]:
    # split_items parts at commas, too, which are part of words here.
    hidden = line.replace(",", "\x00")
    for word in split_items(hidden):
        yield word.replace("\x00", ",")
