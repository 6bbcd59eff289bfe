"""Checks of the address classes: which domains are ours, and which of their recipients exist."""

from collections.abc import Iterator

from gatepost.audit.classes import in_two_classes
from gatepost.audit.lint.finding import Remark, Severity
from gatepost.audit.lint.registry import check
from gatepost.audit.lint.restriction_items import flat, list_items
from gatepost.audit.lint.subject import RESTRICTION_LISTS, Place, Subject
from gatepost.audit.lists import DOMAIN_LISTS
from gatepost.tables.network import parse_address


def _verifies(place: Place) -> bool:
    """Does a list ask, before mail is accepted, whether the recipient exists?"""
    lists = [flat(place, list_items(place.text(parameter))) for parameter in RESTRICTION_LISTS]
    names = ("reject_unverified_recipient", "check_policy_service")
    return any(item.name in names and not item.warned for items in lists for item in items)


def _every_server(subject: Subject) -> bool:
    return all(_verifies(place) for place in subject.servers)


@check("domain-in-two-classes", Severity.WARNING, "a domain that belongs to two address classes")
def domain_in_two_classes(subject: Subject) -> Iterator[Remark]:
    """A domain is local (mydestination), virtual (virtual_alias_domains, virtual_mailbox_domains) or relayed
    (relay_domains). If it is in two lists, the first of these counts, its users are looked for in the wrong table,
    and Postfix warns at every message. Take it out of all lists but one."""
    place = subject.main
    lists = {parameter: subject.match_list(place, parameter) for parameter in DOMAIN_LISTS}
    compiled = {name: matches for name, matches in lists.items() if matches is not None}
    if len(compiled) == len(lists):
        for error in in_two_classes(compiled, place.settings):
            remedy = "take it out of one of the lists"
            yield place.remark(error.parameter, error.message.partition(";")[0], remedy)


@check("relay-domain-without-recipients", Severity.WARNING, "relay domains take mail for users that do not exist")
def relay_without_recipients(subject: Subject) -> Iterator[Remark]:
    """Without relay_recipient_maps any user of a relay domain is accepted. The server behind refuses those that do
    not exist, and the bounce goes to a sender who is mostly forged: backscatter, for which servers are listed. Set
    relay_recipient_maps, or reject_unverified_recipient in smtpd_recipient_restrictions. If there is no such list,
    say so with `relay_recipient_maps =`."""
    place = subject.main
    domains = [word for word in place.items("relay_domains") if word not in place.items("mydestination")]
    known = place.text("relay_recipient_maps") or place.settings.defined("relay_recipient_maps")
    if place.settings.defined("relay_domains") and domains and not known and not _every_server(subject):
        message = f"every user of {', '.join(domains[:3])} is accepted, and mail for those who do not exist bounces"
        yield place.remark("relay_domains", message, "set relay_recipient_maps, or use reject_unverified_recipient")


@check("local-recipients-unchecked", Severity.WARNING, "mail is taken for local users that do not exist")
def local_unchecked(subject: Subject) -> Iterator[Remark]:
    """With an empty local_recipient_maps any user of mydestination is accepted, and mail for those who do not exist
    bounces to forged senders. That is right only if something takes all of it (luser_relay, fallback_transport,
    mailbox_transport, another local_transport)."""
    place = subject.main
    takes_all = ("luser_relay", "fallback_transport", "fallback_transport_maps", "mailbox_transport")
    other = place.text("local_transport").partition(":")[0] not in ("local", "")
    emptied = place.settings.defined("local_recipient_maps") and not place.text("local_recipient_maps")
    taken = other or any(map(place.text, takes_all)) or not place.text("mydestination")
    if emptied and not taken and not _every_server(subject):
        message = "local_recipient_maps is empty: mail for unknown users is accepted, and bounces"
        yield place.remark("local_recipient_maps", message, "leave it at its default")


@check("mailbox-domain-without-users", Severity.WARNING, "virtual mailbox domains without a table of their users")
def mailbox_without_users(subject: Subject) -> Iterator[Remark]:
    """Without virtual_mailbox_maps every user of virtual_mailbox_domains is accepted. Mail for those who do not
    exist comes back from the delivery agent and bounces to forged senders. Set virtual_mailbox_maps, also if
    virtual_transport delivers by LMTP, or use reject_unverified_recipient."""
    place = subject.main
    domains = place.settings.defined("virtual_mailbox_domains") and place.text("virtual_mailbox_domains")
    if domains and not place.text("virtual_mailbox_maps") and not _every_server(subject):
        message = "every user of these domains is accepted: virtual_mailbox_maps is empty"
        yield place.remark("virtual_mailbox_domains", message, "set virtual_mailbox_maps")


@check("alias-domain-without-users", Severity.WARNING, "virtual alias domains without a table of their users")
def alias_domain_without_users(subject: Subject) -> Iterator[Remark]:
    """A virtual alias domain has no mailboxes: each address is in virtual_alias_maps, or is refused. Without that
    table all mail for the domain is refused with `User unknown in virtual alias table`."""
    place = subject.main
    domains = place.settings.defined("virtual_alias_domains") and place.text("virtual_alias_domains")
    if domains and not place.text("virtual_alias_maps"):
        message = "all mail for these domains is refused: virtual_alias_maps is empty"
        yield place.remark("virtual_alias_domains", message, "set virtual_alias_maps")


