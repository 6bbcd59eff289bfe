"""Takes note of what each restriction answers while the real evaluator judges a session."""

from collections.abc import Callable

import msgspec

from gatepost.audit.explain.reasons import reason
from gatepost.dns.answers import Answer, Resolver, RRType
from gatepost.restrictions.check import Run
from gatepost.restrictions.compile import Bind, bound
from gatepost.restrictions.context import Context
from gatepost.restrictions.registry import Restriction
from gatepost.restrictions.verdict import (
    DUNNO,
    PERMIT,
    CannotTell,
    DeferIfPermit,
    DeferIfReject,
    Refused,
    Reject,
    ServerConfigurationError,
    Verdict,
)
from gatepost.tables.maps import Maps
from gatepost.tables.noted import Found, NotedTables
from gatepost.tables.table import LookupTemporaryFailure


class Entry(msgspec.Struct):
    """An entry of a table, with its place if it has one."""

    table: str
    key: str
    value: str
    place: str = ""
    failure: str = ""


class Event(msgspec.Struct):
    """One restriction that was asked.

    `parameter` is the list that names it, empty for what a class or an access table named; `depth` 0 for an item of a
    list. `verdict`: PERMIT, DUNNO, REJECT, DEFER_IF_PERMIT, DEFER_IF_REJECT or ERROR (451); `reply` what it would
    answer. `seconds` includes what it has asked others, and restrictions within it.
    """

    stage: str
    parameter: str
    depth: int
    restriction: str
    verdict: str = ""
    reply: str = ""
    reason: str = ""
    entries: list[Entry] = msgspec.field(default_factory=list)
    dns: list[str] = msgspec.field(default_factory=list)
    warning: bool = False
    seconds: float = 0.0


class Recorder:
    """`bind` is for AccessPolicy. `clock`: monotonic seconds. `make`: what makes the restrictions that are watched."""

    def __init__(
        self, tables: NotedTables, where: Callable[[str], str], clock: Callable[[], float], make: Bind = bound
    ) -> None:
        self.events: list[Event] = []
        self._make = make
        self._tables = tables
        self._where = where
        self._clock = clock
        self._open: list[Event] = []

    def start(self) -> list[Event]:
        """Forget what was; the list that events are added to from now on."""
        self.events = []
        self._open.clear()
        self._tables.found.clear()
        return self.events

    def bind(self, entry: Restriction, argument: object, parameter: str) -> Run:
        """The restriction itself, watched."""
        real = self._make(entry, argument, parameter)
        text = entry.name
        if entry.argument:
            shown = argument.parameter if isinstance(argument, Maps) else getattr(argument, "text", argument)
            text = f"{entry.name} {shown}"

        async def run(ctx: Context) -> Verdict:
            event = Event(ctx.facts.stage, parameter, len(self._open), text, warning=ctx.warning)
            self._note_entries()
            self.events.append(event)
            self._open.append(event)
            begin = self._clock()
            try:
                verdict: Verdict = await real(ctx)
            except (CannotTell, LookupTemporaryFailure, ServerConfigurationError) as trouble:
                event.verdict = "ERROR"
                event.reason = str(trouble) or "the list cannot be evaluated as it is written"
                raise
            finally:
                event.seconds = self._clock() - begin
                self._note_entries()
                self._open.pop()
            event.verdict, event.reply = _words(verdict)
            event.reason = reason(entry, argument, ctx, verdict, self._where)
            if verdict is DUNNO and any(answer.endswith(": try again") for answer in event.dns):
                event.reason += ", as far as can be told: name service has not answered"
            return verdict

        return run

    def asked_dns(self, text: str) -> None:
        """A question to name service, and its answer."""
        if self._open:
            self._open[-1].dns.append(text)

    def _note_entries(self) -> None:
        """What tables have found since the last time belongs to the restriction that runs."""
        found, self._tables.found[:] = list(self._tables.found), []
        if self._open:
            self._open[-1].entries += [self._entry(each) for each in found]

    def _entry(self, found: Found) -> Entry:
        place = self._tables.place_of(found)
        text = f"{place[0]}, line {place[1]}" if place is not None else ""
        return Entry(found.table, found.key, found.value, text, found.failure)


def _words(verdict: Verdict) -> tuple[str, str]:
    if verdict is PERMIT:
        return "PERMIT", ""
    if verdict is DUNNO:
        return "DUNNO", ""
    if isinstance(verdict, Reject | Refused):
        return "REJECT", verdict.reply.line()
    if isinstance(verdict, DeferIfPermit):
        return "DEFER_IF_PERMIT", verdict.reply.line()
    assert isinstance(verdict, DeferIfReject)
    return "DEFER_IF_REJECT", verdict.reply.line()


class NotedResolver:
    """A resolver whose answers are told to a recorder."""

    def __init__(self, resolver: Resolver, tell: Callable[[str], None]) -> None:
        self._resolver = resolver
        self._tell = tell

    async def query(self, name: str, rrtype: RRType) -> Answer:
        """As Resolver.query."""
        answer = await self._resolver.query(name, rrtype)
        data = ", ".join(record.data or "." for record in answer.records) or answer.outcome.replace("_", " ")
        self._tell(f"{name} {rrtype}: {data}")
        return answer
