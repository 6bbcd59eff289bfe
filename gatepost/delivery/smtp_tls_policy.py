"""How well a destination's mail is protected: smtp_tls_policy_maps, smtp_tls_per_site, smtp_tls_security_level.

The format of a policy is that of postconf(5): a level, then attributes `name=value`, separated by white space or comma.
What is wrong with a policy never weakens it: mail for the destination waits.
"""

import enum
from collections.abc import Callable
from functools import cached_property

import msgspec

from gatepost.delivery.interface import Log
from gatepost.delivery.smtp_addresses import Target
from gatepost.delivery.smtp_delivery import Failure
from gatepost.delivery.smtp_tls_dane import Dane, NotSigned, Signed
from gatepost.delivery.smtp_tls_params import SmtpTlsParams
from gatepost.mail.hostname import valid_hostname
from gatepost.tables.maps import Maps
from gatepost.tables.table import LookupTemporaryFailure
from gatepost.tls.tlsa import TlsaRecord


class Level(enum.IntEnum):
    """smtp_tls_security_level, the weakest first."""

    NONE = 0
    MAY = 1
    ENCRYPT = 2
    FINGERPRINT = 3
    HALF_DANE = 4
    """`dane`, for a server whose very name may be forged (smtp_tls_dane_insecure_mx_policy): nobody can ask for it."""
    DANE = 5
    DANE_ONLY = 6
    VERIFY = 7
    SECURE = 8

    @property
    def word(self) -> str:
        return self.name.lower().replace("_", "-")


LEVELS = {level.word: level for level in Level if level is not Level.HALF_DANE}

_DANE = (Level.HALF_DANE, Level.DANE, Level.DANE_ONLY)

PROBLEM = Failure("4.7.5", "client TLS configuration problem")

PER_SITE = {"NONE": Level.NONE, "MAY": Level.MAY, "MUST_NOPEERMATCH": Level.ENCRYPT, "MUST": Level.VERIFY}


class BadPolicy(Exception):
    """There is no usable policy; the log has the reason, and `failure` is for the mail."""

    def __init__(self, failure: Failure = PROBLEM) -> None:
        super().__init__(failure.text)
        self.failure = failure


