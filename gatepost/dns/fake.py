"""The resolver's double: answers from a zone text, never suspends. Passes the same contract suite as the real one."""

from pathlib import Path

from gatepost.dns.answers import Answer, Record, RRType
from gatepost.dns.hostname import acceptable_target, query_name
from gatepost.dns.resolver import HOST_NOT_FOUND, INVALID_NAME, MALFORMED, NO_DATA, TRY_AGAIN
from gatepost.dns.wire import CNAME_LIMIT
from gatepost.dns.zone import Zone, parse_zone

_NAME_TYPES = frozenset({"MX", "NS", "CNAME"})  # PTR data is judged, with a warning, by names.py


class FakeResolver:
    """Implements Resolver over a Zone. `asked` keeps the questions in their order; `authentic`: answers are,
    but for names that are INSECURE.
    """

    def __init__(self, zone: Zone | str = "", *, authentic: bool = False) -> None:
        self.zone = zone if isinstance(zone, Zone) else parse_zone(zone)
        self.authentic = authentic
        self.asked: list[tuple[str, RRType]] = []

    @classmethod
    def from_file(cls, path: str | Path) -> "FakeResolver":
        """Read a zone file. Raises OSError, ZoneError."""
        return cls(Path(path).read_text(encoding="utf-8"))

    async def query(self, name: str, rrtype: RRType) -> Answer:
        """As Resolver.query."""
        self.asked.append((name, rrtype))
        asked = query_name(name, rrtype)
        if asked is None:
            return Answer("invalid", reason=INVALID_NAME)
        target, authentic = asked, self.authentic
        for _ in range(CNAME_LIMIT + 1):
            listed = self.zone.find(target)
            if listed is None:
                return Answer("no_name", ttl=60, authentic=authentic, reason=HOST_NOT_FOUND)
            behaviour = self.zone.behaviour.get(listed, {})
            authentic = authentic and "INSECURE" not in behaviour
            if behaviour.keys() & {"SERVFAIL", "DROP", "GARBAGE"}:
                return Answer("try_again", reason=TRY_AGAIN)
            records = self.zone.records[listed]
            if rrtype in records:
                return self._found(target, rrtype, records[rrtype], authentic)
            if "CNAME" not in records:
                return Answer("no_data", ttl=60, authentic=authentic, reason=NO_DATA)
            target = records["CNAME"][0].data
        return Answer("no_data", reason=f"Name server loop for {asked}")

    @staticmethod
    def _found(owner: str, rrtype: RRType, records: list[Record], authentic: bool) -> Answer:
        malformed: tuple[str, ...] = ()
        if rrtype in _NAME_TYPES:
            malformed = tuple(r.data for r in records if not acceptable_target(r.data))
        answers = tuple(Record(owner, rrtype, r.data, r.preference, r.ttl) for r in records if r.data not in malformed)
        if not answers:
            return Answer("invalid", (), 60, authentic, MALFORMED, malformed)
        return Answer("found", answers, min(r.ttl for r in answers), authentic, "", malformed)
