"""Scripts of SMTP sessions as the restrictions see them: the language of `gatepost smtpd-check`.

A script sets parameters and restriction lists, then plays clients, HELO names, senders and recipients; each command is
answered with the log lines and the reply of the evaluator that serves SMTP. Addresses are judged as they are written
and resolved by the four address classes alone; address verification finds every address deliverable; nobody logs in.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from gatepost.audit.stand_ins import AllDeliverable, no_pause
from gatepost.config.declaration import Type
from gatepost.config.errors import ConfigError
from gatepost.config.parameters import find
from gatepost.config.values import parse_bool, parse_int, parse_time, split_list, unit_of_default
from gatepost.dns.answers import Resolver
from gatepost.mail.hostname import valid_hostaddr
from gatepost.mail.reply import Reply
from gatepost.net.policy_client import PolicyPools
from gatepost.restrictions.dns_lookup import HostNames
from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.restrictions.facts import NAME_OK, NAME_TEMPORARY, Client, Effects, SessionFacts
from gatepost.restrictions.parameters import AccessParameters
from gatepost.restrictions.ports import Ports
from gatepost.rewrite.address_classes import AddressClass, ClassLists, LocalDomains
from gatepost.rewrite.resolve import Resolved
from gatepost.tables.braces import split_items
from gatepost.tables.match_list import MatchList
from gatepost.tables.opening import Tables

OpenTables = Callable[[Callable[[str], None]], Tables]
"""Gets the function that takes the tables' warnings."""

BAD_COMMAND = "bad command"

_LISTS = {
    f"{stage}_restrictions": f"smtpd_{stage}_restrictions"
    for stage in ("client", "helo", "sender", "relay", "recipient", "etrn")
}
_DOMAINS = ("mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains")
_STATUSES = frozenset("2456")
_INITIAL = {
    "mydestination": "localhost",
    "smtpd_relay_restrictions": "",
    "smtpd_delay_reject": "1",
    "inet_protocols": "ipv4",
}


class _AsWritten:
    """Leaves addresses as they are and resolves them by the four address classes alone."""

    def __init__(
        self, values: Mapping[str, str], params: AccessParameters, tables: Tables, own_addresses: frozenset[str]
    ) -> None:
        by_name = "relay_domains" in split_list(params.parent_domain_matches_subdomains)
        lists = [
            MatchList.compile(
                name, values.get(name, ""), tables, match_parent=by_name if name == "relay_domains" else False
            )
            for name in _DOMAINS
        ]
        proxies = frozenset(split_list(params.proxy_interfaces))
        self.local = LocalDomains(lists[0], own_addresses | proxies, values.get("myorigin", ""))
        self.classes = ClassLists(lists[1], lists[2], lists[3], None)

    def rewrite_internal(self, address: str) -> str:
        return address

    async def resolve(self, sender: str, address: str) -> Resolved:
        domain = address.rpartition("@")[2]
        is_local = await self.local.is_local_domain(domain)
        address_class = AddressClass.LOCAL if is_local else await self.classes.classify(domain)
        if address_class is AddressClass.VIRTUAL_ALIAS:
            # What is not in virtual_alias_maps is nobody, which the real resolver says in this way, too.
            return Resolved("error", "user unknown", address, address_class)
        return Resolved("unknown", domain, address, address_class)


