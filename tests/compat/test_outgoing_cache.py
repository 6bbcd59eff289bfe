"""Connections used again: by Gatepost as often as by a real Postfix, and with the same words in the log."""

import re
from collections.abc import Callable, Mapping

import pytest

from tests.compat.outgoing import MAIN_CF, Case, submit
from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.compat.scripted_sink import ScriptedSink
from tests.scenarios.server import MASTER_CF, Gatepost, free_port, temporary_folder, until

MESSAGES = 5
ALWAYS = """
smtp_connection_cache_destinations = 127.0.0.1
lmtp_connection_cache_destinations = 127.0.0.1
connection_cache_ttl_limit = 60s
smtp_connection_cache_time_limit = 60s
lmtp_connection_cache_time_limit = 60s
"""
CASES = {
    "good": Case({}),
    "lockstep": Case({"EHLO": "250-peer.example\r\n250 DSN"}),
    "refused": Case({"RCPT": "550 5.1.1 no"}),
    "later": Case(
        {"RCPT TO:<one": "450 4.2.1 not now", "RCPT TO:<two": "450 4.2.2 full"}, recipients=("one", "two", "three")
    ),
    "refusedmail": Case({"MAIL": "451 4.3.0 later"}),
    "refusedend": Case({".": "451 4.3.0 later"}),
    "closes": Case({".": "250 2.0.0 Ok!"}),
    "two": Case({}, "smtp:[127.0.0.1]:{closed},[127.0.0.1]:{port}"),
    "lmtp": Case({}, "lmtp:inet:127.0.0.1:{port}"),
}


class World:
    def __init__(self, more: str) -> None:
        self.sinks = {name: ScriptedSink(case.sink, lmtp=name == "lmtp") for name, case in CASES.items()}
        closed = free_port()
        maps = [
            f"{{ {name}.example = {CASES[name].transport.format(port=sink.port, closed=closed)} }}"
            for name, sink in self.sinks.items()
        ]
        self.main_cf = MAIN_CF.format(maps=" ".join(maps)) + more

    def play(self, port: int, log: Callable[[], str]) -> dict[str, tuple[list[list[str]], int]]:
        """For each case what is said of each message, and how many connections there were."""
        ids: dict[str, list[str]] = {name: [] for name in CASES}
        until(lambda: not any(sink.open for sink in self.sinks.values()), "the end of another's sessions")
        for sink in self.sinks.values():
            sink.forget()
        for _ in range(MESSAGES):
            for name, case in CASES.items():
                ids[name].append(submit(port, name, case))
            until(lambda: self._all_told(ids, log()), "an outcome for each")
        text = log()
        return {
            name: ([_told(queue_id, text) for queue_id in ids[name]], len(self.sinks[name].sessions)) for name in CASES
        }

    @staticmethod
    def _all_told(ids: Mapping[str, list[str]], text: str) -> bool:
        return all(
            len(re.findall(rf": {queue_id}: to=<", text)) >= len(CASES[name].recipients)
            for name, listed in ids.items()
            for queue_id in listed
        )

    def stop(self) -> None:
        for sink in self.sinks.values():
            sink.stop()


def _told(queue_id: str, text: str) -> list[str]:
    """The lines about a message, without its delays, and ports: of several servers, Postfix names the wrong one."""
    found = re.findall(rf"/[ls]mtp\[\d+\]: {queue_id}: (.*)", text)
    return sorted(re.sub(r"delay=[^,]+, delays=[^,]+, |(?<=\]):\d+", "", line) for line in found)


@pytest.mark.parametrize(
    "more",
    [
        ALWAYS,
        f"{ALWAYS}smtp_connection_reuse_count_limit = 2\nlmtp_connection_reuse_count_limit = 3\n",
        f"{ALWAYS}smtp_connection_cache_on_demand = no\nlmtp_connection_cache_on_demand = no\n",
    ],
)
def test_connections_are_used_as_postfix_uses_them(more: str) -> None:
    need_postfix()
    world = World(more)
    try:
        with RealPostfix({"real": {}}, world.main_cf) as postfix:
            theirs = world.play(postfix.ports["real"], postfix.log)
        with temporary_folder() as folder:
            port = free_port()
            master_cf = MASTER_CF.format(listen=f"127.0.0.1:{port}") + "lmtp unix - - n - - lmtp\n"
            server = Gatepost(folder, world.main_cf, port=port, master_cf=master_cf)
            server.start()
            try:
                ours = world.play(port, server.log)
            finally:
                server.stop()
    finally:
        world.stop()
    assert ours == theirs
