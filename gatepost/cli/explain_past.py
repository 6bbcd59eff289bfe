"""What is kept of past decisions, for gatepost explain."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

from gatepost.audit.explain.asked import Asked
from gatepost.audit.explain.decision_files import Decision, decisions, kept_configuration
from gatepost.audit.explain.inquiry import Explained
from gatepost.audit.explain.report import text_report
from gatepost.config.configuration import Configuration
from gatepost.master.decision_log import DIRECTORY, configuration_values

NEAR = 600.0
"""Seconds by which the log's time and ours may differ: syslog may be slow."""

CHANGES_SHOWN = 6

_SYSLOG = re.compile(r"([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) ")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)")


def time_of(line: str, now: float) -> float | None:
    """When a line was logged, in Unix seconds (local time, the year that is nearest in the past); None: unknown."""
    found = _ISO.match(line)
    if found is not None:
        return time.mktime(time.strptime(f"{found[1]} {found[2]}", "%Y-%m-%d %H:%M:%S"))
    found = _SYSLOG.match(line)
    if found is None:
        return None
    year = time.localtime(now).tm_year
    for candidate in (year, year - 1):
        try:
            moment = time.mktime(time.strptime(f"{candidate} {found[1]}", "%Y %b %d %H:%M:%S"))
        except ValueError:
            continue  # 29 February
        if moment < now + 86400:
            return moment
    return None


def remembered(
    configuration: Configuration,
    address: str,
    sender: str | None,
    recipient: str | None,
    reply: str = "",
    moment: float | None = None,
) -> Decision | None:
    """The decision that is meant: the one nearest to `moment`, or the latest. None: nothing is kept of it."""
    directory = Path(configuration.settings.gatepost_queue_directory) / DIRECTORY
    try:
        found = [
            decision
            for decision in decisions(directory, address)
            if sender in (None, decision.asked.sender)
            and recipient in (None, decision.asked.recipient)
            and decision.reply.startswith(reply)
        ]
    except OSError:
        return None
    if moment is None:
        return max(found, key=lambda decision: decision.time, default=None)
    near = [decision for decision in found if abs(decision.time - moment) <= NEAR]
    return min(near, key=lambda decision: abs(decision.time - moment), default=None)


def explained_then(decision: Decision) -> Explained:
    """As what is found out now."""
    return Explained(
        decision.stage,
        decision.reply if decision.verb == "reject" else "",
        decision.events,
        decision.decisive,
        decision.implied,
        effects=[] if decision.verb == "reject" else [f"{decision.verb.upper()} {decision.reply}"],
    )


def past_report(decision: Decision, configuration: Configuration) -> Iterator[str]:
    """What was decided, and how the configuration has changed since."""
    asked = decision.asked
    then = time.strftime("%A %-d %B %Y, %H:%M:%S", time.localtime(decision.time))
    yield f"Recorded on {then}, at listener {decision.listener}"
    yield from described(asked)
    yield ""
    if decision.events or decision.implied:
        yield from text_report(explained_then(decision), asked, lambda parameter: "")
    else:
        yield f"Answer: {decision.reply}"
        yield "There were so many refusals at that time that the reasons of this one were not kept."
    yield ""
    yield from _changes(decision, configuration)


def described(asked: Asked) -> Iterator[str]:
    """The session that is asked about."""
    hello = f", {'EHLO' if asked.protocol == 'ESMTP' else 'HELO'} {asked.helo}" if asked.helo is not None else ""
    login = f", logged in as {asked.sasl_username}" if asked.sasl_username else ""
    yield f"Client {asked.client.name}[{asked.client.address}]{hello}{login}"
    if asked.sender is not None:
        yield f"MAIL FROM <{asked.sender}>" + (f", RCPT TO <{asked.recipient}>" if asked.recipient is not None else "")


def _changes(decision: Decision, configuration: Configuration) -> Iterator[str]:
    directory = Path(configuration.settings.gatepost_queue_directory) / DIRECTORY
    then = kept_configuration(directory, decision.configuration)
    if then is None:
        yield "The configuration of that time is not kept."
        return
    now = configuration_values(configuration)
    changes = [
        (file, name, then.get(file, {}).get(name), now[file].get(name))
        for file in now
        for name in sorted(then.get(file, {}).keys() | now[file].keys())
        if then.get(file, {}).get(name) != now[file].get(name)
    ]
    if not changes:
        yield "main.cf and master.cf have not changed since."
        return
    yield "Since then the configuration has changed:"
    for file, name, before, after in changes[:CHANGES_SHOWN]:
        yield f"  {file}: {name} was {'not set' if before is None else ' '.join(before.split()) or 'empty'}"
        yield f"    and is {'not set' if after is None else ' '.join(after.split()) or 'empty'}"
    if len(changes) > CHANGES_SHOWN:
        yield f"  and {len(changes) - CHANGES_SHOWN} more"


def today_report(then: Explained, today: Explained) -> Iterator[str]:
    """Does the same session come to the same today?"""
    yield ""
    if then.reply == today.reply:
        yield "Today the answer would be the same."
        return
    yield f"Today: {today.reply or 'accepted'}"
    if today.decisive >= 0:
        event = today.events[today.decisive]
        yield f"  {event.restriction}: {event.reason}"
    elif today.implied:
        yield f"  {today.implied}"
    yield "  (--now tells more of that)"
