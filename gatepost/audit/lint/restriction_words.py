"""Checks of the restrictions themselves: names, arguments, classes."""

from collections.abc import Iterator

from gatepost.audit.lint.finding import Remark, Severity
from gatepost.audit.lint.nearest import nearest
from gatepost.audit.lint.registry import check
from gatepost.audit.lint.restriction_items import class_names, list_items, restriction_lists
from gatepost.audit.lint.subject import Subject
from gatepost.restrictions.dns_list import BadPattern, DnsList
from gatepost.restrictions.registry import REMOVED, find, registered

_OLD_BUT_WORKING = {"permit_mx_backup": "relay_domains and relay_recipient_maps"}


@check("restriction-unknown", Severity.ERROR, "a restriction that nobody knows")
def restriction_unknown(subject: Subject) -> Iterator[Remark]:
    """When an unknown name is reached, the client is answered 451 4.3.5 `Server configuration error`, whatever it
    wanted to send. Correct the name; a class of your own is declared in smtpd_restriction_classes."""
    names = [name for entry in registered() for name in (entry.name, *entry.aliases)]
    for place, parameter, items in restriction_lists(subject):
        classes = class_names(place)
        for item in items:
            known = item.restriction is not None or item.name in ("", *REMOVED) or item.written in classes
            if not known:
                meant = nearest(item.name, [*names, *classes])
                remedy = f"did you mean {meant}?" if meant else "correct it, or declare it as a restriction class"
                yield place.remark(parameter, f"{item.written}: there is no such restriction", remedy)


@check("restriction-removed", Severity.ERROR, "a restriction that Postfix has removed")
def restriction_removed(subject: Subject) -> Iterator[Remark]:
    """These names were deprecated for long and are gone since Postfix 3.9: who comes so far is answered 451 4.3.5.
    The remedy names what has taken their place."""
    for place, parameter, items in restriction_lists(subject):
        for item in items:
            if item.restriction is None and item.name in REMOVED:
                yield place.remark(parameter, f"{item.name} was removed from Postfix", f"specify {REMOVED[item.name]}")


@check("restriction-renamed", Severity.NOTE, "the old name of a restriction")
def restriction_renamed(subject: Subject) -> Iterator[Remark]:
    """Old names still work. The new ones say what is looked at: reject_unknown_client_hostname is about the
    client's name in DNS, reject_unknown_helo_hostname about what it says."""
    for place, parameter, items in restriction_lists(subject):
        for item in items:
            if item.restriction is not None and item.written.lower() != item.name:
                message = f"{item.written} is the old name of {item.name}"
                yield place.remark(parameter, message, f"write {item.name}")
            elif item.name in _OLD_BUT_WORKING:
                message = f"{item.name} is deprecated: DNS, which others write, decides what is relayed"
                yield place.remark(parameter, message, f"use {_OLD_BUT_WORKING[item.name]}")


@check("restriction-argument-missing", Severity.ERROR, "a restriction without the table, domain or server it needs")
def argument_missing(subject: Subject) -> Iterator[Remark]:
    """check_client_access needs a table (`hash:/etc/postfix/clients`), reject_rbl_client a domain,
    check_policy_service a server. Without it, or with a file name where `type:name` should be, mail is answered 451
    4.3.5, or the restriction does nothing."""
    for place, parameter, items in restriction_lists(subject):
        for item in items:
            kind = item.restriction.argument if item.restriction is not None else ""
            if kind and item.argument is None:
                yield place.remark(parameter, f"{item.written} has no argument", f"add its {kind}")
            elif kind == "table" and ":" not in (item.argument or ""):
                remedy = f"write the type, too: hash:{item.argument}"
                yield place.remark(parameter, f"{item}: {item.argument} is no type:table", remedy)
            elif kind == "domain" and item.argument is not None and find(item.argument) is not None:
                message = f"{item.written} takes the restriction {item.argument} for a domain"
                yield place.remark(parameter, message, "put the domain of a DNS list behind it")


@check("bare-table-in-list", Severity.ERROR, "a table without a restriction, where none is implied")
def bare_table(subject: Subject) -> Iterator[Remark]:
    """A table alone means check_client_access in smtpd_client_restrictions and so on; in smtpd_data_restrictions
    and smtpd_end_of_data_restrictions it means nothing and is answered 451 4.3.5. Write the restriction before
    it."""
    for place, parameter, items in restriction_lists(subject):
        if parameter in ("smtpd_data_restrictions", "smtpd_end_of_data_restrictions"):
            for item in items:
                if item.name == "":
                    message = f"{item.written}: no restriction says what it is asked for"
                    yield place.remark(parameter, message, f"write check_client_access {item.written}, for instance")


