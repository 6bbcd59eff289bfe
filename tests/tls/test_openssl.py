import _ssl
import ctypes
import gc
import os
import ssl
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from gatepost.tls import openssl, tickets
from gatepost.tls.context import client_context, server_context
from gatepost.tls.openssl import Native, native
from gatepost.tls.summary import connection_summary, summarize
from gatepost.tls.values import BadTlsValue, ClientValues, ServerValues
from gatepost.tls.verification import verification
from tests.tls.handshakes import chain, client, no_warning, server, shake


def the_native() -> Native:
    found = native()
    assert found is not None
    return found


@pytest.fixture
def absent() -> Iterator[None]:
    """A Python whose OpenSSL cannot be had."""
    real = openssl._recognised
    native.cache_clear()
    openssl._recognised = lambda _: False
    try:
        yield
    finally:
        openssl._recognised = real
        native.cache_clear()


def test_it_is_there() -> None:
    """On the Pythons that we are tested with; where it is not, much is refused."""
    assert native() is native() is not None


def test_pointers_are_what_they_should_be() -> None:
    context = server()
    tls = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    library = ctypes.CDLL(_ssl.__file__)
    library.SSL_CTX_get_options.argtypes = [ctypes.c_void_p]
    library.SSL_CTX_get_options.restype = ctypes.c_uint64
    assert library.SSL_CTX_get_options(openssl.context_pointer(context)) == int(context.options)
    library.SSL_get_SSL_CTX.argtypes = [ctypes.c_void_p]
    library.SSL_get_SSL_CTX.restype = ctypes.c_void_p
    assert library.SSL_get_SSL_CTX(openssl.connection_pointer(tls)) == openssl.context_pointer(context)


def test_a_layout_that_is_not_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fields:
        """As if something stood before the fields."""

        def __mul__(self, number: int) -> Any:
            return self

        def from_address(self, address: int) -> list[int]:
            return [1, 2, 3, 4, 5]

    monkeypatch.setattr(openssl, "c_void_p", Fields())
    assert not openssl._recognised(None)


def test_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    native.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr("sys.implementation", type("Other", (), {"name": "pypy"}))
        assert native() is None
    native.cache_clear()
    with monkeypatch.context() as patch:
        patch.setitem(openssl._FUNCTIONS, "SSL_no_such_function", (None, ()))
        assert native() is None
    native.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(_ssl, "__file__", "/nowhere.so")
        assert native() is None
    native.cache_clear()
    assert native() is not None


def test_without_it_there_is_plain_tls(absent: None) -> None:
    assert native() is None
    ours = server_context(ServerValues(chains=(chain(),)), no_warning)
    theirs = client_context(ClientValues(exclude_ciphers="aNULL"), no_warning)
    one, other = shake(ours, theirs)
    assert connection_summary(summarize(one)) == "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
    found = verification(other)
    assert found.present and not found.trusted and "out of reach" in found.complaint
    assert not tickets.set_keys(ours, bytes(tickets.KEYS_SIZE))
    with pytest.raises(BadTlsValue, match="client certificates"):
        server_context(ServerValues(ask_ccert=True), no_warning)


def test_questions_before_there_is_a_handshake() -> None:
    tls = server().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    found = the_native()
    assert found.cipher_bits(tls) == (0, 0)
    assert found.key_exchange(tls) is None and found.peer_key(tls) is None
    assert found.own_digest(tls) == found.peer_digest(tls) == ""
    assert found.verify_result(tls) == 0
    assert summarize(tls).cipher == ""


def test_a_call_that_fails_is_no_fault_of_the_next_connection(tmp_path: Any) -> None:
    """OpenSSL's queue of errors is one for all connections of a thread."""
    _, other = shake(server(), client())
    found = the_native()
    assert not found.set_groups(server(), "FOO")
    with pytest.raises(ssl.SSLWantReadError):
        other.read(1)
    found.name_authorities(server(), str(tmp_path / "nothing"))
    with pytest.raises(ssl.SSLWantReadError):
        other.read(1)
    assert not found.set_ticket_keys(server(), b"short")
    with pytest.raises(ssl.SSLWantReadError):
        other.read(1)


def test_words() -> None:
    assert the_native().verify_words(10) == "certificate has expired"
    assert the_native().verify_words(123456)


def test_a_note_that_cannot_be_taken_costs_nothing_but_the_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """The callback must neither raise into OpenSSL nor refuse anybody."""

    def fault(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(openssl, "VerifyError", fault)
    _, other = shake(server(), client())
    found = verification(other)
    assert found.present and not found.trusted and found.complaint == ""


def test_authorities_are_named(tmp_path: Any) -> None:
    from tests.tls.handshakes import authority

    path = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    context = server(ask_ccert=True, CAfile=str(path))
    ours, _ = shake(context, client(chains=(chain(),)))
    assert ours.getpeercert(True)
    the_native().name_authorities(context, os.devnull)


def test_nothing_is_left_of_a_connection() -> None:
    ours = server(ask_ccert=True)
    gc.collect()
    gc.disable()
    try:
        connections = shake(ours, client(chains=(chain(known=False),)))
        left = [weakref.ref(each) for each in connections]
        for each in connections:
            summarize(each), verification(each)
        del connections, each
        assert [ref() for ref in left] == [None, None]
    finally:
        gc.enable()
