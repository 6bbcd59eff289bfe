"""Random configurations: every one that is proved closed is attacked with sessions through the real restrictions.

Every one that is refuted has shown a session that the real restrictions let in (or trusts half the world by name).
"""

import asyncio
import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatepost.audit.stand_ins import AllDeliverable, Silent, no_pause
from gatepost.audit.strangers.atoms import anybody
from gatepost.audit.strangers.confirm import Example, StrangersNames, lets_in
from gatepost.audit.strangers.inquiry import Answer, inquire
from gatepost.audit.strangers.universe import is_foreign, wrapped
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.master.prove import ProvedListener, inquired, prove
from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.tables.network import parse_address
from gatepost.tables.table import LookupTemporaryFailure

LONG = settings.default is not None and settings.default.max_examples > 1000
EXAMPLES, SESSIONS = (600, 10_000) if LONG else (60, 300)

ADDRESSES = [
    "127.0.0.1", "192.168.87.1", "192.168.87.0", "192.168.87.255", "192.168.88.0", "10.0.0.1", "10.1.0.0",
    "203.0.113.7", "198.51.100.9", "8.8.8.8", "9.255.255.255", "0.0.0.0", "255.255.255.255", "::1", "2001:db8::1",
    "2001:db8:1::2", "fe80::1", "::", "2a01:4f8::1",
]  # fmt: skip
NAMES = ["unknown", "mail.stranger.invalid", "friend.example", "a.friend.example", "xfriend.example", "localhost"]
HELOS = [None, "stranger.invalid", "friend.example", "a.friend.example", "[203.0.113.7]", "ours.example", "x"]
SENDERS = ["", "someone@stranger.invalid", "boss@friend.example", "boss@a.friend.example", "info@ours.example", "x"]
FOREIGN = [
    "somebody@elsewhere.invalid",
    "boss@partner.example",
    "info@a.partner.example",
    "postmaster@elsewhere.invalid",
]
RECIPIENTS = [*FOREIGN, *(form for own in ("ours.example", "relay.example") for form in wrapped(FOREIGN[0], own))]

VALUES = [
    "OK", "OK", "REJECT", "DUNNO", "450 later", "RELAY", "1", "DISCARD", "REDIRECT us@ours.example", "HOLD", "HANGUP",
    "FILTER smtp:[127.0.0.1]:10025", "DEFER_IF_PERMIT", "DEFER_IF_REJECT", "WARN", "inside", "outside",
    "permit_mynetworks, reject", "reject_unauth_destination", "permit", "permit_auth_destination, reject",
]  # fmt: skip
KEYS = {
    "client": [
        "unknown",
        "friend.example",
        "192.168.87",
        "10",
        "203.0.113.7",
        "2001:db8:1",
        "8",
        "mail.stranger.invalid",
    ],
    "helo": ["friend.example", "ours.example", "[203.0.113.7]", "x"],
    "sender": ["<>", "friend.example", "boss@friend.example", "info@", "ours.example", "boss@"],
    "recipient": ["partner.example", "boss@partner.example", "ours.example", "postmaster@", "elsewhere.invalid"],
}
NETWORKS = [
    "127.0.0.0/8", "192.168.87.0/24", "!192.168.87.1", "10.0.0.0/8", "0.0.0.0/0", "!203.0.113.0/24", "[::1]/128",
    "[2001:db8::]/32", "![::]/0", "friend.example", ".friend.example", "203.0.113.7", "9.0.0.0/8",
]  # fmt: skip
PLAIN = [
    "permit_mynetworks", "permit_mynetworks", "reject_unauth_destination", "reject_unauth_destination",
    "defer_unauth_destination", "permit", "reject", "defer", "defer_if_permit", "defer_if_reject",
    "permit_auth_destination", "permit_inet_interfaces", "permit_sasl_authenticated", "reject_unknown_client_hostname",
    "reject_non_fqdn_sender", "reject_invalid_helo_hostname", "reject_unlisted_recipient", "inside", "outside",
    "reject_rbl_client rbl.example", "permit_dnswl_client good.example", "reject_unknown_sender_domain",
    "check_sender_mx_access static:OK", "check_policy_service inet:127.0.0.1:9", "permit_mx_backup",
    "reject_plaintext_session", "sleep 1",
]  # fmt: skip


def _table(kind: str) -> st.SearchStrategy[str]:
    value = st.sampled_from(VALUES)
    entry = st.builds(lambda key, value: f"{{{key} = {value}}}", st.sampled_from(KEYS[kind]), value)
    inline = st.lists(entry, min_size=1, max_size=4).map(lambda entries: f"inline:{{{', '.join(entries)}}}")
    network = st.sampled_from(["192.168.87.0/24", "0.0.0.0/0", "10.0.0.0/8", "2001:db8::/32", "!203.0.113.0/24"])
    rule = st.builds(lambda net, value: f"{{{net} {value}}}", network, value)
    cidr = st.lists(rule, min_size=1, max_size=3).map(lambda rules: f"cidr:{{{', '.join(rules)}}}")
    pattern = st.builds(lambda value: f"regexp:{{{{/friend/ {value}}}}}", value)
    kinds = [inline, inline, st.sampled_from(["static:OK", "static:DUNNO", "static:REJECT"]), pattern]
    return st.one_of(*kinds, *([cidr] if kind == "client" else []))


