"""spawn lines: what they ask for, and how their commands are run, counted and ended."""

import asyncio
import errno
import os
import pwd
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.maillog.sink import MailLog, MemoryOutput
from gatepost.master.spawn import SpawnService, socket_names, spawn_lines, spawn_service
from gatepost.master.worker_spawn import CommandServer
from tests.smtpd.world import until

ME = pwd.getpwuid(os.geteuid()).pw_name
USER = "nobody" if os.geteuid() == 0 else ME
MAIN_CF = "default_process_limit = 7\ncommand_time_limit = 9s\nqueue_directory = /var/spool/x\nasked_time_limit = 1h\n"


def service_of(tmp_path: Path, line: str, main_cf: str = MAIN_CF) -> SpawnService:
    (tmp_path / "main.cf").write_text(f"gatepost_queue_directory = {tmp_path}\n{main_cf}")
    (tmp_path / "master.cf").write_text(line + "\n")
    configuration = Configuration.read(str(tmp_path))
    (found,) = spawn_lines(configuration)
    return spawn_service(configuration, found)


def test_a_line_says_what_to_run(tmp_path: Path) -> None:
    service = service_of(tmp_path, f"asked unix - n n - - spawn user={USER} argv=/bin/sh -c {{echo a b}}")
    assert service.argv == ["/bin/sh", "-c", "echo a b"]
    assert (service.limit, service.time_limit) == (7, 3600)
    assert service.path == f"{tmp_path}/private/asked"
    assert service.uid == pwd.getpwnam(USER).pw_uid
    assert service.environment["PATH"]


def test_ports_public_sockets_limits_and_defaults(tmp_path: Path) -> None:
    service = service_of(tmp_path, f"127.0.0.1:10 inet n n n - 0 spawn user={USER} argv=/bin/cat")
    assert [str(address) for address in service.addresses] == ["127.0.0.1:10"]
    assert (service.limit, service.time_limit, service.path) == (0, 9, "")
    service = service_of(tmp_path, f"other unix n n n - 3 spawn user={USER} argv=/bin/cat")
    assert (service.path, service.limit, service.time_limit) == (f"{tmp_path}/public/other", 3, 9)


def test_our_own_sockets_are_found_by_postfix_s_names(tmp_path: Path) -> None:
    service_of(tmp_path, f"asked unix - n n - 0 spawn user={USER} argv=/bin/cat")
    assert socket_names(Configuration.read(str(tmp_path))) == {"private/asked": f"{tmp_path}/private/asked"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("user=root argv=/bin/cat", "user= command-line attribute specifies root privileges"),
        (f"user={USER}", "missing argv= command-line attribute"),
        (f"user={USER} argv=", "missing argv= command-line attribute"),
        ("argv=/bin/cat", "missing user= command-line attribute"),
        (f"user={USER} flags=x argv=/bin/cat", "unknown attribute name: flags"),
        (f"user={USER}:no-such-group argv=/bin/cat", "asked: unknown user or group: no-such-group"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path: Path, words: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        service_of(tmp_path, f"asked unix - n n - 0 spawn {words}")
    assert refused.value.message == message
    assert refused.value.line == 1


class Served:
    """A CommandServer for Python text on a Unix socket."""

    def __init__(
        self,
        folder: Path,
        program: str,
        *,
        limit: int = 0,
        time_limit: int = 100,
        listener: socket.socket | None = None,
    ) -> None:
        self.path = str(folder / "socket")
        listener = listener or socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen(10)
        listener.setblocking(False)
        self.output = MemoryOutput()
        self.log = MailLog(self.output, "postfix", 1)
        me = pwd.getpwuid(os.geteuid())
        argv = [sys.executable, "-c", program] if program else ["/no/such/command"]
        service = SpawnService(
            "asked", argv, me.pw_name, me.pw_uid, me.pw_gid, limit, time_limit, {"WORD": "hello"}, "/", "postfix"
        )
        self.server = CommandServer(service, [listener], self.log.program("spawn"))
        self.server.listen()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.path)

    def lines(self) -> list[str]:
        self.log.flush()
        return self.output.lines


async def test_the_connection_is_the_command_s_input_and_output(tmp_path: Path) -> None:
    served = Served(
        tmp_path, "import os; print(os.environ['WORD'], os.getcwd(), input(), flush=True); os.write(2, b'!')"
    )
    reader, writer = await served.connect()
    writer.write(b"there\n")
    assert await reader.read() == b"hello / there\n!"
    await until(served.server.idle.is_set)
    assert served.lines() == []
    writer.close()
    served.server.close()


async def test_who_comes_when_enough_run_waits(tmp_path: Path) -> None:
    served = Served(tmp_path, "print(input())", limit=1)
    (first, to_first), (second, to_second) = await served.connect(), await served.connect()
    await until(lambda: len(served.server._running) == 1)
    to_second.write(b"second\n")
    to_first.write(b"first\n")
    assert await first.read() == b"first\n"
    assert await second.read() == b"second\n"
    await until(served.server.idle.is_set)
    to_first.close(), to_second.close()
    served.server.close()


async def test_how_a_command_ended_is_told(tmp_path: Path) -> None:
    served = Served(
        tmp_path, "import os, signal; os._exit(3) if input() == 'exit' else os.kill(os.getpid(), signal.SIGKILL)"
    )
    for word, told in (("exit", f"command {sys.executable} exit status 3"), ("die", "killed by signal 9")):
        reader, writer = await served.connect()
        writer.write(word.encode() + b"\n")
        assert await reader.read() == b""
        await until(served.server.idle.is_set)
        assert told in served.lines()[-1]
        writer.close()
    served.server.close()


async def test_a_command_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    served = Served(tmp_path, "input()", time_limit=0)
    reader, writer = await served.connect()
    assert await reader.read() == b""
    await until(served.server.idle.is_set)
    assert "command time limit exceeded" in served.lines()[0]
    writer.close()
    served.server.close()


async def test_what_a_command_has_started_is_killed_with_it(tmp_path: Path) -> None:
    """Postfix's spawn(8) kills the group: what is left of a command would keep the client's connection open."""
    program = "import os, subprocess; subprocess.Popen(['sleep', '1000']); print(os.getpid(), flush=True); input()"
    served = Served(tmp_path, program)
    reader, writer = await served.connect()
    number = int(await reader.readline())
    served.server._too_long(number)
    assert await reader.read() == b""
    await until(served.server.idle.is_set)
    assert f"process id {number}: command time limit exceeded" in served.lines()[0]
    writer.close()
    served.server.close()


class Full(socket.socket):
    """Accepts nobody while there are no descriptors."""

    full = True

    def accept(self) -> tuple[socket.socket, Any]:
        if self.full:
            raise OSError(errno.EMFILE, "")
        return super().accept()


async def test_without_descriptors_clients_wait(tmp_path: Path) -> None:
    listener = Full(socket.AF_UNIX)
    served = Served(tmp_path, "print(input())", listener=listener)
    reader, writer = await served.connect()
    await until(lambda: bool(served.lines()))
    assert not served.server._listening
    listener.full = False
    served.server.listen()
    writer.write(b"at last\n")
    assert await reader.read() == b"at last\n"
    await until(served.server.idle.is_set)
    assert served.lines() == ["warning: accept connection: Too many open files"]
    writer.close()
    served.server.close()


async def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    served = Served(tmp_path, "")
    reader, writer = await served.connect()
    assert await reader.read() == b""
    assert served.lines() == ["warning: cannot execute command /no/such/command: No such file or directory"]
    writer.close()
    served.server.close()
