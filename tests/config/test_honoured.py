"""`honoured` is a promise: the code of each such parameter is looked for.

A parameter counts as used where its name is an attribute (`settings.NAME`, `params.NAME`) or a whole string
(`getattr(settings, "NAME")`) in code outside of the parts that only declare, print or check parameters. So a field that
is filled and never read does not count.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import gatepost
from gatepost.config.configuration import Configuration
from gatepost.config.parameters import PARAMETERS, TRANSPORT_SUFFIXES
from gatepost.delivery.smtp_params import SmtpParams, parameter_name
from gatepost.delivery.smtp_tls_params import SmtpTlsParams, tls_parameter_name
from gatepost.tables.key_files import FILE_SUFFIXES

ROOT = Path(gatepost.__file__).parent
NOT_USE = ("config", "audit", "cli")

# Default values of others, by which they do their work.
MACROS = {
    "authorized_verp_clients": "smtpd_authorized_verp_clients",
    "default_delivery_status_filter": "smtp_delivery_status_filter",
    "fallback_relay": "smtp_fallback_relay",
    "lmtp_per_record_deadline": "lmtp_per_request_deadline",
    "reject_tempfail_action": "unknown_address_tempfail_action",
    "smtp_per_record_deadline": "smtp_per_request_deadline",
    "smtpd_client_connection_limit_exceptions": "smtpd_client_event_limit_exceptions",
    "virtual_maps": "virtual_alias_maps",
}
# Nothing is done by them in Postfix's daemons either: they tell where things were installed, or go into other values.
DISPLAYED = frozenset(
    (
        "default_database_type",
        "html_directory",
        "lmdb_map_size",  # postmap
        "mailq_path",
        "manpage_directory",
        "newaliases_path",
        "process_id",
        "readme_directory",
        "sample_directory",
        "sendmail_path",
    )
)
# What gatepost.config itself is there for.
BY_CONFIG = {
    "config_directory": "given by the configuration",
    "domain_to_ascii": "a function of main.cf, not a parameter",
    "process_name": "given by the configuration",
    "service_name": "given by the configuration",
}
NO_EFFECT_MEANT = {
    "fast_flush_purge_time": "flush lists are rows of the queue file: there is nothing that would have to be purged",
    "lmtp_sasl_path": "nor has it in Postfix for the type `cyrus`, which is all that there is",
    "smtp_sasl_path": "nor has it in Postfix for the type `cyrus`, which is all that there is",
    "smtpd_tls_eecdh_grade": "nor has it in Postfix 3.7 with OpenSSL 3: tls_eecdh_auto_curves has taken its place",
    "tls_eecdh_strong_curve": "nor has it in Postfix 3.7, as smtpd_tls_eecdh_grade has none",
    "tls_eecdh_ultra_curve": "nor has it in Postfix 3.7, as smtpd_tls_eecdh_grade has none",
    "smtpd_tls_always_issue_session_ids": "they always are, as with Postfix 3.7, whatever it says",
    "smtpd_tls_session_cache_database": "sessions are resumed by tickets, which need no cache",
    "biff": "`no` is all that there is; `partly` says so",
}
# Read by a name that is put together (rewrite/assemble.py): the end of it is what occurs.
PUT_TOGETHER = {
    "address_verify_default_transport": "default_transport",
    "address_verify_local_transport": "local_transport",
    "address_verify_relay_transport": "relay_transport",
    "address_verify_relayhost": "relayhost",
    "address_verify_sender_dependent_default_transport_maps": "default_transport_maps",
    "address_verify_sender_dependent_relayhost_maps": "relayhost_maps",
    "address_verify_transport_maps": "transport_maps",
    "address_verify_virtual_transport": "virtual_transport",
    "command_time_limit": "time_limit",  # NAME_time_limit, of which it is the default
    "sender_dependent_default_transport_maps": "default_transport_maps",
    "sender_dependent_relayhost_maps": "relayhost_maps",
}


def _names(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg == "stress":
            yield node.arg
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def _used(*folders: str) -> frozenset[str]:
    names: set[str] = set()
    for path in ROOT.rglob("*.py"):
        top = path.relative_to(ROOT).parts[0]
        if top not in NOT_USE and (not folders or top in folders):
            names.update(_names(path))
    return frozenset(names)


USED = _used()
OF_SMTP = _used("delivery")
ASKED_BY_QMGR = frozenset(re.findall(r'value\(transport, "(\w+)"\)', (ROOT / "qmgr" / "concurrency.py").read_text()))
ASKED_BY_SPAWN = frozenset(
    re.findall(r'transport\(service.name, "(\w+)"\)', (ROOT / "master" / "spawn.py").read_text())
)
HONOURED = sorted(name for name, parameter in PARAMETERS.items() if parameter.honoured)


def _is_used(name: str) -> bool:
    if name in MACROS:
        return PARAMETERS[MACROS[name]].honoured and f"${name}" in PARAMETERS[MACROS[name]].default.replace("{", "$")
    if name.startswith("default_") and name[8:] in TRANSPORT_SUFFIXES:
        return name[8:] in ASKED_BY_QMGR
    prefix, _, rest = name.partition("_")
    if prefix in ("smtpd", "smtp", "lmtp") and rest.removeprefix("tls_") in FILE_SUFFIXES:
        return "KeyFiles" in USED
    if prefix in ("smtp", "lmtp"):
        # The clients' parameters are fields without the prefix, or tables that are opened by their name behind it.
        fields = {parameter_name(field, prefix): field for field in SmtpParams.__struct_fields__}
        fields |= {tls_parameter_name(field, prefix): field for field in SmtpTlsParams.__struct_fields__}
        return name in USED or fields.get(name, rest) in OF_SMTP or f"_{rest}" in USED
    return name in USED or PUT_TOGETHER.get(name) in USED


@pytest.mark.parametrize("name", HONOURED)
def test_honoured_parameters_are_used(name: str) -> None:
    assert _is_used(name) or name in DISPLAYED or name in BY_CONFIG or name in NO_EFFECT_MEANT


@pytest.mark.parametrize("suffix", sorted(TRANSPORT_SUFFIXES))
def test_honoured_parameters_of_transports_are_used(suffix: str) -> None:
    parameter = TRANSPORT_SUFFIXES[suffix]
    assert parameter.honoured == (suffix in ASKED_BY_QMGR or suffix in ASKED_BY_SPAWN)
    default = PARAMETERS.get(f"default_{suffix}")
    assert default is None or default.honoured == parameter.honoured


def test_exceptions_are_needed() -> None:
    excepted = DISPLAYED | BY_CONFIG.keys() | MACROS.keys() | NO_EFFECT_MEANT.keys()
    assert all(PARAMETERS[name].honoured for name in excepted)
    assert not [name for name in excepted - MACROS.keys() if _is_used(name)]


def test_what_is_honoured_needs_no_harmless_values() -> None:
    assert not [name for name in HONOURED if PARAMETERS[name].harmless is not None and not PARAMETERS[name].partly]
    assert not [name for name, parameter in PARAMETERS.items() if parameter.partly and not parameter.honoured]


# Read in code although not honoured: what more there would have to be.
READ_ONLY_IN_PART = {
    "max_idle": "the name of something else: a setting of policy services",
    "smtpd_proxy_filter": "access tables know what it forbids; nothing is filtered",
    "smtputf8_autodetect_classes": "of address probes only",
}


def test_what_is_read_is_honoured() -> None:
    """A parameter that code reads is honoured, or stands in the list above."""
    read = {name for name, parameter in PARAMETERS.items() if not parameter.honoured and name in USED}
    assert read == READ_ONLY_IN_PART.keys()


DEBIAN = """\
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no
append_dot_mydomain = no
readme_directory = no
compatibility_level = 3.6
smtpd_tls_cert_file=/etc/ssl/certs/ssl-cert-snakeoil.pem
smtpd_tls_key_file=/etc/ssl/private/ssl-cert-snakeoil.key
smtpd_tls_security_level=may
smtp_tls_CApath=/etc/ssl/certs
smtp_tls_security_level=may
smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = mail.example.com
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
mydestination = $myhostname, localhost.example.com, localhost
relayhost =
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = all
inet_protocols = all
"""


def test_debians_values_are_reported_not_refused() -> None:
    configuration = Configuration.parse(DEBIAN)
    assert configuration.refusals() == []
    assert configuration.not_honoured() == []
    assert [error.parameter for error in configuration.partly_honoured()] == ["alias_maps"]


def test_switching_off_what_is_not_there_is_no_news() -> None:
    configuration = Configuration.parse("smtpd_tls_auth_only = no\nsmtp_sasl_auth_enable = no\nheader_checks =\n")
    assert configuration.not_honoured() == []


@pytest.mark.parametrize(("value", "told"), [("2", False), ("summary, peercert", False), ("3", True), ("1 4", True)])
def test_part_of_a_parameter_may_lack_for_some_values_only(value: str, told: bool) -> None:
    configuration = Configuration.parse(f"smtpd_tls_loglevel = {value}\n")
    assert [error.parameter for error in configuration.partly_honoured()] == ["smtpd_tls_loglevel"] * told
