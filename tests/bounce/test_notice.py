"""The files in notices/ are what Postfix 3.7 wrote for the same events; ours must be the same to the octet."""

import calendar
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.bounce import notice as notice_module
from gatepost.bounce.notice import NoticeWriter, Result
from gatepost.bounce.notify import Notifier
from gatepost.bounce.template_file import Texts
from gatepost.cleanup.interface import QueueFull
from gatepost.cleanup.memory_writer import MemoryWriter
from gatepost.cleanup.pipeline import MailCleanup
from gatepost.cleanup.received import Dates
from gatepost.mail.envelope import (
    NOTIFY_DELAY,
    NOTIFY_FAILURE,
    NOTIFY_NEVER,
    NOTIFY_SUCCESS,
    TRACE,
    VERIFY,
    Message,
    Recipient,
)
from gatepost.mail.status import RecipientStatus
from gatepost.maillog.sink import MailLog, MemoryOutput
from tests.rewrite.services import Services

NOTICES = Path(__file__).parent / "notices"


def at(clock_time: str) -> float:
    return calendar.timegm(time.strptime(f"2026-11-22 {clock_time}", "%Y-%m-%d %H:%M:%S"))


def utc(seconds: float) -> time.struct_time:
    """UTC under the name that the real Postfix's host has for it."""
    moment = time.gmtime(seconds)
    return time.struct_time((*moment[:9], "UTC", 0))


class GivenIds(MemoryWriter):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []

    def new_queue_id(self) -> str:
        return self.ids.pop(0) if self.ids else super().new_queue_id()


class Desk:
    """A notifier whose notices end in `writer`."""

    def __init__(self, now: float, *new_ids: str, **changes: str) -> None:
        services = Services(**{"myorigin": "ours.example", **changes})
        output = MemoryOutput()
        self._log = MailLog(output, "postfix", 1, clock=lambda: now)
        self._output = output
        self.writer = GivenIds()
        self.writer.ids = list(new_ids)
        cleanup = MailCleanup(
            services.settings,
            self.writer,
            self._log.program("cleanup"),
            services.all.rewriter,
            services.all.virtual_aliases,
            clock=lambda: now,
            local_time=utc,
        )
        dates = Dates(utc)
        bounce = self._log.program("bounce")
        texts = Texts(services.settings, bounce.warning)
        notices = NoticeWriter(services.settings, texts, lambda seconds: dates.at(seconds).date, bounce.warning)
        self.notifier = Notifier(services.settings, cleanup, notices, bounce, lambda: now)

    @property
    def log(self) -> list[str]:
        self._log.flush()
        return [line for line in self._output.lines if "message-id=" not in line]

    @property
    def sent(self) -> list[Message]:
        return self.writer.messages

    def content(self, number: int = 0) -> str:
        return self.writer.content(self.sent[number]).decode()


def expected(name: str) -> str:
    return (NOTICES / f"{name}.eml").read_text()


def original(name: str) -> bytes:
    """What was returned in a notice: the part behind Return-Path."""
    text = expected(name)
    start = text.index("\n", text.index("\nReturn-Path: <") + 1) + 1
    return text[start : text.rindex("\n\n--") + 1].encode()


def message(name: str, queue_id: str, arrival: str, sender: str = "me@client.example", **more: object) -> Message:
    content = original(name)
    return Message(queue_id, at(arrival), sender, [], len(content), content, **more)  # type: ignore[arg-type]


NO_SUCH_USER = (
    "550 5.1.1 <nobody> No such user here, go away; this is a rather long text that goes on and on beyond "
    "the usual width of a line"
)


def refused(address: str, **more: object) -> Result:
    text = f"host 127.0.0.1[127.0.0.1] said: {NO_SUCH_USER} (in reply to RCPT TO command)"
    status = RecipientStatus(
        0, "bounced", "5.1.1", "127.0.0.1[127.0.0.1]:25874", text, "smtp", NO_SUCH_USER, "127.0.0.1"
    )
    return Recipient(address, **more), status  # type: ignore[arg-type]


def unwanted(address: str, **more: object) -> Result:
    return Recipient(address, **more), RecipientStatus(0, "bounced", "5.7.1", "none", "Go away")  # type: ignore[arg-type]


