"""What smtp(8) of Gatepost and of a real Postfix make of MIME: conversion to 7 bits, and what headers say a message is.

GATEPOST_RANDOM_SEED rolls other messages.
"""

import os

import pytest

from tests.compat.dice import SEED
from tests.compat.outgoing import SEVEN, Case, same
from tests.compat.outgoing_contents import CONTENTS
from tests.compat.random_messages import messages
from tests.compat.real_postfix import need_postfix

COUNT = int(os.environ.get("GATEPOST_RANDOM_MESSAGES", "100"))


@pytest.fixture(autouse=True)
def _postfix() -> None:
    need_postfix()


def test_contents_for_servers_without_8bitmime() -> None:
    cases = {name: Case(SEVEN, content=content) for name, content in CONTENTS.items()}
    cases |= {f"{name}-8": Case({}, content=content) for name, content in CONTENTS.items()}
    cases |= {f"{name}-7": Case(SEVEN, content=content, mail=" BODY=7BIT") for name, content in CONTENTS.items()}
    same(cases)


def _nested(depth: int, encoding: str) -> bytes:
    says = f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    begins = (f"Content-Type: multipart/mixed; boundary=b{at}x\r\n{says}--b{at}x\r\n" for at in range(depth))
    ends = (f"--b{at}x--\r\n" for at in reversed(range(depth)))
    return f"Subject: x\r\n{''.join(begins)}Content-Type: text/plain\r\n{says}ä\r\n{''.join(ends)}".encode()


@pytest.mark.parametrize("main_cf", ["mime_nesting_limit = 3\n", "", "disable_mime_output_conversion = yes\n"])
def test_multiparts_in_one_another(main_cf: str) -> None:
    at = 3 if "limit" in main_cf else 100
    cases: dict[str, Case] = {}
    for depth in range(at, at + 5):
        cases[f"n{depth}"] = Case(SEVEN, content=_nested(depth, "8bit"))
        cases[f"n{depth}-7bit"] = Case(SEVEN, content=_nested(depth, "7bit"))
        cases[f"n{depth}-7"] = Case(SEVEN, content=_nested(depth, "8bit"), mail=" BODY=7BIT")
        cases[f"n{depth}-8"] = Case({}, content=_nested(depth, "8bit"))
    same(cases, main_cf, no_farewell=cases)


_BOUNDARIES = """\
Subject: x
Content-Type: multipart/mixed; boundary={outer}
Content-Transfer-Encoding: 8bit

--{outer}
Content-Type: multipart/mixed; boundary="{inner}"
Content-Transfer-Encoding: 8bit

--{inner}
Content-Transfer-Encoding: 8bit
X-Inner: ä

ä
--{inner}--
Content-Transfer-Encoding: 8bit

ä
--{outer}
Content-Transfer-Encoding: 8bit

ä
--{outer}--
ä
"""
_PAIRS = {
    "other": ("abc", "abd"),
    "begins": ("abcdefghij", "abcdefghijkl"),
    "within": ("abcdefghi1", "abcdefghi2"),
    "behind": ("abcdefghij1", "abcdefghij2"),
    "longer": ("abcde", "abcdefghijk"),
}


def test_boundaries_that_begin_alike() -> None:
    texts = {name: _BOUNDARIES.format(outer=outer, inner=inner) for name, (outer, inner) in _PAIRS.items()}
    contents = {name: text.replace("\n", "\r\n").encode() for name, text in texts.items()}
    cases = {name: Case(SEVEN, content=content) for name, content in contents.items()}
    cases |= {f"{name}-8": Case({}, content=content) for name, content in contents.items()}
    same(cases, "mime_boundary_length_limit = 10\n")


def test_which_checks_see_a_header_of_ours() -> None:
    """The one that takes the place of 8bit is checked as those around it are, not as those of MIME."""
    kinds = {"header": "Outer", "mime_header": "Mime", "nested_header": "Nested"}
    checks = (f"smtp_{kind}_checks = pcre:{{ {{/^(C.*)/ REPLACE X-{word}: $$1}} }}\n" for kind, word in kinds.items())
    same({name: Case(SEVEN, content=content) for name, content in CONTENTS.items()}, "".join(checks))


_PART = "--b\r\nContent-Type: text/plain\r\n{}\r\n\r\nä\r\n--b--\r\n"
_MULTIPART = "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + _PART
_MESSAGE = "Subject: x\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n{}\r\n\r\nä\r\n"
_EIGHT = "Content-Transfer-Encoding: 8bit"
INSIDE = {
    "part": _MULTIPART.format(_EIGHT),
    "message": _MESSAGE.format(_EIGHT),
    "whole": f"Subject: x\r\n{_EIGHT}\r\n\r\nä\r\n",
    "folded": "Subject: x\r\nContent-Transfer-Encoding:\r\n 8bit\r\n\r\nä\r\n",
    "partutf8": _MULTIPART.format("X: ä"),
    "messageutf8": _MESSAGE.format("X: ä"),
    "wholeutf8": "Subject: ä\r\n\r\nx\r\n",
}


@pytest.mark.parametrize("disabled", ["no", "yes"])
def test_headers_of_parts_say_what_a_message_needs(disabled: str) -> None:
    contents = CONTENTS | {name: text.encode() for name, text in INSIDE.items()}
    contents |= {f"large-{name}": (text + "filler\r\n" * 20_000).encode() for name, text in INSIDE.items()}
    behind = "--b\r\n\r\n" + "QUJD" * 19 + "\r\n"
    contents["behind"] = INSIDE["part"].replace("--b\r\n", behind + "filler\r\n" * 20_000 + "--b\r\n", 1).encode()
    cases = {name: Case({}, content=content) for name, content in contents.items()}
    cases |= {f"{name}-7": Case(SEVEN, content=content) for name, content in contents.items()}
    cases |= {f"{name}-u": Case({}, content=content, mail=" SMTPUTF8") for name, content in contents.items()}
    same(cases, f"disable_mime_input_processing = {disabled}\n")


_MARKS = r"""
smtp_header_checks = pcre:{ {/^([SXC].*)$$/s REPLACE Y-Outer: $$1} }
smtp_mime_header_checks = pcre:{ {/^(C.*-E.*)$$/s REPLACE Y-Mime: $$1} }
smtp_nested_header_checks = pcre:{ {/^([SXC].*)$$/s PREPEND Y-Nested: $$1} }
smtp_body_checks = pcre:{ {/^t(.*)$$/ REPLACE T$$1} }
"""


@pytest.mark.parametrize("checks", ["", _MARKS], ids=["as it is", "checked"])
def test_messages_by_the_dice(checks: str) -> None:
    contents = messages(SEED, COUNT)
    cases = {f"{name}-7": Case(SEVEN, content=content, mail=" BODY=8BITMIME") for name, content in contents.items()}
    cases |= {f"{name}-d": Case(SEVEN, content=content) for name, content in contents.items()}
    cases |= {f"{name}-8": Case({}, content=content) for name, content in contents.items()}
    same(cases, checks)
