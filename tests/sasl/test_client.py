"""The mechanisms as a client speaks them; scramp and the examples of the RFCs tell what is right."""

import base64
import hashlib
import hmac
import pickle
import random
import traceback

import pytest
import scramp  # type: ignore[import-untyped]

from gatepost.sasl.client import (
    ANOTHER_STEP,
    BAD_PROTOCOL,
    GENERIC,
    NOT_AUTHENTIC,
    ClientExchange,
    ClientFailure,
    Credentials,
    challenge_of,
    choose,
    decoded,
)
from gatepost.sasl.client_mechanisms import maker
from gatepost.sasl.client_scram import MOST_ITERATIONS, Keys
from gatepost.sasl.security import SecurityOptions

NONE = SecurityOptions.NONE
ALL = "LOGIN PLAIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256"
BOUND = ("tls-unique", b"octets of the channel")


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def exchange(name: str, user: str = "user", password: str = "secret", **options: object) -> ClientExchange:
    keys, nonce = options.pop("keys", Keys()), str(options.pop("nonce", "fyko+d2lbbFgONRv9qkxdawL"))
    return ClientExchange(name, Credentials(user, password), maker(keys, lambda: nonce, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("offered", "options", "chosen"),
    [
        (ALL, NONE, "SCRAM-SHA-256"),
        ("scram-sha-1 plain", NONE, "SCRAM-SHA-1"),
        ("SCRAM-SHA-512 SCRAM-SHA-384 SCRAM-SHA-256", NONE, "SCRAM-SHA-512"),
        ("SCRAM-SHA-384 SCRAM-SHA-224", NONE, "SCRAM-SHA-384"),
        ("LOGIN PLAIN CRAM-MD5", NONE, "CRAM-MD5"),
        ("LOGIN PLAIN", NONE, "PLAIN"),
        ("LOGIN", NONE, "LOGIN"),
        ("=PLAIN, LOGIN", NONE, "PLAIN"),
        ("SCRAM-SHA-1-PLUS PLAIN", NONE, "PLAIN"),
        ("XPLAIN EXTERNAL ANONYMOUS GSSAPI", NONE, ""),
        ("", NONE, ""),
        ("PLAIN LOGIN", SecurityOptions.NOPLAINTEXT, ""),
        ("PLAIN CRAM-MD5", SecurityOptions.NOPLAINTEXT | SecurityOptions.NOANONYMOUS, "CRAM-MD5"),
        ("PLAIN LOGIN CRAM-MD5", SecurityOptions.NOACTIVE, ""),
        (ALL, SecurityOptions.NOACTIVE, "SCRAM-SHA-256"),
        (ALL, SecurityOptions.NODICTIONARY, ""),
        ("PLAIN CRAM-MD5", SecurityOptions.MUTUAL_AUTH, ""),
        (ALL, SecurityOptions.MUTUAL_AUTH, "SCRAM-SHA-256"),
        (ALL, SecurityOptions.FORWARD_SECRECY, ""),
    ],
)
def test_the_strongest_that_is_allowed_is_chosen(offered: str, options: SecurityOptions, chosen: str) -> None:
    assert choose(offered, options) == chosen


def test_with_a_channel_binding_the_bound_form_is_chosen() -> None:
    assert choose("SCRAM-SHA-256 SCRAM-SHA-256-PLUS", NONE, binding=True) == "SCRAM-SHA-256-PLUS"


def test_plain() -> None:
    plain = exchange("PLAIN")
    assert plain.command() == "AUTH PLAIN " + text(b"\0user\0secret")
    assert plain.proven
    assert exchange("PLAIN", authzid=True).command() == "AUTH PLAIN " + text(b"user\0user\0secret")
    with pytest.raises(ClientFailure, match=GENERIC):
        plain.answer("")


def test_login() -> None:
    login = exchange("LOGIN")
    assert login.command() == "AUTH LOGIN"
    assert login.answer("VXNlcm5hbWU6") == text(b"user")
    assert login.answer("") == text(b"secret")
    with pytest.raises(ClientFailure, match=GENERIC):
        login.answer("VXNlcm5hbWU6")


def test_cram_md5_of_rfc_2195() -> None:
    cram = exchange("CRAM-MD5", "tim", "tanstaaftanstaaf")
    assert cram.command() == "AUTH CRAM-MD5"
    said = text(b"<1896.697170952@postoffice.reston.mci.net>")
    assert cram.answer(said) == text(b"tim b913a602c7eda7a495b4e6e7334d3890")
    with pytest.raises(ClientFailure, match=GENERIC):
        cram.answer(said)
    with pytest.raises(ClientFailure, match=BAD_PROTOCOL):
        exchange("CRAM-MD5").answer(text(b"x" * 1025))


def test_scram_sha_1_of_rfc_5802() -> None:
    scram = exchange("SCRAM-SHA-1", "user", "pencil")
    assert scram.command() == "AUTH SCRAM-SHA-1 " + text(b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL")
    first = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
    final = b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
    assert scram.answer(text(first)) == text(final)
    believed = [scram.proven]
    assert scram.answer(text(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")) == ""
    believed.append(scram.proven)
    assert believed == [False, True]
    with pytest.raises(ClientFailure, match=GENERIC):
        scram.answer("")


@pytest.mark.parametrize("name", ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize(("user", "password"), [("user", "secret"), ("us=er,x", "a:b,=c"), ("üser", "I\u00adX ½")])
def test_scram_as_another_server_speaks_it(name: str, user: str, password: str) -> None:
    mechanism = scramp.ScramMechanism(name)
    kept = mechanism.make_auth_info(password, iteration_count=4096)
    server = mechanism.make_server(lambda who: kept)
    client = exchange(name, user, password)
    server.set_client_first(base64.b64decode(client.command().split(" ")[2]).decode())
    answer = client.answer(text(server.get_server_first().encode()))
    server.set_client_final(base64.b64decode(answer).decode())
    assert client.answer(text(server.get_server_final().encode())) == ""
    assert client.proven


def test_scram_with_a_channel_binding() -> None:
    """scramp wants a TLS socket for that, so the server is made by hand."""
    offered = "SCRAM-SHA-256 SCRAM-SHA-256-PLUS"
    plus = exchange("SCRAM-SHA-256-PLUS", binding=BOUND, offered=offered, nonce="abc")
    assert plus.command() == "AUTH SCRAM-SHA-256-PLUS " + text(b"p=tls-unique,,n=user,r=abc")
    said = base64.b64decode(plus.answer(text(b"r=abcdef,s=c2FsdA==,i=4096"))).decode()
    assert said.startswith("c=" + text(b"p=tls-unique,," + BOUND[1]) + ",r=abcdef,p=")
    # `y` tells a server that does offer -PLUS that somebody has taken it out of its list.
    without = exchange("SCRAM-SHA-256", binding=BOUND, offered="SCRAM-SHA-256", nonce="abc")
    assert without.command() == "AUTH SCRAM-SHA-256 " + text(b"y,,n=user,r=abc")
    unbound = exchange("SCRAM-SHA-256", offered=offered, nonce="abc")
    assert unbound.command() == "AUTH SCRAM-SHA-256 " + text(b"n,,n=user,r=abc")


FIRST = b"r=abcd,s=c2FsdA==,i=4096"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "SCRAM-SHA-256 input expected"),
        (b"hello", "Invalid SCRAM-SHA-256 input"),
        (b"r=abcd,s=c2FsdA==,i=4096\0", "NULs found in SCRAM-SHA-256 input"),
        (b"m=x,r=abcd,s=c2FsdA==,i=4096", "Unsupported mandatory extension to SCRAM-SHA-256"),
        (b"s=c2FsdA==,i=4096", "Nonce (r=) expected in SCRAM-SHA-256 input"),
        (b"r=abcd,i=4096,s=c2FsdA==", "Salt expected after the nonce"),
        (b"r=abcd,s=c2FsdA==", "iteration-count expected after the salt"),
        (b"r=abcd,s=c2FsdA==,i=", "Invalid iteration-count"),
        (b"r=abcd,s=c2FsdA==,i=0", "Invalid iteration-count"),
        (b"r=abcd,s=c2FsdA==,i=4k", "Invalid iteration-count"),
        (b"r=abcd,s=c2FsdA==,i=%d" % (MOST_ITERATIONS + 1), "too big, refusing to compute"),
        (b"r=abc,s=c2FsdA==,i=4096", "doesn't start from the nonce"),
        (b"r=xabc,s=c2FsdA==,i=4096", "doesn't start from the nonce"),
        (b"r=abcd,s=,i=4096", "salt can't be empty"),
        (b"r=abcd,s=@@@@,i=4096", "Invalid base64 encoding of the salt"),
        (b"r=abcd,s=c2FsdA==,i=4096," + b"x" * 2048, "input longer than"),
    ],
)
def test_a_server_that_does_not_speak_scram(said: bytes, words: str) -> None:
    client = exchange("SCRAM-SHA-256", nonce="abc")
    assert not client.costly(text(said))
    with pytest.raises(ClientFailure) as raised:
        client.answer(text(said))
    assert raised.value.words == BAD_PROTOCOL
    assert words in raised.value.warning


@pytest.mark.parametrize(
    ("said", "words", "warning"),
    [
        (b"", BAD_PROTOCOL, "Invalid SCRAM-SHA-256 input expected"),
        (b"e=invalid-proof", BAD_PROTOCOL, "ServerSignature expected in SCRAM-SHA-256 input"),
        (b"v=@@@@", BAD_PROTOCOL, "Invalid base64 encoding of the server proof in SCRAM-SHA-256 input"),
        (b"v=YWJj", BAD_PROTOCOL, "Invalid server proof (truncated) in SCRAM-SHA-256 input"),
        (b"v=" + base64.b64encode(b"x" * 32), NOT_AUTHENTIC, "ServerSignature mismatch"),
    ],
)
def test_a_server_that_does_not_know_the_password(said: bytes, words: str, warning: str) -> None:
    client = exchange("SCRAM-SHA-256", nonce="abc")
    client.answer(text(FIRST))
    with pytest.raises(ClientFailure) as raised:
        client.answer(text(said))
    assert (raised.value.words, raised.value.warning) == (words, f"SASL authentication failure: {warning}")
    assert not client.proven


def test_what_was_computed_is_remembered() -> None:
    keys = Keys()
    many = b"r=abcd,s=c2FsdA==,i=20000"
    client = exchange("SCRAM-SHA-256", nonce="abc", keys=keys)
    assert client.costly(text(many))
    assert not client.costly(text(FIRST))
    answer = client.answer(text(many))
    again = exchange("SCRAM-SHA-256", nonce="abc", keys=keys)
    assert not again.costly(text(many))
    assert again.answer(text(many)) == answer
    assert exchange("SCRAM-SHA-256", password="other", nonce="abc", keys=keys).costly(text(many))
    for number in range(2 * Keys.limit):
        keys.pair("sha1", b"%d" % number, b"salt", 1)
    assert exchange("SCRAM-SHA-256", nonce="abc", keys=keys).costly(text(many))


@pytest.mark.parametrize(
    ("said", "words"),
    [("YWJj=", ANOTHER_STEP), ("abc", ANOTHER_STEP), ("*", ANOTHER_STEP), ("Y@j", ANOTHER_STEP)]
    + [(said, BAD_PROTOCOL) for said in ("YW@j", "YW==YWJj", "YWJj YWJj", "hello world", "====", "YWJj\n334 YWJj")],
)
def test_base64_that_is_none(said: str, words: str) -> None:
    with pytest.raises(ClientFailure) as raised:
        decoded(said)
    assert raised.value.words == words


def test_base64() -> None:
    for length in range(8):
        data = bytes(range(length))
        assert decoded(base64.b64encode(data).decode()) == data
    assert decoded("YW==") == b"a"


def test_the_challenge_in_a_reply() -> None:
    assert challenge_of("334 YWJj") == "YWJj"
    assert challenge_of("334 ") == challenge_of("334") == ""
    assert challenge_of("334-YWJj\n334 YWJj") == "YWJj\n334 YWJj"


@pytest.mark.parametrize("name", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1"])
def test_a_user_name_of_nothing_but_blanks(name: str) -> None:
    with pytest.raises(ClientFailure) as raised:
        exchange(name, "  ").command()
        exchange(name, "  ").answer("YWJj")
    assert raised.value.warning == "SASL authentication failure: All-whitespace username."
    assert exchange("PLAIN", " user ").command() == exchange("PLAIN").command()


def test_entries_of_a_password_table() -> None:
    assert Credentials.parse("user:a:b") == Credentials("user", "a:b")
    assert Credentials.parse("user") == Credentials("user", "")
    assert Credentials.parse("us:er|secret", "|") == Credentials("us:er", "secret")
    assert Credentials.parse("user:\udce4").password == b"\xe4"


def test_passwords_are_not_shown() -> None:
    credentials = Credentials("user", "verysecret")
    shown = [repr(credentials), str(credentials), f"{credentials!r:>20}", repr([credentials]), repr(vars)]
    keys = Keys()
    keys.pair("sha1", b"verysecret", b"salt", 1)
    shown += [repr(keys), repr(maker(keys, lambda: "abc"))]
    with pytest.raises(TypeError) as raised:
        pickle.dumps(credentials)
    shown.append(str(raised.value))
    client = ClientExchange("SCRAM-SHA-1", credentials, maker(keys, lambda: "abc"))
    try:
        client.answer(text(b"r=x,s=YWJj,i=1"))
    except ClientFailure as failure:
        shown += traceback.format_exception(failure)
        shown.append(failure.warning)
    shown.append(repr(client))
    assert not any("verysecret" in each for each in shown)


def test_no_answer_of_a_server_raises_anything_else() -> None:
    """Whatever a server says, it is a failure, or an answer."""
    rng = random.Random(6)
    seeds = [FIRST, b"v=YWJj", b"r=abcd,s=,i=9,x=y", b"", b"\0", b"r=" + b"a" * 100]
    for _ in range(3000):
        name = rng.choice(["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"])
        client = exchange(name, nonce="abc")
        client.command()
        for _ in range(3):
            said = bytearray(rng.choice(seeds))
            for _ in range(rng.randrange(3)):
                if said:
                    said[rng.randrange(len(said))] = rng.randrange(256)
            challenge = text(bytes(said)) if rng.random() < 0.9 else bytes(said).decode("latin-1")
            if b"i=" in said and client.costly(challenge):
                break
            try:
                client.answer(challenge)
            except ClientFailure:
                break


def test_the_signature_is_that_of_the_rfc() -> None:
    """The example of RFC 7677, with the keys computed another way."""
    first = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    client = exchange("SCRAM-SHA-256", "user", "pencil", nonce="rOprNGfwEbeRWgbNEkqO")
    client.command()
    final = base64.b64decode(client.answer(text(first)))
    assert final.endswith(b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client.answer(text(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="))
    assert client.proven
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
    assert Keys().pair("sha256", b"pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)[0] == hmac.digest(
        salted, b"Client Key", "sha256"
    )