async def test_failure_and_the_postmasters_copy() -> None:
    desk = Desk(
        at("15:49:55"),
        "B7C3020C229",
        "B96B320C22A",
        notify_classes="bounce",
        bounce_notice_recipient="pmb@client.example",
    )
    given = message("failure", "AB4C820C223", "15:49:55", envid="env+id", ret="HDRS")
    notify = NOTIFY_FAILURE | NOTIFY_DELAY
    results = [refused(f"{name}@rej.example", notify=notify, orcpt="rfc822;orig+x@y.example") for name in "ab"]
    assert await desk.notifier.failed(given, results, given.content)
    assert desk.content(0) == expected("failure")
    assert desk.content(1) == expected("postmaster_copy")
    assert [(sent.sender, sent.recipients, sent.body) for sent in desk.sent] == [
        ("", [Recipient("me@client.example", orcpt="rfc822;me@client.example")], "8bitmime"),
        (
            "double-bounce@mail.ours.example",
            [Recipient("pmb@client.example", orcpt="rfc822;pmb@client.example")],
            "8bitmime",
        ),
    ]
    assert desk.log == [
        "AB4C820C223: sender non-delivery notification: B7C3020C229",
        "AB4C820C223: postmaster non-delivery notification: B96B320C22A",
    ]


async def test_delay() -> None:
    desk = Desk(at("15:50:54"), "D69E020C26E", delay_warning_time="8s", maximal_queue_lifetime="40s")
    given = message("delay", "CD5F420C186", "15:50:46")
    text = "connect to 127.0.0.1[127.0.0.1]:25875: Connection refused"
    results = [(Recipient("b@refuse.example"), RecipientStatus(0, "deferred", "4.4.1", "none", text))]
    assert await desk.notifier.delayed(given, results, given.content)
    assert desk.content() == expected("delay")
    assert desk.log[0] == (
        'warning: [built-in]: zero result in delay template conversion of parameter "delay_warning_time_hours"'
    )
    assert desk.log[-1] == "CD5F420C186: sender delay notification: D69E020C26E"


async def test_success() -> None:
    desk = Desk(at("15:50:34"), "CF53820C238")
    given = message("success", "C92C520CE59", "15:50:34")
    results = [
        ("v1@ours.example", "none", "alias expanded", "expanded"),
        ("y@disc2.example", "none", "disc2.example", "delivered"),
        ("x@disc.example", "none", "silently", "delivered"),
        ("root@ours.example", "local", "delivered to mailbox", "delivered"),
    ]
    assert await desk.notifier.told(
        given,
        [
            (
                Recipient(address, "", NOTIFY_SUCCESS),
                RecipientStatus(-1 if action == "expanded" else 0, "sent", "2.0.0", relay, text, dsn_action=action),
            )
            for address, relay, text, action in results
        ],
        given.content,
    )
    assert desk.content() == expected("success")
    assert desk.log == ["C92C520CE59: sender delivery status notification: CF53820C238"]


async def test_relayed() -> None:
    desk = Desk(at("15:51:37"), "B380920C030")
    given = message("relayed", "B195A20C01A", "15:51:37")
    relay = "127.0.0.1[127.0.0.1]:25876"
    status = RecipientStatus(0, "sent", "2.0.0", relay, "250 2.0.0 Ok", "smtp", "250 2.0.0 Ok", "127.0.0.1", "relayed")
    recipient = Recipient("s@nodsn.example", "", NOTIFY_SUCCESS | NOTIFY_FAILURE)
    assert await desk.notifier.told(given, [(recipient, status)], given.content)
    assert desk.content() == expected("relayed")


async def test_bounce_of_a_bounce() -> None:
    changes = {"notify_classes": "2bounce", "2bounce_notice_recipient": "pm2@client.example"}
    desk = Desk(at("15:51:45"), "B575D20C0D9", **changes)
    given = message("double_bounce", "B4C7F20C0B3", "15:51:45", "")
    assert await desk.notifier.failed(given, [unwanted("a@err.example")], given.content)
    assert desk.content() == expected("double_bounce")
    assert desk.sent[0].sender == "double-bounce@mail.ours.example"
    assert desk.log == ["B4C7F20C0B3: postmaster non-delivery notification: B575D20C0D9"]


