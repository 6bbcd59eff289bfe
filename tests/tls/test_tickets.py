import os
import ssl

import pytest

from gatepost.tls import tickets
from gatepost.tls.verification import verification
from tests.tls.handshakes import chain, client, server, shake

VERSIONS = pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])


def resumed(ours: ssl.SSLContext, theirs: ssl.SSLContext, session: ssl.SSLSession | None) -> bool:
    connection, _ = shake(ours, theirs, session=session)
    return bool(connection.session_reused)


@VERSIONS
def test_contexts_made_anew_share_tickets_by_their_keys(version: str) -> None:
    keys, theirs = os.urandom(tickets.KEYS_SIZE), client(protocols=version)
    contexts = [server() for _ in range(3)]
    for each in contexts[:2]:
        assert tickets.set_keys(each, keys)
    _, other = shake(contexts[0], theirs)
    assert resumed(contexts[0], theirs, other.session)
    assert resumed(contexts[1], theirs, other.session)
    assert not resumed(contexts[2], theirs, other.session)


@VERSIONS
def test_the_successor_of_a_context_has_another_certificate(version: str) -> None:
    keys, theirs = os.urandom(tickets.KEYS_SIZE), client(protocols=version)
    old, new = server(), server(chains=(chain("ec"),))
    for each in (old, new):
        tickets.set_keys(each, keys)
    _, other = shake(old, theirs)
    assert resumed(new, theirs, other.session)


@VERSIONS
def test_processes_that_inherit_a_context_share_its_tickets(version: str) -> None:
    ours, theirs = server(), client(protocols=version)
    _, other = shake(ours, theirs)
    child = os.fork()
    if child == 0:
        os._exit(0 if resumed(ours, theirs, other.session) else 1)
    assert os.waitpid(child, 0)[1] == 0


@VERSIONS
@pytest.mark.parametrize("values", [{"session_cache_timeout": 0}, {"session_cache_timeout": -1}])
def test_no_tickets(version: str, values: dict[str, int]) -> None:
    ours, theirs = server(**values), client(protocols=version)
    _, other = shake(ours, theirs)
    assert not resumed(ours, theirs, other.session)


@VERSIONS
def test_a_session_ends(version: str) -> None:
    ours, theirs = server(session_cache_timeout=77), client(protocols=version)
    _, other = shake(ours, theirs)
    assert other.session is not None and other.session.ticket_lifetime_hint == 77


@VERSIONS
def test_a_resumed_session_has_the_certificate_and_what_was_found_of_it(version: str) -> None:
    ours = server(ask_ccert=True)
    theirs = client(protocols=version, chains=(chain("rsa", "client.example", False),))
    _, other = shake(ours, theirs)
    again, _ = shake(ours, theirs, session=other.session)
    assert again.session_reused and again.getpeercert(True)
    found = verification(again)
    assert found.present and not found.trusted and not found.complaint


def test_keys_of_another_size() -> None:
    with pytest.raises(ValueError, match="size"):
        tickets.set_keys(server(), b"x" * 48)


def test_one_ticket_a_session() -> None:
    assert server().num_tickets == 1
