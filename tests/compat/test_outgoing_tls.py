"""smtp(8) and lmtp(8) of Gatepost and of a real Postfix as TLS clients: every level before every kind of server."""

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


LEVELS = ("none", "may", "encrypt", "fingerprint match=" + "00:" * 31 + "00", "verify", "secure")
CERTIFICATES = ("right", "wrong", "untrusted", "expired", "early", "anonymous", "sub", "wild", "nameless", "right/1.2")
SERVERS = {
    "nooffer": {"EHLO": "250-peer.example\r\n250 DSN"},
    "refuses4": {"STARTTLS": "454 4.7.0 TLS not available"},
    "refuses5": {"STARTTLS": "554 5.7.0 never"},
    "hangs": {"HANDSHAKE": ""},
    "octets": {"HANDSHAKE": "octets"},
}


def levels(policy: str) -> dict[str, Case]:
    """One level before all servers."""
    level = policy.split()[0]
    cases = {f"{level}-{name}": Case(dict(said), NEXTHOP, policy=policy) for name, said in SERVERS.items()}
    for number, name in enumerate(CERTIFICATES):
        cases[f"{level}-c{number}"] = Case({}, NEXTHOP, policy=policy, certificate=name)
    return cases


def test_levels() -> None:
    same_tls({name: case for policy in LEVELS for name, case in levels(policy).items()})
