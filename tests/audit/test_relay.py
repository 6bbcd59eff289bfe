import pytest

from gatepost.audit.relay import EVERYBODY, grants, who_may_relay
from gatepost.restrictions.parameters import AccessParameters

OWN = "mydestination, virtual_alias_domains, virtual_mailbox_domains and relay_domains"


@pytest.mark.parametrize(
    ("text", "who", "closed"),
    [
        ("permit_mynetworks, reject_unauth_destination", ["clients in mynetworks"], True),
        ("permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination", ["clients in mynetworks"], True),
        ("reject", [], True),
        ("permit", [EVERYBODY], False),
        ("reject_unauth_destination, permit", [], True),
        ("warn_if_reject reject_unauth_destination, permit_mynetworks, reject", ["clients in mynetworks"], True),
        ("check_client_access hash:/pop, reject", ["whoever check_client_access hash:/pop permits"], True),
        ("permit_inet_interfaces, reject", ["connections from this host's own addresses"], True),
        ("permit_tls_clientcerts, reject", [], True),
        ("permit_tls_all_clientcerts, reject", ["clients with any certificate that can be verified"], True),
        ("check_sender_mx_access hash:/mx, check_reverse_client_hostname_access hash:/names, reject", [], True),
        ("permit_dnswl_client good.example, reject", [], True),
        ("hash:/rcpt, reject", ["whoever hash:/rcpt permits"], True),
        ("reject_rbl_client permit, reject_unknown_client_hostname", [], False),
        ("trusted, reject", ["clients in mynetworks"], True),
        ("closing, permit", [], True),
        ("open, reject", [EVERYBODY], False),
        ("circle, reject", [], True),
        ("", [], False),
    ],
)
def test_whom_a_list_permits(text: str, who: list[str], closed: bool) -> None:
    classes = {"trusted": "permit_mynetworks", "closing": "reject", "open": "permit", "circle": "circle"}
    assert grants(text, AccessParameters(classes=classes)) == (who, closed)


def test_authentication_counts_where_it_is_offered() -> None:
    params = AccessParameters(smtpd_sasl_auth_enable=True)
    assert grants("permit_sasl_authenticated, reject", params).who == ["clients that have authenticated"]


def test_the_default() -> None:
    assert who_may_relay(AccessParameters()) == (
        f"Clients in mynetworks may send to any destination; all others only to {OWN}."
    )


@pytest.mark.parametrize(
    ("relay", "recipient", "sentence"),
    [
        ("reject_unauth_destination", "", f"Nobody may send to other destinations than {OWN}."),
        (
            "",
            "permit_mynetworks, reject",
            f"Clients in mynetworks may send to any destination; all others only to {OWN}.",
        ),
        (
            "Permit_MX_backup, reject_unauth_destination",
            "",
            f"Nobody may send to other destinations than {OWN}, and to domains that name this host as a backup "
            "mail exchanger.",
        ),
        ("permit", "", "Everybody may send to any destination: this is an open relay."),
        (
            "permit_mynetworks, check_client_access cidr:/c, reject",
            "permit_mynetworks, reject_unauth_destination",
            "Clients in mynetworks and whoever check_client_access cidr:/c permits may send to any destination, as far "
            f"as smtpd_recipient_restrictions lets them (clients in mynetworks); all others only to {OWN}.",
        ),
    ],
)
def test_both_lists_together(relay: str, recipient: str, sentence: str) -> None:
    params = AccessParameters(smtpd_relay_restrictions=relay, smtpd_recipient_restrictions=recipient)
    assert who_may_relay(params) == sentence
