"""Checks of the order of restrictions: what is never reached, what decides too early."""

from collections.abc import Iterator

from gatepost.audit.lint.finding import Remark, Severity
from gatepost.audit.lint.registry import check
from gatepost.audit.lint.restriction_items import ListItem, flat, list_items, restriction_lists
from gatepost.audit.lint.subject import RESTRICTION_LISTS, Place, Subject
from gatepost.audit.relay import End, end_of_list
from gatepost.config.values import split_list

RELAY_PROTECTION = frozenset(("reject_unauth_destination", "defer_unauth_destination"))
FINAL = frozenset(("permit", "reject", "defer"))
_RELAY_LISTS = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")
_OWN_CLIENTS = frozenset(("permit_mynetworks", "permit_sasl_authenticated", "permit_tls_clientcerts"))


def _ends(place: Place) -> dict[str, End]:
    """How the lists of a listener end that may keep strangers from relaying."""
    classes = {name: place.text(name) for name in split_list(place.text("smtpd_restriction_classes"))}
    return {parameter: end_of_list(place.text(parameter), classes) for parameter in _RELAY_LISTS}


def protecting_list(place: Place) -> str:
    """The list that keeps strangers from relaying: the one whose permits matter. Empty: none does."""
    return next((parameter for parameter, end in _ends(place).items() if end.closed), "")


def _may_refuse_otherwise(place: Place) -> bool:
    """Could something refuse strangers that is no matter of destinations? `gatepost prove` looks closer."""
    assert place.service is not None
    if place.service.name.rpartition(":")[0].strip("[]") in ("localhost", "127.0.0.1", "::1"):
        return True
    for parameter in RESTRICTION_LISTS:
        for item in flat(place, list_items(place.text(parameter))):
            ends = item.name in ("reject", "defer", "defer_if_permit") or item.name in RELAY_PROTECTION
            asks = parameter in _RELAY_LISTS and (item.table or item.name == "check_policy_service")
            if not item.warned and (asks or item.name == "defer_if_permit" or (ends and parameter not in _RELAY_LISTS)):
                return True
    return False


@check("relay-open", Severity.ERROR, "no list keeps strangers from sending anywhere")
def relay_open(subject: Subject) -> Iterator[Remark]:
    """Neither smtpd_relay_restrictions nor smtpd_recipient_restrictions refuses foreign destinations before
    everything is permitted. Postfix and Gatepost do not start with a configuration that shows no protection at all,
    but a `permit` in the wrong place they may not see. `gatepost prove` follows all lists, and tells for sure. Let
    smtpd_relay_restrictions end with reject_unauth_destination."""
    for place in subject.listeners:
        if not protecting_list(place) and not _may_refuse_otherwise(place):
            everybody = [parameter for parameter, end in _ends(place).items() if end.open]
            message = "everybody may send to any destination through this listener"
            remedy = "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination"
            yield place.remark(everybody[0] if everybody else "smtpd_relay_restrictions", message, remedy)


@check("permit-before-relay-protection", Severity.ERROR, "`permit` stands before reject_unauth_destination")
def permit_before_protection(subject: Subject) -> Iterator[Remark]:
    """`permit` ends the list for everybody, so that the reject_unauth_destination behind it is never reached and
    that list protects nothing. `permit` may stand at the end only, where it is superfluous."""
    for place, parameter, items in restriction_lists(subject):
        names = [item.name for item in items if not item.warned]
        if "permit" in names and RELAY_PROTECTION & set(names[names.index("permit") :]):
            message = "reject_unauth_destination is never reached: `permit` before it permits everybody"
            yield place.remark(parameter, message, "take `permit` out, or put it at the end")


