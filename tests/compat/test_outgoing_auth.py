"""The SMTP and LMTP clients of Gatepost and of a real Postfix (with libsasl2) log in to the same servers."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.compat.auth_sink import AuthSink, offers
from tests.compat.outgoing import Case, Told, World
from tests.compat.real_postfix import RealPostfix, missing
from tests.compat.scripted_sink import ScriptedSink
from tests.scenarios.server import MASTER_CF, Gatepost, free_port, temporary_folder

LOGIN = """
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = inline:{ 127.0.0.1=user:secret }
smtp_sasl_security_options = noanonymous
smtp_helo_timeout = 2s
"""
MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-224", "SCRAM-SHA-256", "SCRAM-SHA-384",
              "SCRAM-SHA-512")  # fmt: skip
EVERY = "AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256"
NO = "535 5.7.8 Error: authentication failed"


def auth(offered: str, **replies: str) -> Case:
    """`offered`: what stands in the reply to EHLO. Without a reply to AUTH the server knows what it does."""
    return Case({"EHLO": offers(*offered.split("|")), "LHLO": offers(*offered.split("|")), "AUTH": "@", **replies})


@pytest.fixture(autouse=True)
def _postfix() -> None:
    reason = missing()
    if not reason and not list(Path("/usr/lib").glob("*/sasl2/libscram.so*")):
        reason = "libsasl2-modules is not installed"
    if reason:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


class AuthWorld(World):
    def sink(self, case: Case, replies: dict[str, str], path: str) -> ScriptedSink:
        return AuthSink(replies, lmtp=case.transport.startswith("lmtp"), path=path, once=case.once)

    def _told(self, name: str, queue_id: str, text: str) -> Told:
        told = super()._told(name, queue_id, text)
        sink = self.sinks[name]
        assert isinstance(sink, AuthSink)
        commands = [*map(_without_nonce, told.commands), *(f"as {user}" for user in sink.users)]
        warnings = re.findall(rf"postfix/(?:smtp|lmtp)\[\d+\]: (warning: .*:{sink.port}\b.*)", text)
        return told._replace(commands=commands, lines=told.lines + [w.replace(str(sink.port), "P") for w in warnings])


def _without_nonce(command: str) -> str:
    """What SCRAM says is another thing each time; its length is not."""
    if command.startswith("AUTH SCRAM") or (len(command) > 80 and " " not in command):
        return re.sub(r"[\w+/=]{40,}", lambda found: f"<{len(found[0])}>", command)
    return command


def same(variants: Mapping[str, tuple[str, Mapping[str, Case]]]) -> None:
    """Fails where Gatepost does not do and say as Postfix does. Each variant has a transport of its own: parameters of
    main.cf, and cases.
    """
    cases = {
        f"{name}-{each}": case._replace(
            transport=case.transport.replace("smtp:", f"{name}:").replace("lmtp:", f"{name}:")
        )
        for name, (_, listed) in variants.items()
        for each, case in listed.items()
    }
    services = "".join(_service(name, *variant) for name, variant in variants.items())
    with temporary_folder() as folder:
        world = AuthWorld(cases, folder)
        try:
            with RealPostfix({"real": {}}, world.main_cf, services) as postfix:
                theirs = world.play(postfix.ports["real"], postfix.log)
                their_log = postfix.log()
            port = free_port()
            master_cf = MASTER_CF.format(listen=f"127.0.0.1:{port}") + services
            gatepost = Gatepost(folder, world.main_cf, port=port, master_cf=master_cf)
            try:
                gatepost.start()
                ours = world.play(gatepost.port, gatepost.log)
                our_log = gatepost.log()
            finally:
                gatepost.stop()
        finally:
            world.stop()
    different = [name for name in cases if ours[name].without("RSET") != theirs[name].without("RSET")]
    assert not different, "\n".join(f"{name}:\n  {ours[name]}\n  {theirs[name]}" for name in different)
    assert _warnings(our_log) == _warnings(their_log)


def _service(name: str, main_cf: str, cases: Mapping[str, Case]) -> str:
    """A transport's line of master.cf."""
    program = next(iter(cases.values())).transport.partition(":")[0]
    lines = [line for line in main_cf.splitlines() if line]
    options = "".join(f"\n  -o {{ {line} }}" for line in [*lines, "syslog_name = postfix"])
    return f"{name} unix - - n - - {program}{options}\n"


def _warnings(log: str) -> list[str]:
    found = re.findall(r"warning: (SASL .*|.*_sasl_.* lookup error.*)", log)
    return sorted(re.sub(r"^\w+: ", "", warning) for warning in found)


