"""Paths of MAIL, RCPT and VRFY put together from anything, for comparison with a real Postfix."""

import random

from tests.dialogs.dialog import Dialog

_PIECES = (
    "a", "b.c", "bob", "alice", "postmaster", "@", "@", "@", "%", "!", ".", "..", "-", "+", "ü", "'", "*", "|", "/",
    "=?",
    "ours.example", "elsewhere.example", "relay.example", "alias.example", "köln.example", "xn--kln-sna.example",
    "[127.0.0.1]", "[192.0.2.1]", "[IPv6:2001:db8::9]", "1.2.3.4", "IPv6:", '"x y"', "\\@", "\\", '"', "(c)", "(",
    "<", ">",
    "[", "]", ":", ",", ";", " ", "x" * 70, "bob@ours.example", "<bob@ours.example>", "@relay.example:", "@a,@b:",
)  # fmt: skip
_TABLE = "inline:{ {a@ = REJECT a}, {relay.example=DEFER x}, {ours.example=INFO y}, {elsewhere.example=INFO z} }"
_SETTINGS = (
    ("strict_rfc821_envelopes", "yes"),
    ("allow_untrusted_routing", "yes"),
    ("smtpd_recipient_restrictions", f"reject_non_fqdn_recipient, check_recipient_access {_TABLE}"),
    ("smtpd_sender_restrictions", f"reject_non_fqdn_sender, check_sender_access {_TABLE}"),
)


def paths(seed: int, count: int) -> list[Dialog]:
    """Dialogues without the server's side; each is one line after the other."""
    dice = random.Random(seed)
    return [_dialog(dice, f"{seed}-{number}") for number in range(count)]


def _dialog(dice: random.Random, name: str) -> Dialog:
    parameters = {
        "smtpd_hard_error_limit": "1000",
        "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
    } | {setting: value for setting, value in _SETTINGS if dice.random() < 0.25}
    lines = ["EHLO client.example"]
    for _ in range(12):
        sender = _path(dice) if dice.random() < 0.5 else "<a@x.example>"
        lines.append(f"MAIL FROM:{sender}{dice.choice(('', ' SMTPUTF8'))}")
        lines += [f"RCPT TO:{_path(dice)}" for _ in range(3)]
        lines += [f"VRFY {_path(dice)}"] if dice.random() < 0.3 else []
        lines.append("RSET")
    client = dice.choice(("unknown [192.0.2.7]", "unknown [192.168.87.2]"))
    return Dialog(name, parameters, client, steps=[("C", line) for line in [*lines, "QUIT"]])


def _path(dice: random.Random) -> str:
    text = "".join(dice.choice(_PIECES) for _ in range(dice.randint(1, 5)))
    return f"<{text}>" if dice.random() < 0.85 else text
