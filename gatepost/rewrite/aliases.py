"""Aliases of local users that redirect to addresses (aliases(5), local(8)).

Only addresses are honoured. An alias that runs a command, writes a file or includes a list is deferred with a reason
that says so, until local(8) is there in full.
"""

from collections.abc import Callable

from gatepost.mail.address import fold, split_extension
from gatepost.mail.address_quoting import unquote_822_local
from gatepost.mail.address_tokens import Token, addresses, externalize, internalize, parse
from gatepost.rewrite.address_classes import LocalDomains
from gatepost.rewrite.rewrite import Rewriter
from gatepost.rewrite.routing import Delimiters
from gatepost.tables.maps import Maps

# local(8) gives up at this depth, too.
_MAX_DEPTH = 100

# A pattern may make longer names of names, and more of one: without bounds they would fill all memory.
_MAX_LENGTH = 1000  # as virtual_alias_address_length_limit has it
_MAX_ALIASES = 10_000


class AliasError(Exception):
    """The alias cannot be expanded. `dsn` 5.x.x: the recipient bounces with `text`; 4.x.x: it is deferred."""

    def __init__(self, dsn: str, text: str) -> None:
        self.dsn = dsn
        self.text = text
        super().__init__(f"{dsn} {text}")


class _Expansion:
    """What one expansion has found so far, and the aliases it has looked into: each is expanded once."""

    __slots__ = ("results", "seen")

    def __init__(self) -> None:
        self.results: dict[str, str] = {}
        self.seen: set[str] = set()


class Aliases:
    """The tables of alias_maps."""

    def __init__(
        self,
        maps: Maps,
        rewriter: Rewriter,
        local_domains: LocalDomains,
        delimiters: Delimiters,
        *,
        propagate: bool,
        warn: Callable[[str], None],
    ) -> None:
        """`propagate`: propagate_unmatched_extensions names alias. `warn` takes the text of a log warning."""
        self._maps = maps
        self._rewriter = rewriter
        self._local_domains = local_domains
        self._delimiters = delimiters
        self._propagate = propagate
        self._warn = warn

    def __bool__(self) -> bool:
        return bool(self._maps)

    async def expand(self, localpart: str) -> list[str] | None:
        """The addresses that a local user's name stands for, none of them twice; None: it is no alias.

        Aliases among the results are expanded, too, except a name in its own value: that is the user himself.
        Local results are `user@domain` as written. Raises AliasError, and LookupTemporaryFailure.
        """
        value = await self._find(localpart)
        if value is None:
            return None
        expansion = _Expansion()
        await self._expand(localpart, value, (), expansion)
        return list(expansion.results.values())

    async def value(self, localpart: str) -> str | None:
        """What the table has for a local user's name, as it is written; None: it is no alias.

        Raises LookupTemporaryFailure.
        """
        found = await self._find(localpart)
        return None if found is None else found[0]

    async def owner(self, localpart: str) -> str | None:
        """The name `owner-ALIAS` if there is an alias of that name: who is to get the bounces of mail to ALIAS."""
        if not self._delimiters.owner_request_special:
            return None
        owner = f"owner-{localpart}"
        return owner if self._maps and await self._maps.find(owner) is not None else None

    async def _find(self, localpart: str) -> tuple[str, str] | None:
        """The value for the name with, then without its extension, and the extension that was left over."""
        found = await self._maps.find(localpart)
        if found is not None:
            return found.value, ""
        parts = self._delimiters
        user, extension = split_extension(
            localpart,
            parts.recipient_delimiter,
            owner_request_special=parts.owner_request_special,
            double_bounce_sender=parts.double_bounce_sender,
        )
        if extension is None:
            return None
        found = await self._maps.find(user)
        return None if found is None else (found.value, localpart[len(user) :])

    async def _expand(self, name: str, value: tuple[str, str], path: tuple[str, ...], expansion: "_Expansion") -> None:
        text, extension = value
        path = (*path, fold(name))
        expansion.seen.add(path[-1])
        targets = list(addresses(parse(text)))
        if not targets:
            raise AliasError("4.3.5", f"alias {name} names no address")
        for target in targets:
            address = self._address(name, target, extension if self._propagate else "")
            local, _, domain = address.rpartition("@")
            if not domain or not await self._local_domains.is_local_domain(domain):
                expansion.results.setdefault(fold(address), address)
                continue
            # An alias that has its own name in its value means the user.
            inner = None if fold(local) == path[-1] else await self._find(local)
            if inner is None:
                expansion.results.setdefault(fold(address), address)
            elif fold(local) in path or len(path) >= _MAX_DEPTH or len(expansion.seen) >= _MAX_ALIASES:
                self._warn(f"alias database loop for {local}")
                raise AliasError("5.4.6", f"possible alias database loop for {local}")
            elif fold(local) not in expansion.seen:
                await self._expand(local, inner, path, expansion)

    def _address(self, name: str, target: Token, extension: str) -> str:
        """One target in standard form. Raises AliasError for what is no address."""
        text = internalize(target.children, inside_address=True)
        kind = ""
        if text.startswith("|"):
            kind = "a command"
        elif text.startswith(("/", "~")):
            kind = "a file"
        elif text[:9].lower() == ":include:":
            kind = "an included list"
        if kind:
            raise AliasError("4.3.5", f"alias {name} delivers to {kind}, which is not supported yet: {text}")
        address = self._rewriter.rewrite("local", externalize(target.children, inside_address=True))
        internal = unquote_822_local(address)
        if extension:
            local, _, domain = internal.rpartition("@")
            internal = f"{local}{extension}@{domain}"
        if len(internal) > _MAX_LENGTH:
            raise AliasError("5.4.6", f"alias {name[:100]}... makes an address of {len(internal)} characters")
        return internal
