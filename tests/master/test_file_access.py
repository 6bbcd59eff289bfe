"""Files that only root may read, opened for a process that is not root. With real processes: as root only."""

import os
import pwd
import signal
import socket
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import msgspec
import pytest

from gatepost.config.configuration import Configuration
from gatepost.control.acting_as import acting_as
from gatepost.master.file_access import PAUSE, Asking, FileAccess, access_here, asked_access, needs_root, refusal
from gatepost.master.file_opener import NO_ENTRY, FileOpener, Request
from gatepost.master.named_files import NamedFile, NamedFiles
from gatepost.master.privileges import drop_to
from gatepost.master.server_names import digest_of
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables
from gatepost.tables.table_files import Duplicates, Manner, table_file
from gatepost.tables.table_source import Entry

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="must be root: opens what only root may")

OWNER = pwd.getpwnam("nobody")


class Host:
    """A configuration folder that only root gets into, and the opener for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pids: list[int] = []
        self.openers: list[FileOpener] = []
        self.log = folder / "said"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def configure(self, main_cf: str) -> NamedFiles:
        self.write("main.cf", main_cf.format(folder=self.folder))
        self.write("master.cf", "25 inet n - n - - smtpd\n")
        return NamedFiles.of(Configuration.read(str(self.folder)))

    def start(self, named: NamedFiles) -> FileOpener:
        opener = self.opener(named)
        self.serve(opener)
        return opener

    def opener(self, named: NamedFiles) -> FileOpener:
        self.openers.append(FileOpener(str(self.folder), OWNER, named))
        return self.openers[-1]

    def serve(self, opener: FileOpener) -> int:
        def warn(text: str) -> None:
            with self.log.open("a") as log:
                log.write(f"{text}\n")

        pid = self.child(lambda: opener.serve(None, -1, warn))
        self.pids.append(pid)
        return pid

    def child(self, work: Callable[[], None]) -> int:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                work()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        return pid

    def as_worker(self, opener: FileOpener, named: NamedFiles, role: str, work: Callable[[FileAccess], None]) -> None:
        """Do this in a process that has become `nobody` for good. What fails there fails here."""

        def worker() -> None:
            opener.become(role)
            drop_to(OWNER)
            work(asked_access(opener, named, role, time.monotonic))

        assert os.waitpid(self.child(worker), 0)[1] == 0

    def said(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def host() -> Iterator[Host]:
    with tempfile.TemporaryDirectory() as name:
        made = Host(Path(name))
        yield made
        for opener in made.openers:
            opener.close()
        for pid in made.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


KEYS = "smtpd_tls_chain_files = {folder}/key.pem\nsmtp_sasl_password_maps = hash:{folder}/passwd\nalias_maps =\n"


def test_a_worker_reads_what_the_configuration_names_for_it_and_nothing_else(host: Host) -> None:
    named = host.configure(KEYS)
    key = host.write("key.pem", "the key")
    passwd = host.write("passwd", "host user:password\n")
    other = host.write("other", "something else")
    opener = host.start(named)

    def smtpd(files: FileAccess) -> None:
        assert files.read(str(key)) == b"the key"
        status = files.stat(str(key))
        assert (status.st_size, status.st_uid) == (7, 0)
        for path in (passwd, other):
            with pytest.raises(PermissionError):
                files.read(str(path))

    def delivery(files: FileAccess) -> None:
        assert files.read(str(passwd)) == b"host user:password\n"
        with pytest.raises(PermissionError):
            files.read(str(key))

    host.as_worker(opener, named, "smtpd", smtpd)
    host.as_worker(opener, named, "delivery", delivery)
    assert host.said() == []


def test_a_descriptor_is_for_reading_only(host: Host) -> None:
    named = host.configure(KEYS)
    key = host.write("key.pem", "the key")
    opener = host.start(named)

    def work(files: FileAccess) -> None:
        descriptor = files.open(str(key))
        with pytest.raises(OSError):
            os.write(descriptor, b"x")

    host.as_worker(opener, named, "smtpd", work)


def test_a_worker_that_does_not_keep_to_its_role_is_refused_and_told_of(host: Host) -> None:
    """The list that the worker has may say what it likes: what counts is what the opener knows."""
    named = host.configure(KEYS)
    host.write("passwd", "host user:password\n")
    opener = host.start(named)

    def hostile(files: FileAccess) -> None:
        asking = Asking(opener.asking["smtpd"], named.mark, time.monotonic)
        for file in (
            NamedFile("", "smtp_sasl_password_maps", 0, ""),
            NamedFile("", "smtpd_tls_chain_files", 7, ""),
            NamedFile("", "/etc/shadow", 0, ""),
        ):
            with pytest.raises(PermissionError):
                asking(file)
        with pytest.raises(OSError) as caught:
            asking(NamedFile("", "smtpd_tls_chain_files", 0, ""), entry=digest_of("/etc/shadow"))
        assert caught.value.errno == NO_ENTRY
        with pytest.raises(PermissionError):
            Asking(opener.asking["smtpd"], "0" * 64, time.monotonic)(NamedFile("", "smtpd_tls_chain_files", 0, ""))

    host.as_worker(opener, named, "smtpd", hostile)
    assert host.said() == ["file opener: smtpd: asks for a file that the configuration does not name for it"]


def test_the_sockets_of_other_roles_are_closed_to_a_worker(host: Host) -> None:
    opener = host.opener(host.configure(KEYS))
    opener.become("smtpd")
    assert [role for role, sock in opener.asking.items() if sock.fileno() >= 0] == ["smtpd"]
    opener.close()
    assert all(sock.fileno() < 0 for sock in opener.asking.values())


def test_malformed_requests(host: Host) -> None:
    named = host.configure(KEYS)
    host.write("key.pem", "the key")
    opener = host.start(named)
    sock = opener.asking["smtpd"]
    request = msgspec.msgpack.encode(Request(named.mark, "", "smtpd_tls_chain_files", 0))
    for packet in (b"\xff", b"", request[:-1], msgspec.msgpack.encode(["x"] * 9), request + b"\0", os.urandom(4096)):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            socket.send_fds(sock, [packet or b"\0"], [theirs.fileno()])
    sock.send(request)  # and nowhere to answer to
    with open(host.folder / "main.cf") as file, socket.create_server(("127.0.0.1", 0)) as listener:
        for place in (file, listener):  # nor here
            socket.send_fds(sock, [request], [place.fileno()])
    full, nobody_reads = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with full, nobody_reads:
        full.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                full.send(b"x")
        socket.send_fds(sock, [request], [full.fileno()])
        os.close(Asking(sock, named.mark, time.monotonic)(named.files[0]))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(sock, [request], [theirs.fileno()] * 5)  # more than anybody needs
    os.close(Asking(sock, named.mark, time.monotonic)(named.files[0]))  # still serving
    assert host.said() == ["file opener: smtpd: malformed request"]


def test_a_file_that_goes_is_said_to_be_missing(host: Host) -> None:
    named = host.configure(KEYS)
    opener = host.start(named)

    def work(files: FileAccess) -> None:
        with pytest.raises(FileNotFoundError):
            files.stat(f"{host.folder}/key.pem")

    host.as_worker(opener, named, "smtpd", work)


def test_another_configuration_is_read_when_somebody_asks_for_it(host: Host) -> None:
    """As after a reload of the single process, which may not read main.cf for the opener, nor tell it what to open."""
    first = host.configure(KEYS)
    host.write("key.pem", "the key")
    opener = host.start(first)
    second = host.configure(KEYS + "transport_maps = hash:{folder}/transport\n")
    host.write("transport", "example.com smtp:\n")
    host.configure(KEYS + "relay_domains = hash:{folder}/later\n")  # by now it says something else again
    never = NamedFiles(iter([NamedFile("", "transport_maps", 0, "/etc/shadow")]))

    def refused(files: FileAccess) -> None:
        for path in (f"{host.folder}/transport", "/etc/shadow"):
            with pytest.raises(PermissionError):
                files.read(path)

    def granted(files: FileAccess) -> None:
        assert files.read(f"{host.folder}/transport") == b"example.com smtp:\n"

    def as_before(files: FileAccess) -> None:
        assert files.read(f"{host.folder}/key.pem") == b"the key"

    host.as_worker(opener, second, "single", refused)
    host.as_worker(opener, never, "single", refused)
    host.configure(KEYS + "transport_maps = hash:{folder}/transport\n")
    host.as_worker(opener, second, "single", granted)
    host.configure("alias_maps =\n")
    host.as_worker(opener, second, "single", granted)  # known by now
    host.as_worker(opener, first, "single", as_before)


def test_an_opener_that_dies_is_missed_only_while_it_is_away(host: Host) -> None:
    named = host.configure(KEYS)
    key = str(host.write("key.pem", "the key"))
    opener = host.start(named)
    sock = opener.asking["smtpd"]
    now = 1000.0
    asking = Asking(sock, named.mark, lambda: now)
    files = FileAccess(named, asking)
    descriptor = asking(named.files[0])
    os.close(descriptor)
    os.kill(host.pids[0], signal.SIGKILL)
    os.waitpid(host.pids.pop(), 0)
    opener_again = host.serve(opener)  # the same sockets, as master has them
    descriptor = asking(named.files[0])
    assert os.read(descriptor, 9) == b"the key"
    os.close(descriptor)
    os.kill(opener_again, signal.SIGKILL)
    os.waitpid(host.pids.pop(), 0)
    opener.become("smtpd")
    with acting_as(OWNER):
        with pytest.raises(PermissionError, match="no answer"):
            files.read(key)
        now += PAUSE / 2
        with pytest.raises(PermissionError, match="no answer"):  # nobody is asked so soon
            files.read(key)


def test_the_opener_holds_nothing_that_it_has_inherited(host: Host) -> None:
    """A listening socket in its hands would go on taking connections that nobody serves."""
    with socket.create_server(("127.0.0.1", 0)) as listener, open(host.write("kept", "")):
        named = host.configure(KEYS)
        host.write("key.pem", "the key")
        opener = host.start(named)
        os.close(Asking(opener.asking["smtpd"], named.mark, time.monotonic)(named.files[0]))  # it serves by now
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_the_opener_ends_with_those_who_could_ask(host: Host) -> None:
    opener = host.opener(host.configure(KEYS))
    pid = host.serve(opener)
    host.pids.clear()
    opener.close()
    assert os.waitpid(pid, 0)[1] == 0


def test_key_files_in_a_table_of_server_names(host: Host) -> None:
    named = host.configure("tls_server_sni_maps = hash:{folder}/sni\nalias_maps =\n")
    www = host.write("www.pem", "www")
    extra = host.write("extra.pem", "extra")
    other = host.write("other.pem", "other")
    host.write("sni", f"# names\nWWW.example.com {www}, {extra} {host.folder}/gone.pem\n")
    opener = host.start(named)

    def work(files: FileAccess) -> None:
        assert files.read(str(www)) == b"www"
        assert files.read(str(extra)) == b"extra"
        with pytest.raises(PermissionError):
            files.read(str(other))
        with pytest.raises(FileNotFoundError):
            files.read(f"{host.folder}/gone.pem")

    host.as_worker(opener, named, "smtpd", work)
    host.write("sni", f"www.example.com {other} {host.folder}/gone.pem\n")

    def work_on_the_new_table(files: FileAccess) -> None:
        assert files.read(str(other)) == b"other"
        with pytest.raises(PermissionError):
            files.read(str(www))

    host.as_worker(opener, named, "smtpd", work_on_the_new_table)
    assert host.said() == []


@pytest.mark.parametrize("kind", ["hash", "texthash", "cidr", "regexp", "pcre", "lmdb", "cdb"])
async def test_tables_of_each_kind(host: Host, kind: str) -> None:
    """Text, and the indexes that are read where there is no text."""
    named = host.configure(f"virtual_alias_maps = {kind}:{{folder}}/table\nalias_maps =\n")
    text = {"cidr": "192.0.2.1 found\n", "regexp": "/^key$/ found\n", "pcre": "/^key$/ found\n"}
    path = host.folder / "table"
    if kind in ("lmdb", "cdb"):
        manner = Manner("postmap", str.lower, Duplicates.WARN, True, None, 1 << 20, print)
        index = table_file(kind, str(path), manner)
        assert index is not None
        index.create([Entry("key", "found", "key found", 1)], 0o600)
    else:
        host.write("table", text.get(kind, "key found\n"))
    opener = host.start(named)
    said: list[str] = []
    files = asked_access(opener, named, "qmgr", time.monotonic)
    with acting_as(OWNER):
        env = TableEnvironment(
            clock=time.monotonic, warn=said.append, stat_file=files.stat, read_file=files.read, open_file=files.open
        )
        table = Tables(env).open(f"{kind}:{path}")
        assert await table.lookup("192.0.2.1" if kind == "cidr" else "key") == "found"
    assert said == []


async def test_the_configuration_of_a_database_table(host: Host) -> None:
    """The file with the password is root's; what it names, a library opens with our own rights."""
    named = host.configure("virtual_alias_maps = sqlite:{folder}/table.cf\nalias_maps =\n")
    with tempfile.TemporaryDirectory() as elsewhere:
        Path(elsewhere).chmod(0o755)
        database = f"{elsewhere}/table.db"
        apsw.Connection(database).execute("CREATE TABLE t (k, v); INSERT INTO t VALUES ('key', 'found')")
        Path(database).chmod(0o644)
        cf = host.write("table.cf", f"dbpath = {database}\nquery = SELECT v FROM t WHERE k = '%s'\n")
        files = asked_access(host.start(named), named, "qmgr", time.monotonic)
        with acting_as(OWNER):
            env = TableEnvironment(
                clock=time.monotonic, warn=print, stat_file=files.stat, read_file=files.read, open_file=files.open
            )
            tables = Tables(env)
            assert await tables.open(f"sqlite:{cf}").lookup("key") == "found"
            tables.close()


