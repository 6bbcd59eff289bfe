"""DANE in Postfix and in Gatepost, in namespaces of our own where our DNS server is the resolver, and says AD.

    python -m tests.compat.play_dane     run me under `unshare -n -m`

Prints JSON: setting -> case -> [Postfix's log lines, Gatepost's].
"""

import asyncio
import datetime
import hashlib
import json
import re
import ssl
import tempfile
import threading
from collections.abc import Callable

import trustme

from gatepost.tls.der import public_key_info
from tests.compat.real_postfix import RealPostfix
from tests.compat.tls_sink import TlsSink
from tests.dns_server import DnsServer
from tests.namespaces import prepare_namespaces
from tests.scenarios.server import MASTER_CF, Client, Gatepost, free_port, temporary_folder, until

MAIN_CF = """
compatibility_level = 3.6
myhostname = mail.ours.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions =
notify_classes =
local_recipient_maps =
minimal_backoff_time = 1000s
maximal_backoff_time = 1000s
smtp_tls_connection_reuse = no
smtp_tls_loglevel = 1
smtp_dns_support_level = dnssec
transport_maps = inline:{ { ours.test = discard:notices } %s }
"""

DANE = "smtp_tls_security_level = dane\n"
SETTINGS = {
    "dane": DANE,
    "only": "smtp_tls_security_level = dane-only\n",
    "may": DANE + "smtp_tls_dane_insecure_mx_policy = may\n",
    "encrypt": DANE + "smtp_tls_dane_insecure_mx_policy = encrypt\n",
    "policy": "smtp_tls_policy_maps = static:dane\n",
    "policyonly": "smtp_tls_policy_maps = static:dane-only\nsmtp_tls_dane_insecure_mx_policy = dane\n",
    "nodnssec": DANE + "smtp_dns_support_level = enabled\n",
    "nodnsseconly": "smtp_tls_security_level = dane-only\nsmtp_dns_support_level =\n",
    "native": DANE + "smtp_host_lookup = native\n",
    "both": DANE + "smtp_host_lookup = native, dns\n",
    "ignore": DANE + "ignore_mx_lookup_error = yes\n",
    "ignoreonly": "smtp_tls_security_level = dane-only\nignore_mx_lookup_error = yes\n",
    "search": DANE + "smtp_dns_resolver_options = res_defnames\n",
    "digest": DANE + "tls_dane_digests = sha256\n",
    "digests": DANE + "tls_dane_digests = sha256=1, sha512=2, sha384=240\n",
    "agile": DANE + "tls_dane_digests = sha256 sha512\n",
    "baddigest": DANE + "tls_dane_digests = sha256 foo\n",
    "badnumber": DANE + "tls_dane_digests = sha256=3\n",
    "nonumber": DANE + "tls_dane_digests = sha256 sha384\n",
    "force": DANE + "smtp_tls_force_insecure_host_tlsa_lookup = yes\n",
    "verbose": DANE + "smtp_tls_loglevel = verbose, certmatch, untrusted, summary\n",
    "untrusted": DANE + "smtp_tls_loglevel = summary, untrusted\n",
    "attributes": "smtp_tls_policy_maps = static:{dane match=hostname}\n",
    "servername": DANE + "smtp_tls_servername = foo.example\n",
    "filter": DANE + "smtp_dns_reply_filter = pcre:{ {/ TLSA 3 1 1 / IGNORE} }\n",
    "cname": DANE + "smtp_cname_overrides_servername = yes\n",
}

