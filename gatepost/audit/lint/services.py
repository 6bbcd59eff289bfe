"""Checks of master.cf."""

from collections.abc import Iterator

from gatepost.audit.lint.finding import Remark, Severity
from gatepost.audit.lint.registry import check
from gatepost.audit.lint.subject import Subject
from gatepost.config.master_cf import Service


def _remark(service: Service, message: str, remedy: str) -> Remark:
    return Remark(service.path, service.line, "", message, remedy)


@check("override-cut-off", Severity.ERROR, "`-o` with blanks in its value")
def override_cut_off(subject: Subject) -> Iterator[Remark]:
    """Arguments end at blanks: of `-o smtpd_relay_restrictions=permit_mynetworks, reject` the list is
    `permit_mynetworks,`, and `reject` is an argument of its own, at which Postfix's server ends. Write commas
    without blanks, or `-o { name = value with blanks }`."""
    for service in subject.services("smtpd", "smtp", "lmtp", "local", "virtual", "cleanup", "qmgr", "pickup"):
        words = [word for word in service.args if not word.startswith("-")]
        if words:
            message = f"{service.name}: {' '.join(words)} is no part of a value, but an argument"
            yield _remark(service, message, "write -o { name = value } in braces, or leave blanks out")


@check("service-listed-twice", Severity.WARNING, "two lines of master.cf for one service")
def listed_twice(subject: Subject) -> Iterator[Remark]:
    """Of two lines with the same name and type the last one counts, and the `-o` of the first are gone."""
    seen: dict[tuple[str, str], Service] = {}
    for service in subject.configuration.master_cf.entries:
        key = (service.name, service.type)
        if key in seen:
            message = f"{service.name} {service.type} stands in line {seen[key].line} already; this line counts"
            yield _remark(service, message, "take one of them out")
        seen[key] = service


@check("listener-on-one-address-twice", Severity.ERROR, "two listeners on one port")
def one_address_twice(subject: Subject) -> Iterator[Remark]:
    """`smtp inet` and `25 inet` are the same port: the second cannot be opened."""
    ports: dict[str, Service] = {}
    for place in subject.listeners:
        service = place.service
        assert service is not None
        host, _, port = service.name.rpartition(":")
        key = f"{host}:{_NUMBERS.get(port, port)}"
        if key in ports:
            message = f"{service.name} is the port of {ports[key].name} in line {ports[key].line}"
            yield _remark(service, message, "take one of the lines out")
        ports.setdefault(key, service)


_NUMBERS = {"smtp": "25", "submission": "587", "submissions": "465", "smtps": "465"}


@check("no-listener", Severity.NOTE, "no mail comes in over SMTP")
def no_listener(subject: Subject) -> Iterator[Remark]:
    """master.cf has no `inet` line with the program smtpd (or postscreen). A host that only sends may be meant
    so."""
    programs = {each.program for each in subject.configuration.master if each.type in ("inet", "pass")}
    if subject.configuration.master and not programs & {"smtpd", "postscreen"}:
        path = subject.configuration.master_cf.path
        yield Remark(path, 0, "", "no inet line runs smtpd", "add: smtp inet n - n - - smtpd")


@check("pipe-as-root", Severity.ERROR, "a pipe service that runs its command with too many rights")
def pipe_as_root(subject: Subject) -> Iterator[Remark]:
    """pipe(8) refuses to run commands as root or as mail_owner: mail for the transport is deferred. Without user=
    it does not start. Make a user for the command."""
    owner = subject.main.text("mail_owner")
    for service in subject.services("pipe"):
        user = next((word[5:] for word in service.args if word.startswith("user=")), "")
        name = user.partition(":")[0]
        if name in ("root", "0", owner) and name:
            yield _remark(service, f"{service.name}: user={user}", "use a user of its own")
        elif not user:
            yield _remark(service, f"{service.name} has no user=", "add user=NAME")


@check("xforward-from-anybody", Severity.WARNING, "XFORWARD is allowed to a wide network")
def xforward(subject: Subject) -> Iterator[Remark]:
    """XFORWARD writes another client's name and address into the log. Whoever may use it can put the blame for mail
    on others. List the addresses of your filters."""
    for place in (subject.main, *subject.listeners):
        name = "smtpd_authorized_xforward_hosts"
        matches = subject.match_list(place, name) if place.settings.defined(name) else None
        for item, network in matches.networks() if matches is not None else ():
            if not item.negated and network.bits - network.prefix > 16 and str(network) != "127.0.0.0/8":
                message = f"all clients in {item} may use XFORWARD"
                yield place.remark(name, message, "list the addresses of your filters")
