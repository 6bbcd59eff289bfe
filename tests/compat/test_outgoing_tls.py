"""smtp(8) and lmtp(8) of Gatepost and of a real Postfix as TLS clients: every level before every kind of server."""

import pytest

from tests.compat.outgoing import Case
from tests.compat.outgoing_tls import NEXTHOP, same_tls
from tests.compat.real_postfix import need_postfix


@pytest.fixture(autouse=True)
def _postfix() -> None:
    need_postfix()


ZERO = "00:" * 31 + "00"
LEVELS = ("none", "may", "encrypt", f"fingerprint match={ZERO}", "verify", "secure")
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


POLICIES = {
    "empty": "  ",
    "bad": "foo",
    "case": "ENCRYPT",
    "noattributes": "none ciphers=high, x=y",
    "novalue": "encrypt ciphers=",
    "noequals": "encrypt ciphers",
    "noname": "encrypt =x",
    "twice": "encrypt ciphers=high ciphers=medium",
    "protocolstwice": "encrypt protocols=TLSv1.2 protocols=TLSv1.3",
    "nametwice": "encrypt servername=a.b servername=c.d",
    "namebad": "encrypt servername=a_b-",
    "nameempty": "encrypt servername=",
    "namehost": "encrypt servername=hostname",
    "namenext": "encrypt servername=nexthop",
    "name": "encrypt servername=foo.example",
    "matchlevel": "encrypt match=x",
    "matchempty": "secure match=",
    "match": "secure match=wrong.example:.localhost",
    "matchtwice": "secure match=wrong.example match=hostname",
    "excludetwice": "encrypt exclude=aNULL exclude=aNULL",
    "exclude": "encrypt exclude=AES256 protocols=TLSv1.2",
    "excludebad": "encrypt exclude=!RC4",
    "excludenobody": "encrypt exclude=foobar",
    "anchorlevel": "encrypt tafile={certs}/ca.pem",
    "anchorempty": "secure tafile=",
    "anchornone": "secure tafile=/nonexistent",
    "anchor": "secure tafile={certs}/ca.pem",
    "anchorother": "secure tafile={certs}/other-ca.pem",
    "reuse": "encrypt connection_reuse=maybe",
    "attribute": "encrypt foo=bar",
    "gradebad": "encrypt ciphers=strong",
    "gradenull": "encrypt ciphers=null",
    "gradeexport": "encrypt ciphers=export",
    "protocolbad": "encrypt protocols=TLSv9",
    "only": "encrypt protocols=TLSv1.2",
    "not": "encrypt protocols=!TLSv1.3",
    "atleast": "encrypt protocols=>=TLSv1.3",
    "atmost": "encrypt protocols=<=TLSv1.2",
    "old": "encrypt protocols=TLSv1.1",
    "nofingerprint": "fingerprint",
    "fingerprintbad": "fingerprint match=zz:yy",
    "fingerprintshort": "fingerprint match=00:11",
    "fingerprints": f"fingerprint match=00:11|{ZERO}|22 match={ZERO}",
    "commas": "encrypt,ciphers=high,protocols=TLSv1.2",
    "attributecase": "Secure MATCH=localhost Ciphers=HIGH",
}


def test_levels_and_policies() -> None:
    cases = {name: case for policy in LEVELS for name, case in levels(policy).items()}
    for level in ("verify", "secure"):
        cases[f"{level}-unprintable"] = Case({}, NEXTHOP, policy=level, certificate="unprintable")
    same_tls(cases | {name: Case({}, NEXTHOP, policy=policy) for name, policy in POLICIES.items()})


NAMES = {
    "secure match=a.localhost": "wild",
    "verify match=mx.localhost:x": "sub",
    "verify match=.localhost": "wild",
    "verify match=b.c": "wild",
    "encrypt": "wild",
    "secure": "nameless",
    "verify match=localhost": "untrusted",
}


def test_names() -> None:
    """Which names of a certificate count, and which of them is logged."""
    cases = {
        f"n{number}": Case({}, NEXTHOP, policy=policy, certificate=certificate)
        for number, (policy, certificate) in enumerate(NAMES.items())
    }
    same_tls(cases, "smtp_tls_loglevel = summary, certmatch, untrusted\n")