async def test_utf8() -> None:
    desk = Desk(at("15:58:40"), "BBC1520C415")
    given = message("global_failure", "B86C120C060", "15:58:40", "root@ours.example", smtputf8=True)
    assert await desk.notifier.failed(given, [unwanted("a@err.example")], given.content)
    assert desk.content() == expected("global_failure")
    assert desk.sent[0].smtputf8
    desk = Desk(at("15:58:42"), "BC66B20C097")
    given = message("global_success", "B936A20C07D", "15:58:42", "root@ours.example", smtputf8=True)
    status = RecipientStatus(0, "sent", "2.0.0", "none", "silently", dsn_action="delivered")
    recipient = Recipient("\u00fc@disc.example", "", NOTIFY_SUCCESS)
    assert await desk.notifier.told(given, [(recipient, status)], given.content)
    assert desk.content() == expected("global_success")


async def test_nobody_is_told() -> None:
    desk = Desk(at("15:51:45"), notify_classes="")
    given = message("failure", "AB4C820C223", "15:49:55")
    never = [unwanted("a@err.example", notify=NOTIFY_NEVER), unwanted("b@err.example", notify=NOTIFY_SUCCESS)]
    assert await desk.notifier.failed(given, never, given.content)
    assert await desk.notifier.delayed(given, [unwanted("c@err.example", notify=NOTIFY_FAILURE)], given.content)
    given.sender = ""
    anybody = [unwanted("d@err.example", notify=NOTIFY_SUCCESS)]
    assert await desk.notifier.failed(given, anybody, given.content)
    assert await desk.notifier.delayed(given, anybody, given.content)
    assert await desk.notifier.told(given, anybody, given.content)
    assert desk.sent == []
    assert desk.log == ["AB4C820C223: not sending trace/success notification for single-bounce message"]


async def test_postmaster_notices_end_here() -> None:
    desk = Desk(at("15:51:45"), notify_classes="bounce, 2bounce, delay")
    given = message("failure", "AB4C820C223", "15:49:55", "Double-Bounce@mail.ours.example")
    assert await desk.notifier.failed(given, [unwanted("a@err.example")], given.content)
    assert await desk.notifier.delayed(given, [unwanted("a@err.example")], given.content)
    assert await desk.notifier.told(given, [unwanted("a@err.example")], given.content)
    assert desk.sent == []
    assert desk.log == [
        "warning: AB4C820C223: undeliverable postmaster notification discarded",
        "warning: AB4C820C223: undeliverable postmaster notification discarded",
        "AB4C820C223: not sending trace/success notification for double-bounce message",
    ]


async def test_postmaster_hears_of_delays() -> None:
    desk = Desk(at("15:51:45"), "1", "2", notify_classes="delay")
    given = message("delay", "CD5F420C186", "15:50:46")
    assert await desk.notifier.delayed(given, [unwanted("a@err.example")], given.content)
    assert "Subject: Postmaster Warning: Delayed Mail\nTo: postmaster@ours.example\n" in desk.content(1)
    assert desk.log[1] == "CD5F420C186: postmaster delay notification: 2"


async def test_queue_that_takes_nothing() -> None:
    desk = Desk(at("15:51:45"))
    desk.writer.failure = QueueFull()
    given = message("failure", "AB4C820C223", "15:49:55")
    assert not await desk.notifier.failed(given, [unwanted("a@err.example")], given.content)
    assert not await desk.notifier.delayed(given, [unwanted("a@err.example")], given.content)


@pytest.mark.parametrize(
    ("changes", "more", "kind"),
    [
        ({}, {}, "Content-Description: Undelivered Message\nContent-Type: message/rfc822\n"),
        ({"bounce_size_limit": "100"}, {}, "Undelivered Message Headers\nContent-Type: text/rfc822-headers\n"),
        ({}, {"ret": "HDRS"}, "Undelivered Message Headers\nContent-Type: text/rfc822-headers\n"),
        ({}, {"ret": "FULL"}, "Content-Description: Undelivered Message\nContent-Type: message/rfc822\n"),
    ],
)
async def test_what_is_returned(changes: dict[str, str], more: dict[str, object], kind: str) -> None:
    desk = Desk(at("15:51:45"), **changes)
    given = message("double_bounce", "B4C7F20C0B3", "15:51:45", **more)
    await desk.notifier.failed(given, [unwanted("a@err.example")], given.content)
    assert kind in desk.content()
    assert ("\nbody\n" in desk.content()) == ("message/rfc822" in kind)


