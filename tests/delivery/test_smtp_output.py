"""What is sent instead of what is stored. The log lines are those of Postfix 3.7.11 for the same tables."""

import io
import random
import time
from pathlib import Path

import pytest

from gatepost.delivery.smtp import SmtpAgent
from gatepost.delivery.smtp_checks import PARAMETERS, CheckFailure, ContentChecks
from gatepost.delivery.smtp_output import ChangedContent, changed
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.delivery.smtp_tables import SmtpTables
from gatepost.dns.fake import FakeResolver
from gatepost.mail.mime_parts import MimeLimits
from gatepost.mail.mime_state import NestingTooDeep
from tests.delivery.requests import request
from tests.delivery.smtp_peer import PLAIN, peer
from tests.tables.surroundings import Surroundings

EIGHT = "Subject: x\nContent-Transfer-Encoding: 8bit\n\nä\n".encode()
SEVEN = b"Subject: x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4\r\n"


class Checks:
    """`lines`: what is logged, `W ` before warnings. Tables by the parameter's name without `smtp_`."""

    def __init__(self, **tables: str) -> None:
        self.lines: list[str] = []
        opened = Surroundings().tables
        maps = {kind: opened.maps(f"smtp{name}", tables.get(name[1:], "")) for kind, name in PARAMETERS.items()}
        self.checks = ContentChecks(maps, self.lines.append, lambda text: self.lines.append(f"W {text}"))


async def read(content: ChangedContent) -> bytes:
    pieces = []
    while piece := await content.read():
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize(
    ("action", "out", "line"),
    [
        ("DUNNO", b"X: y", ""),
        ("ok", b"X: y", ""),
        ("IGNORE", b"", ""),
        ("STRIP why", b"", "Q: strip: header X: y: why"),
        ("WARN", b"X: y", "Q: warning: header X: y"),
        ("INFO some text", b"X: y", "Q: info: header X: y: some text"),
        ("REPLACE Z: 1", b"Z: 1", "Q: replace: header X: y: Z: 1"),
        ("PREPEND Z: 1", b"Z: 1\nX: y", "Q: prepend: header X: y: Z: 1"),
        ("REPLACE", b"X: y", "W REPLACE action without text in smtp_header_checks map"),
        (
            "PREPEND nothing",
            b"X: y",
            'W bad PREPEND header text "nothing" in smtp_header_checks map -- need "headername: headervalue"',
        ),
        ("REJECT no", b"X: y", "W unsupported command in smtp_header_checks map: REJECT no"),
    ],
)
async def test_actions(action: str, out: bytes, line: str) -> None:
    bench = Checks(header_checks=f"static:{{{action}}}")
    assert b"\n".join(await bench.checks.apply("header", b"X: y", "Q")) == out
    assert bench.lines == ([line] if line else [])


async def test_each_kind_has_its_tables() -> None:
    tables = {name[1:]: f"static:{{INFO {name[1:]}}}" for name in PARAMETERS.values()}
    bench = Checks(**tables)
    content = (
        b"Subject: a\nContent-Type: multipart/mixed; boundary=b\n\n--b\nX: y\nContent-Type: message/rfc822\n\n"
        b"Subject: c\n\nd\n--b--\n"
    )
    assert await read(ChangedContent(content, "Q", bench.checks, downgrade=False)) == content
    assert bench.lines == [
        "Q: info: header Subject: a: header_checks",
        "Q: info: header Content-Type: multipart/mixed; boundary=b: mime_header_checks",
        "Q: info: body --b: body_checks",
        "Q: info: header X: y: mime_header_checks",
        "Q: info: header Content-Type: message/rfc822: mime_header_checks",
        "Q: info: header Subject: c: nested_header_checks",
        "Q: info: body d: body_checks",
        "Q: info: body --b--: body_checks",
    ]


async def test_a_table_that_cannot_tell() -> None:
    bench = Checks(body_checks="fail:all")
    with pytest.raises(CheckFailure):
        await read(ChangedContent(b"X: y\n\nbody\n", "Q", bench.checks, downgrade=False))
    assert bench.lines == ["W Q: smtp body checks lookup error"]


def test_what_needs_no_change_is_sent_as_it_is() -> None:
    assert changed(b"Subject: x\n\nx\n", "Q", None, downgrade=True) == b"Subject: x\n\nx\n"
    assert changed(EIGHT, "Q", None, downgrade=False) is EIGHT


async def test_what_is_nested_too_deep_is_refused_even_if_it_needs_no_change() -> None:
    nested = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n"
    few, many = (changed(nested * depth, "Q", None, downgrade=True, limits=MimeLimits(nesting=3)) for depth in (3, 6))
    assert few == nested * 3
    assert isinstance(many, ChangedContent)
    with pytest.raises(NestingTooDeep):
        await read(many)


@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize(("body", "converts", "sent"), [("", True, SEVEN), ("7bit", True, None), ("", False, None)])
async def test_a_server_without_8bitmime(
    tmp_path: Path, in_file: bool, body: str, converts: bool, sent: bytes | None
) -> None:
    async with peer({"EHLO": PLAIN}) as it:
        params = SmtpParams(disable_mime_output_conversion=not converts)
        lines: list[str] = []
        agent = SmtpAgent(
            params, FakeResolver(""), None, lines.append, lines.append, time.time, random.Random(1),
            open_content=lambda name: io.BytesIO(EIGHT),
        )  # fmt: skip
        content = {"content": b"", "content_file": "x"} if in_file else {"content": EIGHT}
        done = await agent.deliver(request("a@there.example", nexthop=it.nexthop, body=body, **content))
        assert done.statuses[0].action == "sent", lines
        assert it.messages == [sent or EIGHT.replace(b"\n", b"\r\n")]
        assert (" SIZE=" in it.commands[1]) == (sent is None)


async def test_checks_that_fail_defer(tmp_path: Path) -> None:
    async with peer() as it:
        checks = Checks(header_checks="fail:all")
        lines: list[str] = []
        agent = SmtpAgent(
            SmtpParams(), FakeResolver(""), None, lines.append, lines.append, time.time, random.Random(1),
            tables=SmtpTables(checks=checks.checks),
        )  # fmt: skip
        done = await agent.deliver(request("a@there.example", nexthop=it.nexthop))
        status = done.statuses[0]
        text = f"local data error while talking to {it.name}"
        assert (status.action, status.dsn, status.text) == ("deferred", "4.3.0", text)
        assert not it.messages