SEVERAL = {
    "all": auth(EVERY),
    "reversed": auth("AUTH SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5 LOGIN PLAIN"),
    "plus": auth("AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-1"),
    "plain": auth("AUTH LOGIN PLAIN"),
    "equals": auth("AUTH=PLAIN LOGIN"),
    "twice": auth("AUTH LOGIN|AUTH=PLAIN LOGIN"),
    "small": auth("auth plain login"),
    "odd": auth("AUTH =PLAIN,LOGIN"),
    "none": auth("SIZE"),
    "null": auth("AUTH"),
    "foreign": auth("AUTH GSSAPI XOAUTH2"),
    "helo": auth("AUTH PLAIN", EHLO="502 5.5.1 no"),
}
TWO = {"after": auth("AUTH PLAIN")._replace(transport="smtp:[127.0.0.1]:{closed},[127.0.0.1]:{port}")}


def _with(more: str) -> str:
    """LOGIN, where the last line of a parameter counts (Postfix warns of the first)."""
    text = LOGIN
    for line in more.splitlines():
        text = re.sub(rf"(?m)^{line.partition(' =')[0]} = .*\n", "", text)
    return text + more


def test_all_mechanisms() -> None:
    single = {name.lower(): auth(f"AUTH {name}") for name in MECHANISMS}
    same(
        {
            "right": (LOGIN, single | SEVERAL | TWO),
            "wrong": (_with("smtp_sasl_password_maps = inline:{ 127.0.0.1=user:wrong }\n"), single),
            "secure": (_with("smtp_sasl_security_options = noplaintext, noanonymous\n"), single),
            "mutual": (_with("smtp_sasl_security_options = mutual_auth\nsend_cyrus_sasl_authzid = yes\n"), single),
            "active": (_with("smtp_sasl_security_options = noactive\nsmtp_send_dummy_mail_auth = yes\n"), SEVERAL),
            "plain": (_with("smtp_sasl_mechanism_filter = plain\nsmtp_send_dummy_mail_auth = yes\n"), SEVERAL),
            "most": (_with("smtp_sasl_mechanism_filter = !plain, !scram-sha-256, static:all\n"), SEVERAL),
            "some": (_with("smtp_sasl_mechanism_filter = LOGIN, inline:{ cram-md5=yes }\n"), SEVERAL),
            "blind": (_with("smtp_discard_ehlo_keywords = auth\n"), SEVERAL),
        }
    )


REFUSED = {
    "534": auth("AUTH PLAIN", AUTH="534 5.7.9 too weak"),
    "535": auth("AUTH PLAIN", AUTH="535 no code"),
    "lines": auth("AUTH PLAIN", AUTH="535-5.7.8 no\r\n535 5.7.8 and no again"),
    "454": auth("AUTH PLAIN", AUTH="454 4.7.0 later"),
    "421": auth("AUTH PLAIN", AUTH="421 4.3.2 bye!"),
    "500": auth("AUTH LOGIN", AUTH="500 5.5.1 what?"),
    "second": auth("AUTH LOGIN", AUTH="334 VXNlcm5hbWU6", RESPONSE="501 5.5.2 what?"),
    "oneninenine": auth("AUTH PLAIN", AUTH="199 odd"),
    "hang": auth("AUTH PLAIN", AUTH=""),
    "hanglater": auth("AUTH CRAM-MD5", AUTH="334 YWJj", RESPONSE=""),
    "slow": auth("AUTH PLAIN", AUTH="~3 235 2.7.0 ok"),
    "again": auth("AUTH PLAIN", AUTH="334 ", RESPONSE="235 2.7.0 ok"),
    "loginagain": auth("AUTH LOGIN", AUTH="334 ", RESPONSE="334 "),
    "cramagain": auth("AUTH CRAM-MD5", AUTH="334 YWJj", RESPONSE="334 YWJj"),
    "350": auth("AUTH CRAM-MD5", AUTH="350 YWJj", RESPONSE="454 4.7.0 later"),
    "early": auth("AUTH LOGIN", AUTH="334 \r\n334 \r\n235 2.7.0 ok"),
}
CHALLENGES = {
    "empty": "", "rest": "abc", "padded": "YWJj=", "bits": "YW==", "middle": "YW==YWJj", "blank": "YWJj YWJj",
    "bad": "YW@j", "bad3": "Y@j", "words": "hello world", "star": "*", "equals": "=", "long": "YWJj" * 400,
}  # fmt: skip


def test_refusals_and_challenges() -> None:
    challenges = {name: auth("AUTH CRAM-MD5", AUTH=f"334 {text}", RESPONSE=NO) for name, text in CHALLENGES.items()}
    same(
        {
            "usual": (LOGIN, REFUSED | challenges),
            "hard": (_with("smtp_sasl_auth_soft_bounce = no\n"), REFUSED),
            "soft": (_with("smtp_sasl_auth_soft_bounce = no\nsoft_bounce = yes\n"), REFUSED),
        }
    )


