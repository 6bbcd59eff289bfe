"""Handshakes in memory between two contexts, and certificates for them."""

import functools
import ssl
from collections.abc import Callable
from typing import Any

import trustme

from gatepost.tls.context import client_context, server_context
from gatepost.tls.dane import DaneOffer
from gatepost.tls.sessions import ClientSession
from gatepost.tls.values import Chain, ClientValues, ServerValues

RSA, EC = trustme.KeyType.RSA, trustme.KeyType.ECDSA


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA(organization_name="Test CA")


@functools.cache
def stranger() -> trustme.CA:
    return trustme.CA(organization_name="Other CA")


@functools.cache
def leaf(kind: str = "rsa", name: str = "mail.example", known: bool = True) -> trustme.LeafCert:
    by = authority() if known else stranger()
    return by.issue_cert(name, common_name=name, key_type=EC if kind == "ec" else RSA)


def key_of(made: trustme.LeafCert) -> bytes:
    return made.private_key_pem.bytes()


def certificates_of(made: trustme.LeafCert) -> bytes:
    return b"".join(each.bytes() for each in made.cert_chain_pems)


def chain(kind: str = "rsa", name: str = "mail.example", known: bool = True) -> Chain:
    made = leaf(kind, name, known)
    return Chain(name=f"{kind}.pem", certificates=key_of(made) + certificates_of(made))


def no_warning(line: str) -> None:
    raise AssertionError(line)


def server(**values: Any) -> ssl.SSLContext:
    values.setdefault("chains", (chain(),))
    return server_context(ServerValues(**values), no_warning)


def client(**values: Any) -> ssl.SSLContext:
    values.setdefault("exclude_ciphers", "aNULL")  # which Postfix's clients prefer, as long as nobody is to be verified
    return client_context(ClientValues(**values), no_warning)


def warnings_of(make: Callable[[Callable[[str], object]], object]) -> list[str]:
    told: list[str] = []
    make(told.append)
    return told


def shake(
    server: ssl.SSLContext,
    client: ssl.SSLContext,
    name: str | None = None,
    session: ssl.SSLSession | None = None,
    offer: ClientSession | DaneOffer | None = None,
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """The server's and the client's connection, both done, and one octet heard. Raises ssl.SSLError."""
    to_server, from_server, to_client, from_client = (ssl.MemoryBIO() for _ in range(4))
    ours = server.wrap_bio(to_server, from_server, server_side=True)
    theirs = client.wrap_bio(to_client, from_client, server_hostname=name, session=session)
    if offer is not None:
        offer.offer(theirs)
    shaken: set[ssl.SSLObject] = set()
    for _ in range(6):
        for each in (theirs, ours):
            try:
                each.do_handshake()
                shaken.add(each)
            except ssl.SSLWantReadError:
                pass
            to_server.write(from_client.read())
            to_client.write(from_server.read())
    assert len(shaken) == 2
    ours.write(b"x")
    to_client.write(from_server.read())
    assert theirs.read(1) == b"x"
    return ours, theirs
