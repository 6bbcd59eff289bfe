"""What came of an explained session, in words."""

from collections.abc import Callable, Iterator

from gatepost.audit.explain.asked import Asked
from gatepost.audit.explain.inquiry import Explained
from gatepost.audit.explain.recorder import Event

Where = Callable[[str], str]

_STAGES = {
    "CONNECT": "When it connects",
    "HELO": "At HELO",
    "EHLO": "At EHLO",
    "MAIL": "At MAIL FROM",
    "RCPT": "At RCPT TO",
    "DATA": "At DATA",
    "END-OF-MESSAGE": "At the end of the message",
}
_SLOW = 0.05


def text_report(explained: Explained, asked: Asked, where: Where) -> Iterator[str]:
    """The way through the restrictions, stage by stage and list by list."""
    stage = parameter = None
    for number, event in enumerate(explained.events):
        if event.stage != stage:
            stage, parameter = event.stage, None
            yield f"{_STAGES.get(stage, stage)}:"
        if event.parameter and event.parameter != parameter:
            parameter = event.parameter
            place = where(parameter)
            yield f"  {parameter} ({place})" if place else f"  {parameter}"
        yield from _event(event, decisive=number == explained.decisive)
    if not explained.events:
        yield "No restriction was asked."
    for effect in explained.effects:
        yield f"Effect on the message: {effect}"
    yield from _conclusion(explained, asked)


def _conclusion(explained: Explained, asked: Asked) -> Iterator[str]:
    if not explained.reply:
        yield "Answer: accepted" if explained.stage != "RCPT" else f"Answer: <{asked.recipient}> is accepted"
        return
    first, *more = explained.reply.splitlines()
    yield f"Answer: {first}"
    for line in more:
        yield f"        {line}"
    if explained.decisive >= 0:
        event = explained.events[explained.decisive]
        yield f"Why: {event.restriction}: {event.reason or event.verdict}"
    if explained.implied:
        yield f"{'Why: ' if explained.decisive < 0 else '     '}{explained.implied}"
    if explained.hints:
        yield "What would change it:"
        for hint in explained.hints:
            yield f"  {hint}"


def _event(event: Event, *, decisive: bool) -> Iterator[str]:
    indent = "    " + "  " * event.depth
    mark = "*" if decisive else " "
    warned = "warn_if_reject " if event.warning else ""
    yield f"{indent[:-2]}{mark} {warned}{event.restriction}"
    if event.reply:
        kind = "" if event.verdict == "REJECT" else f"{event.verdict} "
        only = " (only a warning in the log)" if event.warning else ""
        yield f"{indent}  -> {kind}{event.reply}{only}"
        yield f"{indent}     because {event.reason}"
    else:
        because = f": {event.reason}" if event.reason else ""
        yield f"{indent}  -> {event.verdict}{because}"
    for entry in event.entries:
        if entry.failure:
            yield f"{indent}  {entry.table} cannot tell about {entry.key}: {entry.failure}"
        else:
            place = f" ({entry.place})" if entry.place else ""
            yield f"{indent}  {entry.table} has {entry.key}: {entry.value}{place}"
    for answer in event.dns:
        yield f"{indent}  DNS: {answer}"
    if event.seconds > _SLOW:
        yield f"{indent}  took {event.seconds:.2f} s"
