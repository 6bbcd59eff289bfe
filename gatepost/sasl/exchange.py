"""One AUTH with mechanisms of our own: what they wish to know is asked of whoever keeps the passwords."""

from collections.abc import Mapping
from typing import Protocol

from gatepost.sasl import base64_text
from gatepost.sasl.mechanism import Check, Done, Fetch, Mechanism, Refused, Say, Secret, Wish
from gatepost.sasl.scram import Hash
from gatepost.sasl.server import KEPT, Challenge, Failed, Step, Success

_UNAVAILABLE = "authentication back end unavailable"


class CannotTell(Exception):
    """There is no telling now; the message is for the log, and holds no password."""


class Oracle(Protocol):
    """Who keeps the passwords. All raise CannotTell; each gives the name by which it knows the user."""

    async def check(self, username: str, password: str) -> tuple[str, bool]:
        """Is this the password?"""
        ...

    async def secret_of(self, username: str, name: Hash | None) -> tuple[str, Secret | None]:
        """For SCRAM with this hash, or (None) the password."""
        ...

    async def known(self, username: str) -> tuple[str, str | None]:
        """What is kept; None: there is no such user."""
        ...


class MechanismExchange:
    """Grants the mechanism its wishes. `bad_base64` is what a response that is none comes to; `remarks` are more lines
    of the log, by the reason of a refusal.
    """

    def __init__(
        self, oracle: Oracle, name: str, machine: Mechanism, bad_base64: Failed, remarks: Mapping[str, str] = {}
    ) -> None:
        self._oracle = oracle
        self._name = name
        self._machine = machine
        self._bad_base64 = bad_base64
        self._remarks = remarks
        self._known_as = ""

    async def begin(self, initial: bytes | None) -> Step:
        return await self._granted(self._machine.begin(initial))

    async def step(self, response: str) -> Step:
        data = base64_text.decode(response)
        if data is None:
            return self._bad_base64
        return await self._granted(self._machine.respond(data))

    def abort(self) -> None:
        pass

    async def _granted(self, wish: Wish) -> Step:
        try:
            while True:
                if isinstance(wish, Say):
                    return Challenge(base64_text.encode(wish.data))
                if isinstance(wish, Refused):
                    return Failed(wish.reason, username=wish.username, warning=self._remarks.get(wish.reason, ""))
                if isinstance(wish, Done):
                    return await self._done(wish)
                wish = await self._known(wish)
        except CannotTell as cannot:
            return Failed(_UNAVAILABLE, temporary=True, username=KEPT, warning=str(cannot))

    async def _known(self, wish: Check | Fetch) -> Wish:
        if isinstance(wish, Check):
            self._known_as, right = await self._oracle.check(wish.username, wish.password)
            return self._machine.checked(right)
        self._known_as, secret = await self._oracle.secret_of(wish.username, wish.hash)
        return self._machine.fetched(secret)

    async def _done(self, done: Done) -> Step:
        if self._name == "EXTERNAL":
            # A certificate says who it is; whether we want to know them is for the table to say.
            self._known_as, text = await self._oracle.known(done.username)
            if text is None:
                return Failed("authentication failure", username=done.username)
        return Success(self._known_as)
