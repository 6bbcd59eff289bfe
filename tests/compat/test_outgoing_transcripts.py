"""Sessions of the SMTP client that go wrong: the postmaster reads of Gatepost's what he reads of Postfix's."""

import re
from collections.abc import Callable

import pytest

from tests.compat.outgoing import MAIN_CF, Case, submit
from tests.compat.outgoing_faults import PLAIN, THREE, TIMEOUTS
from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.compat.scripted_sink import ScriptedSink
from tests.scenarios.server import MASTER_CF, Gatepost, free_port, temporary_folder, until

CASES = {
    "fine": Case({}, recipients=THREE),
    "mail": Case({"MAIL": "501 5.5.4 syntax"}, recipients=THREE),
    "maillock": Case({"EHLO": PLAIN, "MAIL": "503 5.5.1 sequence"}, recipients=THREE),
    "rcpt": Case({"RCPT TO:<three": "500 5.5.2 what"}, recipients=THREE),
    "all": Case({"RCPT": "555 5.5.4 unknown parameter"}, recipients=THREE),
    "policy": Case({"RCPT TO:<three": "550 5.7.1 no"}, recipients=THREE),
    "data": Case({"DATA": "502 5.5.1 no"}),
    "data250": Case({"DATA": "250 2.0.0 what"}),
    "end": Case({".": "501 5.6.0 conversion"}),
    "greeting": Case({"CONNECT": "500 5.5.1 not you"}),
    "greeting4": Case({"CONNECT": "421 4.3.2 busy"}),
    "greeting6": Case({"CONNECT": "600 odd"}),
    "helo": Case({"EHLO": "502 5.5.1 no", "HELO": "501 5.5.4 bad name"}),
    "ehlo": Case({"EHLO": "502 5.5.1 no"}),
    "dropped": Case({"MAIL": "501 5.5.4 syntax!"}, recipients=THREE),
    "rcptdropped": Case({"EHLO": PLAIN, "RCPT TO:<one": "501 5.5.4 syntax", "DATA": ""}, recipients=THREE),
    "words": Case({"RCPT": "what?\r\n501-5.5.4 one\r\n501 5.5.4 " + "word " * 60}),
    "slow": Case({"RCPT": "501 5.5.4 syntax", "DATA": "~3 250 what"}),
    "lmtp": Case({"RCPT TO:<three": "500 5.5.2 what"}, "lmtp:inet:127.0.0.1:{port}", recipients=THREE),
    "lmtpend": Case({".three": "500 5.5.2 what"}, "lmtp:inet:127.0.0.1:{port}", recipients=THREE),
    "checked": Case({}, content=b"X-Fail: yes\r\n\r\nhello\r\n"),
}
PCRE = "smtp_header_checks = pcre:{ {/^X-Fail/ FOO bar} }\n"


class World:
    """The sinks, and the postmaster's own."""

    def __init__(self) -> None:
        self.sinks = {name: ScriptedSink(case.sink, lmtp="lmtp" in case.transport) for name, case in CASES.items()}
        self.postmaster = ScriptedSink()
        maps = [
            f"{{ {name}.example = {CASES[name].transport.format(port=sink.port)} }}"
            for name, sink in self.sinks.items()
        ]
        maps.append(f"{{ mail.ours.example = smtp:[127.0.0.1]:{self.postmaster.port} }}")
        self.main_cf = MAIN_CF.format(maps=" ".join(maps)) + TIMEOUTS + PCRE

    def play(self, port: int, log: Callable[[], str]) -> list[str]:
        self.postmaster.forget()
        wanted = {submit(port, name, case): len(case.recipients) for name, case in CASES.items()}

        def over() -> bool:
            """All mail is done with, the postmaster's, too."""
            text = log()
            if any(len(re.findall(rf": {i}: to=<[^\n]* status=", text)) < n for i, n in wanted.items()):
                return False
            if any(sink.open for sink in self.sinks.values()):
                return False
            notices = set(re.findall(r"cleanup\[\d+\]: (\w+): message-id", text)) - set(wanted)
            return bool(notices) and all(f": {i}: removed" in text for i in notices)

        until(over, "the end of all mail", 60)
        return sorted(_normal(message.decode()) for message in self.postmaster.messages)

    def stop(self) -> None:
        for sink in (*self.sinks.values(), self.postmaster):
            sink.stop()


def _normal(content: str) -> str:
    content = re.sub(r"(?m)^Message-I[dD]: .*", "Message-Id:", content)
    content = re.sub(r"\tid \w+;|\tid \w+(?= *$)", "\tid ID;", re.sub(r"(?m)^(Date:|\tid \w+;).*", r"\1", content))
    # Farewells: we save RSET where it costs a round trip, and do not wait for answers that change nothing.
    head, farewell, rest = content.partition(" Out: QUIT\r\n")
    head = re.sub(r" Out: RSET\r\n( In:  250 2.0.0 Ok\r\n)?", "", head)
    content = head + farewell + re.sub(r" In:  2.*\r\n", "", rest)
    content = re.sub(r"(queued as|with ESMTP id) \w+", r"\1 ID", content)
    return re.sub(r"SIZE=\d+|:\d+(?=\.$|\r?$)|(?m:\w+, \d+ \w+ \d+ [\d:]+ .*$)", "#", content)


@pytest.mark.parametrize(
    ("classes", "more", "mails"),
    [
        ("data, policy, protocol, resource, software", "", 16),
        ("data", "lmtp_header_checks = fail:all\n", 2),
    ],
)
def test_the_postmaster_reads_what_postfix_writes(classes: str, more: str, mails: int) -> None:
    need_postfix()
    world = World()
    main_cf = f"{world.main_cf}notify_classes = {classes}\n{more}"
    try:
        with RealPostfix({"real": {}}, main_cf) as postfix:
            theirs = world.play(postfix.ports["real"], postfix.log)
        with temporary_folder() as folder:
            port = free_port()
            master_cf = MASTER_CF.format(listen=f"127.0.0.1:{port}") + "lmtp unix - - n - - lmtp\n"
            gatepost = Gatepost(folder, main_cf, port=port, master_cf=master_cf)
            gatepost.start()
            try:
                ours = world.play(gatepost.port, gatepost.log)
            finally:
                gatepost.stop()
    finally:
        world.stop()
    assert ours == theirs
    assert len(theirs) == mails
