"""The pump over real connections, with peers that we have not written."""

import asyncio
import shutil
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop

from gatepost.net.tls_pump import TlsFailure, TlsTransport, start_tls
from gatepost.tls.sessions import ClientSession, take_session
from tests.net.tls_world import App, Faults, authority, client_side, leaf, server_side

MEGABYTE = 1024 * 1024

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    def run_it(main: Any) -> None:
        faults = Faults()
        factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.get_loop().set_exception_handler(faults)
            runner.run(main)
        assert not faults.found

    return run_it


class Plain(asyncio.Protocol):
    """Starts TLS on what it is given; all further calls are the application's."""

    def __init__(self, app: App, context: ssl.SSLContext, *, server: bool) -> None:
        self._app = app
        self._context = context
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plain = cast(asyncio.Transport, transport)
        name = None if self._server else "mail.example"
        start_tls(
            plain, self._app, self._context, server_side=self._server, server_hostname=name, limit=60,
            done=self._app.done,
        )  # fmt: skip


@asynccontextmanager
async def listening(apps: list[App], answer: Callable[[bytes], bytes] | None = None) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    context = server_side()

    def accepted() -> Plain:
        apps.append(App(answer))
        return Plain(apps[-1], context, server=True)

    server = await loop.create_server(accepted, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def connected(port: int, answer: Callable[[bytes], bytes] | None = None) -> App:
    app = App(answer)
    await asyncio.get_running_loop().create_connection(
        lambda: Plain(app, client_side(), server=False), "127.0.0.1", port
    )
    assert await asyncio.wait_for(app.shaken, 60) is None
    return app


@pytest.fixture(scope="module")
def folder() -> Any:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        authority().cert_pem.write_to_path(str(path / "ca.pem"))
        leaf().private_key_and_cert_chain_pem.write_to_path(str(path / "server.pem"))
        yield path


def test_large_texts_both_ways(run: Any) -> None:
    async def main() -> None:
        apps: list[App] = []
        async with listening(apps, answer=bytes.swapcase) as port:
            client = await connected(port)
            text = b"The Very Text " * 300_000
            client.transport.write(text)
            assert await client.arrived(len(text)) == text.swapcase()
            client.transport.close()
            assert await asyncio.wait_for(client.ended, 60) is None
            assert await asyncio.wait_for(apps[0].ended, 60) is None
            assert not apps[0].transport.truncated
            assert client.transport.get_extra_info("peername")[1] == port

    run(main())


def test_a_peer_that_does_not_read_blocks_the_writer(run: Any) -> None:
    async def main() -> None:
        apps: list[App] = []
        async with listening(apps) as port:
            client = await connected(port)
            await asyncio.wait_for(apps[0].shaken, 60)
            apps[0].transport.pause_reading()
            written = 0
            piece = b"x" * 65536
            while not client.blocked:
                client.transport.write(piece)
                written += len(piece)
                assert written < 64 * MEGABYTE
                await asyncio.sleep(0)
            assert client.transport.get_write_buffer_size() < 2 * MEGABYTE
            assert not apps[0].got
            apps[0].transport.resume_reading()
            assert len(await apps[0].arrived(written)) == written
            await asyncio.wait_for(client.writable.wait(), 60)
            client.transport.close()
            await asyncio.wait_for(apps[0].ended, 60)

    run(main())


def test_the_plain_connection_is_cut(run: Any) -> None:
    async def main() -> None:
        apps: list[App] = []
        async with listening(apps) as port:
            client = await connected(port)
            await asyncio.wait_for(apps[0].shaken, 60)
            client.transport.abort()
            assert await asyncio.wait_for(client.ended, 60) is None
            await asyncio.wait_for(apps[0].ended, 60)
            assert apps[0].transport.truncated or apps[0].transport.is_closing()

    run(main())


def test_half_open_and_silent_clients_do_not_disturb_others(run: Any) -> None:
    async def main() -> None:
        apps: list[App] = []
        async with listening(apps, answer=bytes.upper) as port:
            silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
            for number, each in enumerate(silent):
                each.sendall(b"\x16\x03\x01\x02\x00\x01"[: number % 7])
            client = await connected(port)
            client.transport.write(b"hello")
            assert await client.arrived(5) == b"HELLO"
            for each in silent:
                each.close()
            for app in apps:
                if app is not apps[-1]:
                    failure = await asyncio.wait_for(app.shaken, 60)
                    assert failure is not None and failure.lost
            client.transport.close()
            await asyncio.wait_for(client.ended, 60)

    run(main())


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_as_client(run: Any, folder: Path, version: str) -> None:
    async def main() -> None:
        apps: list[App] = []
        async with listening(apps, answer=bytes.upper) as port:
            client = await asyncio.create_subprocess_exec(
                "openssl", "s_client", "-connect", f"127.0.0.1:{port}", version, "-quiet", "-verify_return_error",
                "-CAfile", str(folder / "ca.pem"), "-verify_hostname", "mail.example", "-nocommands",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert client.stdin is not None and client.stdout is not None
            client.stdin.write(b"mail from:<a@example>\n")
            assert await asyncio.wait_for(client.stdout.readline(), 60) == b"MAIL FROM:<A@EXAMPLE>\n"
            apps[0].transport.close()
            await asyncio.wait_for(client.communicate(), 60)
            assert client.returncode == 0
            await asyncio.wait_for(apps[0].ended, 60)

    run(main())


def test_openssl_as_client_wants_to_renegotiate(run: Any) -> None:
    async def main() -> None:
        apps: list[App] = []
        async with listening(apps, answer=bytes.upper) as port:
            client = await asyncio.create_subprocess_exec(
                "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            assert client.stdin is not None and client.stdout is not None
            while b"Extended master secret" not in await asyncio.wait_for(client.stdout.readline(), 60):
                pass
            client.stdin.write(b"R\n")
            out, _ = await asyncio.wait_for(client.communicate(), 60)
            assert b"no renegotiation" in out
            await asyncio.wait_for(apps[0].ended, 60)
            assert not apps[0].got

    run(main())


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_as_server(run: Any, folder: Path, version: str) -> None:
    async def main() -> None:
        server = await asyncio.create_subprocess_exec(
            "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", str(folder / "server.pem"), version, "-rev",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        assert server.stdout is not None
        try:
            line = b""
            while not line.startswith(b"ACCEPT "):
                line = await asyncio.wait_for(server.stdout.readline(), 60)
            client = await connected(int(line.rpartition(b":")[2]))
            client.transport.write(b"abc\n")
            assert await client.arrived(4) == b"cba\n"
            assert client.transport.peer_chain
            client.transport.close()
            await asyncio.wait_for(client.ended, 60)
        finally:
            server.kill()
            await server.communicate()

    run(main())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(run: Any, version: ssl.TLSVersion) -> None:
    async def main() -> None:
        apps: list[App] = []
        context = client_side(maximum_version=version)
        sessions: list[ClientSession] = []
        loop = asyncio.get_running_loop()

        async def talk(port: int) -> bool:
            app = App()
            started: asyncio.Future[TlsTransport] = loop.create_future()

            class Start(asyncio.Protocol):
                def connection_made(self, transport: asyncio.BaseTransport) -> None:
                    session = sessions[-1] if sessions else None
                    started.set_result(
                        start_tls(
                            cast(asyncio.Transport, transport), app, context, server_side=False,
                            server_hostname="mail.example", session=session, limit=60, done=app.done,
                        )
                    )  # fmt: skip

            await loop.create_connection(Start, "127.0.0.1", port)
            transport = await started
            failure: TlsFailure | None = await asyncio.wait_for(app.shaken, 60)
            assert failure is None
            transport.write(b"hello")
            assert await app.arrived(5) == b"HELLO"
            session = take_session(transport.ssl_object)
            assert session is not None
            sessions.append(session)
            transport.close()
            await asyncio.wait_for(app.ended, 60)
            return transport.reused

        async with listening(apps, answer=bytes.upper) as port:
            assert not await talk(port)
            assert await talk(port)
            assert apps[1].transport.reused

    run(main())


def test_a_session_of_another_context(run: Any) -> None:
    async def main() -> None:
        apps: list[App] = []
        async with listening(apps, answer=bytes.upper) as port:
            client = await connected(port)
            client.transport.write(b"x")
            await client.arrived(1)
            session = take_session(client.transport.ssl_object)
            client.transport.close()
            with pytest.raises(ValueError, match="different SSLContext"):
                start_tls(
                    client.transport, App(), client_side(), server_side=False, session=session, limit=1,
                    server_hostname="mail.example", done=lambda _, __: None,
                )  # fmt: skip
            await asyncio.wait_for(client.ended, 60)

    run(main())
