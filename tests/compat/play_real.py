"""Play dialogues against a real Postfix, in namespaces of our own where our DNS server is the resolver.

    python -m tests.compat.play_real [--record] FILE...     run me under `unshare -n -m` (see `command`)

Prints JSON: file -> {"steps": [[kind, text], ...], "log": [...]}. With --record the server's lines are not expected to
be those of the file.
"""

import asyncio
import json
import re
import stat
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.certificates import placed, unplaced
from tests.compat.real_postfix import RealPostfix
from tests.dialogs.dialog import FOLDER, Dialog, normal_log, parse, record, transcript
from tests.dns_server import DnsServer
from tests.dovecot_auth import placed as auth_placed
from tests.namespaces import prepare_namespaces
from tests.policy_server import PolicyServer, normal_request

# Parameters that only smtpd(8) reads can be set by `-o`; a dialogue that sets others gets a Postfix of its own.
_SERVER_ONLY = re.compile(
    r"smtpd_.*|.*_reject_code|.*_defer_code|strict_.*|disable_vrfy_command|mynetworks|local_recipient_maps|"
    r"relay_recipient_maps|virtual_mailbox_maps|allow_untrusted_routing|receive_override_options|queue_minfree|"
    r"line_length_limit|soft_bounce|unknown_.*_action|stress|inet_protocols|"
    r"rbl_reply_maps|default_rbl_reply|permit_mx_backup_networks|[a-z]+_class|tls_.*|relay_clientcerts"
)
AT_A_TIME = 12
POSTFIXES = 6
MARK = "all is said"


def command(arguments: list[str]) -> list[str]:
    """The command line that plays in namespaces of its own."""
    return ["unshare", "-n", "-m", sys.executable, "-m", "tests.compat.play_real", *arguments]


async def _main(recording: bool, paths: list[str]) -> dict[str, Any]:
    dns = DnsServer((FOLDER / "zone.txt").read_text())
    await dns.start("127.0.0.1", 53)
    groups: dict[str, list[Dialog]] = defaultdict(list)
    for path in paths:
        dialog = parse(Path(path))
        shared = {name: value for name, value in dialog.parameters.items() if not _SERVER_ONLY.fullmatch(name)}
        groups["".join(f"{name} = {value}\n" for name, value in sorted(shared.items()))].append(dialog)
    servers = {
        dialog.name: PolicyServer(list(dialog.policy), listen=dialog.needs_policy_server)
        for group in groups.values()
        for dialog in group
    }
    for server in servers.values():
        await server.start()
    results: dict[str, Any] = {}
    turns = asyncio.Semaphore(POSTFIXES)
    largest_first = sorted(groups.items(), key=lambda group: -len(group[1]))
    for played in await asyncio.gather(
        *(_play_group(shared, dialogs, servers, recording, turns) for shared, dialogs in largest_first)
    ):
        results.update(played)
    for name, server in servers.items():
        results[name]["log"] = [server.unplaced(line) for line in results[name]["log"]]
        results[name]["requests"] = [unplaced(normal_request(request)) for request in server.requests]
        await server.close()
    await dns.stop()
    return results


async def _play_group(
    shared: str, dialogs: list[Dialog], servers: dict[str, PolicyServer], recording: bool, turns: asyncio.Semaphore
) -> dict[str, dict[str, Any]]:
    """The dialogues that one Postfix can play, with the parameters that they share."""
    tags = {dialog.name: f"d{number}" for number, dialog in enumerate(dialogs)}
    listeners = {
        tags[d.name]: {
            name: placed(auth_placed(servers[d.name].placed(value)))
            for name, value in d.parameters.items()
            if _SERVER_ONLY.fullmatch(name)
        }
        for d in dialogs
    }
    async with turns:
        postfix = RealPostfix(listeners, (FOLDER / "base.cf").read_text() + shared)
        try:
            await asyncio.to_thread(postfix.start)
            some = asyncio.Semaphore(AT_A_TIME)
            played = await asyncio.gather(*(_play(d, postfix, tags[d.name], recording, some) for d in dialogs))
            await _all_logged(postfix)
            for dialog, result in zip(dialogs, played, strict=True):
                result["log"] = _session_log(postfix.log(), tags[dialog.name])
            return dict(zip((d.name for d in dialogs), played, strict=True))
        finally:
            await asyncio.to_thread(postfix.stop)


async def _play(
    dialog: Dialog, postfix: RealPostfix, tag: str, recording: bool, some: asyncio.Semaphore
) -> dict[str, Any]:
    async with some:
        return await _play_now(dialog, postfix, tag, recording)


async def _play_now(dialog: Dialog, postfix: RealPostfix, tag: str, recording: bool) -> dict[str, Any]:
    port = postfix.ports[tag]
    result: dict[str, Any] = {}
    try:
        if recording:
            result["steps"] = await record(dialog, "127.0.0.1", port)
        else:
            result["steps"] = await transcript(dialog, "127.0.0.1", port)
    except (AssertionError, OSError) as error:
        result["failure"] = f"{type(error).__name__}: {error}"
    for _ in range(200):
        text = postfix.log()
        if re.search(rf" {tag}/smtpd\[\d+\]: (disconnect from|fatal:)", text):
            break
        await asyncio.sleep(0.05)
    return result


async def _all_logged(postfix: RealPostfix) -> None:
    """Cleanup may speak last: until it has no file of a message that is still coming in. Then what it has said is on
    its way to the log, and a line of ours goes after it.
    """
    incoming = postfix.folder / "queue/incoming"
    end = time.monotonic() + 30
    while any(_is_coming_in(path) for path in incoming.iterdir()):
        if time.monotonic() > end:
            raise AssertionError("cleanup does not end")
        await asyncio.sleep(0.01)
    await asyncio.to_thread(postfix.say, MARK)
    while MARK not in postfix.log():
        if time.monotonic() > end:
            raise AssertionError("a line of ours did not get into the log")
        await asyncio.sleep(0.01)


def _is_coming_in(path: Path) -> bool:
    """Cleanup makes the file executable once the message is complete."""
    try:
        return path.is_file() and not path.stat().st_mode & stat.S_IXUSR
    except FileNotFoundError:
        return False


def _session_log(text: str, tag: str) -> list[str]:
    lines: list[str] = []
    ids: set[str] = set()
    for line in text.splitlines():
        found = re.match(r"\S+ +\S+ \S+ \S+ (\S+)/(\w+)\[\d+\]: (.*)", line)
        if found is None:
            continue
        program, words = found.group(2), found.group(3)
        queue_id = re.match(r"(?:warning: )?([0-9A-F]{9,16}): ", words)
        if found.group(1) == tag and program == "smtpd":
            if queue_id:
                ids.add(queue_id.group(1))
            if not words.startswith("connect from "):
                lines.append(words)
        elif program == "cleanup" and queue_id and queue_id.group(1) in ids:
            lines.append(words)
    return normal_log(lines)


if __name__ == "__main__":
    given = sys.argv[1:]
    with_record = "--record" in given
    prepare_namespaces()
    print(json.dumps(asyncio.run(_main(with_record, [g for g in given if not g.startswith("--")]))))
