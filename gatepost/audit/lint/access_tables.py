"""Checks of access tables: what their results do, and which of their keys are never asked for (access(5))."""

from collections.abc import Iterator
from typing import NamedTuple

from gatepost.audit.lint.address_lists import is_private
from gatepost.audit.lint.finding import Remark, Severity
from gatepost.audit.lint.nearest import nearest
from gatepost.audit.lint.registry import check
from gatepost.audit.lint.restriction_items import (
    BARE_TABLE,
    ListItem,
    class_names,
    flat,
    list_items,
    restriction_lists,
)
from gatepost.audit.lint.restriction_order import RELAY_PROTECTION, protecting_list
from gatepost.audit.lint.subject import Place, Subject
from gatepost.audit.lint.table_rows import INDEXED, Row, split_spec
from gatepost.restrictions.registry import REMOVED, find, registered
from gatepost.tables.network import parse_address, parse_network

ACTIONS = (
    "OK",
    "RELAY",
    "REJECT",
    "DEFER",
    "DEFER_IF_REJECT",
    "DEFER_IF_PERMIT",
    "DUNNO",
    "DISCARD",
    "HOLD",
    "FILTER",
    "REDIRECT",
    "BCC",
    "PREPEND",
    "INFO",
    "WARN",
    "HANGUP",
)
_CLAIMED = ("check_sender_access", "check_helo_access")
_NO_OK = ("_a_access", "_mx_access", "_ns_access", "_reverse_client_hostname_access")
_MAIL = ("check_sender_access", "check_recipient_access")
_HOSTS = ("check_client_access", "check_helo_access", "check_reverse_client_hostname_access")


class Use(NamedTuple):
    """A table, and the restriction that asks it."""

    place: Place
    parameter: str
    restriction: str
    spec: str

    @property
    def path(self) -> str:
        return split_spec(self.spec)[1]

    def remark(self, row: Row, message: str, remedy: str) -> Remark:
        """At the row; at the parameter, if the table is written there."""
        if not row.line:
            return self.place.remark(self.parameter, f"{self.spec}: {message}", remedy)
        return Remark(self.path, row.line, self.parameter, message, remedy)


def _use(place: Place, parameter: str, item: ListItem) -> Use | None:
    if not item.table or item.name == "check_ccert_access":
        return None
    restriction = item.name or BARE_TABLE.get(parameter, "")
    return Use(place, parameter, restriction, item.table) if restriction else None


def _uses(subject: Subject) -> Iterator[tuple[Use, list[Row]]]:
    """Each table that a restriction asks, once for each restriction, with what is in it."""
    seen = set()
    for place, parameter, items in restriction_lists(subject):
        for item in items:
            use = _use(place, parameter, item)
            if use is not None and (use.restriction, use.spec) not in seen:
                seen.add((use.restriction, use.spec))
                yield use, subject.rows(use.spec) or []


def _permits(row: Row) -> bool:
    word = row.value.split()[0].upper() if row.value.split() else ""
    return word in ("OK", "RELAY") or row.value.isdigit() or word == "PERMIT"


def _before_protection(place: Place) -> Iterator[tuple[str, ListItem]]:
    """What is asked before strangers are kept from relaying."""
    parameter = protecting_list(place)
    for item in flat(place, list_items(place.text(parameter))) if parameter else ():
        if item.name in RELAY_PROTECTION and not item.warned:
            return
        yield parameter, item


@check("claim-permits-relay", Severity.ERROR, "a table of senders or HELO names lets strangers relay")
def claim_permits(subject: Subject) -> Iterator[Remark]:
    """OK in a table that is asked before reject_unauth_destination lets the client send anywhere. What a client
    says in HELO or MAIL FROM it has chosen itself: whoever claims to be that sender may relay. Put the table behind
    reject_unauth_destination, or into smtpd_sender_restrictions, or answer DUNNO."""
    for place in subject.servers:
        for parameter, item in _before_protection(place):
            use = _use(place, parameter, item)
            if use is not None and use.restriction in _CLAIMED:
                for row in subject.rows(use.spec) or ():
                    if _permits(row):
                        message = f"{row.key} {row.value}: whoever claims this may send anywhere"
                        remedy = "move the table behind reject_unauth_destination, or write DUNNO"
                        yield use.remark(row, message, remedy)


