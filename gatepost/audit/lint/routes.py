"""Checks of where mail goes: relayhost, transports, aliases."""

from collections.abc import Iterator

from gatepost.audit.lint.finding import Remark, Severity
from gatepost.audit.lint.registry import check
from gatepost.audit.lint.subject import Place, Subject
from gatepost.audit.lint.table_rows import Row, split_spec
from gatepost.audit.transports import missing_transports
from gatepost.config.errors import ConfigError
from gatepost.delivery.smtp_destination import host_and_port
from gatepost.tables.network import parse_address

_SMTP_PORTS = {"": "25", "smtp": "25", "submission": "587", "submissions": "465", "smtps": "465"}


def _host_port(nexthop: str) -> tuple[str, str]:
    """Host (brackets taken off, folded) and port of a next hop."""
    host, port = host_and_port(nexthop)
    return host.lower().rstrip("."), _SMTP_PORTS.get(port, port)


def _ports(subject: Subject) -> set[str]:
    names = [place.service.name for place in subject.listeners if place.service is not None]
    return {_SMTP_PORTS.get(name.rpartition(":")[2], name.rpartition(":")[2]) for name in names}


def _is_self(subject: Subject, nexthop: str) -> bool:
    host, port = _host_port(nexthop)
    own = {subject.main.text("myhostname").lower(), "localhost", "127.0.0.1", "::1"}
    interfaces = [item.strip("[]").lower() for item in subject.main.items("inet_interfaces")]
    own |= {item for item in interfaces if parse_address(item) is not None}
    return bool(host) and host in own and port in _ports(subject)


def _routes(subject: Subject) -> Iterator[tuple[str, str, Row]]:
    """(table, parameter, row) of all tables of routes."""
    for parameter in ("transport_maps", "sender_dependent_relayhost_maps", "sender_dependent_default_transport_maps"):
        for spec in subject.main.items(parameter):
            for row in subject.rows(spec) or ():
                yield spec, parameter, row


def _row_remark(place: Place, spec: str, parameter: str, row: Row, message: str, remedy: str) -> Remark:
    if not row.line:
        return place.remark(parameter, f"{spec}: {message}", remedy)
    return Remark(split_spec(spec)[1], row.line, parameter, message, remedy)


def _nexthop(parameter: str, value: str) -> tuple[str, str]:
    """Transport and next hop of a result."""
    if parameter == "sender_dependent_relayhost_maps":
        return "smtp", value
    transport, _, nexthop = value.partition(":")
    return transport, nexthop


@check("relayhost-is-self", Severity.ERROR, "mail is relayed to this very server")
def relayhost_is_self(subject: Subject) -> Iterator[Remark]:
    """A relayhost, or a route in transport_maps, with this host's own name or address and a port on which this
    server listens: each message comes back until `too many hops` or `mail loops back to myself`. Name the next
    server."""
    place = subject.main
    for parameter in ("relayhost", "smtp_fallback_relay"):
        for nexthop in place.items(parameter):
            if _is_self(subject, nexthop):
                yield place.remark(parameter, f"{nexthop} is this server", "name the server that mail is to go to")
    for spec, parameter, row in _routes(subject):
        transport, nexthop = _nexthop(parameter, row.value)
        runs = subject.transports.get(transport or "smtp")
        by_smtp = runs is not None and runs.service is not None and runs.service.program == "smtp"
        if by_smtp and any(_is_self(subject, each.strip()) for each in nexthop.split(",")):
                message = f"{row.key} {row.value}: that is this server"
                yield _row_remark(place, spec, parameter, row, message, "name the server that mail is to go to")


