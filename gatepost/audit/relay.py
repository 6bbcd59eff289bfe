"""Who may relay through a listener, in one sentence.

Read from smtpd_relay_restrictions and smtpd_recipient_restrictions: what can permit a foreign destination before
something refuses it. Tables count as able to permit: what is in them may change at any time.
"""

from collections.abc import Mapping
from typing import NamedTuple

from gatepost.restrictions import compile as _registers  # noqa: F401 - without it `find` knows no restriction
from gatepost.restrictions.parameters import AccessParameters
from gatepost.restrictions.registry import find
from gatepost.tables.braces import split_items

EVERYBODY = "everybody"
_STOPS = frozenset(("reject", "defer", "reject_unauth_destination", "defer_unauth_destination"))
_OWN_DESTINATIONS = "mydestination, virtual_alias_domains, virtual_mailbox_domains and relay_domains"
_BACKUP_DESTINATIONS = f"{_OWN_DESTINATIONS}, and to domains that name this host as a backup mail exchanger"
# Tables that may refuse, but where OK is a mistake (restrictions.not_ok).
_PERMIT_NOTHING = ("_a_access", "_mx_access", "_ns_access", "_reverse_client_hostname_access")


class Grants(NamedTuple):
    """Whom a list lets send anywhere, and whether nobody else gets past its end."""

    who: list[str]
    closed: bool


def grants(text: str, params: AccessParameters) -> Grants:
    """What one restriction list permits."""
    return _grants(split_items(text), params, params.classes, frozenset())


def _grants(items: list[str], params: AccessParameters, classes: Mapping[str, str], within: frozenset[str]) -> Grants:
    who: list[str] = []
    words = iter(items)
    warn = False
    for word in words:
        name = word.lower()
        if name == "warn_if_reject":
            warn = True
            continue
        entry = find(word)
        argument = ""
        if entry is not None and entry.argument:
            argument = next(words, "")
        if name == "permit":
            return Grants([*who, EVERYBODY], False)
        if name in _STOPS:
            if not warn:
                return Grants(who, True)
        elif word in classes and word not in within:
            inner = _grants(split_items(classes[word]), params, classes, within | {word})
            who += inner.who
            if inner.closed or EVERYBODY in inner.who:
                return Grants(who, inner.closed)
        else:
            who += _permitted(word, name, argument, params)
        warn = False
    return Grants(who, False)


def _permitted(word: str, name: str, argument: str, params: AccessParameters) -> list[str]:
    if name == "permit_mynetworks":
        return ["clients in mynetworks"]
    if name == "permit_sasl_authenticated":
        return ["clients that have authenticated"] if params.smtpd_sasl_auth_enable else []
    if name == "permit_tls_clientcerts":
        return ["clients with a certificate that relay_clientcerts has"] if params.relay_clientcerts else []
    if name == "permit_tls_all_clientcerts":
        return ["clients with any certificate that can be verified"]
    if name == "permit_inet_interfaces":
        return ["connections from this host's own addresses"]
    if ":" in word:
        return [f"whoever {word} permits"]
    if name.startswith("check_") and argument and not name.endswith(_PERMIT_NOTHING):
        return [f"whoever {name} {argument} permits"]
    return []


def who_may_relay(params: AccessParameters) -> str:
    """One sentence about a listener that requires relay protection (restrictions.compile)."""
    relay = grants(params.smtpd_relay_restrictions, params)
    recipient = grants(params.smtpd_recipient_restrictions, params)
    who = relay if relay.closed else recipient
    texts = (params.smtpd_relay_restrictions, params.smtpd_recipient_restrictions, *params.classes.values())
    backup = any("permit_mx_backup" in map(str.lower, split_items(text)) for text in texts)
    destinations = _BACKUP_DESTINATIONS if backup else _OWN_DESTINATIONS
    named = list(dict.fromkeys(who.who))
    if named == [EVERYBODY] or (not relay.closed and not recipient.closed):
        return "Everybody may send to any destination: this is an open relay."
    if not named:
        return f"Nobody may send to other destinations than {destinations}."
    also = list(dict.fromkeys(recipient.who)) if relay.closed and recipient.closed else named
    limit = "" if also == named else f", as far as smtpd_recipient_restrictions lets them ({_and(also) or 'nobody'})"
    sentence = f"{_and(named)} may send to any destination{limit}; all others only to {destinations}."
    return sentence[0].upper() + sentence[1:]


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1] if names else "")))