@check("recipient-permits-relay", Severity.WARNING, "a table of recipients permits foreign destinations")
def recipient_permits(subject: Subject) -> Iterator[Remark]:
    """OK for a recipient before reject_unauth_destination relays mail to it for everybody. `postmaster@ OK` means
    the postmaster of every domain there is. Put the table behind reject_unauth_destination."""
    for place in subject.servers:
        for parameter, item in _before_protection(place):
            use = _use(place, parameter, item)
            if use is not None and use.restriction == "check_recipient_access":
                own = _own_domains(place)
                for row in subject.rows(use.spec) or ():
                    domain = row.key.rpartition("@")[2].lstrip(".")
                    if _permits(row) and not (domain and domain in own):
                        message = f"{row.key} {row.value}: everybody may send there, by way of this server"
                        yield use.remark(row, message, "move the table behind reject_unauth_destination")


def _own_domains(place: Place) -> set[str]:
    lists = ("mydestination", "relay_domains", "virtual_alias_domains", "virtual_mailbox_domains")
    return {item.lower() for name in lists for item in place.items(name)}


@check("clients-permitted-widely", Severity.ERROR, "a table of clients lets strangers relay")
def clients_permitted(subject: Subject) -> Iterator[Remark]:
    """OK in a table of clients that is asked before reject_unauth_destination lets those clients send anywhere. The
    key `unknown` is every client without a name in DNS, an address of one octet is 16,777,216 clients, and
    `static:OK` is everybody. List the addresses that are meant."""
    for place in subject.servers:
        for parameter, item in _before_protection(place):
            use = _use(place, parameter, item)
            if use is not None and use.restriction == "check_client_access":
                for row in subject.rows(use.spec) or ():
                    if _permits(row) and (who := _strangers(row)):
                        message = f"{row.key} {row.value}: {who} may send anywhere"
                        yield use.remark(row, message, "list the addresses that are meant")


def _strangers(row: Row) -> str:
    """Of whom strangers are a part; empty: of nobody in this row."""
    if row.key in ("*", *_EVERYTHING):
        return "everybody"
    if row.key == "unknown":
        return "every client without a name"
    network = row.network
    if network is None and row.key.isdigit() and int(row.key) < 256:
        network = parse_network(f"{row.key}.0.0.0/8")
    if network is not None and network.prefix <= (8 if network.bits == 32 else 32) and not is_private(network):
        return "a large part of the Internet"
    return ""


@check("access-ok-forbidden", Severity.ERROR, "OK in a table that may not permit")
def ok_forbidden(subject: Subject) -> Iterator[Remark]:
    """Mail exchangers, name servers and reverse names are written by strangers, so that tables about them may
    refuse and not permit: OK is answered 451 4.3.5. Write DUNNO for an exception."""
    for use, rows in _uses(subject):
        if use.restriction.endswith(_NO_OK):
            for row in rows:
                if _permits(row):
                    message = f"{row.key} {row.value}: {use.restriction} may not permit"
                    yield use.remark(row, message, "write DUNNO")


@check("access-result-unknown", Severity.ERROR, "a result of an access table that means nothing")
def result_unknown(subject: Subject) -> Iterator[Remark]:
    """The result is an action of access(5) (OK, REJECT, DUNNO, ...), a reply such as `550 text`, or the names of
    restrictions and classes. Anything else is answered 451 4.3.5 to those whom the entry is about."""
    names = {name for entry in registered() for name in (entry.name, *entry.aliases)} | REMOVED.keys()
    for use, rows in _uses(subject):
        classes = class_names(use.place)
        for row in rows:
            word = row.value.replace(",", " ").split()[0] if row.value.replace(",", " ").split() else ""
            known = word.upper() in ACTIONS or word.lower() in {*names, "warn_if_reject"} or word in classes
            if word and not known and not _is_reply(row.value):
                meant = nearest(word.upper(), ACTIONS) or nearest(word.lower(), [*names, *classes])
                remedy = f"did you mean {meant}?" if meant else "write an action of access(5)"
                yield use.remark(row, f"{row.key}: the result {row.value} means nothing", remedy)


def _is_reply(value: str) -> bool:
    if value.isdigit() or "$" in value:
        return True
    return value[:3].isdigit() and value[0] in "45" and value[3:4] in (" ", "\t")


@check("access-number-permits", Severity.ERROR, "a reply code without text, which permits")
def number_permits(subject: Subject) -> Iterator[Remark]:
    """A result that is a number and nothing else means OK, whatever the number: `554` permits, `554 No` refuses.
    Add a text, or write REJECT."""
    for use, rows in _uses(subject):
        for row in rows:
            if row.value.isdigit() and row.value[0] in "45" and len(row.value) == 3:
                yield use.remark(row, f"{row.key} {row.value}: a number alone permits", "write REJECT, or add a text")


