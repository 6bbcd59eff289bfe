"""Patterns that a chosen address could keep busy for ever: they are stopped, named, and nobody else waits for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.others import DISCARDING, Others, Workers
from tests.scenarios.server import WAIT, Gatepost, temporary_folder, until

MAIN_CF = DISCARDING + """\
smtpd_client_connection_count_limit = 0
smtpd_hard_error_limit = 1000
smtpd_soft_error_limit = 1000
gatepost_smtpd_processes = 1
smtpd_recipient_restrictions = check_recipient_access {kind}:{table}
"""
EVIL = {"pcre": r"/^(?=a)(a+)+@$/", "regexp": r"/^(a+)+\1@$/"}
KEY = "a" * 40 + "b@ours.example"


@pytest.fixture(params=["pcre", "regexp"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(kind: str) -> Iterator[tuple[Gatepost, Path]]:
    with temporary_folder() as folder:
        table = folder / "table"
        table.write_text(f"# first\n{EVIL[kind]} REJECT\n/^listed@/ REJECT\n/^aaa/ REJECT last\n")
        server = Gatepost(folder, MAIN_CF.format(kind=kind, table=table)).start()
        try:
            yield server, table
        finally:
            server.stop()


def test_a_pattern_that_explodes(server: tuple[Gatepost, Path], kind: str) -> None:
    gatepost, table = server
    others = Others(gatepost, "bob@ours.example")
    try:
        workers = Workers(gatepost)
        client = gatepost.client()
        client.sock.settimeout(WAIT)
        client.say("MAIL FROM:<ann@away.example>")
        for _ in range(5):
            assert client.say(f"RCPT TO:<{KEY}>") == f"554 5.7.1 <{KEY}>: Recipient address rejected: last"
        client.close()
        until(lambda: f"warning: {kind} map {table}, line 2: match limit exceeded" in gatepost.log(), "the warning", 10)
        others.go_on()
        workers.are_as_before()
    finally:
        others.stop()
    told = gatepost.command("check").stdout + gatepost.command("check").stderr
    assert f"{table}, line 2: the pattern {EVIL[kind]} needs the engine pcre2" in told
