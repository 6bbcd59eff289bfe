"""Play dialogues by the dice against a real Postfix.

python -m tests.compat.play_dice KIND SEED COUNT      run me under `unshare -n -m` (see play_real); prints JSON
"""

import asyncio
import json
import sys

from tests.compat.play_real import AT_A_TIME, _session_log
from tests.compat.random_addresses import paths
from tests.compat.random_policies import policies
from tests.compat.real_postfix import RealPostfix
from tests.dialogs.dialog import CLOSED, FOLDER, Dialog, Line
from tests.dns_server import DnsServer
from tests.namespaces import prepare_namespaces

KINDS = {"policies": policies, "addresses": paths}
MESSAGE = b"Subject: x\r\n\r\nx\r\n.\r\n"


async def converse(dialog: Dialog, host: str, port: int) -> list[str]:
    """Say each line, a message where one is asked for; the lines of the answers, up to the end of the connection."""
    reader, writer = await asyncio.open_connection(host, port)
    line = Line(reader, writer)
    said: list[str] = []

    async def reply() -> str:
        while True:
            got = await line.next(30.0)
            said.append(got)
            if got == CLOSED or got[3:4] != "-":
                return got

    try:
        got = await reply()
        for text in (dialog.preamble, *(text for _, text in dialog.steps)):
            if got == CLOSED:
                break
            writer.write(text.encode() + b"\r\n")
            got = await reply()
            if got.startswith("354"):
                writer.write(MESSAGE)
                got = await reply()
    finally:
        writer.close()
    return said


async def _main(dialogs: list[Dialog]) -> dict[str, dict[str, list[str]]]:
    dns = DnsServer((FOLDER / "zone.txt").read_text())
    await dns.start("127.0.0.1", 53)
    postfix = RealPostfix({f"d{d.name}": d.parameters for d in dialogs}, (FOLDER / "base.cf").read_text())
    some = asyncio.Semaphore(AT_A_TIME)

    async def play(dialog: Dialog) -> list[str]:
        async with some:
            return await converse(dialog, "127.0.0.1", postfix.ports[f"d{dialog.name}"])

    try:
        await asyncio.to_thread(postfix.start)
        replies = await asyncio.gather(*map(play, dialogs))
        for _ in range(200):
            if postfix.log().count(": disconnect from ") >= len(dialogs):
                break
            await asyncio.sleep(0.05)
        log = postfix.log()
    finally:
        await asyncio.to_thread(postfix.stop)
        await dns.stop()
    return {
        dialog.name: {"replies": said, "log": _session_log(log, f"d{dialog.name}")}
        for dialog, said in zip(dialogs, replies, strict=True)
    }


if __name__ == "__main__":
    prepare_namespaces()
    print(json.dumps(asyncio.run(_main(KINDS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))))))