class TlsPolicy(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What a connection must be like. `match`: names or strategies; `trust_anchors`: PEM, the only CAs if not empty;
    `tlsa`: the records by which DANE verifies this very server.

    `servername` is for SNI, maybe a strategy. `reuse`: an encrypted connection may serve further messages.
    """

    level: Level = Level.NONE
    protocols: str = ""
    ciphers: str = ""
    exclude: str = ""
    servername: str = ""
    match: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    trust_anchors: bytes = b""
    tlsa: tuple[TlsaRecord, ...] = ()
    reuse: bool = False

    @property
    def by_server(self) -> bool:
        """Is it DANE's, which is another one for each server, and still to be found for one?"""
        return self.level in _DANE and not self.tlsa

    @property
    def required(self) -> bool:
        """Is there no mail without TLS?"""
        return self.level >= Level.ENCRYPT

    @property
    def verified(self) -> bool:
        """Must the server prove who it is?"""
        return self.level >= Level.FINGERPRINT

    @cached_property
    def key(self) -> str:
        """Two policies with the same key are the same in every respect: one's connections will do for the other."""
        return repr(msgspec.structs.astuple(self))


NO_TLS = TlsPolicy()


class Policies:
    """Finds the policy of a server. `maps`: smtp_tls_policy_maps; `per_site`: smtp_tls_per_site, obsolete.

    `read_anchors` gives the PEM of a trust anchor file, or raises OSError. `warn` writes warnings to the mail log.
    `dane`: where DANE's policies come from.
    """

    def __init__(
        self,
        params: SmtpTlsParams,
        maps: Maps | None,
        per_site: Maps | None,
        read_anchors: Callable[[str], bytes],
        warn: Log,
        dane: Dane,
    ) -> None:
        self._params = params
        self._dane = dane
        self._maps = maps
        self._per_site = per_site
        self._read_anchors = read_anchors
        self._warn = warn
        self._default = default_level(params)[0]
        self._usual: TlsPolicy | None = None

    @property
    def by_host(self) -> bool:
        """Do servers of one destination have different policies?"""
        return self._maps is None and self._per_site is not None

    async def find(self, nexthop: str, host: str, target: Target | None = None) -> TlsPolicy:
        """The policy for a server of `nexthop` (as the transport has it). Raises BadPolicy, after a warning.

        Without a `target` one of DANE says no more than that it depends on the server.
        """
        if self._maps is not None:
            draft = await self._mapped(self._maps, nexthop)
        elif self._per_site is not None:
            draft = _Draft(await self._site(self._per_site, nexthop, host))
        elif self._default not in _DANE:
            if self._usual is None or self._params.trust_anchor_file:
                self._usual = self._complete(_Draft(None), nexthop)
            return self._usual
        else:
            draft = _Draft(None)
        level = self._default if draft.level is None else draft.level
        if level in _DANE and target is not None:
            await self._settle(draft, level, nexthop, target)
        return self._complete(draft, nexthop)

    # DANE

    async def _settle(self, draft: "_Draft", level: Level, nexthop: str, target: Target) -> None:
        """Find out what DANE makes of this server (smtp_tls_policy.c, dane_init)."""
        if not target.port:
            why = 'the "dane" security level is invalid for delivery via unix-domain sockets'
            raise self._bad(f"{nexthop}: {why}")
        found = await self._dane.find(level.word, nexthop, target)
        if isinstance(found, NotSigned):
            draft.level = self._without(found, level)
        elif not found.forgeable:
            draft.level, draft.signed = level, found
        elif self._params.dane_insecure_mx_policy == "encrypt":
            draft.level = Level.ENCRYPT
        else:
            draft.level, draft.signed = Level.HALF_DANE, found

    def _without(self, why: NotSigned, level: Level) -> Level:
        """What `dane` falls back on. Raises BadPolicy for `dane-only`, and where nobody knows whether to fall back."""
        if why.fault == "configuration":
            self._warn(why.text)
        if why.fault == "unknown" or level is Level.DANE_ONLY:
            raise BadPolicy(PROBLEM if why.fault == "configuration" else Failure("4.7.5", why.text))
        return Level.ENCRYPT if why.fault == "records" else Level.MAY

    # smtp_tls_policy_maps

    async def _mapped(self, maps: Maps, nexthop: str) -> "_Draft":
        """Only a bare domain stands for its subdomains as well."""
        key = nexthop
        while key:
            where = f'{maps.parameter}, next-hop destination "{key}"'
            try:
                hit = await maps.find(key)
            except LookupTemporaryFailure:
                self._warn(f"{where}: policy table lookup error")
                raise BadPolicy from None
            if hit is not None:
                return self._parsed(hit.value, where)
            dot = key.find(".", 1)
            if dot < 0 or not valid_hostname(nexthop):
                break
            key = key[dot:]
        return _Draft(None)

    def _parsed(self, text: str, where: str) -> "_Draft":
        words = _words(text)
        if not words:
            raise self._bad(f"{where}: invalid empty policy")
        level = LEVELS.get(words[0].lower())
        if level is None:
            raise self._bad(f'{where}: invalid security level "{words[0]}"')
        draft = _Draft(level)
        for word in words[1:]:
            if level is Level.NONE:
                self._warn(f'{where}: ignoring attribute "{word}" with TLS disabled')
            else:
                self._attribute(draft, word, where)
        return draft

    def _attribute(self, draft: "_Draft", word: str, where: str) -> None:
        name, equals, value = word.partition("=")
        if not equals or not name:
            why = "missing attribute name" if equals else "missing '=' after attribute name"
            raise self._bad(f'{where}: malformed attribute/value pair "{word}": {why}')
        problem = draft.take(name.lower(), value)
        if problem:
            raise self._bad(f"{where}: {problem.format(name=name, value=value)}")
        if name.lower() == "tafile":
            draft.anchors.append(self._anchors(value))

    def _bad(self, text: str) -> BadPolicy:
        self._warn(text)
        return BadPolicy()

    # smtp_tls_per_site

    async def _site(self, maps: Maps, nexthop: str, host: str) -> Level | None:
        """NONE or anything stronger overrides MAY, the stronger of two counts, and MAY gives way to the default."""
        level = await self._site_level(maps, None, nexthop, "next-hop destination")
        if host.lower() != nexthop.lower():
            level = await self._site_level(maps, level, host, "server hostname")
        return max(level, self._default) if level is Level.MAY else level

    async def _site_level(self, maps: Maps, level: Level | None, name: str, kind: str) -> Level | None:
        try:
            hit = await maps.find(name)
        except LookupTemporaryFailure:
            self._warn(f'{maps.parameter}: {kind} "{name}": per-site table lookup error')
            raise BadPolicy(Failure("4.3.0", "Temporary lookup error")) from None
        if hit is None:
            return level
        found = PER_SITE.get(hit.value.upper())
        if found is None:
            raise self._bad(f"{maps.parameter}: unknown TLS policy '{hit.value}' for {kind} {name}")
        if found is Level.NONE:
            return Level.NONE if level is None or level is Level.MAY else level
        return found if level is None else max(level, found) if found is not Level.MAY else level

    # What the policy leaves open, main.cf says.

    def _complete(self, draft: "_Draft", nexthop: str) -> TlsPolicy:
        params = self._params
        level = self._default if draft.level is None else draft.level
        if level is Level.NONE:
            return NO_TLS
        servername = params.servername if draft.servername is None else draft.servername
        if servername and not valid_hostname(servername):
            raise self._bad(f'"{params.prefix}_tls_servername = {servername}" specifies an invalid hostname')
        match, fingerprints, anchors = tuple(draft.match), tuple(draft.fingerprints), b"".join(draft.anchors)
        tlsa: tuple[TlsaRecord, ...] = ()
        if draft.signed is not None:
            servername, match, tlsa = draft.signed.base, draft.signed.names, draft.signed.records
        elif level is Level.FINGERPRINT:
            fingerprints = self._fingerprints(fingerprints or _split(params.fingerprint_cert_match), nexthop)
        elif level >= Level.VERIFY:
            usual = params.verify_cert_match if level is Level.VERIFY else params.secure_cert_match
            match = match or _split(usual, ":")
            anchors = anchors or b"".join(map(self._anchors, _split(params.trust_anchor_file)))
        mandatory = level > Level.MAY
        protocols = params.mandatory_protocols if mandatory else params.protocols
        exclude = draft.exclude
        if exclude is None:
            exclude = f"{params.exclude_ciphers} {params.mandatory_exclude_ciphers if mandatory else ''}"
        exclude = f"{exclude} {'' if not mandatory else 'eNULL' if level is Level.ENCRYPT else 'aNULL'}"
        return TlsPolicy(
            level=level,
            protocols=protocols if draft.protocols is None else draft.protocols,
            ciphers=draft.ciphers or (params.mandatory_ciphers if mandatory else params.ciphers),
            exclude=" ".join(_words(exclude)),
            servername=servername,
            match=match,
            fingerprints=fingerprints,
            trust_anchors=anchors,
            tlsa=tlsa,
            reuse=params.connection_reuse if draft.reuse is None else draft.reuse,
        )

    def _fingerprints(self, listed: tuple[str, ...], nexthop: str) -> tuple[str, ...]:
        good = []
        for text in listed:
            digits = text.replace(":", "")
            if digits and len(digits) % 2 == 0 and all(digit in "0123456789abcdefABCDEF" for digit in digits):
                good.append(digits.upper())
            else:
                self._warn(f"malformed fingerprint value: {text}")
        if not good:
            text = "configured at fingerprint security level, but with no fingerprints to match."
            raise self._bad(f"nexthop domain {nexthop}: {text}")
        return tuple(good)

    def _anchors(self, path: str) -> bytes:
        try:
            return self._read_anchors(path)
        except OSError as error:
            raise self._bad(f"error opening trust anchor file: {path}: {error.strerror}") from None


class _Draft:
    """A policy as it is read. None: not said."""

    def __init__(self, level: Level | None) -> None:
        self.level = level
        self.ciphers: str | None = None
        self.protocols: str | None = None
        self.servername: str | None = None
        self.exclude: str | None = None
        self.match: list[str] = []
        self.fingerprints: list[str] = []
        self.anchors: list[bytes] = []
        self.reuse: bool | None = None
        self.signed: Signed | None = None

    def take(self, name: str, value: str) -> str:
        """Take an attribute (`tafile` is looked at, no more); what is wrong with it, empty if nothing is."""
        match name:
            case "ciphers" | "protocols" | "servername" | "exclude":
                if name == "ciphers" and not value:
                    return _EMPTY
                if getattr(self, name) is not None:
                    return 'attribute "{name}" is specified multiple times'
                if name == "servername" and not valid_hostname(value):
                    return '"{name}={value}" specifies an invalid hostname'
                setattr(self, name, value)
            case "match":
                return self._match(value)
            case "tafile":
                if (self.level or Level.NONE) < Level.VERIFY:
                    return self._misplaced()
                return "" if value else _EMPTY
            case "connection_reuse":
                if value.lower() not in ("yes", "no"):
                    return 'attribute "{name}" has bad value: "{value}"'
                self.reuse = value.lower() == "yes"
            case _:
                return 'invalid attribute name: "{name}"'
        return ""

    def _match(self, value: str) -> str:
        if not value:
            return _EMPTY
        if self.level is Level.FINGERPRINT:
            self.fingerprints += [part for part in value.split("|") if part]
        elif self.level is not None and self.level >= Level.VERIFY:
            self.match += [part for part in value.split(":") if part]
        else:
            return self._misplaced()
        return ""

    def _misplaced(self) -> str:
        return f'attribute "{{name}}" invalid at security level "{(self.level or Level.NONE).word}"'


_EMPTY = 'attribute "{name}" has empty value'


def default_level(params: SmtpTlsParams) -> tuple[Level, str]:
    """smtp_tls_security_level, or what the parameters say that it has taken the place of; and which field it was."""
    if params.security_level:
        return LEVELS[params.security_level], "security_level"
    if params.enforce_tls:
        return (Level.VERIFY, "enforce_tls") if params.enforce_peername else (Level.ENCRYPT, "enforce_peername")
    return (Level.MAY, "use_tls") if params.use_tls else (Level.NONE, "security_level")


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _split(text: str, more: str = "") -> tuple[str, ...]:
    for separator in more:
        text = text.replace(separator, " ")
    return tuple(_words(text))
