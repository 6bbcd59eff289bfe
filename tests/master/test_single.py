"""A Generation of a single process, as far as scenarios do not reach."""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gatepost.master.accepting import Accepting
from gatepost.master.single import Generation


async def test_a_generation_that_cannot_have_all_its_sockets_takes_no_connections() -> None:
    good, bad = socket.create_server(("127.0.0.1", 0)), socket.socket()
    bad.close()
    plan = SimpleNamespace(listeners=[SimpleNamespace(sockets=[[good, bad]])])
    made = Generation(cast(Any, plan), cast(Any, None), cast(Any, None), Accepting(print))
    made.listeners = [(cast(Any, SimpleNamespace(factory=lambda env: asyncio.Protocol)), cast(Any, None))]
    with pytest.raises(OSError):
        await made.listen()
    client = socket.create_connection(good.getsockname())  # waits for the generation before
    await asyncio.sleep(0)
    good.setblocking(False)
    taken, _ = good.accept()
    for sock in (client, taken, good):
        sock.close()
