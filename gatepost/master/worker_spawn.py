"""The process that serves `spawn` lines of master.cf. As root it runs each command as the user whom the line names."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import subprocess

from gatepost.maillog.sink import ProgramLog
from gatepost.master.listeners import BACKLOG, take_waiting
from gatepost.master.plan import Plan
from gatepost.master.spawn import SpawnService
from gatepost.master.workers import Worker

REST = 1.0
"""Seconds without new connections when there are no descriptors for them."""

_NO_ROOM = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class CommandServer:
    """Listens for one service and starts its commands. `idle` is set while none runs."""

    def __init__(self, service: SpawnService, sockets: list[socket.socket], log: ProgramLog) -> None:
        self.idle = asyncio.Event()
        self.idle.set()
        self._service = service
        self._sockets = sockets
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._running: dict[int, asyncio.TimerHandle] = {}
        self._listening = False
        self._closed = False

    def listen(self) -> None:
        """Take connections while fewer commands run than may; the others wait."""
        limit = self._service.limit
        wanted = not self._closed and (not limit or len(self._running) < limit)
        if wanted is self._listening:
            return
        self._listening = wanted
        for sock in self._sockets:
            if wanted:
                self._loop.add_reader(sock, self._accept, sock)
            else:
                self._loop.remove_reader(sock)

    def close(self) -> None:
        """No new connections but those who wait already, as far as there may be commands for them."""
        for sock in self._sockets if self._listening else ():
            room = self._service.limit - len(self._running) if self._service.limit else BACKLOG
            for client in take_waiting(sock, room):
                with client:
                    client.setblocking(True)
                    self._start(client)
        self._closed = True
        self.listen()
        for sock in self._sockets:
            sock.close()

    def _accept(self, sock: socket.socket) -> None:
        try:
            connection, _ = sock.accept()
        except OSError as error:
            if error.errno in _NO_ROOM:
                self._rest(error)
            return  # else another process was faster, or the client has gone
        with connection:
            connection.setblocking(True)
            self._start(connection)
        self.listen()

    def _rest(self, error: OSError) -> None:
        """The client waits on; to be told of him again and again would take all our time."""
        self._log.warning(f"accept connection: {os.strerror(error.errno or 0)}")
        self._listening = False
        for sock in self._sockets:
            self._loop.remove_reader(sock)
        self._loop.call_later(REST, self.listen)

    def _start(self, connection: socket.socket) -> None:
        service = self._service
        as_root = os.geteuid() == 0
        both_ways = connection.fileno()
        try:
            command = subprocess.Popen(
                service.argv,
                stdin=both_ways,
                stdout=both_ways,
                stderr=both_ways,
                cwd=service.directory,
                env=service.environment,
                start_new_session=True,
                user=service.uid if as_root else None,
                group=service.gid if as_root else None,
                extra_groups=[] if as_root else None,
            )
        except (OSError, subprocess.SubprocessError) as error:
            words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self._log.warning(f"cannot execute command {service.argv[0]}: {words}")
            return
        watch = os.pidfd_open(command.pid)
        self._running[watch] = self._loop.call_later(service.time_limit, self._too_long, command.pid)
        self.idle.clear()
        self._loop.add_reader(watch, self._ended, watch, command)

    def _too_long(self, process: int) -> None:
        self._log.warning(f"process id {process}: command time limit exceeded")
        # With all that it has started: that would keep the client's connection open.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process, signal.SIGKILL)

    def _ended(self, watch: int, command: "subprocess.Popen[bytes]") -> None:
        self._loop.remove_reader(watch)
        os.close(watch)
        self._running.pop(watch).cancel()
        status = command.wait()
        if status < 0:
            self._log.warning(f"command {self._service.argv[0]} killed by signal {-status}")
        elif status:
            self._log.warning(f"command {self._service.argv[0]} exit status {status}")
        if not self._running:
            self.idle.set()
        self.listen()


async def serve_spawn(plan: Plan, leash: socket.socket) -> None:
    worker = Worker(plan, leash)
    servers = []
    for listener in plan.commands or ():
        log = worker.log.program("spawn", listener.service.syslog_name)
        servers.append(CommandServer(listener.service, [*listener.sockets.values()], log))
        servers[-1].listen()
    worker.serve()
    await worker.over.wait()
    for server in servers:
        server.close()
    # Commands end when their clients do; those who talk to them may go on for a while after a reload.
    await asyncio.gather(*[worker.finished(server.idle) for server in servers])
    worker.log.flush()
