"""Gatepost and a real Postfix as TLS clients, before servers that speak TLS well or badly."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.compat.outgoing import Case, Told, World, submit
from tests.compat.real_postfix import RealPostfix
from tests.compat.scripted_sink import ScriptedSink
from tests.compat.tls_sink import Certificates, TlsSink
from tests.scenarios.server import MASTER_CF, Gatepost, free_port, temporary_folder, until

NEXTHOP = "smtp:[localhost]:{port}"

_MAIN_CF = """
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
    """Sinks that speak TLS. `{certs}` in a policy, and in `more`, is the folder of the certificates."""

    def __init__(self, cases: Mapping[str, Case], folder: Path, more: str) -> None:
        self.certificates = Certificates(folder / "certs")
        super().__init__(cases, folder)
        self.more = more
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
        return TlsSink(replies, context, wrapper=wrapper, lmtp=lmtp, path=path, once=case.once)

    def again(self, port: int, log: Callable[[], str]) -> dict[str, Told]:
        """As `play`, for mail that is deferred at first: until each case has come to its second outcome."""
        ids = {name: submit(port, name, case) for name, case in self.cases.items()}

        def all_told() -> bool:
            text = log()
            return all(len(re.findall(rf": {queue_id}: to=<[^\n]* status=", text)) >= 2 for queue_id in ids.values())

        until(all_told, "two outcomes of each", 60)
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
        # To a server that expected plaintext a handshake is noise.
        commands = [command for command in told.commands if command.isprintable()]
        return told._replace(lines=lines, commands=[*commands, *seen])


_OF_TABLES = re.compile(r"returns an empty string result|: \S+ lookup error for ")
"""What the tables themselves say, which is another program's line with us."""


def _normal(line: str) -> str:
    """Without what differs: the names of the authority, which is another one each time."""
    return re.sub(r"Testing (CA|cert) #[\w-]+", r"Testing \1", line)


def same_tls(cases: Mapping[str, Case], more: str = "", *, again: bool = False) -> None:
    """Fails where Gatepost does not do as Postfix does, under more lines of main.cf."""
    theirs, ours = compare_tls(cases, more, again=again)
    for name in cases:
        ours[name], theirs[name] = (told.without("RSET") for told in (ours[name], theirs[name]))
    different = [name for name in cases if ours[name] != theirs[name]]
    assert not different, "\n".join(f"{name}:\n  {ours[name]}\n  {theirs[name]}" for name in different)


def compare_tls(
    cases: Mapping[str, Case], more: str = "", *, again: bool = False
) -> tuple[dict[str, Told], dict[str, Told]]:
    """(Postfix, Gatepost)"""
    with temporary_folder() as folder:
        world = TlsWorld(cases, folder, more)
        play = world.again if again else world.play
        try:
            with RealPostfix({"real": {}}, world.main_cf) as postfix:
                theirs = play(postfix.ports["real"], postfix.log)
            for sink in world.sinks.values():
                sink.forget(None)
            port = free_port()
            master_cf = MASTER_CF.format(listen=f"127.0.0.1:{port}") + "lmtp unix - - n - - lmtp\n"
            gatepost = Gatepost(folder, world.main_cf, port=port, master_cf=master_cf)
            try:
                gatepost.start()
                return theirs, play(gatepost.port, gatepost.log)
            finally:
                gatepost.stop()
        finally:
            world.stop()
