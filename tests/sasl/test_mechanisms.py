"""Mechanisms, seen from the server: right and wrong words, an independent client for SCRAM, and rubbish."""

import base64
import hmac

import pytest
import scramp
from hypothesis import given
from hypothesis import strategies as st

from gatepost.sasl.mechanism import Check, Done, Fetch, Mechanism, Refused, Say, Wish
from gatepost.sasl.passwords import unknown_keys
from gatepost.sasl.plain_mechanisms import CramMd5, External, Login, Plain
from gatepost.sasl.scram import HASHES, Hash, ScramKeys, keys_of
from gatepost.sasl.scram_mechanism import Scram

SALT = b"0123456789abcdef"
BINDING = b"what only this channel has"


def binding(kind: str) -> bytes | None:
    return BINDING if kind in ("tls-unique", "tls-server-end-point") else None


def scram(name: str = "SCRAM-SHA-256", *, plus: bool = False, offers_plus: bool = False) -> Scram:
    def unknown(user: str, hash_name: Hash) -> ScramKeys:
        return unknown_keys(b"secret", user, hash_name)

    return Scram(HASHES[name], "servernonce", binding, unknown, plus=plus, offers_plus=offers_plus)


def keys(password: str, hash_name: Hash = "sha256") -> ScramKeys:
    return keys_of(hash_name, password.encode(), SALT, 4096)


def granted(machine: Mechanism, wish: Wish, password: str = "secret") -> Wish:
    """The wish after those for what is known of passwords."""
    while True:
        if isinstance(wish, Check):
            wish = machine.checked(wish.username == "joe" and wish.password == password)
        elif isinstance(wish, Fetch):
            known = wish.username in ("joe", "a,b=c")
            secret = password if wish.hash is None else keys(password, wish.hash)
            wish = machine.fetched(secret if known else None)
        else:
            return wish


def test_plain() -> None:
    def said(message: bytes) -> Wish:
        machine = Plain()
        return granted(machine, machine.begin(message))

    assert Plain().begin(None) == Say(b"")
    assert said(b"\0joe\0secret") == Done("joe")
    assert said(b"joe\0joe\0secret") == Done("joe")
    assert said(b"\0joe\0Secret") == Refused("joe")
    assert said(b"ann\0joe\0secret") == Refused("joe")
    for message in (b"", b"joe", b"\0\0", b"\0joe\0", b"\0\0secret", b"\0joe\0secret\0", b"\0\xff\0x", b"\0jo\1e\0x"):
        assert said(message) == Refused(None, "bad protocol / cancel")


def test_login() -> None:
    machine = Login()
    assert machine.begin(None) == Say(b"Username:")
    assert machine.respond(b"joe") == Say(b"Password:")
    assert granted(machine, machine.respond(b"secret")) == Done("joe")
    machine = Login()
    assert machine.begin(b"joe") == Say(b"Password:")
    assert granted(machine, machine.respond(b"bad")) == Refused("joe")
    assert isinstance(Login().begin(b""), Refused)


def test_external() -> None:
    assert External("joe.example").begin(None) == Say(b"")
    assert External("joe.example").begin(b"") == Done("joe.example")
    assert External("joe.example").begin(b"joe.example") == Done("joe.example")
    assert External("joe.example").begin(b"ann.example") == Refused("ann.example")
    assert External("").begin(b"") == Refused(None)


def test_cram_md5() -> None:
    def answered(password: str, name: str = "joe") -> Wish:
        machine = CramMd5(b"<1@x>")
        assert machine.begin(None) == Say(b"<1@x>")
        digest = hmac.new(password.encode(), b"<1@x>", "md5").hexdigest()
        return granted(machine, machine.respond(f"{name} {digest}".encode()))

    assert answered("secret") == Done("joe")
    assert answered("bad") == Refused("joe")
    # Who is not there has no password, not an empty one.
    assert answered("", "nobody") == Refused("nobody")


@pytest.mark.parametrize("name", sorted(HASHES))
@pytest.mark.parametrize("user", ["joe", "a,b=c"])
def test_scram_with_another_client(name: str, user: str) -> None:
    client = scramp.ScramClient([name], user, "secret")
    machine = scram(name)
    first = granted(machine, machine.begin(client.get_client_first().encode()))
    assert isinstance(first, Say)
    client.set_server_first(first.data.decode())
    final = machine.respond(client.get_client_final().encode())
    assert isinstance(final, Say)
    client.set_server_final(final.data.decode())  # raises if the signature is wrong
    assert machine.respond(b"") == Done(user)


def test_scram_with_channel_binding() -> None:
    client = scramp.ScramClient(["SCRAM-SHA-256-PLUS"], "joe", "secret", channel_binding=("tls-unique", BINDING))
    machine = scram(plus=True, offers_plus=True)
    first = granted(machine, machine.begin(client.get_client_first().encode()))
    assert isinstance(first, Say)
    client.set_server_first(first.data.decode())
    final = machine.respond(client.get_client_final().encode())
    assert isinstance(final, Say)
    assert machine.respond(b"") == Done("joe")


