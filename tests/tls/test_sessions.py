import gc
import ssl
from pathlib import Path

import pytest

from gatepost.tls import openssl
from gatepost.tls.openssl import native
from gatepost.tls.sessions import ClientSession, take_session
from gatepost.tls.verification import verification
from tests.tls.handshakes import client, server, shake

VERSIONS = pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])


def again(ours: ssl.SSLContext, theirs: ssl.SSLContext, session: ClientSession) -> ssl.SSLObject:
    _, other = shake(ours, theirs, offer=session)
    return other


@VERSIONS
def test_a_session_is_resumed_more_than_once(version: str) -> None:
    ours, theirs = server(), client(protocols=version)
    _, other = shake(ours, theirs)
    session = take_session(other)
    assert session is not None
    del other
    gc.collect()
    for _ in range(3):
        resumed = again(ours, theirs, session)
        assert resumed.session_reused and resumed.getpeercert(True)
        assert verification(resumed).present
    newer = take_session(resumed)
    assert newer is not None and again(ours, theirs, newer).session_reused


@VERSIONS
def test_a_server_that_gives_no_tickets(version: str) -> None:
    _, other = shake(server(session_cache_timeout=0), client(protocols=version))
    session = take_session(other)
    assert session is None or version == "TLSv1.2"


def test_before_the_handshake() -> None:
    theirs = client()
    assert take_session(theirs.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())) is None


def test_a_session_of_another_context() -> None:
    ours = server()
    _, other = shake(ours, client())
    session = take_session(other)
    assert session is not None
    with pytest.raises(ValueError, match="different SSLContext"):
        again(ours, client(), session)


def test_without_native(monkeypatch: pytest.MonkeyPatch) -> None:
    native.cache_clear()
    monkeypatch.setattr(openssl, "_recognised", lambda _: False)
    try:
        ours, theirs = server(), client()
        _, other = shake(ours, theirs)
        session = take_session(other)
        assert session is not None and again(ours, theirs, session).session_reused
    finally:
        native.cache_clear()


def _resident() -> int:
    """Octets of memory in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_sessions_cost_nothing_once_they_are_gone() -> None:
    ours, theirs = server(), client()

    def round_trip() -> None:
        _, other = shake(ours, theirs)
        session = take_session(other)
        assert session is not None
        again(ours, theirs, session)

    for _ in range(100):
        round_trip()
    gc.collect()
    before = _resident()
    for _ in range(400):
        round_trip()
    gc.collect()
    # SSLObject.session alone would have left 2.7 million.
    assert _resident() - before < 1_000_000
