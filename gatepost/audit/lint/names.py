"""Checks of the names of parameters: misspelt, unused, old, of the other program."""

import re
from collections.abc import Iterator

from gatepost.audit.lint.finding import Remark, Severity
from gatepost.audit.lint.nearest import nearest
from gatepost.audit.lint.registry import check
from gatepost.audit.lint.subject import Subject
from gatepost.config.parameters import PARAMETERS, find
from gatepost.config.references import undefined_names, used_names

INSTEAD = {
    "smtpd_use_tls": "smtpd_tls_security_level = may",
    "smtpd_enforce_tls": "smtpd_tls_security_level = encrypt",
    "smtp_use_tls": "smtp_tls_security_level = may",
    "smtp_enforce_tls": "smtp_tls_security_level = encrypt",
    "smtp_tls_enforce_peername": "smtp_tls_security_level = secure",
    "smtp_tls_per_site": "smtp_tls_policy_maps",
    "smtp_tls_cipherlist": "smtp_tls_ciphers",
    "smtpd_tls_cipherlist": "smtpd_tls_ciphers",
    "lmtp_use_tls": "lmtp_tls_security_level = may",
    "lmtp_enforce_tls": "lmtp_tls_security_level = encrypt",
    "lmtp_tls_enforce_peername": "lmtp_tls_security_level = secure",
    "lmtp_tls_per_site": "lmtp_tls_policy_maps",
    "postscreen_use_tls": "postscreen_tls_security_level = may",
    "postscreen_enforce_tls": "postscreen_tls_security_level = encrypt",
    "tlsproxy_use_tls": "tlsproxy_tls_security_level = may",
    "tlsproxy_enforce_tls": "tlsproxy_tls_security_level = encrypt",
    "disable_dns_lookups": "smtp_dns_support_level = disabled",
    "fallback_relay": "smtp_fallback_relay",
    "virtual_maps": "virtual_alias_maps",
    "permit_mx_backup_networks": "relay_domains",
    "maps_rbl_domains": "reject_rbl_client in a restriction list",
    "authorized_verp_clients": "smtpd_authorized_verp_clients",
    "postscreen_whitelist_interfaces": "postscreen_allowlist_interfaces",
    "postscreen_blacklist_action": "postscreen_denylist_action",
    "postscreen_dnsbl_whitelist_threshold": "postscreen_dnsbl_allowlist_threshold",
    "sun_mailtool_compatibility": "mailbox_delivery_lock",
}
"""Old names, and what has taken their place."""

_SWAPS = (("smtpd_", "smtp_"), ("smtp_", "smtpd_"))


def _swapped(name: str) -> str:
    """The parameter of the other program; empty if there is none."""
    for one, other in _SWAPS:
        if name.startswith(one) and find(other + name.removeprefix(one)) is not None:
            return other + name.removeprefix(one)
    return ""


@check("smtp-and-smtpd-mixed-up", Severity.WARNING, "`smtpd_...` where `smtp_...` is meant, or the other way round")
def mixed_up(subject: Subject) -> Iterator[Remark]:
    """`smtpd_...` is the server that takes mail in, `smtp_...` the client that sends it out.
    smtpd_sasl_password_maps does not exist: the login at the relayhost is smtp_sasl_password_maps."""
    for name in subject.unused:
        other = _swapped(name)
        if other:
            message = f"there is no {name}, and it does nothing"
            yield subject.main.remark(name, message, f"did you mean {other}?")


@check("parameter-misspelt", Severity.WARNING, "a name like that of a parameter")
def misspelt(subject: Subject) -> Iterator[Remark]:
    """A name that is no parameter and that no `$name` uses does nothing, and the parameter that was meant keeps its
    default."""
    for name in subject.unused:
        meant = "" if _swapped(name) else nearest(name, PARAMETERS)
        if meant:
            message = f"there is no parameter {name}, and nothing uses it"
            yield subject.main.remark(name, message, f"did you mean {meant}?")


@check("parameter-unused", Severity.NOTE, "a name that nothing uses")
def unused(subject: Subject) -> Iterator[Remark]:
    """main.cf may set names of your own, for `$name` in other values. This one is used nowhere: it is left over, or
    it belongs to another version."""
    for name in subject.unused:
        if not _swapped(name) and not nearest(name, PARAMETERS):
            yield subject.main.remark(name, f"nothing uses {name}", "take it out")