def test_scram_bound_to_another_channel() -> None:
    client = scramp.ScramClient(["SCRAM-SHA-256-PLUS"], "joe", "secret", channel_binding=("tls-unique", b"other"))
    machine = scram(plus=True, offers_plus=True)
    first = granted(machine, machine.begin(client.get_client_first().encode()))
    assert isinstance(first, Say)
    client.set_server_first(first.data.decode())
    assert machine.respond(client.get_client_final().encode()) == Refused("joe", "channel-bindings-dont-match")


@pytest.mark.parametrize("user", ["joe", "nobody"])
def test_a_wrong_password_and_no_such_user_are_alike(user: str) -> None:
    client = scramp.ScramClient(["SCRAM-SHA-256"], user, "bad")
    machine = scram()
    first = granted(machine, machine.begin(client.get_client_first().encode()))
    assert isinstance(first, Say)
    client.set_server_first(first.data.decode())
    assert machine.respond(client.get_client_final().encode()) == Refused(user)


def test_who_is_unknown_always_has_the_same_salt() -> None:
    one, other = scram(), scram()
    said = b"n,,n=nobody,r=abc"
    assert granted(one, one.begin(said)) == granted(other, other.begin(said))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "other-error"),
        (b"n,", "other-error"),
        (b"n,,", "other-error"),
        (b"n,,n=joe", "other-error"),
        (b"n,,r=abc,n=joe", "other-error"),
        (b"n,,n=,r=abc", "invalid-username-encoding"),
        (b"n,,n=j=oe,r=abc", "invalid-username-encoding"),
        (b"n,,n=j\1oe,r=abc", "invalid-username-encoding"),
        (b"n,,n=joe,r=", "other-error"),
        (b"n,,m=x,n=joe,r=abc", "extensions-not-supported"),
        (b"n,a=ann,n=joe,r=abc", "other-error"),
        (b"p=tls-unique,,n=joe,r=abc", "channel-binding-not-supported"),
        (b"x,,n=joe,r=abc", "other-error"),
        (b"n,,n=\xff,r=abc", "invalid-encoding"),
        (b"n,,n=joe\0,r=abc", "invalid-encoding"),
    ],
)
def test_scram_first_messages_that_are_wrong(message: bytes, reason: str) -> None:
    found = granted(scram(), scram().begin(message))
    assert isinstance(found, Refused) and found.reason == reason


def test_a_client_that_was_not_told_of_channel_binding() -> None:
    found = scram(offers_plus=True).begin(b"y,,n=joe,r=abc")
    assert isinstance(found, Refused) and found.reason == "server-does-support-channel-binding"
    found = scram(plus=True).begin(b"n,,n=joe,r=abc")
    assert isinstance(found, Refused) and found.reason == "channel-bindings-dont-match"
    found = scram(plus=True).begin(b"p=tls-exporter,,n=joe,r=abc")
    assert isinstance(found, Refused) and found.reason == "unsupported-channel-binding-type"


@pytest.mark.parametrize(
    "message",
    [b"", b"c=biws", b"c=biws,r=abcservernonce", b"c=biws,r=abc,p=AAAA", b"c=AAAA,r=abcservernonce,p=AAAA",
     b"c=biws,r=abcservernonce,p=!", b"c=biws,r=abcservernonce,p=AAAA", b"r=abcservernonce,c=biws,p=AAAA"],
)  # fmt: skip
def test_scram_final_messages_that_are_wrong(message: bytes) -> None:
    machine = scram()
    assert isinstance(granted(machine, machine.begin(b"n,,n=joe,r=abc")), Say)
    assert isinstance(machine.respond(message), Refused)


PIECES = st.sampled_from(
    [b"n", b"y", b"p=tls-unique", b",", b"n=joe", b"r=abc", b"r=abcservernonce", b"c=biws", b"p=", b"\0", b"=2C", b"="]
)
MESSAGES = st.one_of(st.binary(max_size=60), st.lists(PIECES, max_size=9).map(b"".join))
MACHINES = st.sampled_from(
    [Plain, Login, lambda: External("joe"), lambda: CramMd5(b"<1@x>"), scram, lambda: scram(plus=True)]
)


@given(MACHINES, st.one_of(st.none(), MESSAGES), st.lists(MESSAGES, max_size=4))
def test_no_message_makes_a_mechanism_fail(make: object, initial: bytes | None, messages: list[bytes]) -> None:
    """Whatever a client says, there is a challenge, or an end; and nobody is let in without the password."""
    machine: Mechanism = make()  # type: ignore[operator]
    wish = granted(machine, machine.begin(initial), "a password that is nowhere in what is said")
    for message in messages:
        if not isinstance(wish, Say):
            break
        wish = granted(machine, machine.respond(message), "a password that is nowhere in what is said")
    assert isinstance(wish, Say | Refused) or isinstance(machine, External)


def test_what_is_secret_does_not_show() -> None:
    assert "secret" not in repr(Check("joe", "secret"))
    assert base64.b64encode(keys("secret").stored_key).decode() not in repr(keys("secret"))
    assert repr(keys("secret")) == "ScramKeys(...)"
