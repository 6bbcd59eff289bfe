"""Does the resolver validate at all? The question that finds out, and the warning (dnssec_probe, postconf(5))."""

from collections.abc import Callable
from typing import cast, get_args

from gatepost.config.errors import ConfigError
from gatepost.dns.answers import Answer, Resolver, RRType
from gatepost.dns.record_text import name_error

_PARAMETER = "dnssec_probe"


class ProbingResolver:
    """Asks `resolver`. The first answer that is not authentic, if none has been, makes it ask `probe` as well, once:
    where that is not authentic either, `warn` is told that nothing will be. Raises ConfigError for a bad probe.
    """

    def __init__(self, resolver: Resolver, probe: str, warn: Callable[[str], object]) -> None:
        self._resolver = resolver
        self._warn = warn
        self._probe = probe
        kind, colon, self._name = probe.partition(":")
        if probe and not (colon and self._name and kind.upper() in get_args(RRType)):
            raise ConfigError(f"malformed value: {probe}: format is qtype:qname", parameter=_PARAMETER)
        self._type = cast(RRType, kind.upper())
        self._settled = not probe

    async def query(self, name: str, rrtype: RRType) -> Answer:
        """As Resolver's."""
        answer = await self._resolver.query(name, rrtype)
        if not self._settled:
            self._settled = True
            if not answer.authentic:
                await self._find_out()
        return answer

    async def _find_out(self) -> None:
        answer = await self._resolver.query(self._name, self._type)
        if answer.authentic:
            return
        self._warn("DNSSEC validation may be unavailable")
        if answer.outcome in ("try_again", "invalid"):
            why = name_error(self._name, self._type, answer)
            self._warn(f"reason: {_PARAMETER} '{self._probe}' received no response: {why}")
        else:
            self._warn(f"reason: {_PARAMETER} '{self._probe}' received a response that is not DNSSEC validated")