@check("override-misspelt", Severity.WARNING, "`-o` sets a name that is no parameter")
def override_misspelt(subject: Subject) -> Iterator[Remark]:
    """A `-o` with a name that is no parameter, and that no value uses, does nothing on this line."""
    services = subject.configuration.master
    used = used_names(subject.configuration.main.settings, services)
    for place in subject.places[1:]:
        assert place.service is not None
        for name in place.service.overrides:
            if name not in used and find(name) is None:
                meant = _swapped(name) or nearest(name, PARAMETERS)
                remedy = f"did you mean {meant}?" if meant else "take it out"
                yield place.remark(name, f"{place.service.name}: there is no parameter {name}", remedy)


@check("override-for-other-program", Severity.WARNING, "`-o` sets a parameter that this program does not read")
def override_for_other(subject: Subject) -> Iterator[Remark]:
    """`-o` counts for the program of its line alone. `-o smtpd_...` on a line of smtp, `-o smtp_...` on a line of
    smtpd or `-o header_checks=` on a line of smtpd (cleanup reads it) does nothing."""
    for place in subject.places[1:]:
        service = place.service
        assert service is not None
        texts = " ".join(service.overrides.values())
        for name in service.overrides:
            declared = PARAMETERS.get(name)
            owners = declared.owner.split() if declared is not None else []
            named = f"${name}" in texts or f"{{{name}" in texts
            if not owners or named or {"all", service.program} & set(owners):
                continue
            if service.program in ("smtpd", "smtp") and not _reaches(service.program, name):
                message = f"{service.name}: {service.program} does not read {name}, but {', '.join(owners)}"
                meant = _swapped(name)
                remedy = f"did you mean {meant}?" if meant else f"put it on the line of {owners[0]}, or into main.cf"
                yield place.remark(name, message, remedy)


def _reaches(program: str, name: str) -> bool:
    """Does a default of a parameter that the program reads name this one?"""
    for declared in PARAMETERS.values():
        if program in declared.owner.split() and (f"${name}" in declared.default or f"{{{name}" in declared.default):
            return True
    return False


@check("parameter-deprecated", Severity.NOTE, "a parameter that has a successor")
def deprecated(subject: Subject) -> Iterator[Remark]:
    """These names still work, and Postfix announces their end. Where the successor is set, too, the old one is not
    even read."""
    for place, name, _ in subject.set_values():
        if name in INSTEAD:
            yield place.remark(name, f"{name} is deprecated", f"use {INSTEAD[name]}")


@check("parameter-set-twice", Severity.WARNING, "a parameter that main.cf sets twice")
def set_twice(subject: Subject) -> Iterator[Remark]:
    """The last of several lines counts, and the one that you are looking at may not be it. Keep one."""
    for text in subject.configuration.main.warnings:
        found = re.search(r", line (\d+): overriding earlier entry: ([^=]+)=(.*)$", text, re.S)
        if found is not None:
            name = found.group(2)
            message = f'this is its second value; before it was "{found.group(3)[:60]}"'
            yield Remark(subject.configuration.main.path, int(found.group(1)), name, message, "keep one line")


@check("macro-undefined", Severity.WARNING, "`$name` of something that nothing defines")
def macro_undefined(subject: Subject) -> Iterator[Remark]:
    """A `$name` without a definition is replaced by nothing. A list loses an item, a path its folder."""
    missing = undefined_names(subject.configuration.main.settings, subject.configuration.master)
    for file, name in missing:
        pattern = re.compile(r"\$[{(]?" + re.escape(name) + r"\b")
        remedy = f"did you mean ${nearest(name, PARAMETERS)}?" if nearest(name, PARAMETERS) else f"define {name}"
        if file == "main.cf":
            for parameter, setting in subject.configuration.main.settings.items():
                if pattern.search(setting.value):
                    yield subject.main.remark(parameter, f"${name} is not defined", remedy)
        for place in subject.places[1:] if file != "main.cf" else ():
            assert place.service is not None
            for parameter, value in place.service.overrides.items():
                if pattern.search(value):
                    yield place.remark(parameter, f"${name} is not defined", remedy)


