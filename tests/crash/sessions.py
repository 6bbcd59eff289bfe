"""Connections of tests that end with the test, however it ends."""

import asyncio
from collections.abc import Awaitable, Callable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def leave(writer: asyncio.StreamWriter) -> None:
    """Close a connection. What the peer does not take at once it never will: the loop may be about to end, and would
    leave the socket open behind it.
    """
    if writer.transport.get_write_buffer_size():
        writer.transport.abort()
    else:
        writer.close()


def kept(serve: Serve) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
    """For asyncio.start_server, which itself keeps no session: one that waits for its client might be collected."""
    sessions: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            leave(writer)

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def ended(session: asyncio.Task[None]) -> None:
            sessions.discard(session)
            if session.cancelled():  # perhaps before its first step; there is no time for the end of TLS, either
                writer.transport.abort()

        session = asyncio.create_task(served(reader, writer))
        sessions.add(session)
        session.add_done_callback(ended)

    return connected
