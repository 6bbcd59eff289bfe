"""Real database servers for the tests: in a folder of their own, on a port of their own, stopped at the end."""

import asyncio
import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.scenarios.server import free_port

WAIT = 60.0


def absent(what: str) -> None:
    """Skip aloud; in CI everything is there, and a missing part is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is not installed")
    pytest.skip(f"{what} is not installed")


def need_library(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        absent(f"the Python library {module}")


def program(name: str, *folders: str) -> str:
    """The path of a program; the test is skipped where there is none."""
    path = shutil.which(name) or shutil.which(name, path=":".join((*folders, "/usr/sbin", "/usr/local/sbin")))
    if path is None:
        absent(name)
    assert path is not None
    return path


class DatabaseServer:
    """A server process. `user`: the account that it runs as, if the tests run as root."""

    user = "nobody"

    def __init__(self) -> None:
        # Short: a Unix socket's path has no room for pytest's folders.
        self.folder = Path(tempfile.mkdtemp(prefix="gp", dir="/tmp"))
        self.folder.chmod(0o755)
        self.account = None
        if os.geteuid() == 0:
            self.account = pwd.getpwnam(self.user)
            os.chown(self.folder, self.account.pw_uid, self.account.pw_gid)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def run(self, *command: str, text: str = "") -> None:
        """A program, as the server's account."""
        done = subprocess.run(
            command,
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            user=self.account.pw_uid if self.account else None,
            group=self.account.pw_gid if self.account else None,
            extra_groups=[] if self.account else None,
            env={**os.environ, "HOME": str(self.folder)},
            timeout=WAIT,
            check=False,
        )
        assert done.returncode == 0, done.stdout.decode(errors="replace")

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=self.account.pw_uid if self.account else None,
                group=self.account.pw_gid if self.account else None,
                extra_groups=[] if self.account else None,
                env={**os.environ, "HOME": str(self.folder)},
            )
        end = time.monotonic() + WAIT
        while not self.answers():
            assert self.process.poll() is None and time.monotonic() < end, self.log()
            time.sleep(0.02)

    def answers(self) -> bool:
        """Does it take connections?"""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def stop(self) -> None:
        """At once, as when the power fails."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(self.stop_signal)
            self.process.wait(WAIT)
            self.process = None

    stop_signal = signal.SIGKILL

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key; both in `folder`, readable by its owner."""
    paths = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-out", str(paths[0]), "-keyout", str(paths[1])],
        check=True, capture_output=True, timeout=WAIT,
    )  # fmt: skip
    for path in paths:
        path.chmod(0o600)
        os.chown(path, folder.stat().st_uid, folder.stat().st_gid)
    paths[0].chmod(0o644)
    return paths


class Postgres(DatabaseServer):
    """PostgreSQL; the user `mail` with the password `it's`, the database `mail`."""

    stop_signal = signal.SIGQUIT  # its children would outlive a SIGKILL

    def __init__(self) -> None:
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        self.binaries = str(binaries[-1]) if binaries else ""
        self.postgres = program("postgres", self.binaries)
        need_library("asyncpg")
        super().__init__()

    def command(self) -> list[str]:
        settings = ("fsync=off", "shared_buffers=16MB", "max_connections=30", f"unix_socket_directories={self.folder}")
        settings += ("ssl=on", f"ssl_cert_file={self.certificate}", f"ssl_key_file={self.key}")
        options = [word for setting in settings for word in ("-c", setting)]
        return [self.postgres, "-D", "data", "-h", "127.0.0.1", "-p", str(self.port), *options]

    def create(self, sql: str) -> None:
        """Make the cluster, start it, and run `sql` in the database."""
        initdb = program("initdb", self.binaries)
        self.certificate, self.key = certificate(self.folder)
        self.run(initdb, "-D", "data", "-U", "root", "-A", "trust", "-N", "--no-locale", "-E", "UTF8")
        rules = "local all all trust\nhost all root 127.0.0.1/32 trust\nhost all mail 127.0.0.1/32 scram-sha-256\n"
        (self.folder / "data/pg_hba.conf").write_text(rules)
        self.start()
        self.sql("postgres", "CREATE USER mail PASSWORD 'it''s'; ")
        self.sql("postgres", "CREATE DATABASE mail OWNER mail")
        self.sql("mail", sql)

    def sql(self, database: str, text: str) -> None:
        psql = program("psql", self.binaries)
        self.run(psql, "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", "root", database,
                 text=text)  # fmt: skip

    def answers(self) -> bool:
        try:
            self.sql("postgres", "SELECT 1")
        except AssertionError:
            return False
        return True


