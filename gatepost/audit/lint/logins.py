"""Checks of SASL: logins in clear, logins without passwords, passwords for another host."""

from collections.abc import Iterator

from gatepost.audit.lint.encryption import server_level
from gatepost.audit.lint.finding import Remark, Severity
from gatepost.audit.lint.registry import check
from gatepost.audit.lint.subject import Place, Subject
from gatepost.audit.lint.table_rows import split_spec
from gatepost.delivery.smtp_destination import domain_of

_ENCRYPTED = ("encrypt", "dane-only", "fingerprint", "verify", "secure")


def _words(place: Place, parameter: str) -> set[str]:
    return {word.lower() for word in place.items(parameter)}


@check("login-in-clear", Severity.WARNING, "users may log in with their password in clear")
def login_in_clear(subject: Subject) -> Iterator[Remark]:
    """AUTH PLAIN and LOGIN show the password to whoever listens. smtpd_tls_auth_only = yes offers AUTH only when
    the connection is encrypted; smtpd_tls_security_level = encrypt on the submission port does so as well."""
    for place in subject.servers:
        clear = not place.yes("smtpd_tls_auth_only") and server_level(place) != "encrypt"
        plain = "noplaintext" not in _words(place, "smtpd_sasl_security_options")
        open_to_others = not place.yes("smtpd_tls_wrappermode") and not _loopback(place)
        if place.yes("smtpd_sasl_auth_enable") and clear and plain and open_to_others:
            message = "passwords may be sent without encryption"
            yield place.remark("smtpd_sasl_auth_enable", message, "smtpd_tls_auth_only = yes")


def _loopback(place: Place) -> bool:
    host = place.service.name.rpartition(":")[0].strip("[]") if place.service is not None else ""
    interfaces = _words(place, "inet_interfaces")
    return host in ("localhost", "127.0.0.1", "::1") or (
        not host and bool(interfaces) and interfaces <= {"loopback-only", "127.0.0.1", "localhost", "[::1]"}
    )


@check("anonymous-login", Severity.ERROR, "anonymous logins count as logins")
def anonymous_login(subject: Subject) -> Iterator[Remark]:
    """Without noanonymous in smtpd_sasl_security_options the mechanism ANONYMOUS may be offered, which asks for no
    password."""
    for place in subject.servers:
        if place.yes("smtpd_sasl_auth_enable"):
            for name in ("smtpd_sasl_security_options", "smtpd_sasl_tls_security_options"):
                if place.settings.defined(name) and "noanonymous" not in _words(place, name):
                    yield place.remark(name, "logins without a password are allowed", f"{name} = noanonymous")


@check("login-over-tls-impossible", Severity.ERROR, "AUTH after TLS only, and TLS is off")
def login_impossible(subject: Subject) -> Iterator[Remark]:
    """smtpd_tls_auth_only = yes, and the listener offers no TLS: AUTH is never offered and nobody can log in. Set
    smtpd_tls_security_level = may and a certificate."""
    for place in subject.servers:
        needs = place.yes("smtpd_sasl_auth_enable") and place.yes("smtpd_tls_auth_only")
        off = server_level(place) in ("", "none") and not place.yes("smtpd_use_tls")
        if needs and off and not place.yes("smtpd_tls_wrappermode"):
            message = "AUTH is never offered: TLS is off"
            yield place.remark("smtpd_tls_auth_only", message, "smtpd_tls_security_level = may")


@check("relay-login-without-passwords", Severity.ERROR, "the client is to log in, and has no passwords")
def without_passwords(subject: Subject) -> Iterator[Remark]:
    """smtp_sasl_auth_enable = yes and an empty smtp_sasl_password_maps: Gatepost does not start; Postfix's client
    does not, and all mail is deferred."""
    for place in subject.clients:
        if place.yes("smtp_sasl_auth_enable") and not place.text("smtp_sasl_password_maps"):
            message = "there is no table of passwords"
            remedy = "smtp_sasl_password_maps = hash:/etc/postfix/passwords"
            yield place.remark("smtp_sasl_auth_enable", message, remedy)


@check("relay-passwords-unused", Severity.WARNING, "passwords for a relayhost, and logins are off")
def passwords_unused(subject: Subject) -> Iterator[Remark]:
    """smtp_sasl_password_maps does nothing without smtp_sasl_auth_enable = yes; the relayhost then answers `Relay
    access denied` or `Authentication required`."""
    place = subject.main
    logs_in = any(each.yes("smtp_sasl_auth_enable") for each in subject.clients)
    if place.text("smtp_sasl_password_maps") and not logs_in:
        message = "the client does not log in"
        yield place.remark("smtp_sasl_password_maps", message, "smtp_sasl_auth_enable = yes")


