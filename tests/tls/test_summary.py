"""The expected lines are those of Postfix 3.7.11 in the same handshake."""

import subprocess
from typing import Any

import pytest

from gatepost.tls.summary import connection_summary, received_lines, summarize
from gatepost.tls.values import Chain, LibraryValues
from tests.tls.handshakes import chain, client, server, shake

AES = "with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
RSA = "server-signature RSA-PSS (2048 bits) server-digest SHA256"
EC = "server-signature ECDSA (prime256v1) server-digest SHA256"


@pytest.mark.parametrize(
    ("ours", "theirs", "line"),
    [
        ({}, {}, f"TLSv1.3 {AES} key-exchange X25519 {RSA}"),
        ({"chains": (chain("ec"),)}, {}, f"TLSv1.3 {AES} key-exchange X25519 {EC}"),
        ({}, {"curves": "prime256v1"}, f"TLSv1.3 {AES} key-exchange ECDHE (prime256v1) {RSA}"),
        ({}, {"curves": "X448"}, f"TLSv1.3 {AES} key-exchange X448 {RSA}"),
        ({}, {"protocols": "TLSv1.2"}, "TLSv1.2 with cipher ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits)"),
        ({}, {"protocols": "TLSv1"}, "TLSv1 with cipher ECDHE-RSA-AES256-SHA (256/256 bits)"),
        ({}, {"protocols": "TLSv1.2", "ciphers": "null"}, ""),
        (
            {"ask_ccert": True},
            {"chains": (chain("ec", "client.example"),)},
            f"TLSv1.3 {AES} key-exchange X25519 {RSA} client-signature ECDSA (prime256v1) client-digest SHA256",
        ),
        (
            {"ask_ccert": True, "chains": (chain("ec"),)},
            {"chains": (chain("rsa", "client.example"),)},
            f"TLSv1.3 {AES} key-exchange X25519 {EC} client-signature RSA-PSS (2048 bits) client-digest SHA256",
        ),
        # Not asked for, so not there.
        ({}, {"chains": (chain("rsa", "client.example"),)}, f"TLSv1.3 {AES} key-exchange X25519 {RSA}"),
        (
            {"ask_ccert": True},
            {"chains": (chain("rsa", "client.example"),), "protocols": "TLSv1.2"},
            "TLSv1.2 with cipher ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits)",
        ),
    ],
)
def test_both_sides_say_the_same(ours: dict[str, Any], theirs: dict[str, Any], line: str) -> None:
    more = dict(theirs)
    if "curves" in more:
        more["library"] = LibraryValues(tls_eecdh_auto_curves=more.pop("curves"))
    if more.get("ciphers") == "null":
        ours = {**ours, "ciphers": "null"}
        line = "TLSv1.2 with cipher ECDHE-RSA-NULL-SHA (0/0 bits)"
    for each in shake(server(**ours), client(**more)):
        assert connection_summary(summarize(each)) == line


@pytest.mark.parametrize(
    ("algorithm", "options", "words"),
    [
        ("ed25519", (), "server-signature ED25519"),
        ("ed448", (), "server-signature ED448"),
        ("ec", ("-pkeyopt", "ec_paramgen_curve:P-384"), "server-signature ECDSA (secp384r1) server-digest SHA384"),
        ("rsa-pss", ("-pkeyopt", "rsa_keygen_bits:2048"), "server-signature RSASSA-PSS server-digest SHA256"),
    ],
)
def test_other_kinds_of_keys(algorithm: str, options: tuple[str, ...], words: str) -> None:
    key = subprocess.run(
        ["openssl", "genpkey", "-algorithm", algorithm, *options], capture_output=True, check=True
    ).stdout
    certificate = subprocess.run(
        ["openssl", "req", "-x509", "-new", "-key", "/dev/stdin", "-subj", "/CN=x"],
        input=key, capture_output=True, check=True,
    ).stdout  # fmt: skip
    own = Chain(name="x", certificates=key + certificate)
    for each in shake(server(chains=(own,)), client()):
        assert connection_summary(summarize(each)) == f"TLSv1.3 {AES} key-exchange X25519 {words}"


def test_a_resumed_session_has_no_new_digests() -> None:
    ours = server(ask_ccert=True)
    theirs = client(chains=(chain("rsa", "client.example"),))
    _, first = shake(ours, theirs)
    again, _ = shake(ours, theirs, session=first.session)
    assert again.session_reused
    assert connection_summary(summarize(again)) == (
        f"TLSv1.3 {AES} key-exchange X25519 server-signature RSA-PSS (2048 bits) client-signature RSA-PSS (2048 bits)"
    )


def test_effective_and_nominal_bits() -> None:
    library = LibraryValues(tls_medium_cipherlist="ECDHE-RSA-AES128-CCM8:AES128-CCM8:aRSA+AES128")
    ours, _ = shake(server(library=library), client(protocols="TLSv1.2", library=library))
    found = summarize(ours)
    assert (found.cipher_usebits, found.cipher_algbits) == (128, 128)


def test_received_lines() -> None:
    ours, _ = shake(server(ask_ccert=True), client(chains=(chain("ec", "client.example"),)))
    assert received_lines(summarize(ours)) == (
        f"(using TLSv1.3 {AES}",
        f" key-exchange X25519 {RSA}",
        " client-signature ECDSA (prime256v1) client-digest SHA256)",
    )
    ours, _ = shake(server(), client(protocols="TLSv1.2"))
    assert received_lines(summarize(ours)) == (
        "(using TLSv1.2 with cipher ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits))",
    )
