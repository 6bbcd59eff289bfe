"""Tables in databases and behind sockets, in the whole server: down, back again, hanging, badly configured."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.server import Gatepost, temporary_folder
from tests.tables.database_servers import Postgres

MAIN_CF = """\
myhostname = mx.home.example
mydestination = home.example
local_recipient_maps =
mynetworks =
gatepost_smtpd_processes = 1
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = {restrictions}
"""
WRONG = "Recipient address rejected: Server configuration error"
SQL = """
CREATE TABLE access (key text, action text);
INSERT INTO access VALUES ('bad@home.example', 'REJECT not this one'), ('good@', 'OK'), ('o''k@home.example', 'OK'),
    ('list@home.example', 'one@hole.example'), ('list@home.example', 'two@hole.example'),
    ('hole.example', 'discard:gone');
GRANT SELECT ON access TO mail;
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        server.create(SQL)
        yield server
    finally:
        server.remove()


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as path:
        yield path


def table(folder: Path, postgres: Postgres, more: str = "") -> str:
    text = f"hosts = 127.0.0.1:{postgres.port}\nuser = mail\npassword = it's\ndbname = mail\n"
    (folder / "access.cf").write_text(text + "query = SELECT action FROM access WHERE key = '%s'\n" + more)
    return f"pgsql:{folder}/access.cf"


def test_database_goes_and_comes_back(folder: Path, postgres: Postgres) -> None:
    name = table(folder, postgres)
    main_cf = MAIN_CF.format(restrictions=f"check_recipient_access {name}, reject")
    server = Gatepost(folder, main_cf).start()
    try:
        client = server.client()
        assert client.say("MAIL FROM:<a@far.example>").startswith("250")
        assert client.say("RCPT TO:<bad@home.example>").startswith(
            "554 5.7.1 <bad@home.example>: Recipient address rej"
        )
        assert client.say("RCPT TO:<good@home.example>").startswith("250")
        assert client.say("RCPT TO:<o'k@home.example>").startswith("250")
        postgres.stop()
        try:
            # What Postfix says where an access table cannot tell.
            reply = client.say("RCPT TO:<good@home.example>")
            assert reply == f"451 4.3.5 <good@home.example>: {WRONG}"
            server.wait_log(rf"warning: connect to pgsql server 127\.0\.0\.1:{postgres.port}: ")
            server.wait_log(rf"{name}")
        finally:
            postgres.start()
        assert client.say("RCPT TO:<good@home.example>").startswith("250")
        client.close()
    finally:
        server.stop()


@pytest.mark.parametrize("mode", ["", "--single-process"])
def test_addresses_and_routes(folder: Path, postgres: Postgres, mode: str) -> None:
    """Aliases, recipients and transports from one database, asked by the SMTP server and by the queue manager."""
    name = table(folder, postgres)
    main_cf = MAIN_CF.format(restrictions="") + (
        f"virtual_alias_domains =\nvirtual_alias_maps = {name}\ntransport_maps = proxy:{name}\n"
    )
    server = Gatepost(folder, main_cf.replace("local_recipient_maps =", f"local_recipient_maps = {name}"))
    server.start(*([mode] if mode else []))
    try:
        client = server.client()
        assert client.send("a@far.example", "list@home.example").startswith("250 2.0.0 Ok: queued")
        server.wait_log(r"to=<one@hole\.example>, orig_to=<list@home\.example>, .* status=sent \(gone\)")
        server.wait_log(r"to=<two@hole\.example>, orig_to=<list@home\.example>, .* status=sent \(gone\)")
        assert client.say("MAIL FROM:<a@far.example>").startswith("250")
        assert client.say("RCPT TO:<nobody@home.example>").startswith("550 5.1.1")
        postgres.stop()
        try:
            assert client.say("RCPT TO:<list@home.example>").startswith("451 4.3.0")
        finally:
            postgres.start()
        assert client.say("RCPT TO:<list@home.example>").startswith("250")
        client.close()
    finally:
        server.stop()


def test_a_table_that_hangs_holds_up_nobody_else(folder: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    asked, hang_up = threading.Event(), threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        connection.recv(1000)
        asked.set()
        hang_up.wait(60)
        connection.close()
        listener.close()

    thread = threading.Thread(target=serve)
    thread.start()
    name = f"socketmap:inet:127.0.0.1:{listener.getsockname()[1]}:access"
    restrictions = (
        f"check_recipient_access inline:{{{{quick@home.example = OK}}}}, check_recipient_access {name}, reject"
    )
    server = Gatepost(folder, MAIN_CF.format(restrictions=restrictions)).start()
    try:
        hanging = server.client()
        hanging.say("MAIL FROM:<a@far.example>")
        hanging.sock.sendall(b"RCPT TO:<slow@home.example>\r\n")
        assert asked.wait(60)
        for _ in range(3):
            client = server.client()
            client.say("MAIL FROM:<a@far.example>")
            assert client.say("RCPT TO:<quick@home.example>").startswith("250")
            client.close()
        hang_up.set()
        assert hanging.reply() == f"451 4.3.5 <slow@home.example>: {WRONG}"
        hanging.close()
        server.wait_log("warning: .*socketmap:inet")
    finally:
        hang_up.set()
        server.stop()
        thread.join()


def test_check_names_what_is_wrong(folder: Path, postgres: Postgres) -> None:
    name = table(folder, postgres, "expansion_limt = 1\nexpansion_limit = one\n")
    server = Gatepost(folder, MAIN_CF.format(restrictions=f"check_recipient_access {name}, reject"))
    told = server.command("check", check=False).stdout
    faults, _, remarks = told.partition("Remarks:")
    assert "access.cf, line 7: bad numerical configuration: expansion_limit = one" in faults
    assert "access.cf, line 6: unknown setting, no effect: expansion_limt" in remarks


def test_parameters_in_main_cf(folder: Path, postgres: Postgres) -> None:
    main_cf = MAIN_CF.format(restrictions="check_recipient_access pgsql:acc, reject") + (
        f"server = 127.0.0.1\nacc_hosts = inet:$server:{postgres.port}\nacc_user = mail\nacc_password = it's\n"
        "acc_dbname = mail\nacc_query = SELECT action FROM access WHERE key = '%s'\n"
    )
    server = Gatepost(folder, main_cf)
    assert "Unused" not in server.command("check").stdout
    server.start()
    try:
        client = server.client()
        client.say("MAIL FROM:<a@far.example>")
        assert client.say("RCPT TO:<good@home.example>").startswith("250")
        client.close()
    finally:
        server.stop()