@check("relay-password-for-other-host", Severity.ERROR, "no password for the relayhost as it is written")
def password_for_other(subject: Subject) -> Iterator[Remark]:
    """The table is asked for the relayhost exactly as relayhost has it, brackets and port included, and for the
    name of the host alone. `smtp.example.com:587` is no entry for `[smtp.example.com]:587`."""
    place = subject.main
    if not place.yes("smtp_sasl_auth_enable") or place.yes("smtp_sender_dependent_authentication"):
        return
    tables = place.items("smtp_sasl_password_maps")
    known = [subject.rows(spec) for spec in tables]
    if not tables or any(rows is None for rows in known):
        return
    if any(split_spec(spec)[0] in ("static", "regexp", "pcre") for spec in tables):
        return
    keys = {row.key for rows in known for row in rows or ()}
    for nexthop in place.items("relayhost"):
        bracketed = nexthop.startswith("[")
        # Without brackets the names of MX hosts, which DNS knows, may be in the table.
        if not {nexthop.lower(), domain_of(nexthop).lower()} & keys and (bracketed or not keys):
            message = f"{', '.join(tables)} has no entry for {nexthop}"
            yield place.remark("relayhost", message, f"add a line: {nexthop} user:password")


@check("relay-password-form", Severity.ERROR, "a login that is not user:password")
def password_form(subject: Subject) -> Iterator[Remark]:
    """Entries of smtp_sasl_password_maps are `host user:password`. Without the colon the password is empty, and the
    login fails."""
    for spec in subject.main.items("smtp_sasl_password_maps"):
        for row in subject.rows(spec) or ():
            if ":" not in row.value and row.line and split_spec(spec)[0] not in ("regexp", "pcre"):
                # The value is a secret: it is not shown.
                path = split_spec(spec)[1]
                message = f"the entry of {row.key} has no `:` between user and password"
                yield Remark(path, row.line, "smtp_sasl_password_maps", message, "write user:password")


@check("relay-password-in-main-cf", Severity.WARNING, "a password in main.cf, which everybody may read")
def password_in_main_cf(subject: Subject) -> Iterator[Remark]:
    """With static: and inline: the login of the relayhost stands in main.cf, which programs of all users read, and in
    what `postconf` prints. Put it into a file that belongs to root and has mode 0600."""
    for place, name, _ in subject.set_values():
        if name in ("smtp_sasl_password_maps", "lmtp_sasl_password_maps"):
            for spec in place.items(name):
                if split_spec(spec.removeprefix("proxy:"))[0] in ("static", "inline"):
                    # The value is a secret: it is not shown.
                    remedy = f"{name} = hash:/etc/postfix/passwords"
                    yield place.remark(name, "the password stands in main.cf", remedy)


@check("relay-login-in-clear", Severity.WARNING, "the relayhost's password may be sent in clear")
def relay_login_in_clear(subject: Subject) -> Iterator[Remark]:
    """With smtp_sasl_security_options without noplaintext and TLS not required, the password goes out in clear if
    somebody in between takes STARTTLS out of the server's answer. Set smtp_tls_security_level = encrypt."""
    for place in subject.clients:
        if place.yes("smtp_sasl_auth_enable") and place.settings.defined("smtp_sasl_security_options"):
            level = place.text("smtp_tls_security_level").lower()
            plain = "noplaintext" not in _words(place, "smtp_sasl_security_options")
            required = level in _ENCRYPTED or place.yes("smtp_enforce_tls") or place.text("smtp_tls_policy_maps")
            if plain and not required:
                message = "the password may go out without encryption"
                yield place.remark("smtp_sasl_security_options", message, "smtp_tls_security_level = encrypt")


@check("relay-login-impossible", Severity.ERROR, "no login is possible with these security options")
def relay_login_impossible(subject: Subject) -> Iterator[Remark]:
    """smtp_sasl_security_options has noplaintext by default, which forbids PLAIN and LOGIN, and
    smtp_sasl_tls_security_options follows it unless it is set: most relayhosts offer nothing else, and the log says
    `no mechanism available`. With TLS there is no harm in them: set smtp_sasl_tls_security_options =
    noanonymous."""
    place = subject.main
    if not place.yes("smtp_sasl_auth_enable") or not place.text("relayhost"):
        return
    encrypted = place.text("smtp_tls_security_level").lower() in (*_ENCRYPTED, "may", "dane")
    if encrypted and "noplaintext" in _words(place, "smtp_sasl_tls_security_options"):
        message = "PLAIN and LOGIN, which most relayhosts offer, are forbidden even with TLS"
        yield place.remark("smtp_sasl_auth_enable", message, "smtp_sasl_tls_security_options = noanonymous")
