"""Servers that fail in each way at each stage, with and without PIPELINING, by SMTP and by LMTP."""

from tests.compat.outgoing import Case
from tests.compat.scripted_sink import RESET

FAULTS = {
    "drop": "",
    "reset": RESET,
    "busy": "421 4.3.2 busy",
    "bye": "421 4.3.2 bye!",
    "soft": "450 4.2.0 greylisted",
    "hard": "554 5.7.1 not you",
    "slow": "~3 250 2.0.0 late",
    "bare": "450",
    "word": "what?!",
    "hurdle": "what?\r\n450 4.2.1 after that",
    "empty": "\r\n450 4.2.1 after that",
    "long": f"550 5.1.1 {'long ' * 600}",
    "lines": "\r\n".join(f"550-5.1.1 line {number} {'x' * 60}" for number in range(50)) + "\r\n550 5.1.1 last",
    "differing": "450-4.1.1 one\r\n550-5.1.2 two\r\n451 4.1.3 three",
    "torn": "450-4.2.1 one!",
    "halfcode": "45!",
    "nodash": "450later",
    "wrongclass": "550 4.1.1 mixed",
    "baddsn": "550 5.1.1111 odd",
    "glued": "550 5.1.1-odd",
    "wait": "354 go",
    "six": "600 2.0.0 six",
    "one": "120 1.0.0 one",
    "binary": "550 5.1.1 a\x01\x7f\tb ü",
    "good": "250 2.9.9 fine",
}
STAGES = ("CONNECT", "EHLO", "HELO", "MAIL", "RCPT", "RCPT TO:<two", "DATA", ".", "QUIT")
THREE = ("one", "three", "two")  # Postfix sorts them
PLAIN = "250-peer.example\r\n250-8BITMIME\r\n250 SIZE"
LMTP_STAGES = ("LHLO", "MAIL", "RCPT TO:<two", "DATA", ".", ".two", ".three")

TIMEOUTS = "".join(
    f"{program}_{stage}_timeout = 1s\n"
    for program in ("smtp", "lmtp")
    for stage in ("helo" if program == "smtp" else "lhlo", "mail", "rcpt", "data_init", "data_xfer", "data_done",
                  "rset", "quit")
)  # fmt: skip


def smtp_faults(ehlo: str = "") -> dict[str, Case]:
    """Each fault at each stage. `ehlo`: what the server offers."""
    cases = {}
    for at, stage in enumerate(STAGES):
        for fault, reply in FAULTS.items():
            before = {"EHLO": ehlo} if ehlo else {}
            if stage == "HELO":
                before["EHLO"] = "502 5.5.1 no"
            cases[f"s{at}-{fault}"] = Case({**before, stage: reply}, recipients=THREE)
    return cases


def lmtp_faults(lhlo: str = "") -> dict[str, Case]:
    """As smtp_faults, at the stages that differ."""
    cases = {}
    for at, stage in enumerate(LMTP_STAGES):
        for fault, reply in FAULTS.items():
            before = {"LHLO": lhlo} if lhlo else {}
            cases[f"l{at}-{fault}"] = Case({**before, stage: reply}, "lmtp:inet:127.0.0.1:{port}", recipients=THREE)
    return cases


def _content(lines: int) -> bytes:
    return b"Subject: long\r\n\r\n" + (b"x" * 70 + b"\r\n") * lines