@check("relayhost-is-destination", Severity.WARNING, "the relayhost is a domain that is delivered here")
def relayhost_is_destination(subject: Subject) -> Iterator[Remark]:
    """A relayhost without brackets is a mail domain whose MX hosts are asked for. If that domain is in
    mydestination, its own mail never goes to the relayhost, and DNS may name this host as its MX. Write the host in
    brackets: `[mail.example.com]`."""
    place = subject.main
    relayhost = place.text("relayhost").lower()
    if relayhost and not relayhost.startswith("[") and _host_port(relayhost)[0] in _words(place, "mydestination"):
        message = f"{relayhost} is in mydestination, and the relayhost as well"
        yield place.remark("relayhost", message, "write the server's own name, in brackets")


def _words(place: Place, parameter: str) -> set[str]:
    return {word.lower() for word in place.items(parameter)}


@check("relayhost-without-brackets", Severity.NOTE, "a relayhost with a port and without brackets")
def relayhost_without_brackets(subject: Subject) -> Iterator[Remark]:
    """Without brackets the MX records of the name are looked up. `smtp.example.com:587` mostly means one host,
    which has no MX record, or one that points to the servers for incoming mail, which refuse you. Write
    `[smtp.example.com]:587`."""
    place = subject.main
    for nexthop in place.items("relayhost"):
        host, port = nexthop.rpartition(":")[::2]
        if host and not nexthop.startswith("[") and port in ("587", "465", "submission", "submissions", "smtps"):
            message = f"{nexthop}: the MX hosts of {host} are asked for"
            yield place.remark("relayhost", message, f"write [{host}]:{port}")


@check("relayhost-is-url", Severity.ERROR, "a relayhost written as a URL, or with a login")
def relayhost_is_url(subject: Subject) -> Iterator[Remark]:
    """A next hop is `[host]:port`. There is no `smtp://` before it and no `user:password@` in it: the login is in
    smtp_sasl_password_maps."""
    place = subject.main
    for nexthop in place.items("relayhost"):
        if "//" in nexthop or "@" in nexthop:
            yield place.remark("relayhost", "this is no next hop", "write [host]:port")


@check("transport-missing", Severity.ERROR, "a transport that master.cf does not have")
def transport_missing(subject: Subject) -> Iterator[Remark]:
    """Mail for a transport without a line in master.cf is deferred: `mail transport unavailable`. Add the line, or
    correct the name."""
    known = {*subject.transports, *(each.name for each in subject.configuration.master)}
    try:
        for error in missing_transports(subject.main.settings, known):
            name = error.message.split("transport ")[1].split(";")[0]
            message = f"master.cf has no transport {name}"
            yield subject.main.remark(error.parameter, message, f"add a line for {name}, or correct the name")
    except ConfigError:
        return
    for spec, parameter, row in _routes(subject):
        if parameter != "sender_dependent_relayhost_maps" and ":" in row.value:
            transport = row.value.partition(":")[0]
            if transport and transport not in known and "$" not in transport:
                message = f"{row.key} {row.value}: master.cf has no transport {transport}"
                remedy = "add its line to master.cf, or correct the name"
                yield _row_remark(subject.main, spec, parameter, row, message, remedy)


@check("transport-without-colon", Severity.WARNING, "a result of transport_maps that is no transport:nexthop")
def transport_without_colon(subject: Subject) -> Iterator[Remark]:
    """`example.com mail.example.com` routes the domain to the transport `mail.example.com`, which does not exist.
    Write `smtp:[mail.example.com]`."""
    for spec, parameter, row in _routes(subject):
        if parameter != "sender_dependent_relayhost_maps" and ":" not in row.value and "." in row.value:
            message = f"{row.key} {row.value}: {row.value} is taken for a transport"
            yield _row_remark(subject.main, spec, parameter, row, message, f"write smtp:[{row.value}]")


@check("transport-key-not-found", Severity.WARNING, "a key of transport_maps that is never asked for")
def transport_key(subject: Subject) -> Iterator[Remark]:
    """transport_maps is asked for the whole address, for the domain, and for its parent domains with a dot before
    them (`.example.com`), or without one if parent_domain_matches_subdomains has transport_maps. `@example.com` and
    `*.example.com` are never asked for."""
    for spec, parameter, row in _routes(subject):
        indexed = split_spec(spec)[0] not in ("regexp", "pcre", "cidr", "static")
        if parameter == "transport_maps" and indexed and (row.key.startswith("@") or row.key.startswith("*.")):
            better = row.key[1:]
            message = f"{row.key} is never asked for"
            yield _row_remark(subject.main, spec, parameter, row, message, f"write {better}")


