"""TLS servers that fail, several of them, and TLS from the first octet: Gatepost and a real Postfix as clients."""

import os

import pytest

from tests.compat.outgoing import Case
from tests.compat.outgoing_tls import NEXTHOP, same_tls
from tests.compat.real_postfix import missing


@pytest.fixture(autouse=True)
def _postfix() -> None:
    reason = missing()
    if reason:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


BARE = "250-peer.example\r\n250-STARTTLS\r\n250 DSN"
LATE = {"EHLO": "250-peer.example\r\n250-STARTTLS\r\n250-PIPELINING\r\n250-SIZE\r\n250 8BITMIME"}
FAULTS: dict[str, dict[str, str]] = {
    "injected": {"STARTTLS": "220 go\r\n250 injected"},
    "injectedehlo": {"STARTTLS": "220 go\r\n250-x\r\n250 DSN\r\n250 2.1.0 Ok"},
    "drop": {"HANDSHAKE": "drop"},
    "nothing": {"STARTTLS": ""},
    "busy": {"STARTTLS": "421 4.3.0 bye!"},
    "go": {"STARTTLS": "354 what"},
    "ok": {"STARTTLS": "250 what"},
    "lines": {"STARTTLS": "454-4.7.0 one\r\n454 4.7.0 two"},
    "stalls": {"HANDSHAKE": "stall"},
    "slow": {"STARTTLS": "~4 220 go"},
    "again": {"TLS EHLO": BARE},
    "helo": {"TLS EHLO": "502 5.5.1 no"},
    "ehlodrop": {"TLS EHLO": ""},
    "ehlo4": {"TLS EHLO": "450 4.7.0 no", "HELO": "450 4.7.0 no"},
    "fewer": {**LATE, "TLS EHLO": "250-peer.example\r\n250 DSN"},
    "noehlo": {"EHLO": "502 5.5.1 no"},
    "rcptdrop": {"RCPT": ""},
    "maildrop": {"MAIL": ""},
    "pix": {"CONNECT": "220 ****"},
}
LIMITS = "smtp_starttls_timeout = 2s\nsmtp_helo_timeout = 3s\n"


TWO = "secure:[localhost]:{port},[127.0.0.1]:{port}"
SEVERAL = {
    "both": Case({"HANDSHAKE": ""}, TWO),
    "one": Case({}, TWO, once={"HANDSHAKE": ""}),
    "refused": Case({"STARTTLS": "454 no"}, TWO),
    "wrong": Case({}, TWO, certificate="wrong"),
    "nooffer": Case({"EHLO": "250 hi"}, TWO),
}
WRAPPED = "wrapped:[localhost]:{port}"
FROM_THE_FIRST_OCTET = {
    "right": Case({}, WRAPPED, policy="encrypt", certificate="wrapped right"),
    "wrong": Case({}, WRAPPED, policy="secure", certificate="wrapped wrong"),
    "may": Case({}, WRAPPED, policy="may", certificate="wrapped right"),
    "none": Case({}, WRAPPED, certificate="wrapped right"),
    "plain": Case({"CONNECT": "220 plain"}, WRAPPED, policy="encrypt"),
    "mute": Case({"HANDSHAKE": "stall"}, WRAPPED, policy="encrypt", certificate="wrapped right"),
}


def test_faults() -> None:
    cases = {
        f"{level}-{name}": Case(dict(said), NEXTHOP, policy=level)
        for name, said in FAULTS.items()
        for level in ("may", "encrypt")
    }
    transports = {
        "secure": "smtp_tls_security_level = secure\nsmtp_tls_policy_maps =\n",
        "wrapped": "smtp_tls_wrappermode = yes\n",
    }
    same_tls(cases | SEVERAL | FROM_THE_FIRST_OCTET, LIMITS, transports=transports)


OLD = "minimal_backoff_time = 1s\n"


def test_old_mail_goes_in_plaintext() -> None:
    """Mail that has waited longer than minimal_backoff_time has its next try at once, if TLS is no must."""
    cases = {
        "hangs": Case({"HANDSHAKE": ""}, NEXTHOP, policy="may"),
        "octets": Case(
            {"HANDSHAKE": "octets", "RCPT TO:<two": "450 4.2.1 no"}, NEXTHOP, policy="may", recipients=("one",)
        ),
        "drop": Case({"HANDSHAKE": "drop"}, NEXTHOP, policy="may"),
        "rcptdrop": Case({"RCPT TO:<two": ""}, NEXTHOP, policy="may", recipients=("one", "two")),
        "must": Case({"HANDSHAKE": ""}, NEXTHOP, policy="encrypt"),
        "grade": Case({}, NEXTHOP, policy="may ciphers=strong"),
        "refused": Case({"TLS EHLO": "421 4.3.0 no!"}, NEXTHOP, policy="may"),
        "reply": Case({"STARTTLS": ""}, NEXTHOP, policy="may"),
    }
    same_tls(cases, OLD + LIMITS, again=True)