class SessionScript:
    """One script under way: parameters, client, HELO name and sender stay until they are set again.

    `hosts`, `policy`, `own_addresses` are as in `restrictions.ports.Ports`; inet_interfaces may say otherwise.
    """

    def __init__(
        self,
        dns: Resolver,
        open_tables: OpenTables,
        *,
        hosts: HostNames | None = None,
        policy: PolicyPools | None = None,
        own_addresses: frozenset[str] = frozenset(),
    ) -> None:
        self._dns = dns
        self._hosts = hosts
        self._pools = policy
        self._own_addresses = own_addresses
        self._output: list[str] = []
        self._values: dict[str, str] = dict(_INITIAL)
        self._classes: dict[str, str] = {}
        self._policy: AccessPolicy | None = None
        self._tables = open_tables(self.warning)
        client = Client("localhost", "127.0.0.1", reverse_name="localhost", reverse_name_status=NAME_OK)
        self._facts = SessionFacts(client, queue_id="<queue id>")
        # The command's words, and how many of them may follow.
        self._commands: dict[str, tuple[Callable[..., Awaitable[str]], int, int]] = {
            "client": (self._client, 2, 3),
            "helo": (self._helo, 1, 1),
            "mail": (self._mail, 1, 1),
            "rcpt": (self._rcpt, 1, 1),
            "restriction_class": (self._restriction_class, 1, 1),
            "fingerprint": (self._fingerprint, 1, 1),
            "rewrite": (self._rewrite, 0, 0),
            "flush_dnsxl_cache": (self._flush_dnsxl_cache, 0, 0),
        }

    # The log (restrictions.ports.Log).

    def info(self, text: str) -> None:
        self._output.append(f"smtpd: {text}")

    def warning(self, text: str) -> None:
        self._output.append(f"smtpd: warning: {text}")

    def error(self, text: str) -> None:
        self._output.append(f"smtpd: error: {text}")

    async def answer(self, line: str) -> list[str]:
        """What one line of the script comes to: log lines, then the reply. Nothing for comments and empty lines."""
        self._output = []
        words = list(_words(line))
        if words and not line.startswith("#"):
            reply = await self._command(words[0].lower(), words[1:])
            self._output.append(reply)
        return self._output

    async def _command(self, name: str, words: list[str]) -> str:
        if name not in self._commands:
            return self._set(name, words)
        run, least, most = self._commands[name]
        if not least <= len(words) <= most:
            return BAD_COMMAND
        try:
            return await run(*words)
        except ConfigError as error:
            self.warning(str(error))
            return "451 4.3.5 Server configuration error"

    # Parameters.

    def _set(self, command: str, words: list[str]) -> str:
        name = _LISTS.get(command, command)
        if len(words) != 1 or find(name) is None:
            return BAD_COMMAND
        self._values[name] = words[0]
        self._policy = None
        return "OK"

    async def _restriction_class(self, definition: str) -> str:
        name, _, text = definition.partition(",")
        if not name:
            return BAD_COMMAND
        self._classes[name] = text
        self._policy = None
        return "OK"

    async def _current(self) -> AccessPolicy:
        """The policy of the parameters as they are now. Raises ConfigError."""
        if self._policy is None:
            params = self._parameters()
            own_addresses = await self._interfaces()
            resolver = _AsWritten(self._values, params, self._tables, own_addresses)
            ports = Ports(
                resolver=resolver,
                rewriter=resolver,
                is_local=resolver.local.is_local_or_origin,
                tables=self._tables,
                dns=self._dns,
                log=self,
                own_addresses=own_addresses,
                hosts=self._hosts,
                verifier=AllDeliverable(),
                policy=self._pools,
                sleep=no_pause,
            )
            self._policy = AccessPolicy(params, ports)
        return self._policy

    async def _interfaces(self) -> frozenset[str]:
        """The addresses that inet_interfaces gives this host, whether it has them or not."""
        chosen: set[str] = set()
        for item in split_list(self._values.get("inet_interfaces", "all")):
            literal = item[1:-1] if item.startswith("[") and item.endswith("]") else item
            if valid_hostaddr(literal):
                chosen.add(str(ip_address(literal)))
            elif item.lower() == "all":
                chosen |= self._own_addresses
            elif item.lower() == "loopback-only":
                chosen |= {address for address in self._own_addresses if ip_address(address).is_loopback}
            else:
                chosen |= await self._addresses_of(literal)
        return frozenset(chosen)

    async def _addresses_of(self, name: str) -> set[str]:
        answers = [await self._dns.query(name, "A"), await self._dns.query(name, "AAAA")]
        addresses = {record.data for answer in answers for record in answer.records}
        if not addresses:
            raise ConfigError(f"host not found: {name}", parameter="inet_interfaces")
        return addresses

    def _parameters(self) -> AccessParameters:
        values: dict[str, Any] = {
            name: _value(name, self._values[name])
            for name in AccessParameters.__struct_fields__
            if name in self._values
        }
        return AccessParameters(**values, classes=self._classes, smtpd_restriction_classes=" ".join(self._classes))

    # Commands.

    async def _client(self, name: str, address: str, digit: str = "") -> str:
        if digit and digit not in _STATUSES:
            return BAD_COMMAND
        status = int(digit) if digit else NAME_TEMPORARY if name == "unknown" else NAME_OK
        self._facts.client = Client(name, address, "0", status, name, status)
        return await self._judge("CONNECT", AccessPolicy.judge_client)

    async def _helo(self, name: str) -> str:
        self._facts.helo_name = name
        return await self._judge("HELO", AccessPolicy.judge_helo)

    async def _mail(self, address: str) -> str:
        self._facts.sender = _address(address)
        return await self._judge("MAIL", AccessPolicy.judge_sender)

    async def _rcpt(self, address: str) -> str:
        self._facts.recipient = _address(address)
        try:
            return await self._judge("RCPT", AccessPolicy.rcpt)
        finally:
            self._facts.recipient = None

    async def _fingerprint(self, fingerprint: str) -> str:
        self._facts.encrypted = True
        self._facts.fingerprints = (fingerprint, fingerprint)
        return "OK"

    async def _rewrite(self) -> str:
        context = await (await self._current()).header_context(self._facts, self._facts.client.address)
        return context.line() if isinstance(context, Reply) else "OK"

    async def _flush_dnsxl_cache(self) -> str:
        self._facts.dns_listings = None
        return "OK"

    async def _judge(self, stage: str, method: Callable[[AccessPolicy, SessionFacts], Awaitable[Reply | None]]) -> str:
        self._facts.stage = stage
        self._facts.effects = Effects()
        reply = await method(await self._current(), self._facts)
        return "OK" if reply is None else reply.line()


def _value(name: str, text: str) -> bool | int | str:
    """What the text of a parameter stands for. Raises ConfigError."""
    parameter = find(name)
    assert parameter is not None
    try:
        match parameter.type:
            case Type.BOOLEAN:
                return parse_bool(name, {"0": "no", "1": "yes"}.get(text, text))
            case Type.NUMBER | Type.SIZE:
                return parse_int(name, text)
            case Type.TIME:
                return parse_time(text, unit_of_default(parameter.default))
            case _:
                return text
    except ValueError as problem:
        raise ConfigError(str(problem), parameter=name) from None


def _address(word: str) -> str:
    return word[1:-1] if word.startswith("<") and word.endswith(">") else word


def _words(line: str) -> Iterator[str]:
    """Words between blanks; what stands in braces is one word."""
    # split_items parts at commas, too, which are part of words here.
    for word in split_items(line.replace(",", "\x00")):
        yield word.replace("\x00", ",")