@check("alias-loop", Severity.ERROR, "aliases that lead back to themselves")
def alias_loop(subject: Subject) -> Iterator[Remark]:
    """If `a` stands for `b`, and `b` for `a`, mail for both is returned (`alias database loop`); with virtual
    aliases it is refused with 451 4.6.0 `Alias expansion error`. An alias to its own name is no circle: it is the
    mailbox of that name."""
    for parameter in ("alias_maps", "virtual_alias_maps"):
        for spec in subject.main.items(parameter):
            rows = subject.rows(spec) or []
            if split_spec(spec)[0] not in ("regexp", "pcre", "static"):
                yield from _circles(subject, parameter, spec, rows)


def _circles(subject: Subject, parameter: str, spec: str, rows: list[Row]) -> Iterator[Remark]:
    local = {f"@{word.lower()}" for word in (*subject.main.items("mydestination"), subject.main.text("myorigin"))}

    def name(text: str) -> str:
        at = text.find("@")
        return text[:at] if at > 0 and text[at:] in local else text

    aliases: dict[str, list[str]] = {}
    lines: dict[str, Row] = {}
    for row in rows:
        targets = [name(word.strip().lower()) for word in row.value.split(",")]
        inside = [each for each in targets if each and not each.startswith(("\\", "|", "/", ":"))]
        aliases.setdefault(name(row.key), inside)
        lines.setdefault(name(row.key), row)
    done: set[str] = set()
    for start in aliases:
        path = _circle(start, aliases, done)
        if path:
            row = lines[path[0]]
            message = f"mail for {path[0]} goes round in a circle: {' -> '.join([*path, path[0]])}"
            yield _row_remark(subject.main, spec, parameter, row, message, "let one of them lead to a mailbox")


def _circle(start: str, aliases: dict[str, list[str]], done: set[str]) -> list[str]:
    """A circle that is reached from `start` and in which nobody has a mailbox; `done` is what need not be looked at."""
    path: list[str] = []
    name = start
    while name in aliases and name not in done:
        if name in path:
            done.update(path)
            return path[path.index(name) :]
        path.append(name)
        targets = aliases[name]
        # Where one of several targets leads out, or a name leads to itself, mail arrives.
        if len(targets) != 1 or targets[0] == name:
            break
        name = targets[0]
    done.update(path)
    return []


@check("filter-loop", Severity.ERROR, "mail that comes back from the content filter is filtered again")
def filter_loop(subject: Subject) -> Iterator[Remark]:
    """content_filter in main.cf counts for every listener, also for the one to which the filter hands the mail
    back. It must have `-o content_filter=` (empty), or each message goes round until it has too many hops. Told where
    no listener on a loopback address has that."""
    place = subject.main
    if not place.text("content_filter"):
        return
    filter_port = _host_port(place.text("content_filter").partition(":")[2])[1]
    local = [listener for listener in subject.listeners if _loopback_port(listener) not in ("", filter_port)]
    if any(not listener.text("content_filter") for listener in local):
        return  # that is the way back; the others may take mail of this host
    for listener in local:
        if listener.service is not None and not listener.sets("content_filter"):
            message = f"{listener.service.name} hands mail to content_filter once more"
            service = listener.service
            yield Remark(service.path, service.line, "content_filter", message, "add -o content_filter= to this line")


def _loopback_port(listener: Place) -> str:
    """The port of a listener on a loopback address; empty for others."""
    host, _, port = listener.service.name.rpartition(":") if listener.service is not None else ("", "", "")
    return port if host.strip("[]") in ("localhost", "127.0.0.1", "::1") else ""


