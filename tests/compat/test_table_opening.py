"""Tables that cannot be opened, servers that are not there: reply, log, and postmap, beside Postfix's."""

import re
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.scenarios.server import MASTER_CF, Client, Gatepost, free_port, temporary_folder, until

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mail.ours.example
mydestination = ours.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions =
"""
TABLES = {
    kind: f"{kind}:{{folder}}/nosuch"
    for kind in ("hash", "btree", "lmdb", "cdb", "texthash", "regexp", "pcre", "cidr", "sqlite")
} | {
    "relative": "hash:nosuch",
    "socketmap": "socketmap:inet:127.0.0.1:{port}:name",
    "socket": "socketmap:unix:{folder}/nosocket:name",
    "tcp": "tcp:127.0.0.1:{port}",
    "nohost": "tcp:nosuch.invalid:{port}",
}


def rejected(port: int, log: Callable[[], str], name: str) -> tuple[str, list[str]]:
    """The reply to RCPT, and what smtpd logs, each line once: of tcp tables Postfix warns ten times, once a second."""
    client = Client(port)
    client.sock.settimeout(40)
    client.say("HELO client.example")
    client.say("MAIL FROM:<a@far.example>")
    reply = client.say("RCPT TO:<k@ours.example>")
    client.close()
    until(lambda: f" {name}/smtpd" in log() and re.search(rf" {name}/smtpd\S* disconnect from", log()), "its end")
    lines = re.findall(rf" {name}/smtpd\[\d+\]: (.*)", log())
    return reply, list(dict.fromkeys(line for line in lines if "connect from" not in line))


def asked(command: list[str]) -> tuple[int, list[str]]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, list(dict.fromkeys(done.stderr.splitlines()))


class Both:
    """Both systems, each with a listener for each table."""

    def __init__(self, postfix: RealPostfix, server: Gatepost, ports: dict[str, int], tables: dict[str, str]) -> None:
        self.tables = tables
        self._postfix, self._server, self._ports = postfix, server, ports

    def rejected(self, name: str) -> list[tuple[str, list[str]]]:
        return [
            rejected(self._postfix.ports[name], self._postfix.log, name),
            rejected(self._ports[name], self._server.log, name),
        ]

    def asked(self, name: str) -> list[tuple[int, list[str]]]:
        """postmap, of one of the tables, or of another."""
        table = self.tables.get(name, name)
        done = self._server.command("postmap", "-q", "k", table, check=False)
        theirs = asked(["postmap", "-c", str(self._postfix.folder / "config"), "-q", "k", table])
        return [theirs, (done.returncode, list(dict.fromkeys(done.stderr.splitlines())))]


def services(port: int, ports: dict[str, int], restrictions: dict[str, str]) -> Iterator[str]:
    yield MASTER_CF.format(listen=f"127.0.0.1:{port}")
    for name, restriction in restrictions.items():
        yield f"127.0.0.1:{ports[name]} inet n - n - - smtpd -o syslog_name={name}\n"
        yield f"  -o {{ smtpd_recipient_restrictions = {restriction} }}\n"


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    need_postfix()
    nobody = free_port()
    with temporary_folder() as folder:
        tables = {name: table.format(folder=folder, port=nobody) for name, table in TABLES.items()}
        restrictions = {name: f"check_recipient_access {table}" for name, table in tables.items()}
        own = {
            name: {"syslog_name": name, "smtpd_recipient_restrictions": text} for name, text in restrictions.items()
        }
        with RealPostfix(own, MAIN_CF) as postfix:
            ports = {name: free_port() for name in tables}
            port = free_port()
            master_cf = "".join(services(port, ports, restrictions))
            server = Gatepost(folder, MAIN_CF.partition("\n")[2], port=port, master_cf=master_cf)
            server.start()
            try:
                yield Both(postfix, server, ports, tables)
            finally:
                server.stop()


@pytest.mark.parametrize("name", TABLES)
def test_what_client_and_log_are_told(name: str, both: Both) -> None:
    theirs, ours = both.rejected(name)
    assert ours[0].startswith("451 4.3.5 <k@ours.example>: ")
    assert ours == theirs


@pytest.mark.parametrize(
    "table",
    ["inline:{}", "inline:{ }", "inline:{,}", "tcp:25x", "tcp:localhost:", "socketmap:foo:a:25:n", "socketmap:n",
     "socketmap:inet:n", "socketmap:inet:localhost:25x:n", "nosuchtype:x", "unix:nosuch", "static:"],
)  # fmt: skip
def test_names_that_make_no_sense(table: str, both: Both) -> None:
    theirs, ours = both.asked(table)
    assert theirs[0] == 1
    assert ours == theirs


@pytest.mark.parametrize("name", TABLES)
def test_postmap(name: str, both: Both) -> None:
    theirs, ours = both.asked(name)
    assert ours == theirs
