"""Gatepost and a real Postfix as TLS clients, before servers that speak TLS well or badly."""

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.compat.auth_sink import AuthSink
from tests.compat.outgoing import Case, Told, World, submit
from tests.compat.real_postfix import RealPostfix
from tests.compat.scripted_sink import ScriptedSink
from tests.compat.tls_sink import Certificates, TlsSink
from tests.scenarios.server import MASTER_CF, Gatepost, free_port, temporary_folder, until

NEXTHOP = "smtp:[localhost]:{port}"

_MAIN_CF = """
smtp_tls_connection_reuse = no
lmtp_tls_connection_reuse = no
smtp_host_lookup = native
lmtp_host_lookup = native
smtp_tls_loglevel = 1
lmtp_tls_loglevel = 1
smtp_tls_CAfile = {ca}
lmtp_tls_CAfile = {ca}
smtp_tls_policy_maps = {maps}
lmtp_tls_policy_maps = $smtp_tls_policy_maps
"""


class TlsWorld(World):
    """Sinks that speak TLS. `{certs}` in a policy, in `more` and in `transports` is the folder of the certificates.

    `transports`: name -> lines of parameters for a transport of its own, to which cases may be routed.
    """

    def __init__(self, cases: Mapping[str, Case], folder: Path, more: str, transports: Mapping[str, str]) -> None:
        self.certificates = Certificates(folder / "certs")
        super().__init__(cases, folder)
        self.services = ""
        for name, parameters in transports.items():
            options = parameters.replace("{certs}", str(self.certificates.folder)).splitlines()
            self.services += f"{name} unix - - n - - smtp\n" + "".join(f"  -o {{ {line} }}\n" for line in options)
        policies = []
        for name, case in cases.items():
            port = self.sinks[name].port if name in self.sinks else 0
            nexthop = case.transport.partition(":")[2].format(port=port, path=f"{folder}/{name}")
            if case.policy:
                policy = case.policy.replace("{certs}", str(self.certificates.folder))
                policies.append(f"{{ {nexthop.removeprefix('unix:').removeprefix('inet:')} = {policy} }}")
        maps = f"inline:{{ {' '.join(policies)} }}" if policies else ""
        self.main_cf += _MAIN_CF.format(ca=self.certificates.path("ca"), maps=maps)
        # The last line counts; Postfix would warn of the first.
        for line in more.replace("{certs}", str(self.certificates.folder)).splitlines():
            parameter = line.partition("=")[0].strip()
            self.main_cf = re.sub(rf"(?m)^{parameter} = .*\n", "", self.main_cf) + line + "\n"

    def sink(self, case: Case, replies: dict[str, str], path: str) -> ScriptedSink:
        name = case.certificate or "right"
        wrapper = name.startswith("wrapped ")
        context = self.certificates.context(name.removeprefix("wrapped "))
        lmtp = case.transport.startswith("lmtp:")
        kind = AuthSink if "AUTH" in replies else TlsSink
        return kind(replies, context, wrapper=wrapper, lmtp=lmtp, path=path, once=case.once)

    def again(self, port: int, log: Callable[[], str], flush: Callable[[], object]) -> dict[str, Told]:
        """As `play`, for mail that is deferred at first, and sent again when it is two seconds old."""
        ids = {name: submit(port, name, case) for name, case in self.cases.items()}
        old = time.monotonic() + 2

        def all_told(times: int) -> bool:
            text = log()
            wanted = {queue_id: times * len(self.cases[name].recipients) for name, queue_id in ids.items()}
            return all(len(re.findall(rf": {i}: to=<[^\n]* status=", text)) >= n for i, n in wanted.items())

        until(lambda: all_told(1), "an outcome of each", 60)
        until(lambda: time.monotonic() > old, "old mail")
        flush()
        until(lambda: all_told(2), "two outcomes of each", 60)
        text = log()
        return {name: self._told(name, queue_id, text) for name, queue_id in ids.items()}

    def _told(self, name: str, queue_id: str, text: str) -> Told:
        told = super()._told(name, queue_id, text)
        sink = self.sinks.get(name)
        if sink is None:
            return told
        assert isinstance(sink, TlsSink)
        where = rf"\S*:{sink.port}\b" if sink.port else re.escape(sink.path)
        heard = re.findall(rf"postfix/(?:smtp|lmtp)\[\d+\]: (?![0-9A-F]+: )(.*{where}.*)", text)
        heard = [line for line in heard if not _OF_TABLES.search(line)]
        lines = [line.replace(f":{sink.port}", ":PORT") for line in (*told.lines, *sorted(map(_normal, heard)))]
        seen = [" ".join(map(str, each)) for each in sink.seen]
        return told._replace(lines=lines, commands=[*told.commands, *seen])


_OF_TABLES = re.compile(r"returns an empty string result|: \S+ lookup error for ")
"""What the tables themselves say, which is another program's line with us."""


def _normal(line: str) -> str:
    """Without what differs: the names of the authority, which is another one each time."""
    return re.sub(r"Testing (CA|cert) #[\w-]+", r"Testing \1", line)


def same_tls(
    cases: Mapping[str, Case], more: str = "", *, again: bool = False, transports: Mapping[str, str] | None = None
) -> None:
    """Fails where Gatepost does not do as Postfix does, under more lines of main.cf, by more transports."""
    theirs, ours = compare_tls(cases, more, again=again, transports=transports or {})
    for name in cases:
        ours[name], theirs[name] = (told.without("RSET") for told in (ours[name], theirs[name]))
    different = [name for name in cases if ours[name] != theirs[name]]
    assert not different, "\n".join(f"{name}:\n  {ours[name]}\n  {theirs[name]}" for name in different)


def compare_tls(
    cases: Mapping[str, Case], more: str, *, again: bool, transports: Mapping[str, str]
) -> tuple[dict[str, Told], dict[str, Told]]:
    """(Postfix, Gatepost)"""
    with temporary_folder() as folder:
        world = TlsWorld(cases, folder, more, transports)
        try:
            with RealPostfix({"real": {}}, world.main_cf, world.services) as postfix:
                theirs = _played(world, postfix.ports["real"], postfix.log, postfix.flush if again else None)
            for sink in world.sinks.values():
                sink.forget(None)
            port = free_port()
            master_cf = MASTER_CF.format(listen=f"127.0.0.1:{port}") + "lmtp unix - - n - - lmtp\n" + world.services
            gatepost = Gatepost(folder, world.main_cf, port=port, master_cf=master_cf)
            try:
                gatepost.start()
                flush = (lambda: gatepost.command("postqueue", "-f")) if again else None
                return theirs, _played(world, gatepost.port, gatepost.log, flush)
            finally:
                gatepost.stop()
        finally:
            world.stop()


def _played(world: TlsWorld, port: int, log: Callable[[], str], flush: Callable[[], object] | None) -> dict[str, Told]:
    return world.play(port, log) if flush is None else world.again(port, log, flush)