SCRAM = {
    "empty": "", "text": "hello", "same": "r={nonce},s={salt},i=4096", "nonce": "s={salt},i=4096",
    "other": "r=other,s={salt},i=4096", "order": "r={nonce}x,i=4096,s={salt}", "salt": "r={nonce}x,i=4096",
    "saltless": "r={nonce}x,s=,i=4096", "badsalt": "r={nonce}x,s=@@@@,i=4096", "count": "r={nonce}x,s={salt}",
    "nocount": "r={nonce}x,s={salt},i=", "badcount": "r={nonce}x,s={salt},i=4k", "must": "m=x,r={nonce}x,s={salt},i=9",
    "oddsalt": "r={nonce}x,s=@@@,i=4096", "nul": "r={nonce}x,s={salt},i=4096\0",
    "many": "r={nonce}x,s={salt},i=99999999", "more": "r={nonce}x,s={salt},i=4096,x=y",
}  # fmt: skip
PROOFS = {
    "proof": "v={proof}", "wrong": "v={wrong}", "error": "e=invalid-proof", "none": "", "text": "w={proof}",
    "short": "v=YWJj",
}  # fmt: skip


def test_servers_that_speak_scram_badly() -> None:
    cases = {f"first-{name}": auth("AUTH SCRAM-SHA-256", FIRST=text) for name, text in SCRAM.items()}
    cases |= {f"final-{name}": auth("AUTH SCRAM-SHA-1", FINAL=text) for name, text in PROOFS.items()}
    same({"scram": (LOGIN, cases)})


ENTRIES = (":secret", "user", "us=er,x:a:b,=c", " user :secret", "üser:pässword", "user:")
HOSTS = {
    "name": "smtp:[localhost]:{port}",
    "address": "smtp:[127.0.0.1]:{port}",
    "elsewhere": "smtp:[127.0.0.2]:{port}",
}
NAMES = (
    "inline:{ localhost=user:secret, 127.0.0.1=other:word }",
    "inline:{ [localhost]=user:secret, [127.0.0.1]=other:word, 127.0.0.1:25=user:secret }",
    "regexp:{ {/^\\[localhost\\]:[0-9]+$$/ user:secret} {/^\\[127.0.0.1\\]:[0-9]+$$/ other:word} }",
)
SENDERS = (
    "sender@client.example=user:secret", "@client.example=user:secret", "client.example=user:secret",
    "sender+x@client.example=user:secret", "127.0.0.1=user:secret", "localhost=user:secret",
)  # fmt: skip


def test_the_table_of_passwords(tmp_path: Path) -> None:
    """The server's name, then the next hop as it is written; by the sender before all."""
    tmp_path.chmod(0o755)
    several = {name.lower(): auth(f"AUTH {name}") for name in ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1")}
    some = {"one": auth(EVERY), "none": auth("SIZE")}
    by_host = {name: auth(EVERY)._replace(transport=where) for name, where in HOSTS.items()}
    variants: dict[str, tuple[str, Mapping[str, Case]]] = {}
    for number, entry in enumerate(ENTRIES):
        table = tmp_path / f"passwords{number}"
        table.write_text(f"127.0.0.1 {entry}\n")
        variants[f"entry{number}"] = (_with(f"smtp_sasl_password_maps = texthash:{table}\n"), several)
    for number, table_text in enumerate(NAMES):
        more = f"smtp_sasl_password_maps = {table_text}\nsmtp_host_lookup = native\nsmtp_bind_address = 127.0.0.1\n"
        variants[f"host{number}"] = (_with(more), by_host)
    for number, entries in enumerate(SENDERS):
        more = f"smtp_sasl_password_maps = inline:{{ {entries}, nobody=other:word }}\n"
        variants[f"sender{number}"] = (_with(more + "smtp_sender_dependent_authentication = yes\n"), some)
    variants["fail"] = (_with("smtp_sasl_password_maps = fail:all\n"), some)
    names = "127.0.0.1=user:secret, mail.ours.example=user:secret"
    text = LOGIN.replace("smtp_", "lmtp_").replace("helo", "lhlo").replace("127.0.0.1=user:secret", names)
    lmtp = {
        "inet": auth("AUTH PLAIN")._replace(transport="lmtp:inet:127.0.0.1:{port}"),
        "hang": auth("AUTH PLAIN", AUTH="")._replace(transport="lmtp:inet:127.0.0.1:{port}"),
        "no": auth("AUTH PLAIN", AUTH=NO)._replace(transport="lmtp:inet:127.0.0.1:{port}"),
        "socket": auth("AUTH PLAIN")._replace(transport="lmtp:unix:{path}", unix=True),
    }
    variants["local"] = (text + "smtp_sender_dependent_authentication = yes\n", lmtp)
    same(variants)
