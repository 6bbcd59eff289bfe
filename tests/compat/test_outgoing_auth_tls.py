"""Logins over TLS: of Gatepost and of a real Postfix, with what each allows on which connection."""

import os

import pytest

from tests.compat.auth_sink import offers
from tests.compat.outgoing import Case
from tests.compat.outgoing_tls import NEXTHOP, same_tls
from tests.compat.real_postfix import missing

LOGIN = """\
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = inline:{ localhost=user:secret }
"""
PLAIN, HIDDEN = "AUTH PLAIN LOGIN", "AUTH CRAM-MD5 PLAIN"


def case(policy: str, inside: str, outside: str = "", transport: str = NEXTHOP, **replies: str) -> Case:
    """`outside`: what is offered before STARTTLS."""
    hello = offers("STARTTLS", outside) if outside else offers("STARTTLS")
    return Case({"EHLO": hello, "TLS EHLO": offers(inside), "AUTH": "@", **replies}, transport, policy=policy)


@pytest.fixture(autouse=True)
def _postfix() -> None:
    reason = missing()
    if reason:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def test_what_is_allowed_on_which_connection() -> None:
    encrypted = f"{LOGIN}smtp_sasl_tls_security_options = noanonymous\n"
    verified = f"{LOGIN}smtp_sasl_tls_verified_security_options = noanonymous\n"
    wrong = encrypted.replace("secret", "wrong")
    same_tls(
        {
            "usual": case("encrypt", PLAIN),
            "usualhidden": case("may", HIDDEN),
            "open": case("encrypt", PLAIN, transport=NEXTHOP.replace("smtp:", "encrypted:")),
            "openmay": case("may", PLAIN, HIDDEN, transport=NEXTHOP.replace("smtp:", "encrypted:")),
            "clear": case("none", PLAIN, PLAIN, transport=NEXTHOP.replace("smtp:", "encrypted:")),
            "clearhidden": case("none", PLAIN, HIDDEN, transport=NEXTHOP.replace("smtp:", "encrypted:")),
            "inside": case("may", "SIZE", PLAIN, transport=NEXTHOP.replace("smtp:", "encrypted:")),
            "encryptonly": case("encrypt", PLAIN, transport=NEXTHOP.replace("smtp:", "verified:")),
            "secure": case("secure", PLAIN, transport=NEXTHOP.replace("smtp:", "verified:")),
            "untrusted": case("secure", PLAIN, transport=NEXTHOP.replace("smtp:", "verified:"))._replace(
                certificate="untrusted"
            ),
            "wrong": case("encrypt", PLAIN, transport=NEXTHOP.replace("smtp:", "wrong:")),
            "hang": case("encrypt", PLAIN, transport=NEXTHOP.replace("smtp:", "encrypted:"), AUTH=""),
        },
        LOGIN,
        transports={"encrypted": encrypted, "verified": verified, "wrong": wrong},
    )


def test_with_a_password_there_is_no_second_try_in_plaintext() -> None:
    """Where the handshake fails, and mail is old enough. Without a password for that server there is."""
    other = "smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = inline:{ elsewhere.example=user:secret }\n"
    by_sender = LOGIN.replace("localhost", "sender@client.example") + "smtp_sender_dependent_authentication = yes\n"
    same_tls(
        {
            "known": case("may", PLAIN, HIDDEN, HANDSHAKE=""),
            "sender": case("may", PLAIN, HIDDEN, NEXTHOP.replace("smtp:", "sender:"), HANDSHAKE=""),
            "stranger": case("may", PLAIN, HIDDEN, NEXTHOP.replace("smtp:", "other:"), HANDSHAKE=""),
            "garbage": case("may", PLAIN, HIDDEN, HANDSHAKE="octets"),
            "dropped": case("may", PLAIN, HIDDEN, HANDSHAKE="drop"),
            "strangerdropped": case("may", PLAIN, HIDDEN, NEXTHOP.replace("smtp:", "other:"), HANDSHAKE="drop"),
        },
        f"{LOGIN}minimal_backoff_time = 2s\nmaximal_backoff_time = 1000s\n",
        again=True,
        transports={"other": other, "sender": by_sender},
    )
