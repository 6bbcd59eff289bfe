"""What stands in, for questions about a configuration, for what such a question must not do: log, probe, pause."""

from typing import Literal

import msgspec

from gatepost.restrictions.ports import Verification


class _Good(msgspec.Struct, frozen=True):
    outcome: Literal["ok"] = "ok"
    reason: str = ""


class AllDeliverable:
    """An AddressVerifier that finds every address deliverable, and probes none."""

    async def verify(self, address: str) -> Verification:
        """Every address is good."""
        return _Good()


class Silent:
    """A log that nobody reads."""

    def info(self, text: str) -> None: ...
    def warning(self, text: str) -> None: ...
    def error(self, text: str) -> None: ...


async def no_pause(seconds: float) -> None:
    """`sleep` in a list: a question is about answers, not about time."""