# @ is the case's name, {A} the address of its sink; {NAME.USM} the data of a TLSA record for a certificate.
MX, HOST = "@.test MX 10 @.mx.test\n", "@.mx.test A {A}\n"
USUAL = MX + HOST
TLSA = "_25._tcp.@.mx.test TLSA "
ZERO = "00" * 32
ONE, DIRECT = USUAL + TLSA, HOST + TLSA
CASES = {
    "none": ("good", USUAL),
    "ee": ("good", ONE + "{leaf.311}"),
    "ee301": ("good", ONE + "{leaf.301}"),
    "ee310": ("good", ONE + "{leaf.310}"),
    "ee300": ("good", ONE + "{leaf.300}"),
    "ee312": ("good", ONE + "{leaf.312}"),
    "eewrong": ("good", ONE + "3 1 1 " + ZERO),
    "eeexpired": ("expired", ONE + "{expired.311}"),
    "eename": ("wrong", ONE + "{wrong.311}"),
    "eesecond": ("good", ONE + "3 1 1 " + ZERO + "\n" + TLSA + "{leaf.311}"),
    "eeofmiddle": ("good", ONE + "{middle.311}"),
    "ta211": ("good", ONE + "{root.211}"),
    "ta201": ("good", ONE + "{root.201}"),
    "ta202": ("good", ONE + "{root.202}"),
    "tamiddle": ("good", ONE + "{middle.211}"),
    "taleaf": ("good", ONE + "{leaf.211}"),
    "tawrong": ("good", ONE + "2 1 1 " + ZERO),
    "taexpired": ("expired", ONE + "{root.211}"),
    "taname": ("wrong", ONE + "{root.211}"),
    "tanexthop": ("nexthop", ONE + "{root.211}"),
    "tashort": ("short", ONE + "{root.211}"),
    "tashort200": ("short", ONE + "{root.200}"),
    "tashort210": ("short", ONE + "{root.210}"),
    "tamiddle200": ("short", ONE + "{middle.200}"),
    "tanamefull": ("wrong", ONE + "{root.200}"),
    "taforged": ("forged", ONE + "{root.201}"),
    "taee": ("wrong", ONE + "{root.211}\n" + TLSA + "{wrong.311}"),
    "taeeold": ("expired", ONE + "{root.211}\n" + TLSA + "{expired.301}"),
    "pkix0": ("good", ONE + "{root.011}"),
    "pkix1": ("good", ONE + "{leaf.111}"),
    "pkixee": ("good", ONE + "{leaf.111}\n" + TLSA + "{leaf.311}"),
    "usage4": ("good", ONE + "4 1 1 " + ZERO),
    "selector2": ("good", ONE + "3 2 1 " + ZERO),
    "mtype3": ("good", ONE + "3 1 3 " + ZERO),
    "mtype240": ("good", ONE + "3 1 240 " + ZERO),
    "length": ("good", ONE + "3 1 1 00ff"),
    "length2": ("good", ONE + "3 1 2 " + ZERO),
    "garbagecert": ("good", ONE + "2 0 0 00ff"),
    "garbagekey": ("good", ONE + "3 1 0 00ff"),
    "lengthee": ("good", ONE + "3 1 1 00ff\n" + TLSA + "{leaf.311}"),
    "agility": ("good", ONE + "{leaf.311}\n" + TLSA + "3 1 2 " + ZERO * 2),
    "agility2": ("good", ONE + "3 1 1 " + ZERO + "\n" + TLSA + "{leaf.312}"),
    "agilityselector": ("good", ONE + "{leaf.311}\n" + TLSA + "3 0 2 " + ZERO * 2),
    "agilityfull": ("good", ONE + "{leaf.310}\n" + TLSA + "3 1 2 " + ZERO * 2),
    "plain": ("plain", ONE + "{leaf.311}"),
    "plainnone": ("plain", USUAL),
    "refused": ("refused", ONE + "{leaf.311}"),
    "unusableplain": ("plain", ONE + "{leaf.111}"),
    "broken": ("broken", ONE + "{leaf.311}"),
    "servfail": ("good", USUAL + "_25._tcp.@.mx.test SERVFAIL"),
    "garbage": ("good", USUAL + "_25._tcp.@.mx.test GARBAGE"),
    "tlsainsecure": ("good", ONE + "{leaf.311}\n_25._tcp.@.mx.test INSECURE"),
    "hostinsecure": ("good", ONE + "{leaf.311}\n@.mx.test INSECURE"),
    "mxinsecure": ("good", ONE + "{leaf.311}\n@.test INSECURE"),
    "mxinsecureta": ("good", ONE + "{root.211}\n@.test INSECURE"),
    "mxinsecurebad": ("good", ONE + "3 1 1 " + ZERO + "\n@.test INSECURE"),
    "mxinsecureplain": ("plain", ONE + "{leaf.311}\n@.test INSECURE"),
    "mxinsecurenone": ("plain", USUAL + "@.test INSECURE"),
    "mxinsecureunusable": ("good", ONE + "{leaf.111}\n@.test INSECURE"),
    "mxcname": ("nexthop", "@.test CNAME t-@.test\nt-@.test MX 10 @.mx.test\n" + DIRECT + "{root.211}"),
    "mxtarget": ("nexthop", "@.test CNAME t-@.test\nt-@.test MX 10 @.mx.test\n" + DIRECT + "{root.211}"),
    "mxcnameinsecure": (
        "good",
        "@.test CNAME t-@.test\nt-@.test MX 10 @.mx.test\nt-@.test INSECURE\n" + DIRECT + "{leaf.311}",
    ),
    "nomx": ("good", "@.test A {A}\n_25._tcp.@.test TLSA {leaf.311}"),
    "nomxta": ("nexthop", "@.test A {A}\n_25._tcp.@.test TLSA {root.211}"),
    "nomxinsecure": ("good", "@.test A {A}\n_25._tcp.@.test TLSA {leaf.311}\n@.test INSECURE"),
    "bracket": ("good", DIRECT + "{root.211}"),
    "address": ("good", ""),
    "port": ("good", HOST + "_2525._tcp.@.mx.test TLSA {leaf.311}\n" + TLSA + "3 1 1 " + ZERO),
    "cname": ("good", MX + "@.mx.test CNAME c-@.mx.test\nc-@.mx.test A {A}\n"
              "_25._tcp.c-@.mx.test TLSA {root.211}"),
    "cnameinitial": ("good", MX + "@.mx.test CNAME c-@.mx.test\nc-@.mx.test A {A}\n" + TLSA + "{root.211}"),
    "cnameboth": ("good", MX + "@.mx.test CNAME c-@.mx.test\nc-@.mx.test A {A}\n"
                  "_25._tcp.c-@.mx.test TLSA 3 1 1 " + ZERO + "\n" + TLSA + "{leaf.311}"),
    "cnameinsecure": ("good", MX + "@.mx.test CNAME c-@.mx.test\nc-@.mx.test A {A}\n"
                      "c-@.mx.test INSECURE\n" + TLSA + "{leaf.311}\n_25._tcp.c-@.mx.test TLSA 3 1 1 " + ZERO),
    "cnameinsecure2": ("good", MX + "@.mx.test CNAME c-@.mx.test\nc-@.mx.test A {A}\n"
                       "@.mx.test INSECURE\n" + TLSA + "{leaf.311}\n_25._tcp.c-@.mx.test TLSA {leaf.311}"),
    "cnameservfail": ("good", MX + "@.mx.test CNAME c-@.mx.test\nc-@.mx.test A {A}\n"
                      + TLSA + "{leaf.311}\n_25._tcp.c-@.mx.test SERVFAIL"),
    "tlsacname": ("good", USUAL + "_25._tcp.@.mx.test CNAME x-@.test\nx-@.test TLSA {leaf.311}"),
    "tlsacnameinsecure": (
        "good",
        USUAL + "_25._tcp.@.mx.test CNAME x-@.test\nx-@.test TLSA {leaf.311}\nx-@.test INSECURE",
    ),
    "two": ("good", "@.test MX 10 @.mx.test\n@.test MX 20 s-@.mx.test\ns-@.mx.test A {A}\n"
            + DIRECT + "3 1 1 " + ZERO + "\n_25._tcp.s-@.mx.test TLSA {leaf.311}"),
}  # fmt: skip
FEW = ("none", "ee", "eewrong", "ta211", "agility", "agilityselector", "mtype240", "pkix1", "plain", "servfail",
       "hostinsecure", "mxinsecure", "mxinsecurebad", "mxinsecureplain", "bracket", "address", "cname")  # fmt: skip