@check("recipient-check-off", Severity.WARNING, "unknown recipients are accepted")
def recipient_check_off(subject: Subject) -> Iterator[Remark]:
    """smtpd_reject_unlisted_recipient = no accepts mail for users that no table lists, unless
    reject_unlisted_recipient stands in a list. It bounces later, to senders who are mostly forged."""
    for place in subject.servers:
        lists = [flat(place, list_items(place.text(name))) for name in RESTRICTION_LISTS]
        asked = any(item.name == "reject_unlisted_recipient" for items in lists for item in items)
        own = place.sets("smtpd_reject_unlisted_recipient") or not place.service
        inherited = subject.main.sets("smtpd_reject_unlisted_recipient") and not own
        off = place.text("smtpd_reject_unlisted_recipient").lower() == "no"
        # A listener behind a filter switches it off by -o, since the first listener has looked already.
        if off and (inherited or place.service is None) and not asked and not _verifies(place):
            message = "mail for recipients that do not exist is accepted, and bounces"
            yield place.remark("smtpd_reject_unlisted_recipient", message, "leave it at `yes`")


@check("domain-with-at", Severity.ERROR, "a mail address in a list of domains")
def domain_with_at(subject: Subject) -> Iterator[Remark]:
    """These lists hold domains. An item with `@` matches nothing, so that mail for the domain is refused or
    relayed. Write the domain alone."""
    for parameter in (*DOMAIN_LISTS, "myhostname", "mydomain", "relayhost"):
        for word in subject.main.items(parameter):
            if "@" in word and ":" not in word and not word.startswith(("/", "!/")):
                remedy = f"write {word.rpartition('@')[2] or 'the domain'}"
                yield subject.main.remark(parameter, f"{word} is no domain", remedy)


@check("domain-is-address", Severity.WARNING, "an IP address in a list of domains")
def domain_is_address(subject: Subject) -> Iterator[Remark]:
    """Mail for `user@[192.0.2.1]` is local if the address is in inet_interfaces or proxy_interfaces; an address in
    mydestination or relay_domains matches nothing. For an address behind NAT set proxy_interfaces."""
    for parameter in DOMAIN_LISTS:
        for word in subject.main.items(parameter):
            plain = word.lstrip("!").removeprefix("[").removesuffix("]").partition("/")[0]
            if subject.main.settings.defined(parameter) and parse_address(plain) is not None:
                message = f"{word} is an address: no mail domain is called so"
                yield subject.main.remark(parameter, message, "list domains; addresses belong into proxy_interfaces")


@check("wildcard-in-domain-list", Severity.WARNING, "`*` in a list of domains")
def wildcard(subject: Subject) -> Iterator[Remark]:
    """Lists of domains know no `*`: `*.example.com` matches nothing. In relay_domains `example.com` holds its
    subdomains as long as parent_domain_matches_subdomains names relay_domains; mydestination never holds
    subdomains."""
    for parameter in DOMAIN_LISTS:
        for word in subject.main.items(parameter):
            if "*" in word and ":" not in word and not word.startswith("/"):
                message = f"{word} matches nothing: there are no wildcards here"
                yield subject.main.remark(parameter, message, "write the domain without `*`")


@check("dot-domain-in-relay-domains", Severity.WARNING, "`.domain` in relay_domains, while the dot is not meant")
def dot_domain(subject: Subject) -> Iterator[Remark]:
    """While parent_domain_matches_subdomains has relay_domains, as it has by default, subdomains belong to their
    domain without a dot, and `.example.com` matches nothing at all. Write `example.com`."""
    place = subject.main
    if "relay_domains" in place.items("parent_domain_matches_subdomains"):
        for word in place.items("relay_domains"):
            if word.lstrip("!").startswith(".") and place.settings.defined("relay_domains"):
                message = f"{word} matches nothing"
                yield place.remark("relay_domains", message, f"write {word.replace('.', '', 1)}")


@check("hostname-not-qualified", Severity.WARNING, "myhostname is no full name")
def hostname_not_qualified(subject: Subject) -> Iterator[Remark]:
    """The name stands in greetings, in HELO and in Received: lines. Many servers refuse a HELO without a domain,
    and the name localhost. Set myhostname to the name that DNS has for this host's address."""
    place = subject.main
    name = place.text("myhostname").lower()
    bare = "." not in name or name.split(".")[0] == "localhost"
    if place.settings.defined("myhostname") and name and bare:
        yield place.remark("myhostname", f"{name} is no name that other servers know", "write the full name")


@check("own-domain-not-local", Severity.WARNING, "mail for this host's own name is not delivered here")
def own_domain_not_local(subject: Subject) -> Iterator[Remark]:
    """myorigin is added to addresses without a domain, as those of cron and the system are. If it is this host's
    name and the name is in none of the lists of domains, that mail goes to DNS and comes back: `mail for NAME loops
    back to myself`. Add $myhostname to mydestination, or set myorigin to a domain."""
    place = subject.main
    origin = place.text("myorigin").lower()
    if not place.settings.defined("mydestination") or place.text("relayhost") or not origin:
        return
    if origin != place.text("myhostname").lower() or place.text("default_transport").partition(":")[0] != "smtp":
        return
    words = {word.lower() for parameter in DOMAIN_LISTS for word in place.items(parameter)}
    if words and origin not in words and not any(":" in word or word.startswith("/") for word in words):
        message = f"mail for {origin}, this host's own name, is sent out and loops"
        yield place.remark("mydestination", message, "add $myhostname, or set myorigin")