@check("dns-list-pattern", Severity.ERROR, "a pattern of a DNS list that cannot be read")
def dns_list_pattern(subject: Subject) -> Iterator[Remark]:
    """`zone=127.0.0.[2..11]` counts these answers only: four parts, each a number or `[n;m;a..b]`. With a mistake
    in it clients are answered 451 4.3.5."""
    for place, parameter, items in restriction_lists(subject):
        for item in items:
            if item.restriction is not None and item.restriction.argument == "domain" and item.argument:
                try:
                    DnsList.parse(item.argument)
                except BadPattern as bad:
                    yield place.remark(parameter, f"{item}: {bad}", "write four parts, as 127.0.0.[2..11]")


@check("sender-login-without-owners", Severity.WARNING, "senders are to be owned, and no table says by whom")
def login_without_owners(subject: Subject) -> Iterator[Remark]:
    """reject_sender_login_mismatch and its kin compare the login with smtpd_sender_login_maps. Without that table
    nobody owns any sender: users who are logged in are refused, or nothing is checked."""
    for place, parameter, items in restriction_lists(subject):
        for item in items:
            if item.name.endswith("sender_login_mismatch") and not place.text("smtpd_sender_login_maps"):
                message = f"{item.name} has nothing to compare with: smtpd_sender_login_maps is empty"
                yield place.remark(parameter, message, "set smtpd_sender_login_maps")


@check("class-undefined", Severity.ERROR, "a restriction class without a definition")
def class_undefined(subject: Subject) -> Iterator[Remark]:
    """Each name in smtpd_restriction_classes must be set to a list of restrictions in main.cf. Postfix's server,
    and Gatepost, do not start without."""
    for place in subject.servers:
        for name in class_names(place):
            if not place.text(name):
                remedy = f"add a line {name} = ..., or take the name out"
                yield place.remark("smtpd_restriction_classes", f"the class {name} is not defined", remedy)


@check("class-unused", Severity.WARNING, "a restriction class that no list and no table names")
def class_unused(subject: Subject) -> Iterator[Remark]:
    """A class does something only where a restriction list or the result of an access table names it. All lists and
    tables were searched; where a table cannot be listed (SQL, LDAP), nothing is said."""
    for place in subject.servers:
        used: set[str] = set()
        unknown = False
        for other, _, items in restriction_lists(subject):
            used.update(item.written for item in items if item.restriction is None)
            for table in filter(None, (item.table for item in items)):
                rows = subject.rows(table)
                unknown = unknown or rows is None
                used.update(word for row in rows or () for word in row.value.replace(",", " ").split())
            unknown = unknown or other.text("smtpd_restriction_classes") != place.text("smtpd_restriction_classes")
        for name in class_names(place):
            if name not in used and not unknown and place.text(name):
                yield place.remark(name, f"no list and no table names the class {name}", "use it, or take it out")


@check("class-hidden", Severity.WARNING, "a restriction class with the name of a restriction")
def class_hidden(subject: Subject) -> Iterator[Remark]:
    """Where a name is both, the built-in restriction is meant, and the class is never used. Give it another
    name."""
    for place in subject.servers:
        for name in class_names(place):
            if find(name) is not None:
                message = f"{name} is a built-in restriction: the class is never used"
                yield place.remark("smtpd_restriction_classes", message, "give the class another name")


@check("class-loop", Severity.ERROR, "a restriction class that names itself")
def class_loop(subject: Subject) -> Iterator[Remark]:
    """A class that names itself, in its own list or by way of another class, is evaluated until a limit is reached;
    then the client is answered 451 4.3.5."""
    for place in subject.servers:
        classes = class_names(place)
        names = {name: [item.written for item in list_items(place.text(name))] for name in classes}
        for name in classes:
            reached, todo = set[str](), list(names[name])
            while todo:
                word = todo.pop()
                if word in names and word not in reached and find(word) is None:
                    reached.add(word)
                    todo += names[word]
            if name in reached:
                yield place.remark(name, f"the class {name} names itself", "take the circle out")


