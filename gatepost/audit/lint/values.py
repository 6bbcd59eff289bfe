"""Checks of values: what does not mean what its writer meant."""

import re
from collections.abc import Iterator
from itertools import pairwise

from gatepost.audit.lint.finding import Remark, Severity
from gatepost.audit.lint.nearest import nearest
from gatepost.audit.lint.registry import check
from gatepost.audit.lint.subject import Subject
from gatepost.config.declaration import Type
from gatepost.config.parameters import PARAMETERS, find

_SETTING = re.compile(r"(?:^|[\s,])([a-z][a-z0-9_]{4,})\s*=(?![=])", re.ASCII)


@check("value-invalid", Severity.ERROR, "a value that cannot be read")
def value_invalid(subject: Subject) -> Iterator[Remark]:
    """A number that is none, a time with an unknown unit, `yes` misspelt, a `$name` that names itself: nothing that
    reads the parameter starts."""
    for error in subject.configuration.check():
        yield Remark(error.path, error.line, error.parameter, error.message, "correct the value")


@check("comment-in-value", Severity.ERROR, "a comment behind a value, which becomes part of it")
def comment_in_value(subject: Subject) -> Iterator[Remark]:
    """A comment is a line of its own: `#` behind a value is part of the value, and so are the words behind it. In
    mynetworks they are taken for host names."""
    for name, setting in subject.configuration.main.settings.items():
        declared = find(name)
        if declared is None or declared.type is Type.RAW or declared.kind in ("string", "raw string", "characters"):
            continue
        if re.search(r"(?:^|\s)#", setting.value):
            message = "`#` does not begin a comment here: it is part of the value"
            yield subject.main.remark(name, message, "put the comment on a line of its own")


@check("value-quoted", Severity.WARNING, "quotes around a value, which become part of it")
def value_quoted(subject: Subject) -> Iterator[Remark]:
    """main.cf has no quoting. `myhostname = "mail.example.com"` is a name with quotes in it, which no other server
    knows."""
    for name, setting in subject.configuration.main.settings.items():
        value = setting.value
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" and find(name) is not None:
            yield subject.main.remark(name, f"the quotes are part of the value: {value}", f"write {value[1:-1]}")


@check("line-swallowed", Severity.ERROR, "a line that begins with a blank continues the one before it")
def line_swallowed(subject: Subject) -> Iterator[Remark]:
    """A line that begins with a blank belongs to the parameter before it, comment lines between them
    notwithstanding: the setting on it is not made, and the other one has its text in its value. Begin settings in
    the first column."""
    for name, setting in subject.configuration.main.settings.items():
        if "{" in setting.value:
            continue
        for found in _SETTING.finditer(setting.value):
            inner = found.group(1)
            if inner in PARAMETERS:
                message = f"{inner} = ... is part of the value of {name}"
                yield subject.main.remark(name, message, f"begin the line of {inner} in the first column")
                break


@check("choice-unknown", Severity.ERROR, "a level or style that does not exist")
def choice_unknown(subject: Subject) -> Iterator[Remark]:
    """Parameters with a fixed set of values refuse others: at start, or, as TLS levels in Postfix, when the first
    connection is made."""
    for place, name, value in subject.set_values():
        known = CHOICES.get(name)
        if known is not None and value and value.lower() not in known:
            meant = nearest(value.lower(), known)
            remedy = f"did you mean {meant}?" if meant else f"write one of {', '.join(known)}"
            yield place.remark(name, f"{value} is no value that {name} has", remedy)


_CLIENT_LEVELS = ("none", "may", "encrypt", "dane", "dane-only", "fingerprint", "verify", "secure")
_SERVER_LEVELS = ("none", "may", "encrypt")
CHOICES = {
    "smtp_tls_security_level": _CLIENT_LEVELS,
    "lmtp_tls_security_level": _CLIENT_LEVELS,
    "smtpd_tls_security_level": _SERVER_LEVELS,
    "mynetworks_style": ("class", "subnet", "host"),
    "smtp_dns_support_level": ("disabled", "enabled", "dnssec"),
    "smtp_tls_dane_insecure_mx_policy": ("may", "encrypt", "dane"),
    "smtp_address_preference": ("any", "ipv4", "ipv6"),
    "smtpd_sasl_type": ("cyrus", "dovecot"),
    "smtpd_upstream_proxy_protocol": ("haproxy",),
}


