"""Passwords are compared and hashed in threads: that takes as much time as it is meant to, and must not hold others up.

argon2, libcrypt and hashlib let go of the interpreter's lock meanwhile.
"""

import asyncio
import hmac
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gatepost.sasl import libcrypt, scram
from gatepost.sasl.saslprep import saslprep
from gatepost.sasl.scram import Hash, ScramKeys
from gatepost.sasl.verifier import Verifier, scram_text

T = TypeVar("T")

THREADS = 2
WAITING_LIMIT = 100
"""Passwords that may wait for a thread; whoever comes then is told to come again."""

SCRAM_ITERATIONS = 60_000
"""Cyrus SASL's clients accept no more than 65,536."""

_SALT_OCTETS = 16


class TooManyWaiting(Exception):
    """There is no telling now."""


class PasswordThreads:
    """The threads of a process. They are started with the first password."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._waiting = 0

    def close(self) -> None:
        """Those that have nothing to do end."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None

    async def run(self, work: Callable[[], T]) -> T:
        """May be awaited where there is no task. Raises TooManyWaiting, and what `work` raises."""
        if self._waiting >= WAITING_LIMIT:
            raise TooManyWaiting()
        if self._executor is None:
            self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1


def is_right(password: str, verifier: Verifier) -> bool:
    """Takes its time. Raises NoLibcrypt."""
    if verifier.kind == "argon2":
        return _is_argon2(password, verifier.text)
    if verifier.kind == "crypt":
        return libcrypt.matches(password, verifier.text)
    if verifier.kind == "plain":
        return hmac.compare_digest(password.encode(), verifier.text.encode())
    keys = verifier.keys
    assert keys is not None
    made = scram.keys_of(keys.hash, password.encode(), keys.salt, keys.iterations)
    return hmac.compare_digest(made.stored_key, keys.stored_key)


def _is_argon2(password: str, hashed: str) -> bool:
    import argon2

    try:
        return argon2.PasswordHasher().verify(hashed, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def new_verifiers(password: str) -> str:
    """What to store of a new password: for PLAIN and LOGIN argon2, for SCRAM its keys.

    Takes its time. Raises ValueError for characters that no password may have.
    """
    prepared = saslprep(password)
    if not prepared:
        raise ValueError("empty")
    keys = scram.keys_of("sha256", prepared.encode(), secrets.token_bytes(_SALT_OCTETS), SCRAM_ITERATIONS)
    return f"{argon2_hash(prepared)} {scram_text(keys)}"


def argon2_hash(password: str) -> str:
    """Takes its time."""
    import argon2

    return argon2.PasswordHasher().hash(password)


def unknown_keys(secret: bytes, username: str, name: Hash) -> ScramKeys:
    """Keys that nobody has, always the same for a name: the answer must not tell that there is no such user."""
    salt = scram.sign(name, secret, username.encode())[:_SALT_OCTETS]
    return ScramKeys(name, salt, SCRAM_ITERATIONS, scram.sign(name, secret, b"stored" + salt), salt)