def _item() -> st.SearchStrategy[str]:
    tables = [st.builds(lambda table, kind=kind: f"check_{kind}_access {table}", _table(kind)) for kind in KEYS]
    plain = st.sampled_from(PLAIN)
    return st.one_of(plain, plain, *tables, st.builds(lambda item: f"warn_if_reject {item}", plain))


def _list() -> st.SearchStrategy[str]:
    return st.lists(_item(), max_size=4).map(", ".join)


@st.composite
def configurations(draw: st.DrawFn) -> str:
    lines = [
        "compatibility_level = 3.6",
        "myhostname = mx.ours.example",
        "mydestination = ours.example",
        "relay_domains = relay.example",
        "inet_interfaces = 127.0.0.1",
        "mail_owner = nobody",
        "smtpd_restriction_classes = inside, outside",
        f"inside = {draw(_list().filter(bool))}",
        f"outside = {draw(_list().filter(bool))}",
        "smtpd_sasl_type = dovecot",
        f"mynetworks = {', '.join(draw(st.lists(st.sampled_from(NETWORKS), max_size=4)))}",
    ]
    for stage in ("client", "helo", "sender", "relay", "recipient"):
        lines.append(f"smtpd_{stage}_restrictions = {draw(_list())}")
    for switch in (
        "smtpd_delay_reject", "smtpd_relay_before_recipient_restrictions", "smtpd_helo_required", "allow_percent_hack",
        "swap_bangpath", "smtpd_sasl_auth_enable",
    ):  # fmt: skip
        lines.append(f"{switch} = {draw(st.sampled_from(('yes', 'no')))}")
    lines.append(f"allow_untrusted_routing = {draw(st.sampled_from(('no', 'no', 'yes')))}")
    return "\n".join(lines) + "\n"


def listener_of(main: str) -> ProvedListener | None:
    """The one listener of a configuration; None if none can be made."""
    # Not on loopback addresses only, though nothing is bound: a stranger must be able to reach it.
    try:
        proof = prove(Configuration.parse(main, "smtp inet n - n - - smtpd -o inet_interfaces=all\n"), strangers=False)
    except ConfigError:
        return None
    return proof.listeners[0] if proof.listeners else None


def is_strange(answer: Answer, address: str, name: str) -> bool:
    """Is this client none of those that the answer names as trusted?"""
    parsed = parse_address(address)
    assert parsed is not None
    trusted = any(name == known or name.endswith(f".{known}") for known in answer.names)
    return not trusted and not (answer.addresses | answer.perhaps).has(*parsed)


async def _attack(listener: ProvedListener, answer: Answer, seed: int) -> Example | None:
    """A stranger's session that is accepted for a foreign recipient, if there is one among those that are tried."""
    names = StrangersNames()
    ports = replace(listener.policy.parts.ports, log=Silent(), dns=names, verifier=AllDeliverable(), hosts=None)
    ports = replace(ports, sleep=no_pause)
    policy = AccessPolicy(listener.policy.params, ports, names.bind)
    untrusted = listener.policy.params.allow_untrusted_routing
    foreign = [address for address in RECIPIENTS if await _leaves(address, policy, untrusted)]
    dice = random.Random(seed)
    for _ in range(SESSIONS):
        address, name = dice.choice(ADDRESSES), dice.choice(NAMES)
        if dice.random() < 0.2:
            address = ".".join(str(dice.randrange(256)) for _ in range(4))
        helo = dice.choice(HELOS)
        if helo is None and listener.settings.smtpd_helo_required:
            continue
        example = Example(name, address, helo, dice.choice(SENDERS), dice.choice(foreign))
        if is_strange(answer, address, name) and await lets_in(policy, example):
            return example
    return None


async def _leaves(address: str, policy: AccessPolicy, untrusted: bool) -> bool:
    try:
        return await is_foreign(address, policy.parts, untrusted)
    except LookupTemporaryFailure:
        return False


@pytest.mark.hypothesis
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(configurations(), st.integers(0, 1 << 30))
def test_nobody_gets_in_where_it_was_proved_that_nobody_does(main: str, seed: int) -> None:
    listener = listener_of(main)
    if listener is None:
        return
    answer = asyncio.run(inquire(inquired(listener)))
    if answer.outcome == "proved":
        assert asyncio.run(_attack(listener, answer, seed)) is None
    elif answer.outcome == "refuted":
        assert answer.example is not None or (answer.way is not None and anybody(answer.way.addresses))