@check("restriction-after-end", Severity.WARNING, "restrictions behind one that always ends the list")
def restriction_after_end(subject: Subject) -> Iterator[Remark]:
    """Nothing behind `permit`, `reject` or `defer` is ever tried. Often a line was added at the end of a list that
    ends with `permit`. Put it before."""
    for place, parameter, items in restriction_lists(subject):
        for number, item in enumerate(items[:-1]):
            if item.name in FINAL and not (item.warned and item.name != "permit"):
                rest = ", ".join(map(str, items[number + 1 :]))
                if not RELAY_PROTECTION & {each.name for each in items[number + 1 :]} or item.name != "permit":
                    message = f"never reached behind {item.name}: {rest}"
                    yield place.remark(parameter, message, f"put it before {item.name}, or take it out")
                break


@check("relay-protection-only-warns", Severity.ERROR, "warn_if_reject before reject_unauth_destination")
def protection_only_warns(subject: Subject) -> Iterator[Remark]:
    """warn_if_reject turns the restriction behind it into a line in the log. Before reject_unauth_destination it
    opens the relay as far as that list is concerned. Put it before another restriction, or take it out."""
    for place, parameter, items in restriction_lists(subject):
        for item in items:
            if item.warned and item.name in RELAY_PROTECTION and not _protected(items):
                message = f"{item.name} only warns, and refuses nobody"
                yield place.remark(parameter, message, "take warn_if_reject out")


def _protected(items: list[ListItem]) -> bool:
    return any(item.name in RELAY_PROTECTION and not item.warned for item in items)


@check("warn-if-reject-without-effect", Severity.WARNING, "warn_if_reject before something that never rejects")
def warn_without_effect(subject: Subject) -> Iterator[Remark]:
    """warn_if_reject counts for the one restriction behind it. At the end of a list or before `permit...` it does
    nothing; what it was meant for still rejects."""
    for place, parameter, items in restriction_lists(subject):
        words = place.items(parameter)
        if words and words[-1].lower() == "warn_if_reject":
            yield place.remark(parameter, "warn_if_reject stands at the end", "put a restriction behind it")
        for item in items:
            if item.warned and item.name.startswith("permit"):
                message = f"warn_if_reject before {item.name}, which rejects nobody"
                yield place.remark(parameter, message, "put warn_if_reject before the restriction that is meant")


@check("own-clients-permitted-too-late", Severity.WARNING, "own clients are permitted behind reject_unauth_destination")
def permitted_too_late(subject: Subject) -> Iterator[Remark]:
    """In the list that refuses foreign destinations permit_mynetworks and permit_sasl_authenticated must come
    first: who sends to a foreign destination is refused before they are reached, with `Relay access denied`."""
    for place in subject.servers:
        parameter = protecting_list(place)
        items = list(flat(place, list_items(place.text(parameter)))) if parameter else []
        stops = [number for number, item in enumerate(items) if item.name in RELAY_PROTECTION and not item.warned]
        late = [item for item in items[stops[0] + 1 :] if item.name in _OWN_CLIENTS] if stops else []
        before = {item.name for item in items[: stops[0]]} if stops else set()
        for item in late:
            if item.name not in before:
                message = f"{item.name} is reached by mail for own destinations only"
                yield place.remark(parameter, message, f"put it before {items[stops[0]].name}")


@check("own-clients-checked-first", Severity.WARNING, "DNS lists are asked before own clients are permitted")
def own_clients_checked(subject: Subject) -> Iterator[Remark]:
    """Homes and mobile networks are in lists of dynamic addresses. A reject_rbl_client before permit_mynetworks or
    permit_sasl_authenticated in the same list refuses your own users' mail. Put the permits first."""
    for place, parameter, items in restriction_lists(subject):
        names = [item.name for item in items]
        for number, item in enumerate(items):
            late = [name for name in names[number + 1 :] if name in _OWN_CLIENTS]
            if item.name in ("reject_rbl_client", "reject_unknown_client_hostname") and not item.warned and late:
                message = f"{item} comes before {late[0]}: own clients are refused, too"
                yield place.remark(parameter, message, f"put {late[0]} first")
                break