@check("access-result-names-table", Severity.ERROR, "a table named in the result of an access table")
def result_names_table(subject: Subject) -> Iterator[Remark]:
    """Results may name restrictions without tables only, since tables are opened at start: this one is answered 451
    4.3.5. Make a class of it in smtpd_restriction_classes and name the class."""
    for use, rows in _uses(subject):
        for row in rows:
            words = row.value.replace(",", " ").split()
            if words and find(words[0]) is not None and any(":" in word for word in words[1:]):
                message = f"{row.key}: the result {row.value} names a table"
                yield use.remark(row, message, "put it into a restriction class, and name the class")


@check("access-key-dot-domain", Severity.WARNING, "`.domain` as a key, while parent domains match without the dot")
def key_dot_domain(subject: Subject) -> Iterator[Remark]:
    """While parent_domain_matches_subdomains has smtpd_access_maps, as it has by default, the key `example.com` is
    for its subdomains, too, and `.example.com` is never asked for. Without it, it is the other way round."""
    for use, rows in _uses(subject):
        if split_spec(use.spec)[0] not in INDEXED or "smtpd_access_maps" not in use.place.items(_PARENTS):
            continue
        for row in rows:
            if row.key.startswith(".") and use.restriction in (*_MAIL, *_HOSTS):
                remedy = f"write {row.key[1:]}: it holds subdomains, too"
                yield use.remark(row, f"{row.key} is never asked for", remedy)


_PARENTS = "parent_domain_matches_subdomains"


@check("access-key-network", Severity.WARNING, "a network with a mask as a key of an indexed table")
def key_network(subject: Subject) -> Iterator[Remark]:
    """Indexed tables (`hash:`, `lmdb:`, ...) are asked for the address and for what is left of it when octets are
    taken off: `192.168.1`, `192.168`. A key such as `192.168.1.0/24`, `192.168.1.` or `192.168.1.*` is never asked
    for. Use a `cidr:` table, or the octets without a dot at the end."""
    for use, rows in _uses(subject):
        if split_spec(use.spec)[0] in INDEXED and use.restriction == "check_client_access":
            for row in rows:
                octets, slash, _ = row.key.partition("/")
                numeric = octets[:1].isdigit() and not set(octets) - set("0123456789.:*abcdef")
                if numeric and (slash or octets.endswith((".", "*"))):
                    message = f"{row.key} is never asked for in a table of this type"
                    yield use.remark(row, message, f"use a cidr: table, or the key {octets.rstrip('.*')}")


@check("access-key-wrong-kind", Severity.WARNING, "a key of a kind that the restriction never asks for")
def key_wrong_kind(subject: Subject) -> Iterator[Remark]:
    """check_client_access asks for host names and addresses, check_sender_access and check_recipient_access for
    mail addresses, domains and `user@`. Often a table was put behind the wrong restriction."""
    for use, rows in _uses(subject):
        if split_spec(use.spec)[0] not in INDEXED:
            continue
        for row in rows:
            if use.restriction in _HOSTS and "@" in row.key:
                message = f"{row.key} is a mail address: {use.restriction} asks for host names and addresses"
                yield use.remark(row, message, "ask the table by check_sender_access or check_recipient_access")
            elif use.restriction in _MAIL and parse_address(row.key) is not None:
                message = f"{row.key} is an IP address: {use.restriction} asks for mail addresses"
                yield use.remark(row, message, "ask the table by check_client_access")
            elif use.restriction in _MAIL and row.key.startswith("@"):
                message = f"{row.key} is never asked for in an access table"
                yield use.remark(row, message, f"write {row.key[1:]}")


@check("access-rule-shadowed", Severity.WARNING, "a rule behind one that matches all that it matches")
def rule_shadowed(subject: Subject) -> Iterator[Remark]:
    """In `cidr:`, `regexp:` and `pcre:` tables the first rule that matches decides. A network inside one that
    stands before it, a pattern that stands there twice, and everything behind `/./` decide nothing. Put the narrow
    rules first."""
    done = set()
    for _, parameter, value in subject.set_values():
        for word in value.replace(",", " ").split():
            if word.removeprefix("proxy:").startswith(("cidr:/", "regexp:/", "pcre:/")) and word not in done:
                done.add(word)
                yield from _shadowed(split_spec(word)[1], parameter, subject.rows(word) or [])


def _shadowed(path: str, parameter: str, rows: list[Row]) -> Iterator[Remark]:
    before: list[Row] = []
    for row in rows:
        for early in before:
            inside = early.network is not None and row.network is not None and early.network.contains(row.network)
            if inside or early.key == row.key or early.key in _EVERYTHING:
                message = f"{row.key} decides nothing: {early.key} in line {early.line} matches first"
                yield Remark(path, row.line, parameter, message, "put it before that line, or take it out")
                break
        before.append(row)


_EVERYTHING = {"/./", "/.*/", "/^/", "/$/", "/^.*$/", "/.+/", "/^.*/", "/.*$/", "//"}


