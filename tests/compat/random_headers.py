"""Address headers put together from anything, for comparison with a real Postfix."""

from tests.compat.dice import rolls

_NAMES = (
    "From", "To", "Cc", "Reply-To", "Sender", "Resent-From", "Resent-To", "Errors-To", "Return-Receipt-To", "X-Other",
    "Mail-Followup-To", "from", "TO ", "Bcc",
)  # fmt: skip
_ADDRESSES = (
    "a@old.example", "b@old.example", "<a@old.example>", "A@OLD.example", "<a@sub.old.example>", "a", "<b>",
    "c@other.example", '"q u" <a@old.example>', '"x y"@old.example', "(c) a@old.example",
    "a@old.example (c (d) e)", "Name Surname <a@old.example>", "=?utf-8?q?=C3=A4?= <a@old.example>",
    "group: a@old.example, b@old.example;", "empty:;", "@r.example:a@old.example",
    "<@r.example,@s.example:a@old.example>", "a @ old . example", "a.b@old.example", "a..b@old.example",
    "a@[127.0.0.1]", "a%old.example@relay.example", "x!a@old.example", "<>", "< >",
    '"a@old.example" <b@old.example>', "a@old.example b@old.example", "ä <a@old.example>", "a@old.example;",
    "a\\@b@old.example", "(unclosed a@old.example", "<a@old.example", "a@old.example>", ", ,",
    "a+ext@old.example", '"a\\"b"@old.example', "a@old.example.", f"{'long' * 30}@old.example", "postmaster",
    '"@old.example"', "undisclosed-recipients:;",
)  # fmt: skip
_BETWEEN = (", ", ",\n ", ",\n\t", " , ", ",")
_BEFORE = (":", ": ", ":  ", ":\n ")


def headers(seed: int, count: int) -> dict[str, bytes]:
    """So many messages, each by a name that goes into addresses."""
    rolled = {}
    for number, dice in enumerate(rolls(seed, count)):
        lines = ["Subject: x"]
        for _ in range(dice.randint(1, 4)):
            listed = dice.choice(_BETWEEN).join(dice.choices(_ADDRESSES, k=dice.randint(1, 5)))
            lines.append(dice.choice(_NAMES) + dice.choice(_BEFORE) + listed)
        rolled[f"h{number}"] = ("\n".join(lines) + "\n\nbody\n").replace("\n", "\r\n").encode()
    return rolled
