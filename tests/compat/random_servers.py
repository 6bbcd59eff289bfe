"""SMTP and LMTP servers that offer and answer anything at several stages, for comparison with a real Postfix."""

import random

from tests.compat.dice import rolls
from tests.compat.outgoing import Case
from tests.compat.outgoing_faults import FAULTS

_OFFERS = (
    "PIPELINING", "SIZE 10240000", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8", "SIZE", "SIZE 100",
    "XFORWARD NAME ADDR", "XFORWARD PROTO", "STARTTLS", "AUTH PLAIN LOGIN", "AUTH=LOGIN", "CHUNKING", "VRFY",
    "pipelining", "8BitMime x", "size  12345678", "SIZE=1000", "SIZE 0", "SIZE 100x", "SIZE -1", "SIZE 200 300",
    "SIZE 99999999999999999999", "X-FOO bar baz",
)  # fmt: skip
_REPLIES = (
    *(reply for fault, reply in FAULTS.items() if fault not in ("slow", "wait", "long", "lines")),
    "250 ok", "250 2.1.0 ok", "550 5.1.1 no", "450 4.2.0 later", "550-5.7.1 one\r\n550 5.7.1 two", "552 full",
    "552 5.2.2 full", "452 4.5.3 too many", "554 5.0.0 no", "530 5.7.0 must", "502 5.5.2 unknown", "500 no",
    "503 bad sequence", "250 5.0.0 odd", "550 5.1 short", "550 5.1.1", "550 5.1.1nospace", "550  5.1.1 two",
    "550\t5.1.1 tab", "221 2.0.0 bye", "221 bye!", "354 go", "250-a\r\n250 b", "421 4.7.0 rate\r\n",
    "250-2.0.0 a\r\n250-2.0.0 b\r\n250 2.0.0 c", "450 5.1.1 mixed", "550 2.0.0 mixed", "521 5.3.2 no mail",
    "251 2.1.5 will forward", "252 cannot", "299 fine", "399 three", "251-x\r\n250 y",
)  # fmt: skip
_EARLY = ("550 5.6.0 no!", "421 bye!", "250 2.0.0 early!")
_STAGES = {
    "CONNECT": 2, "EHLO": 2, "MAIL": 5, "RCPT": 4, "RCPT TO:<one": 5, "RCPT TO:<two": 5, "RCPT TO:<three": 3,
    "DATA": 6, ".": 8, "QUIT": 2, "RSET": 1, "CONTENT": 2,
}  # fmt: skip
_LMTP_STAGES = {**_STAGES, ".one": 5, ".two": 5, ".three": 5}
_RECIPIENTS = (("one",), ("one", "two"), ("one", "three", "two"))  # Postfix sorts them
_CONTENTS = (
    b"Subject: x\r\n\r\nhello\r\n",
    b"Subject: x\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa4\r\n",
    "Subject: ä\r\n\r\nx\r\n".encode(),
    b"Subject: x\r\n\r\n...\r\n" + b"y" * 1200 + b"\r\n",
)
_MAIL = (" BODY=8BITMIME", " RET=HDRS", " ENVID=abc", " SIZE=500", " SMTPUTF8")
_RCPT = ("", "", " NOTIFY=NEVER", " NOTIFY=SUCCESS,FAILURE", " NOTIFY=DELAY ORCPT=rfc822;x@y")


def servers(seed: int, count: int, *, lmtp: bool = False) -> dict[str, Case]:
    """So many, each with mail for it."""
    return {f"c{number}": _case(dice, lmtp) for number, dice in enumerate(rolls(seed, count))}


def _case(dice: random.Random, lmtp: bool) -> Case:
    offers = ["PIPELINING"] * (dice.random() < 0.6) + dice.sample(_OFFERS, dice.randint(0, 6))
    lines = ["250-peer.example", *(f"250-{offer}" for offer in offers)]
    lines[-1] = lines[-1].replace("250-", "250 ", 1)
    hello = "LHLO" if lmtp else "EHLO"
    sink = {hello: "\r\n".join(lines)}
    stages = _LMTP_STAGES if lmtp else _STAGES
    for stage in dice.choices(list(stages), list(stages.values()), k=dice.randint(1, 4)):
        reply = dice.choice(_EARLY if stage == "CONTENT" else _REPLIES)
        sink[hello if stage == "EHLO" else stage] = reply
    return Case(
        sink,
        "lmtp:inet:127.0.0.1:{port}" if lmtp else "smtp:[127.0.0.1]:{port}",
        recipients=dice.choice(_RECIPIENTS),
        content=dice.choice(_CONTENTS),
        mail="".join(word for word in _MAIL if dice.random() < 0.2),
        rcpt=dice.choice(_RCPT),
    )