async def test_seven_bit() -> None:
    desk = Desk(at("15:51:45"), smtputf8_enable="no")
    given = message("double_bounce", "B4C7F20C0B3", "15:51:45")
    await desk.notifier.failed(given, [unwanted("a@err.example")], given.content)
    assert "Transfer-Encoding" not in desk.content()
    assert "Content-Type: text/plain; charset=us-ascii\n\nThis is" in desk.content()
    assert desk.sent[0].body == ""


async def test_expanded_addresses_are_shown() -> None:
    desk = Desk(at("15:51:45"))
    given = message("double_bounce", "B4C7F20C0B3", "15:51:45")
    await desk.notifier.failed(given, [unwanted("q r@err.example", original="v 1@ours.example")], given.content)
    assert '\n<"q r"@err.example> (expanded from <"v 1"@ours.example>): Go away\n' in desk.content()
    assert (
        'Final-Recipient: rfc822; "q r"@err.example\nOriginal-Recipient: rfc822;"v 1"@ours.example\n' in desk.content()
    )


async def test_each_recipient_had_another_sender() -> None:
    desk = Desk(at("15:51:45"), notify_classes="bounce")
    given = message("double_bounce", "B4C7F20C0B3", "15:51:45", verp="+=")
    results = [unwanted("b@err.example"), unwanted("a@x.example", original="alias@ours.example")]
    assert await desk.notifier.failed(given, results, given.content)
    assert [sent.recipients[0].address for sent in desk.sent] == [
        "me+b=err.example@client.example", "postmaster@ours.example",
        "me+alias=ours.example@client.example", "postmaster@ours.example",
    ]  # fmt: skip
    assert "\n<b@err.example>: Go away\n" in desk.content(0) and "alias@" not in desk.content(0)
    together = Desk(at("15:51:45"), disable_verp_bounces="yes")
    assert await together.notifier.failed(given, results, given.content)
    assert [sent.recipients[0].address for sent in together.sent] == ["me@client.example"]


@pytest.mark.parametrize(
    ("header", "answers"),
    [
        ("Message-ID: <a@b.example>", "<a@b.example>"),
        ("MESSAGE-ID:<a@b.example>  ", "<a@b.example>"),
        ("Message-ID: a@b.example", ""),
        ("Message-ID: <a@b.example> (comment)", ""),
        ("Subject: none", None),
    ],
)
async def test_threads(header: str, answers: str | None) -> None:
    desk = Desk(at("15:51:45"), enable_threaded_bounces="yes")
    given = message("double_bounce", "B4C7F20C0B3", "15:51:45")
    content = f"X: y\n{header}\n\nMessage-ID: <not@this.example>\n".encode()
    await desk.notifier.failed(given, [unwanted("a@err.example")], content)
    head = desk.content().partition("\n\n")[0]
    thread = f"\nReferences: {answers}\nIn-Reply-To: {answers}\nAuto-Submitted: "
    assert (thread in head) == bool(answers) and ("References" in head) == bool(answers)
    malformed = "warning: B4C7F20C0B3: ignoring malformed Message-ID"
    assert (malformed in desk.log) == (answers == "")


@pytest.mark.parametrize("trace", [TRACE, VERIFY])
async def test_report_of_all_that_became_of_it(trace: int) -> None:
    desk = Desk(at("15:51:45"))
    given = message("double_bounce", "B4C7F20C0B3", "15:51:45", trace=trace)
    recipient, status = unwanted("a@err.example")
    status.dsn_action = "failed"
    assert await desk.notifier.told(given, [(recipient, status)], given.content)
    assert "\nSubject: Mail Delivery Status Report\n" in desk.content()
    assert "\nEnclosed is the mail delivery report that you requested.\n" in desk.content()
    assert "\nAction: failed\nStatus: 5.7.1\n" in desk.content()


async def test_octets_count_in_lines() -> None:
    wrapped = notice_module._wrapped("\u00fc" * 30 + " and " + "\u00fc" * 20)
    assert wrapped.splitlines()[1].lstrip() == "\u00fc" * 20


@given(st.text(alphabet="ab \t", max_size=300))
def test_wrapping_loses_no_word(text: str) -> None:
    wrapped = notice_module._wrapped(text)
    assert wrapped.split() == text.split()
    assert all(len(line) <= 79 or " " not in line.strip() for line in wrapped.splitlines())
