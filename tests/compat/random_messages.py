"""MIME messages put together from anything, for comparison with a real Postfix."""

from tests.compat.dice import rolls

_LINES = (
    "--b1", "--b2", "--b1--", "--b2--", "--b3", "--b", "--", "", "", "", "text", "ä text", "=41 = x ", "trail \t",
    "X: 1", "Subject: ä", " folded ä", "\ttab",
    "Content-Type: multipart/mixed; boundary=b1",
    'Content-Type: multipart/digest;\n boundary="b2"',
    "content-type: Multipart/Alternative; charset=x; Boundary=b1 ; y=z",
    'Content-Type: multipart/mixed; boundary="b\\"3"',
    "Content-Type: (c) multipart (d) / mixed (e) ; (f) boundary (g) = (h) b2",
    "Content-Type: multipart/mixed", "Content-Type: message/rfc822", "Content-Type: message/partial",
    "Content-Type: message/global", "Content-Type: message=rfc822", "Content-Type: message/rfc822/x",
    "Content-Type: text/plain; charset=utf-8 (ä)", 'Content-Type: "text"/plain', "Content-Type: image/png",
    "Content-Type: image", "Content-Type:",
    "Content-Transfer-Encoding: 8bit", "Content-Transfer-Encoding: BINARY", "Content-Transfer-Encoding: 8bit (c)",
    "Content-Transfer-Encoding: (c) 8bit", "Content-Transfer-Encoding:\n 8bit", "Content-Transfer-Encoding: 8bit; x",
    "Content-Transfer-Encoding: 7bit", "Content-Transfer-Encoding: quoted-printable",
    "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: x8bit", 'Content-Transfer-Encoding: "8bit"',
)  # fmt: skip
_HEADERS = [line for line in _LINES if line[:1] in "CcX" and line]


def messages(seed: int, count: int) -> dict[str, bytes]:
    """So many, each by a name that goes into addresses."""
    rolled = {}
    for number, dice in enumerate(rolls(seed, count)):
        lines = ["Subject: x", *dice.sample(_HEADERS, dice.randint(1, 3)), *[""] * (dice.random() < 0.8)]
        lines += (dice.choice(_LINES) for _ in range(dice.randint(2, 14)))
        rolled[f"m{number}"] = "".join(f"{line}\n" for line in lines).replace("\n", "\r\n").encode()
    return rolled