@check("mailbox-limit-too-small", Severity.ERROR, "a mailbox may be smaller than a message")
def mailbox_limit(subject: Subject) -> Iterator[Remark]:
    """Postfix's local and virtual delivery agents do not start if mailbox_size_limit or virtual_mailbox_limit is
    smaller than message_size_limit: all local mail is deferred. 0 is no limit."""
    place = subject.main
    message_limit = place.number("message_size_limit")
    for name in ("mailbox_size_limit", "virtual_mailbox_limit"):
        limit = place.number(name)
        if limit > 0 and (limit < message_limit or message_limit == 0):
            parameter = name if place.settings.defined(name) else "message_size_limit"
            text = f"{name} ({limit}) is smaller than message_size_limit ({message_limit or 'none'})"
            yield place.remark(parameter, text, f"raise {name}, or set it to 0")


@check("retry-times-crossed", Severity.WARNING, "a shortest time that is longer than the longest")
def retry_times(subject: Subject) -> Iterator[Remark]:
    """minimal_backoff_time is the first wait, maximal_backoff_time the longest, and maximal_queue_lifetime the end:
    each must be longer than the one before it, or mail is returned after its first failure."""
    names = ("minimal_backoff_time", "maximal_backoff_time", "maximal_queue_lifetime")
    place = subject.main
    for shorter, longer in pairwise(names):
        if place.number(longer) and place.number(shorter) > place.number(longer):
            parameter = shorter if place.settings.defined(shorter) else longer
            yield place.remark(parameter, f"{shorter} is longer than {longer}", f"make {longer} the longer one")


@check("soft-bounce-left-on", Severity.WARNING, "soft_bounce, which keeps mail that should be returned")
def soft_bounce(subject: Subject) -> Iterator[Remark]:
    """soft_bounce = yes turns every final refusal into a temporary one: senders are not told of mistakes for days,
    and spam is tried again and again. It is for the first hours of a new configuration."""
    for place, name, value in subject.set_values():
        if name == "soft_bounce" and value.lower() == "yes":
            yield place.remark(name, "nothing is ever refused for good", "take it out when you have tried it")


@check("banner-without-hostname", Severity.NOTE, "a greeting that does not begin with this host's name")
def banner(subject: Subject) -> Iterator[Remark]:
    """RFC 5321 wants the server's name first in its greeting, and clients use it to notice that they talk to
    themselves."""
    for place in subject.servers:
        text = place.text("smtpd_banner")
        if place.settings.defined("smtpd_banner") and not text.lower().startswith(place.text("myhostname").lower()):
            yield place.remark("smtpd_banner", f'"{text[:50]}" does not begin with the name', "begin with $myhostname")


@check("smuggling-allowed", Severity.WARNING, "line ends by which mail can be smuggled are allowed")
def smuggling(subject: Subject) -> Iterator[Remark]:
    """smtpd_forbid_bare_newline = no takes a bare LF for a line end. Between two servers that disagree on where a
    message ends, a stranger can put a second one into it that seems to come from this server. `normalize` lets old
    clients in and closes the hole."""
    for place in (subject.main, *subject.servers):
        value = place.text("smtpd_forbid_bare_newline").lower()
        if value == "no" and place.settings.defined("smtpd_forbid_bare_newline"):
            message = "a bare LF ends a line, and a message"
            remedy = "smtpd_forbid_bare_newline = normalize, and exceptions in smtpd_forbid_bare_newline_exclusions"
            yield place.remark("smtpd_forbid_bare_newline", message, remedy)


@check("helo-not-required", Severity.NOTE, "tables of HELO names that are passed by without a HELO")
def helo_not_required(subject: Subject) -> Iterator[Remark]:
    """A client that sends no HELO or EHLO is not asked for by check_helo_access and reject_invalid_helo_hostname.
    Where these are used, smtpd_helo_required = yes belongs to them."""
    for place in subject.servers:
        names = [word.lower() for word in place.items("smtpd_helo_restrictions")]
        checks = {"check_helo_access", "reject_invalid_helo_hostname", "reject_non_fqdn_helo_hostname"} & set(names)
        if checks and not place.yes("smtpd_helo_required"):
            message = f"clients without HELO pass by {min(checks)}"
            yield place.remark("smtpd_helo_restrictions", message, "smtpd_helo_required = yes")
