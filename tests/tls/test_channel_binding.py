"""Channel bindings: both ends have the same, and the certificate's hash is the one that RFC 5929 asks for."""

import hashlib
import ssl

import pytest
import trustme

from gatepost.tls.channel_binding import channel_binding, end_point
from gatepost.tls.openssl import native


def pair(**options: object) -> tuple[ssl.SSLObject, ssl.SSLObject, bytes]:
    """A server and a client that have shaken hands, and the server's certificate."""
    authority = trustme.CA()
    made = authority.issue_cert("mail.ours.example")
    serving, asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.configure_cert(serving)
    authority.configure_trust(asking)
    for name, value in options.items():
        setattr(serving, name, value)
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(one, other, server_side=True)
    client = asking.wrap_bio(other, one, server_hostname="mail.ours.example")
    done = False
    while not done:
        done = True
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                done = False
    return server, client, ssl.PEM_cert_to_DER_cert(made.cert_chain_pems[0].bytes().decode())


def test_tls_1_3() -> None:
    server, client, certificate = pair()
    openssl = native()
    assert openssl is not None and server.version() == "TLSv1.3"
    exported = channel_binding(server, "tls-exporter")
    assert exported is not None and len(exported) == 32
    assert openssl.exported(client, b"EXPORTER-Channel-Binding", 32) == exported
    assert channel_binding(pair()[0], "tls-exporter") != exported
    assert channel_binding(server, "tls-server-end-point") == hashlib.sha256(certificate).digest()
    assert channel_binding(server, "tls-unique") is None
    assert channel_binding(server, "tls-else") is None


def test_tls_1_2() -> None:
    server, client, certificate = pair(maximum_version=ssl.TLSVersion.TLSv1_2)
    assert channel_binding(server, "tls-unique") == client.get_channel_binding("tls-unique")
    assert channel_binding(server, "tls-server-end-point") == hashlib.sha256(certificate).digest()
    assert channel_binding(server, "tls-exporter") is None


def test_no_certificate() -> None:
    assert end_point(b"") is None
    with pytest.raises(ValueError):
        end_point(b"\0")