ALL = ("dane", "only")
"""Settings that are tried with all cases, others with a few."""
TRANSPORTS = {"bracket": "[bracket.mx.test]", "address": "[127.0.1.1]", "port": "[port.mx.test]:2525"}
SINKS = ("good", "short", "expired", "wrong", "nexthop", "forged", "plain", "refused", "broken")
REPLIES = {
    "plain": {"EHLO": "250-peer.example\r\n250 DSN"},
    "refused": {"STARTTLS": "454 4.7.0 TLS not available"},
    "broken": {"HANDSHAKE": ""},
}


class Chains:
    """leaf (for *.mx.test) <- middle <- root; and others."""

    def __init__(self) -> None:
        root = trustme.CA()
        middle = root.create_child_ca()
        past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        self._root = root.cert_pem.bytes()
        self._leaves = {
            "leaf": middle.issue_cert("*.mx.test"),
            "expired": middle.issue_cert("*.mx.test", not_after=past),
            "wrong": middle.issue_cert("wrong.test"),
            "nexthop": middle.issue_cert("tanexthop.test", "mxcname.test", "t-mxtarget.test", "nomxta.test"),
            "forged": trustme.CA().issue_cert("*.mx.test"),
        }
        self.der = {name: _der(leaf.cert_chain_pems[0].bytes()) for name, leaf in self._leaves.items()}
        self.der |= {"middle": _der(middle.cert_pem.bytes()), "root": _der(self._root)}

    def context(self, sink: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf = self._leaves.get(sink, self._leaves["leaf"])
        chain = b"".join(blob.bytes() for blob in (leaf.private_key_pem, *leaf.cert_chain_pems))
        with tempfile.NamedTemporaryFile() as file:
            file.write(chain if sink == "short" else chain + self._root)
            file.flush()
            context.load_cert_chain(file.name)
        return context

    def record(self, match: re.Match[str]) -> str:
        """The data of a TLSA record, from `{NAME.USM}`."""
        usage, selector, matching = match[2]
        octets = self.der[match[1]]
        if selector == "1":
            octets = public_key_info(octets)
        if matching != "0":
            octets = hashlib.new({"1": "sha256", "2": "sha512"}[matching], octets).digest()
        return f"{usage} {selector} {matching} {octets.hex()}"


def _der(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.decode())


def zone(chains: Chains) -> str:
    lines = []
    for name, (sink, text) in CASES.items():
        address = f"127.0.1.{1 + SINKS.index(sink)}"
        text = text.replace("@", name).replace("{A}", address)
        lines.append(re.sub(r"\{(\w+)\.(\d{3})\}", chains.record, text))
    return "\n".join(lines) + "\n"


def cases_of(setting: str) -> tuple[str, ...]:
    return tuple(CASES) if setting in ALL else FEW


def play(port: int, log: Callable[[], str]) -> dict[str, dict[str, list[str]]]:
    """Mail to SETTING@CASE.test goes by the transport SETTING."""
    ids: dict[str, str] = {}
    client = Client(port)
    client.say("EHLO client.example")
    for case in CASES:
        users = [setting for setting in SETTINGS if case in cases_of(setting)]
        client.say("MAIL FROM:<sender@ours.test>")
        for user in users:
            assert client.say(f"RCPT TO:<{user}@{case}.test>").startswith("250")
        client.say("DATA")
        client.sock.sendall(b"Subject: test\r\n\r\nHello.\r\n.\r\n")
        reply = client.reply()
        assert " queued as " in reply, f"{case}: {reply}"
        ids[case] = reply.rpartition(" ")[2]
    client.close()
    wanted = sum(len(cases_of(setting)) for setting in SETTINGS)
    until(lambda: len(re.findall(r"/smtp\[\d+\]: \w+: to=<", log())) == wanted, "an outcome for each", 120)
    text = log()
    return {
        setting: {case: _told(case, ids[case], _of(setting, text)) for case in cases_of(setting)}
        for setting in SETTINGS
    }


def _of(setting: str, text: str) -> list[str]:
    return re.findall(rf" {setting}/smtp\[\d+\]: (.*)", text)


def _told(case: str, queue_id: str, said: list[str]) -> list[str]:
    own = re.compile(rf"{queue_id}: |\b(_25\._tcp\.|[cstx]-)?{case}\.(mx\.)?test\b")
    others = re.compile(r"[0-9A-F]{8,}: ")
    lines: list[str] = []
    for words in said:
        line = re.sub(r"delay=[^,]+, delays=[^,]+, ", "", words.removeprefix(f"{queue_id}: "))
        # Postfix 3.7 goes on with the text of an SOA record.
        line = re.sub(r"( IN TLSA .*)- -( \d+){5}$", r"\1", line)
        # Postfix asks once more for what it has not learned, and says so again.
        if own.search(words) and not others.match(line) and not _OF_OTHER_MATTERS.search(line) and line not in lines:
            lines.append(line)
    return sorted(lines)  # the order of records of no use is any


_OF_OTHER_MATTERS = re.compile(r": TLS cipher list |: SNI hostname: |tls_dane_digests")
"""What we do not log, or of any level; and Postfix tells of digests once, when a process begins."""


def serve_dns(zone: str) -> DnsServer:
    server = DnsServer(zone, authentic=True)

    async def serve() -> None:
        await server.start("127.0.0.1", 53)
        started.set()
        await asyncio.Event().wait()

    started = threading.Event()
    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    started.wait()
    return server


def sinks(chains: Chains) -> list[TlsSink]:
    made = []
    for number, name in enumerate(SINKS, 1):
        for port in (25, 2525):
            host = f"127.0.1.{number}"
            made.append(TlsSink(dict(REPLIES.get(name, {})), chains.context(name), host=host, port=port))
    return made


def main_cf() -> str:
    routes = []
    for setting in SETTINGS:
        for case in cases_of(setting):
            routes.append(f"{{ {setting}@{case}.test = {setting}:{TRANSPORTS.get(case, '')} }}")
    return MAIN_CF % " ".join(routes)


def services() -> str:
    lines = []
    for setting, parameters in SETTINGS.items():
        lines.append(f"{setting} unix - - n - 3 smtp -o syslog_name={setting}")
        lines += (f"  -o {{ {parameter} }}" for parameter in parameters.splitlines())
    return "\n".join(lines) + "\n"


def _main() -> dict[str, dict[str, list[list[str]]]]:
    chains = Chains()
    serve_dns(zone(chains))
    served = sinks(chains)
    text = main_cf()
    with RealPostfix({"real": {}}, text, services()) as postfix:
        theirs = play(postfix.ports["real"], postfix.log)
    with temporary_folder() as folder:
        port = free_port()
        master_cf = MASTER_CF.format(listen=f"127.0.0.1:{port}") + services()
        server = Gatepost(folder, text, port=port, master_cf=master_cf)
        server.start()
        try:
            ours = play(port, server.log)
        finally:
            server.stop()
    for sink in served:
        sink.stop()
    return {
        setting: {case: [told, ours[setting][case]] for case, told in cases.items()}
        for setting, cases in theirs.items()
    }


if __name__ == "__main__":
    prepare_namespaces()
    print(json.dumps(_main()))