def test_who_acts_as_mail_owner_sees_what_the_workers_see(host: Host) -> None:
    """`gatepost check` and its kin, run by root."""
    main_cf = KEYS + f"mail_owner = {OWNER.pw_name}\ntls_server_sni_maps = hash:{{folder}}/sni\n"
    named = host.configure(main_cf)
    configuration = Configuration.read(str(host.folder))
    key = str(host.write("key.pem", "the key"))
    www = str(host.write("www.pem", "www"))
    other = str(host.write("other", "other"))
    host.write("sni", f"example.com {www}\n")
    with acting_as(OWNER):
        files = access_here(configuration)
        assert (files.read(key), files.read(www)) == (b"the key", b"www")
        assert os.geteuid() == OWNER.pw_uid
        assert refusal(files, other) == refusal(FileAccess(), key) == "Permission denied"
        assert refusal(files, key) == refusal(files, "/no/such/file") == ""
    assert needs_root(named, OWNER)


def test_who_needs_root(host: Host) -> None:
    assert not needs_root(host.configure("alias_maps =\n"), OWNER)
    named = host.configure("alias_maps =\ntransport_maps = hash:{folder}/transport\n")
    transport = host.write("transport", "a smtp:\n")
    assert needs_root(named, OWNER)
    host.folder.chmod(0o755)
    assert needs_root(named, OWNER)
    transport.chmod(0o644)
    assert not needs_root(named, OWNER)
    # What may be renewed with other rights, or is not there yet.
    assert needs_root(host.configure("alias_maps =\nsmtp_tls_key_file = {folder}/key.pem\n"), OWNER)
    assert needs_root(host.configure("alias_maps =\ngatepost_sasl_users = hash:{folder}/users\n"), OWNER)
