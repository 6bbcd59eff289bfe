"""Addresses whose local part needs quotes, and which tables have them: with the quotes, without, or in either form."""

import re

import pytest

from tests.compat.outgoing import MAIN_CF, Case, same
from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.scenarios.server import MASTER_CF, Client, Gatepost, free_port, temporary_folder

USERS = ("a@b", "p(q", "s(t", "u(v", "w(z", "none(")
TABLES = {
    "indexed": "inline:{ {a@b@%s.example=%s} {p(q@%s.example=%s} {\"s(t\"@%s.example=%s} {u(v@%s.example@=%s} }",
    "patterns": 'pcre:{ {/^a@b@%s/ %s} {/^p.q@%s/ %s} {/^"s.t"@%s/ %s} {/^u.v@%s.$$/ %s} }',
    "local parts": 'inline:{ {a@b@=%.0s%s} {p(q=%.0s%s} {"s(t"@=%.0s%s} {"w(z"=%.0s%s} }',
}
# Each parameter has a domain of its own; what its table has for an address there.
OF_RECIPIENTS = {
    "relocated_maps": "elsewhere", "transport_maps": "error:here", "recipient_canonical_maps": "x",
    "canonical_maps": "x", "virtual_alias_maps": "y@y.example", "virtual_mailbox_maps": "x",
    "relay_recipient_maps": "x", "local_recipient_maps": "x", "access": "REJECT no",
}  # fmt: skip
OF_SENDERS = {"sender_canonical_maps": "x", "smtpd_sender_login_maps": "joe", "sender_access": "REJECT no"}
SETTINGS = """
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
smtpd_junk_command_limit = 1000
mydestination = local-recipient-maps.example, sender-canonical-maps.example
relay_domains = relay-recipient-maps.example, recipient-canonical-maps.example, canonical-maps.example
virtual_alias_domains = virtual-alias-maps.example
virtual_mailbox_domains = virtual-mailbox-maps.example
smtpd_reject_unlisted_sender = yes
smtpd_sender_restrictions = reject_sender_login_mismatch, check_sender_access $sender_access
smtpd_recipient_restrictions = check_recipient_access $access
"""


def _domain(parameter: str) -> str:
    return parameter.replace("_", "-")


def _main_cf(table: str) -> str:
    kept = re.sub(r"(?m)^(transport_maps|local_recipient_maps|mydestination) =.*\n", "", MAIN_CF)
    tables = {
        parameter: TABLES[table] % ((_domain(parameter), value) * 4)
        for parameter, value in {**OF_RECIPIENTS, **OF_SENDERS}.items()
    }
    return kept + SETTINGS + "".join(f"{parameter} = {value}\n" for parameter, value in tables.items())


def _answers(port: int) -> list[str]:
    client = Client(port)
    client.say("EHLO client.example")
    answers = []
    for parameter in (*OF_RECIPIENTS, *OF_SENDERS):
        for user in USERS:
            asked, other = f'<"{user}"@{_domain(parameter)}.example>', "<one@y.example>"
            sender, recipient = (asked, other) if parameter in OF_SENDERS else (other, asked)
            client.say(f"MAIL FROM:{sender}")
            answers.append(client.say(f"RCPT TO:{recipient}") + f" for {asked}")
            client.say("RSET")
    client.close()
    return answers


@pytest.mark.parametrize("table", TABLES)
def test_the_same_is_found(table: str) -> None:
    need_postfix()
    main_cf = _main_cf(table)
    with RealPostfix({"real": {}}, main_cf) as postfix:
        theirs = _answers(postfix.ports["real"])
    port = free_port()
    with temporary_folder() as folder:
        gatepost = Gatepost(folder, main_cf, port=port, master_cf=MASTER_CF.format(listen=f"127.0.0.1:{port}"))
        try:
            gatepost.start()
            ours = _answers(port)
        finally:
            gatepost.stop()
    assert len({answer[:3] for answer in theirs}) > 1
    assert ours == theirs


@pytest.mark.parametrize("table", ["indexed", "patterns"])
@pytest.mark.parametrize("parameter", ["virtual_alias_maps", "recipient_canonical_maps", "smtp_generic_maps"])
def test_the_same_takes_their_place(parameter: str, table: str) -> None:
    """These look addresses up in quotes only."""
    need_postfix()
    recipients = tuple(f'"{user}"' for user in USERS)
    entries = TABLES[table] % (("two", "new@two.example") * 4)
    same({"two": Case({}, recipients=recipients)}, f"{parameter} = {entries}\n")
