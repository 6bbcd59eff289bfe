"""Restrictions about TLS, tried by the facts of a session: there is no TLS on the wire yet."""

import pytest

from tests.restrictions.world import ALICE, ELSEWHERE, World, answers, stranger

PRINTS = ("AA:01", "BB:02")


async def test_a_session_without_tls_is_refused() -> None:
    main_cf = "smtpd_recipient_restrictions = reject_plaintext_session"
    assert await answers(main_cf, ALICE) == ["450 4.7.1 Session encryption is required"]
    assert await answers(main_cf, ALICE, facts=stranger(encrypted=True)) == ["OK"]
    main_cf += "\nplaintext_reject_code = 530"
    assert await answers(main_cf, ALICE) == ["530 5.7.1 Session encryption is required"]


@pytest.mark.parametrize("name", ["permit_tls_clientcerts", "permit_tls_all_clientcerts"])
@pytest.mark.parametrize("known", PRINTS)
async def test_known_certificates_may_relay(name: str, known: str) -> None:
    main_cf = f"""
relay_clientcerts = inline:{{{known}=host}}
smtpd_relay_restrictions = {name}, reject_unauth_destination
"""
    denied = f"554 5.7.1 <{ELSEWHERE}>: Relay access denied"
    assert await answers(main_cf, ELSEWHERE, facts=stranger(encrypted=True, fingerprints=PRINTS)) == ["OK"]
    assert await answers(main_cf, ELSEWHERE, facts=stranger(encrypted=True, fingerprints=("x", "y"))) == [denied]
    assert await answers(main_cf, ELSEWHERE) == [denied]


async def test_trusted_certificates_may_relay_where_all_may() -> None:
    facts = stranger(encrypted=True, fingerprints=PRINTS, ccert_trusted=True)
    relay = "smtpd_relay_restrictions = {}, reject_unauth_destination"
    assert await answers(relay.format("permit_tls_all_clientcerts"), ELSEWHERE, facts=facts) == ["OK"]
    refused = await answers(relay.format("permit_tls_clientcerts"), ELSEWHERE, facts=facts)
    assert refused == [f"554 5.7.1 <{ELSEWHERE}>: Relay access denied"]


async def test_a_table_of_certificates_that_cannot_tell() -> None:
    world = World("relay_clientcerts = fail:x\nsmtpd_relay_restrictions = permit_tls_clientcerts, reject")
    refusal = await world.rcpt(stranger(encrypted=True, fingerprints=PRINTS), ALICE)
    assert refusal == f"451 4.3.0 <{ALICE}>: Temporary lookup failure"


async def test_without_a_certificate_that_nobody_asks_for() -> None:
    world = World("smtpd_recipient_restrictions = permit_tls_clientcerts, check_ccert_access static:reject")
    assert await world.rcpt(stranger(encrypted=True), ALICE) == "OK"
    assert world.take_log() == [
        'warning: permit_tls_clientcerts is requested, but "smtpd_tls_ask_ccert = no"',
        'warning: check_ccert_access is requested, but "smtpd_tls_ask_ccert = no"',
    ]


@pytest.mark.parametrize(
    ("table", "answer"),
    [
        ("inline:{AA:01=reject}", "rejected"),
        ("inline:{BB:02=reject}", "rejected"),
        ("inline:{{AA:01=dunno},{BB:02=reject}}", "OK"),
        ("{ inline:{{AA:01=dunno},{BB:02=reject}}, search_order=pubkey_fingerprint }", "rejected"),
        ("{ inline:{{AA:01=reject}}, search_order=pubkey_fingerprint }", "OK"),
        ("{ inline:{{AA:01=ok},{BB:02=reject}} { search_order = pubkey_fingerprint, cert_fingerprint } }", "rejected"),
        ("{ inline:{{AA:01=reject}} { search_order = pubkey_fingerprint, cert_fingerprint } }", "rejected"),
    ],
)
async def test_an_access_table_by_fingerprint(table: str, answer: str) -> None:
    main_cf = f"smtpd_recipient_restrictions = check_ccert_access {table}"
    facts = stranger(encrypted=True, fingerprints=PRINTS, ccert_name="client")
    refusal = "554 5.7.1 <client>: Client certificate rejected: Access denied"
    assert await answers(main_cf, ALICE, facts=facts) == [refusal if answer == "rejected" else "OK"]


async def test_an_access_table_that_cannot_tell() -> None:
    facts = stranger(encrypted=True, fingerprints=PRINTS, ccert_name="client")
    refusal = "451 4.3.5 <client>: Client certificate rejected: Server configuration error"
    assert await answers("smtpd_recipient_restrictions = check_ccert_access fail:x", ALICE, facts=facts) == [refusal]


async def test_a_table_must_be_named() -> None:
    world = World("smtpd_recipient_restrictions = check_ccert_access foo")
    assert await world.rcpt(stranger(), ALICE) == "451 4.3.5 Server configuration error"
    assert world.take_log()[0] == ('warning: restriction check_ccert_access: bad argument "foo": need maptype:mapname')


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            "{ static:reject, search_order=foo }",
            [
                "unknown search type 'foo' in '{ static:reject, search_order=foo }'",
                "See earlier parsing error messages for '{ static:reject, search_order=foo }",
            ],
        ),
        (
            "{ static:reject, order=foo }",
            [
                "unknown map attribute in '{ static:reject, order=foo }': 'order'",
                "See earlier parsing error messages for '{ static:reject, order=foo }",
            ],
        ),
        (
            "{ static:reject, search_order = foo }",
            [
                "malformed map attribute in '{ static:reject, search_order = foo }': "
                "'missing '=' after attribute name'",
                "See earlier parsing error messages for '{ static:reject, search_order = foo }",
            ],
        ),
        (
            "{ }",
            [
                "empty map specification: '{ }'",
                'restriction check_ccert_access: bad argument "{ }": need maptype:mapname',
            ],
        ),
        (
            "{ foo, search_order=cert_fingerprint }",
            [
                "malformed map specification: '{ foo, search_order=cert_fingerprint }'",
                "expected maptype:mapname instead of 'foo'",
                'restriction check_ccert_access: bad argument "{ foo, search_order=cert_fingerprint }": '
                "need maptype:mapname",
            ],
        ),
    ],
)
async def test_settings_that_make_no_sense(table: str, words: list[str]) -> None:
    world = World(f"smtpd_recipient_restrictions = check_ccert_access {table}")
    assert await world.rcpt(stranger(), ALICE) == "451 4.3.5 Server configuration error"
    assert [line for line in world.take_log() if line.startswith("warning: ")] == [f"warning: {line}" for line in words]