SIZE_ONLY = "250-peer.example\r\n250 SIZE"
LARGE = _content(130_000)  # more than fits in the buffers of both sides
ODD = {
    "lies": Case({"LIES": "yes"}, recipients=THREE),
    "greetsearly": Case({"CONNECT": "220 peer.example ESMTP\r\n250 peer.example"}),
    "ehloearly": Case({"EHLO": PLAIN + "\r\n250 2.1.0 Ok"}),
    "mailearly": Case({"EHLO": PLAIN, "MAIL": "250 2.1.0 Ok\r\n250 2.1.5 Ok"}),
    "rcptearly": Case({"EHLO": PLAIN, "RCPT": "250 2.1.5 Ok\r\n354 go on"}),
    "dataearly": Case({"DATA": "354 go on\r\n250 2.0.0 Ok"}),
    "datarefuses": Case({"DATA": "354 go on\r\n554 5.7.1 no"}, recipients=THREE),
    "refusesin": Case({"CONTENT": "554 5.7.1 enough!"}),
    "refuseslarge": Case({"NARROW": "yes", "CONTENT": "554 5.7.1 enough!"}, content=LARGE),
    "dropslarge": Case({"NARROW": "yes", "CONTENT": ""}, content=LARGE),
    "resetslarge": Case({"NARROW": "yes", "CONTENT": RESET}, content=LARGE),
    "stallslarge": Case({"NARROW": "yes", "CONTENT": "~4 250 never"}, content=LARGE),
    "sips": Case({"CONNECT": "%0.1 220 peer.example ESMTP", "EHLO": "%0.1 " + PLAIN}),
    "rcptsips": Case({"RCPT": "%0.12 250 2.1.5 Ok"}),
    "dotsips": Case({".": "%0.12 250 2.1.5 Ok"}),
    "oneof3": Case({"RCPT TO:<one": "250 2.1.5 Ok", "RCPT": "450 4.2.0 greylisted"}, recipients=THREE),
    "oneof3lock": Case({"EHLO": PLAIN, "RCPT TO:<one": "250 2.1.5 Ok", "RCPT": "550 5.1.1 no"}, recipients=THREE),
    "toomany": Case({"RCPT TO:<two": "452 4.5.3 too many"}, recipients=THREE),
    "552": Case({"RCPT": "552 too many recipients"}, recipients=THREE),
    "grown": Case({".": "552 5.3.4 too big", "RCPT TO:<two": "450 4.2.0 later"}, recipients=THREE),
    "size": Case({"EHLO": "250-peer.example\r\n250 SIZE 300"}, recipients=THREE),
    "sizenone": Case({"EHLO": "250-peer.example\r\n250 SIZE"}),
    "size0": Case({"EHLO": "250-peer.example\r\n250 SIZE 0"}),
    "nodsn": Case({"EHLO": PLAIN}, mail=" RET=FULL ENVID=x"),
    "dsn": Case({}, mail=" RET=FULL ENVID=x+2By"),
    "notify": Case({}, rcpt=" NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Some+2BOne@else.example"),
    "nonotify": Case({"EHLO": PLAIN}, rcpt=" NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Some+2BOne@else.example"),
    "never": Case({"RCPT": "550 5.1.1 no"}, rcpt=" NOTIFY=NEVER"),
    "utf8rcpt": Case({}, recipients=("\u00fcser",), mail=" SMTPUTF8"),
    "utf8rcptok": Case(
        {"EHLO": "250-peer.example\r\n250-8BITMIME\r\n250-DSN\r\n250 SMTPUTF8"},
        recipients=("\u00fcser",), mail=" SMTPUTF8",
    ),
    "utf8helo": Case({"EHLO": "502 5.5.1 no"}, content="Subject: \u00e4\r\n\r\nx\r\n".encode(), mail=" SMTPUTF8"),
    "8bit": Case({"EHLO": SIZE_ONLY}, mail=" BODY=8BITMIME", content=b"Subject: x\r\n\r\n\xe4\r\n"),
    "case": Case({"EHLO": "250-peer.example\r\n250-pipelining\r\n250-size 10\r\n250 8bitmime"}),
    "tabs": Case({"EHLO": "250-peer.example\r\n250-PIPELINING foo\r\n250-SIZE=10\r\n250-8BITMIME\tx\r\n250 DSN"}),
    "twice": Case({"EHLO": "250-peer.example\r\n250-SIZE 10\r\n250-SIZE 1000000\r\n250 DSN"}),
    "hugesize": Case({"EHLO": "250-peer.example\r\n250 SIZE 99999999999999999999999"}),
    "minussize": Case({"EHLO": "250-peer.example\r\n250 SIZE -1"}),
    "empty": Case({}, content=b"\r\n"),
    "dots": Case({}, content=b"Subject: x\r\n\r\n..\r\n...a\r\n..\r\n"),
    "folded": Case({}, content=b"\r\n".join((b"Subject: x\r\n", b"a" * 998, b"b" * 999, b"c" * 1996, b""))),
    "foldeddot": Case({}, content=b"Subject: x\r\n\r\n" + b"a" * 998 + b".b\r\n" + b"." * 1200 + b"\r\n"),
    "foldedlarge": Case({}, content=b"Subject: x\r\n\r\n" + (b"a" * 3000 + b"\r\n") * 100),
}  # fmt: skip