@check("restriction-listed-twice", Severity.NOTE, "the same restriction twice in one list")
def restriction_twice(subject: Subject) -> Iterator[Remark]:
    """The second one has nothing left to decide: it is asked the same question again. Take it out; it costs a
    lookup for every recipient."""
    for place, parameter, items in restriction_lists(subject):
        seen: set[tuple[str, str | None]] = set()
        for item in items:
            key = (item.name, item.argument)
            if key in seen and not item.warned and item.name not in ("sleep", *FINAL):
                yield place.remark(parameter, f"{item} stands here twice", "take the second one out")
            if not item.warned:
                seen.add(key)


def _needs(item: ListItem) -> str:
    """The command that a restriction waits for."""
    name = item.name
    if name == "reject_multi_recipient_bounce":
        return ""
    if name in RELAY_PROTECTION or "recipient" in name or name in ("permit_auth_destination", "permit_mx_backup"):
        return "RCPT TO"
    if "sender" in name:
        return "MAIL FROM"
    return "HELO" if "helo" in name else ""


_TOO_EARLY = {
    "smtpd_client_restrictions": ("HELO", "MAIL FROM", "RCPT TO"),
    "smtpd_helo_restrictions": ("MAIL FROM", "RCPT TO"),
    "smtpd_sender_restrictions": ("RCPT TO",),
}


@check("restriction-too-early", Severity.ERROR, "a restriction in a list that is evaluated before its command")
def restriction_too_early(subject: Subject) -> Iterator[Remark]:
    """With smtpd_delay_reject = no each list is evaluated at its own command: a check of the recipient in
    smtpd_client_restrictions has no recipient to check, and lets everybody pass. Move it to the list of its
    command, or leave smtpd_delay_reject at `yes`."""
    for place, parameter, items in restriction_lists(subject):
        if place.text("smtpd_delay_reject").lower() == "no":
            for item in items:
                if _needs(item) and _needs(item) in _TOO_EARLY.get(parameter, ()):
                    message = f"{item} needs {_needs(item)}, and smtpd_delay_reject = no: it is passed over"
                    yield place.remark(parameter, message, "move it, or take smtpd_delay_reject = no out")


@check("recipient-check-after-recipients", Severity.WARNING, "a check of the recipient at DATA")
def recipient_check_late(subject: Subject) -> Iterator[Remark]:
    """At DATA and at the end of the message there is a recipient to look at only if there is a single one. With two
    recipients a check_recipient_access in smtpd_data_restrictions is passed over. Put it into
    smtpd_recipient_restrictions."""
    for place, parameter, items in restriction_lists(subject):
        if parameter in ("smtpd_data_restrictions", "smtpd_end_of_data_restrictions"):
            for item in items:
                if _needs(item) == "RCPT TO":
                    message = f"{item} is passed over for mail with several recipients"
                    yield place.remark(parameter, message, "put it into smtpd_recipient_restrictions")


@check("submission-open", Severity.NOTE, "a submission port that takes mail from strangers")
def submission_open(subject: Subject) -> Iterator[Remark]:
    """Ports 587 and 465 are for users who log in. If no list of that listener ends with `reject`, strangers can
    hand in mail for your own domains there, past what port 25 does against spam. Add `-o
    smtpd_relay_restrictions=permit_sasl_authenticated,reject` to its line."""
    for place in subject.listeners:
        assert place.service is not None
        port = place.service.name.rpartition(":")[2]
        if port in ("submission", "587", "submissions", "smtps", "465") and not _closed(place):
            remedy = "-o smtpd_relay_restrictions=permit_sasl_authenticated,reject"
            service = place.service
            message = f"{service.name} takes mail for own domains from everybody"
            yield Remark(service.path, service.line, "smtpd_relay_restrictions", message, remedy)


def _closed(place: Place) -> bool:
    names = ("client", "helo", "sender", "relay", "recipient")
    lists = [flat(place, list_items(place.text(f"smtpd_{name}_restrictions"))) for name in names]
    return any(item.name in ("reject", "defer") and not item.warned for items in lists for item in items)