class MariaDb(DatabaseServer):
    """MariaDB; the user `mail` with the password `it's`, the database `mail`."""

    def __init__(self) -> None:
        self.mariadbd = program("mariadbd")
        need_library("asyncmy")
        super().__init__()
        self.socket = self.folder / "socket"

    def command(self) -> list[str]:
        return [
            self.mariadbd, "--no-defaults", f"--datadir={self.folder}/data", f"--socket={self.socket}",
            "--bind-address=127.0.0.1", f"--port={self.port}", "--skip-name-resolve", "--skip-log-bin",
            f"--pid-file={self.folder}/pid", "--innodb-buffer-pool-size=8M", "--innodb-flush-log-at-trx-commit=0",
            "--performance-schema=OFF", f"--ssl-cert={self.certificate}", f"--ssl-key={self.key}",
        ]  # fmt: skip

    def create(self, sql: str) -> None:
        """Make the system's tables, start it, and run `sql` in the database."""
        self.certificate, self.key = certificate(self.folder)
        self.run(program("mariadb-install-db"), "--no-defaults", f"--datadir={self.folder}/data", "--skip-test-db",
                 "--auth-root-authentication-method=normal", "--innodb-log-file-size=4M",
                 f"--tmpdir={self.folder}")  # fmt: skip  # several may be made at the same time
        self.start()
        for host in ("127.0.0.1", "localhost"):
            self.sql(f"CREATE USER mail@'{host}' IDENTIFIED BY 'it''s'; GRANT ALL ON mail.* TO mail@'{host}'")
        self.sql("CREATE DATABASE mail CHARACTER SET utf8mb4; USE mail; " + sql)

    def sql(self, text: str) -> None:
        self.run(program("mariadb"), "--no-defaults", f"--socket={self.socket}", "-uroot",
                 "--default-character-set=utf8mb4", text=text)  # fmt: skip


class Slapd(DatabaseServer):
    """OpenLDAP's server with the suffix dc=example and what the tests put there; `cn=root,dc=example` may do all."""

    user = "root"  # it needs none; Debian's profile would keep others out

    def __init__(self) -> None:
        self.slapd = program("slapd")
        need_library("ldap")
        super().__init__()
        self.tls_port = free_port()
        self.socket = self.folder / "socket"

    @property
    def local_url(self) -> str:
        return "ldapi://" + str(self.socket).replace("/", "%2F")

    def command(self) -> list[str]:
        return [self.slapd, "-f", "slapd.conf", "-d", "0", "-h",
                f"ldap://127.0.0.1:{self.port}/ ldaps://127.0.0.1:{self.tls_port}/ {self.local_url}/"]  # fmt: skip

    def create(self, ldif: str, settings: str = "") -> None:
        """Fill the directory, and start it. `settings`: more lines of slapd.conf's global part."""
        (self.folder / "db").mkdir()
        self.certificate, self.key = certificate(self.folder)
        (self.folder / "slapd.conf").write_text(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n"
            "include /etc/ldap/schema/inetorgperson.schema\ninclude /etc/ldap/schema/misc.schema\n"
            f"pidfile {self.folder}/pid\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n"
            f"TLSCertificateFile {self.certificate}\nTLSCertificateKeyFile {self.key}\nallow bind_v2\n{settings}\n"
            "database mdb\nmaxsize 10485760\nsuffix dc=example\nrootdn cn=root,dc=example\nrootpw secret\n"
            f"directory {self.folder}/db\nindex objectClass eq\n"
            'access to dn.subtree="ou=private,dc=example" by users read\naccess to * by * read\n'
        )
        self.run(program("slapadd"), "-f", "slapd.conf", "-q", text=ldif)
        self.start()


class Memcached(DatabaseServer):
    """memcached with 8 MiB."""

    def __init__(self) -> None:
        self.memcached = program("memcached")
        super().__init__()

    def command(self) -> list[str]:
        return [self.memcached, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-m", "8", "-t", "1"]

    def talk(self, text: str) -> str:
        """Say something, and hear what comes up to the first `END`, `STORED` or `DELETED`."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
            sock.sendall(text.encode())
            reply = ""
            while not reply.endswith(("END\r\n", "STORED\r\n", "DELETED\r\n", "NOT_FOUND\r\n", "OK\r\n")):
                data = sock.recv(4096)
                assert data, reply
                reply += data.decode()
            return reply


@contextlib.asynccontextmanager
async def strange_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object], port: int = 0
) -> AsyncIterator[int]:
    """A server of the test's own; the port. `talk` is a coroutine function."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await talk(reader, writer)  # type: ignore[misc]

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the connection and what comes, and says nothing."""
    while await reader.read(4096):
        pass


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says what no protocol has for an answer."""
    writer.write(b"\xff\x00garbage \r\n\x01\x02" * 40)
    await writer.drain()
    while await reader.read(4096):
        pass


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hangs up at once."""
    writer.transport.abort()
