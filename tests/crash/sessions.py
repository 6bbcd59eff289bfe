"""What serves the sessions of an asyncio server that a test has made."""

import asyncio
from collections.abc import Awaitable, Callable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def kept(serve: Serve) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
    """For asyncio.start_server, which itself keeps no session: one that waits for its client might be collected."""
    sessions: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.create_task(served(reader, writer))
        sessions.add(session)
        session.add_done_callback(sessions.discard)

    return connected
