"""Which program warns of a table that has a bad line: the one whose table it is, in Postfix's log and in ours."""

import re
from collections import defaultdict
from collections.abc import Callable

import pytest

from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.scenarios.peers import Peer
from tests.scenarios.server import MASTER_CF, Client, Gatepost, free_port, temporary_folder, until

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.ours.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_database =
mail_spool_directory = {folder}/spool
smtpd_peername_lookup = no
smtp_host_lookup = native
smtp_dns_support_level =
disable_dns_lookups = yes
smtp_sasl_auth_enable = yes
smtp_sasl_security_options =
smtp_tls_security_level = may
masquerade_domains = ours.example
smtpd_relay_restrictions = permit_mynetworks, reject
virtual_transport = discard:
relayhost = [127.0.0.1]:{port}
"""
TABLES = {
    "mynetworks": "127.0.0.0/8, {table}", "mydestination": "ours.example, {table}",
    "smtpd_client_restrictions": "check_client_access {table}", "smtpd_helo_restrictions": "check_helo_access {table}",
    "smtpd_sender_restrictions": "check_sender_access {table}",
    "smtpd_recipient_restrictions": "check_recipient_access {table}",
    "local_recipient_maps": "{table}, inline:{{ known@ours.example=x }}",
} | dict.fromkeys(
    (
        "transport_maps", "relocated_maps", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains",
        "sender_dependent_relayhost_maps", "sender_dependent_default_transport_maps", "address_verify_transport_maps",
        "virtual_alias_maps", "canonical_maps", "sender_canonical_maps", "recipient_canonical_maps",
        "masquerade_exceptions", "alias_maps", "relay_recipient_maps", "virtual_mailbox_maps",
        "smtpd_sender_login_maps",
        "smtpd_client_event_limit_exceptions", "smtpd_authorized_xclient_hosts", "smtpd_authorized_xforward_hosts",
        "smtpd_authorized_verp_clients", "smtpd_discard_ehlo_keyword_address_maps", "local_header_rewrite_clients",
        "smtpd_reject_footer_maps", "smtpd_command_filter", "rbl_reply_maps", "permit_mx_backup_networks",
        "smtpd_dns_reply_filter", "fast_flush_domains", "smtp_generic_maps", "smtp_header_checks",
        "smtp_connection_cache_destinations", "smtp_discard_ehlo_keyword_address_maps", "smtp_delivery_status_filter",
        "smtp_tls_policy_maps", "smtp_sasl_password_maps", "smtp_reply_filter", "smtp_dns_reply_filter",
    ),
    "{table}",
)  # fmt: skip


def warned_by(port: int, log: Callable[[], str]) -> dict[str, set[str]]:
    """Parameter -> programs that warn of its table, once a mail has gone through all of them."""
    client = Client(port)
    said = [
        client.say(line)
        for line in (
            "EHLO client.example", "MAIL FROM:<known@ours.example>", "RCPT TO:<x@far.example>",
            "RCPT TO:<known@ours.example>", "DATA", "Subject: x\r\n\r\nx\r\n.",
        )
    ]  # fmt: skip
    client.close()
    assert "queued as" in said[-1], said
    queue_id = said[-1].split()[-1]
    until(lambda: f"{queue_id}: removed" in log(), "the mail's end")
    found: dict[str, set[str]] = defaultdict(set)
    for program, parameter in re.findall(r"postfix/(\S+)\[\d+\]: warning: pcre map \S+/(\w+), line 2: ignoring", log()):
        found[parameter].add(program)
    return found


@pytest.fixture(scope="module")
def programs() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Postfix's and ours."""
    need_postfix()
    peer = Peer()
    with temporary_folder() as folder:
        (folder / "spool").mkdir()
        (folder / "spool").chmod(0o1777)
        main_cf = MAIN_CF.format(folder=folder, port=peer.port)
        for parameter, value in TABLES.items():
            (folder / parameter).write_text("/^nothing is like this$/ x\nno pattern\n")
            main_cf += f"{parameter} = {value.format(table=f'pcre:{folder}/{parameter}')}\n"
        try:
            with RealPostfix({"postfix": {"syslog_name": "postfix"}}, main_cf) as postfix:
                theirs = warned_by(postfix.ports["postfix"], postfix.log)
            port = free_port()
            server = Gatepost(folder, main_cf, port=port, master_cf=MASTER_CF.format(listen=f"127.0.0.1:{port}"))
            server.start()
            try:
                ours = warned_by(server.port, server.log)
            finally:
                server.stop()
        finally:
            peer.stop()
    return theirs, ours


@pytest.mark.parametrize("parameter", TABLES)
def test_who_warns(parameter: str, programs: tuple[dict[str, set[str]], dict[str, set[str]]]) -> None:
    """A table that several of Postfix's programs read each for themselves is read once here."""
    theirs, ours = programs[0][parameter], programs[1][parameter]
    assert theirs, "nobody reads it"
    assert ours
    assert ours <= theirs
