"""The one privileged step of local delivery: work that is done with the rights of the recipient.

Run by root, it happens in a child process, which ends with the work: whatever goes wrong there stays there. Run by an
ordinary user, it happens in a thread, since there is nothing to take on.
"""

import asyncio
import os
import signal
from collections.abc import Callable

import msgspec

from gatepost.delivery.mailbox import Outcome

TIME_LIMIT = 1000.0
"""Seconds; a file server that hangs must not hold a delivery for good."""

Work = Callable[[], Outcome]


async def run_apart(work: Work, time_limit: float = TIME_LIMIT) -> Outcome:
    """What `work` answers; a temporary failure if it dies or takes too long."""
    if os.getuid() != 0:
        return await asyncio.to_thread(work)
    readable, writable = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:  # pragma: no cover - the child's lines are not seen
        _work_and_exit(work, writable)
    os.close(writable)
    try:
        answer = await asyncio.wait_for(_read_to_end(readable), time_limit)
    except BaseException as error:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)  # noqa: ASYNC222 - it was killed
        if isinstance(error, TimeoutError):
            return Outcome("4.3.0", "mailbox delivery took too long")
        raise
    finally:
        os.close(readable)
    os.waitpid(child, 0)  # noqa: ASYNC222 - it has closed the pipe, which it does by ending
    try:
        return msgspec.msgpack.decode(answer, type=Outcome)
    except msgspec.MsgspecError:
        return Outcome("4.3.0", "mailbox delivery process died")


def _work_and_exit(work: Work, writable: int) -> None:  # pragma: no cover
    # Nothing of the parent may run here: neither its event loop nor its clean-up.
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_IGN)
        os.umask(0o077)
        os.write(writable, msgspec.msgpack.encode(work()))
    finally:
        os._exit(0)


async def _read_to_end(descriptor: int) -> bytes:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    parts: list[bytes] = []

    def readable() -> None:
        part = os.read(descriptor, 65536)
        parts.append(part)
        if not part and not done.done():
            done.set_result(None)

    loop.add_reader(descriptor, readable)
    try:
        await done
    finally:
        loop.remove_reader(descriptor)
    return b"".join(parts)
