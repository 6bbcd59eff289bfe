"""`smtpd_sasl_type = gatepost`: passwords are verified here, with what the table gatepost_sasl_users knows of them."""

import secrets
from collections.abc import Callable
from typing import TypeVar

from gatepost.mail.address import fold
from gatepost.sasl import base64_text
from gatepost.sasl.exchange import CannotTell, MechanismExchange
from gatepost.sasl.libcrypt import NoLibcrypt
from gatepost.sasl.mechanism import Mechanism, Secret
from gatepost.sasl.passwords import (
    SCRAM_ITERATIONS,
    PasswordThreads,
    TooManyWaiting,
    argon2_hash,
    is_right,
    unknown_keys,
)
from gatepost.sasl.plain_mechanisms import CramMd5, External, Login, Plain
from gatepost.sasl.scram import HASHES, Hash, ScramKeys, keys_of
from gatepost.sasl.scram_mechanism import Scram
from gatepost.sasl.security import MECHANISMS, SecurityOptions, allowed
from gatepost.sasl.server import KEPT, Exchange, Failed, Peers, Step
from gatepost.sasl.verifier import BadVerifier, Verifier, verifiers
from gatepost.tables.maps import Maps
from gatepost.tables.table import LookupTemporaryFailure

T = TypeVar("T")

_BAD_BASE64 = Failed("Invalid base64 data in continued response", username=KEPT)

BINDINGS = ("tls-exporter", "tls-server-end-point", "tls-unique")


class TableServer:
    """`names`: the mechanisms, in the order in which they are offered; each SCRAM has its -PLUS where TLS allows it.

    `host` is for CRAM-MD5's challenges, `domain` (smtpd_sasl_local_domain) is added to a name that has none and is not
    in the table as it is. `secret` is the same in all processes.
    """

    def __init__(
        self,
        users: Maps,
        names: tuple[str, ...],
        *,
        host: str,
        domain: str,
        secret: bytes,
        threads: PasswordThreads,
        clock: Callable[[], float],
    ) -> None:
        self._users = users
        self._names = names
        self._host = host
        self._domain = domain
        self.secret = secret
        self._threads = threads
        self._clock = clock
        self._nobody: Verifier | None = None

    async def mechanisms(self, options: SecurityOptions, peers: Peers) -> tuple[str, ...]:
        return self._mechanisms(options, peers)

    def _mechanisms(self, options: SecurityOptions, peers: Peers) -> tuple[str, ...]:
        found: list[str] = []
        for name in self._names:
            if name in HASHES and _can_bind(peers):
                found.append(f"{name}-PLUS")
            if name != "EXTERNAL" or peers.certificate_name:
                found.append(name)
        return tuple(name for name in found if allowed(MECHANISMS[name], options))

    async def start(
        self, mechanism: str, initial: str | None, options: SecurityOptions, peers: Peers
    ) -> tuple[Step, Exchange | None]:
        name = mechanism.upper()
        if name not in self._mechanisms(options, peers):
            return Failed("Invalid authentication mechanism", username=KEPT), None
        data = None if initial is None else b"" if initial == base64_text.NOTHING else base64_text.decode(initial)
        if data is None and initial is not None:
            return Failed("Invalid base64 data in initial response", username=KEPT), None
        exchange = MechanismExchange(self, name, self._machine(name, peers), _BAD_BASE64)
        return await exchange.begin(data), exchange

    def close(self) -> None:
        self._threads.close()

    def _machine(self, name: str, peers: Peers) -> Mechanism:
        if name == "PLAIN":
            return Plain()
        if name == "LOGIN":
            return Login()
        if name == "EXTERNAL":
            return External(peers.certificate_name)
        if name == "CRAM-MD5":
            return CramMd5(f"<{secrets.randbits(64)}.{int(self._clock())}@{self._host}>".encode())
        plus = name.endswith("-PLUS")
        return Scram(
            HASHES[name.removesuffix("-PLUS")],
            secrets.token_urlsafe(24),
            peers.binding,
            self._unknown,
            plus=plus,
            offers_plus=_can_bind(peers),
        )

    def _unknown(self, username: str, name: Hash) -> ScramKeys:
        # As far as the table is concerned, these are one name.
        if self._domain and "@" not in username:
            username = f"{username}@{self._domain}"
        return unknown_keys(self.secret, fold(username), name)

    # What mechanisms want to know.

    async def known(self, username: str) -> tuple[str, str | None]:
        """The name by which the table knows the user, and what it says. Raises CannotTell."""
        try:
            found = await self._users.find(username)
            if found is None and self._domain and "@" not in username:
                username = f"{username}@{self._domain}"
                found = await self._users.find(username)
        except LookupTemporaryFailure as failure:
            raise CannotTell(f"gatepost_sasl_users: {failure}") from None
        return username, None if found is None else found.value

    async def verifiers(self, username: str) -> tuple[str, tuple[Verifier, ...]]:
        """With the name; empty: there is no such user. Raises CannotTell."""
        name, text = await self.known(username)
        if text is None:
            return name, ()
        try:
            return name, verifiers(text)
        except BadVerifier as bad:
            raise CannotTell(f"gatepost_sasl_users: what it says of a user is of no use: {bad}") from None

    async def check(self, username: str, password: str) -> tuple[str, bool]:
        """Raises CannotTell."""
        name, known = await self.verifiers(username)
        # The first that is not SCRAM's: those are for machines with less time.
        best = min(known, key=lambda verifier: verifier.kind == "scram", default=None)
        if best is None:
            # It must take the time that it takes for those who are known.
            await self._run(lambda: is_right(password, self._anybody()))
            return name, False
        return name, await self._run(lambda: is_right(password, best))

    def _anybody(self) -> Verifier:
        if self._nobody is None:
            self._nobody = Verifier("argon2", argon2_hash(secrets.token_hex()))
        return self._nobody

    async def secret_of(self, username: str, name: Hash | None) -> tuple[str, Secret | None]:
        """For SCRAM with this hash, or (None) the password. Raises CannotTell."""
        known_as, known = await self.verifiers(username)
        for verifier in known:
            if verifier.keys is not None and verifier.keys.hash == name:
                return known_as, verifier.keys
        password = next((verifier.text for verifier in known if verifier.kind == "plain"), None)
        if password is None or name is None:
            return known_as, password
        salt, octets = self._unknown(username, name).salt, password.encode()
        return known_as, await self._run(lambda: keys_of(name, octets, salt, SCRAM_ITERATIONS))

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await self._threads.run(work)
        except TooManyWaiting:
            raise CannotTell("too many passwords wait to be verified") from None
        except NoLibcrypt:
            raise CannotTell("gatepost_sasl_users: there is no crypt(3) on this host") from None


def _can_bind(peers: Peers) -> bool:
    return peers.encrypted and any(peers.binding(kind) is not None for kind in BINDINGS)