# Each for a transport of its own.
PARAMETERS = (
    "smtp_tls_chain_files = {certs}/client.pem, /nonexistent\n",
    "smtp_tls_eccert_file = none\n",
    "smtp_tls_cert_file = {certs}/client.pem\nsmtp_tls_key_file = /nonexistent\n",
    "smtp_tls_CAfile = /nonexistent\n",
    "smtp_tls_fingerprint_digest = foo\n",
    "smtp_tls_servername = a_b-\n",
    "smtp_tls_trust_anchor_file = /nonexistent\n",
    "smtp_tls_trust_anchor_file = {certs}/other-ca.pem\n",
    "smtp_tls_protocols = TLSv9\nsmtp_tls_mandatory_protocols = TLSv8\n",
    "smtp_tls_ciphers = foo\nsmtp_tls_mandatory_ciphers = bar\n",
    "smtp_tls_exclude_ciphers = AES256\nsmtp_tls_mandatory_exclude_ciphers = CHACHA20\n",
    "smtp_tls_verify_cert_match = nexthop\nsmtp_tls_secure_cert_match = dot-nexthop\n",
    f"smtp_tls_fingerprint_cert_match = {ZERO}\nsmtp_tls_fingerprint_digest = sha1\n",
    "smtp_tls_servername = hostname\nsmtp_tls_cert_file = {certs}/client.pem\n",
    "smtp_tls_note_starttls_offer = yes\nsmtp_discard_ehlo_keywords = pipelining\n",
    "smtp_discard_ehlo_keywords = starttls, size\n",
)
ASKED = ("none", "may", "encrypt", f"fingerprint match={'11:' * 31}11", "verify", "secure", "fingerprint")
OTHER_WORDS = (
    "smtp_tls_per_site = inline:{ localhost=NONE }\nsmtp_tls_security_level = may\n",
    "smtp_tls_per_site = inline:{ localhost=MAY }\nsmtp_use_tls = no\n",
    "smtp_tls_per_site = inline:{ localhost=MAY }\nsmtp_enforce_tls = yes\n",
    "smtp_tls_per_site = inline:{ localhost=MUST }\nsmtp_use_tls = yes\n",
    "smtp_tls_per_site = inline:{ localhost=MUST_NOPEERMATCH }\n",
    "smtp_tls_per_site = inline:{ localhost=FOO }\n",
    "smtp_tls_per_site = fail:all\n",
    "smtp_tls_policy_maps = fail:all\n",
    "smtp_enforce_tls = yes\nsmtp_tls_enforce_peername = no\n",
    "smtp_enforce_tls = yes\nsmtp_tls_enforce_peername = yes\n",
    "smtp_use_tls = yes\n",
)


def test_parameters() -> None:
    cases = {}
    for number in range(len(PARAMETERS)):
        nexthop = f"p{number}:[localhost]:{{port}}"
        cases |= {f"p{number}-{at}": Case({}, nexthop, policy=policy) for at, policy in enumerate(ASKED)}
        cases[f"p{number}-12"] = Case({}, nexthop, policy="encrypt", certificate="right/1.2")
    for number in range(len(OTHER_WORDS)):
        cases[f"w{number}-bracket"] = Case({}, f"w{number}:[localhost]:{{port}}")
        cases[f"w{number}-bare"] = Case({}, f"w{number}:localhost:{{port}}")
        cases[f"w{number}-address"] = Case({}, f"w{number}:[127.0.0.1]:{{port}}")
        cases[f"w{number}-wrong"] = Case({}, f"w{number}:[localhost]:{{port}}", certificate="wrong")
    transports = {f"p{number}": more for number, more in enumerate(PARAMETERS)}
    transports |= {f"w{number}": f"smtp_tls_policy_maps =\n{more}" for number, more in enumerate(OTHER_WORDS)}
    same_tls(cases, transports=transports)


def test_lmtp() -> None:
    cases = {
        "key": Case({}, "lmtp:inet:localhost:{port}", policy="secure"),
        "bracket": Case({}, "lmtp:[localhost]:{port}", policy="secure"),
        "wrong": Case({}, "lmtp:[localhost]:{port}", policy="secure", certificate="wrong"),
        "bad": Case({}, "lmtp:inet:localhost:{port}", policy="foo"),
        "hangs": Case({"HANDSHAKE": ""}, "lmtp:inet:localhost:{port}", policy="encrypt"),
        "may": Case({}, "lmtp:unix:{path}", policy="may", unix=True),
        "encrypt": Case({}, "lmtp:unix:{path}", policy="encrypt", unix=True),
        "secure": Case({}, "lmtp:unix:{path}", policy="secure match=localhost", unix=True),
        "name": Case({}, "lmtp:unix:{path}", policy="secure", unix=True),
        "sni": Case({}, "lmtp:unix:{path}", policy="encrypt servername=nexthop", unix=True),
        "snihost": Case({}, "lmtp:unix:{path}", policy="encrypt servername=hostname", unix=True),
        "secureown": Case({}, "lmtp:unix:{path}", policy="secure", unix=True, certificate="own"),
        "unixbad": Case({}, "lmtp:unix:{path}", policy="foo", unix=True),
        "refused": Case({"STARTTLS": "454 4.7.0 no"}, "lmtp:unix:{path}", policy="encrypt", unix=True),
    }
    same_tls(cases)
