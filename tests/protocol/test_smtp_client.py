import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.protocol.smtp_client import SmtpClientProtocol
from gatepost.protocol.smtp_client_events import Event, Kind, Stage

EHLO = b"250-mx.example\r\n250-PIPELINING\r\n250 SIZE\r\n"
MAIL, RCPT = b"MAIL FROM:<a@x.example>\r\n", b"RCPT TO:<b@x.example>\r\n"


def events(core: SmtpClientProtocol, data: bytes = b"", size: int = 0) -> list[Event]:
    taken = []
    for at in range(0, max(len(data), 1), size or max(len(data), 1)):
        core.receive_data(data[at : at + (size or len(data))])
        while (event := core.next_event()).kind is not Kind.NEED_DATA:
            taken.append(event)
    return taken


def kinds(core: SmtpClientProtocol, data: bytes, size: int = 0) -> list[Kind]:
    return [event.kind for event in events(core, data, size)]


def ready(ehlo: bytes = EHLO) -> SmtpClientProtocol:
    core = SmtpClientProtocol("me.example")
    assert kinds(core, b"220 mx.example\r\n") == []
    assert core.data_to_send() == b"EHLO me.example\r\n"
    assert kinds(core, ehlo) == [Kind.READY]
    return core


@pytest.mark.parametrize("size", [0, 1])
def test_a_pipelined_transaction(size: int) -> None:
    core = ready()
    core.start_transaction(MAIL, [RCPT, RCPT], keep=True)
    assert core.data_to_send() == MAIL + RCPT + RCPT + b"DATA\r\n"
    taken = events(core, b"250 Ok\r\n250 Ok\r\n550 no\r\n354 go\r\n", size)
    assert [e.kind for e in taken] == [Kind.MAIL, Kind.RCPT, Kind.RCPT, Kind.DATA, Kind.CONTENT]
    assert [e.recipient for e in taken[1:3]] == [0, 1]
    assert core.content_sent() == b".\r\n"
    assert kinds(core, b"250 Ok\r\n", size) == [Kind.END]
    assert core.idle
    core.start_transaction(MAIL, [RCPT], keep=False)
    assert core.data_to_send() == MAIL + RCPT + b"DATA\r\n"
    events(core, b"250 Ok\r\n250 Ok\r\n354 go\r\n")
    assert core.content_sent() == b".\r\nQUIT\r\n"
    assert kinds(core, b"250 Ok\r\n221 Bye\r\n", size) == [Kind.END]
    assert core.stage is Stage.CLOSED


def test_lock_step() -> None:
    core = ready(b"250 mx.example\r\n")
    core.start_transaction(MAIL, [RCPT, RCPT], keep=False)
    for line in (MAIL, RCPT, RCPT):
        assert core.data_to_send() == line
        assert len(events(core, b"250 Ok\r\n")) == 1
    assert core.data_to_send() == b"DATA\r\n"
    assert kinds(core, b"354 go\r\n") == [Kind.DATA, Kind.CONTENT]
    assert core.content_sent() == b".\r\n"
    assert kinds(core, b"250 Ok\r\n") == [Kind.END]
    assert core.data_to_send() == b"QUIT\r\n"


def test_helo_follows_a_refused_ehlo() -> None:
    core = SmtpClientProtocol("me.example")
    events(core, b"220 x\r\n502 what?\r\n")
    assert core.data_to_send() == b"EHLO me.example\r\nHELO me.example\r\n"
    assert kinds(core, b"250 mx.example\r\n") == [Kind.READY]
    assert core.capabilities.hostname == "mx.example"


@pytest.mark.parametrize(
    ("ehlo", "greeting", "command"),
    [
        ("never", b"220 x ESMTP\r\n", b"HELO"),
        ("if ESMTP", b"220 x ESMTP\r\n", b"EHLO"),
        ("if ESMTP", b"220 x SMTP\r\n", b"HELO"),
    ],
)
def test_ehlo_or_helo(ehlo: str, greeting: bytes, command: bytes) -> None:
    core = SmtpClientProtocol("me.example", ehlo=ehlo)
    events(core, greeting)
    assert core.data_to_send()[:4] == command


@pytest.mark.parametrize(
    "data", [b"554 no\r\n", b"220 x\r\n421 busy\r\n", b"220 x\r\n500 no\r\n550 no\r\n", b"199 x\r\n"]
)
def test_refusals(data: bytes) -> None:
    assert kinds(SmtpClientProtocol("me.example"), data) == [Kind.REFUSED]


@pytest.mark.parametrize(
    ("ehlo", "replies", "keep", "out"),
    [
        (EHLO, b"550 no\r\n503 no\r\n503 no\r\n", True, b"RSET\r\n"),
        (EHLO, b"550 no\r\n503 no\r\n503 no\r\n", False, b"RSET\r\nQUIT\r\n"),
        (EHLO, b"250 Ok\r\n550 no\r\n554 no\r\n", False, b"RSET\r\nQUIT\r\n"),
        (EHLO, b"250 Ok\r\n550 no\r\n354 go\r\n", False, b".\r\nQUIT\r\n"),
        (EHLO, b"250 Ok\r\n550 no\r\n354 go\r\n", True, b".\r\n"),
        (EHLO, b"250 Ok\r\n250 Ok\r\n451 no\r\n", True, b"RSET\r\n"),
        (EHLO, b"421 bye\r\n503 no\r\n503 no\r\n", True, b"RSET\r\nQUIT\r\n"),
        (b"250 x\r\n", b"550 no\r\n", True, MAIL + b"RSET\r\n"),
        (b"250 x\r\n", b"250 Ok\r\n550 no\r\n", False, MAIL + RCPT + b"QUIT\r\n"),
        (b"250 x\r\n", b"250 Ok\r\n250 Ok\r\n451 no\r\n", True, MAIL + RCPT + b"DATA\r\nRSET\r\n"),
    ],
)
def test_transactions_that_come_to_nothing(ehlo: bytes, replies: bytes, keep: bool, out: bytes) -> None:
    core = ready(ehlo)
    core.start_transaction(MAIL, [RCPT], keep=keep)
    if ehlo is EHLO:
        core.data_to_send()
    taken = kinds(core, replies)
    assert Kind.CONTENT not in taken
    assert core.data_to_send() == out
    if core.stage is Stage.RSET:
        assert kinds(core, b"250 Ok\r\n") == [Kind.OVER]
        assert core.idle
    else:
        assert taken[-1] is Kind.OVER
        assert core.stage is Stage.CLOSED


def test_an_early_reply_waits_for_the_end_of_content() -> None:
    core = ready()
    core.start_transaction(MAIL, [RCPT], keep=False)
    assert kinds(core, b"250 Ok\r\n250 Ok\r\n354 go\r\n552 too big\r\n")[-1] is Kind.CONTENT
    assert events(core) == []
    core.content_sent()
    assert kinds(core, b"") == [Kind.END]


def test_an_early_reply_can_be_looked_at() -> None:
    core = ready()
    core.start_transaction(MAIL, [RCPT], keep=False)
    events(core, b"250 Ok\r\n250 Ok\r\n354 go\r\n552 5.3.4 too big\r\n")
    reply = core.early_reply()
    assert reply is not None
    assert reply.dsn == "5.3.4"


def test_a_reply_nobody_asked_for() -> None:
    core = ready()
    core.start_transaction(MAIL, [RCPT], keep=True)
    kinds(core, b"250 Ok\r\n250 Ok\r\n354 go\r\n")
    core.content_sent()
    kinds(core, b"250 Ok\r\n")
    assert core.idle
    assert kinds(core, b"421 idle\r\n") == [Kind.STRAY]
    assert not core.idle


def test_what_comes_before_the_first_transaction_counts_as_its_replies() -> None:
    core = ready()
    assert kinds(core, b"451 4.3.0 early\r\n") == []
    assert core.idle
    assert core.ahead
    core.start_transaction(MAIL, [RCPT], keep=False)
    assert kinds(core, b"") == [Kind.MAIL]


def test_misuse() -> None:
    core = SmtpClientProtocol("me.example")
    with pytest.raises(RuntimeError):
        core.start_transaction(MAIL, [RCPT], keep=False)
    with pytest.raises(RuntimeError):
        core.content_sent()


def test_quit() -> None:
    assert ready().quit() == b"QUIT\r\n"
    core = ready()
    core.start_transaction(MAIL, [RCPT], keep=False)
    events(core, b"250 Ok\r\n250 Ok\r\n354 go\r\n")
    assert core.quit() == b""  # it would be a line of the message
    assert core.quit() == b""


LINE = st.one_of(
    st.sampled_from(
        [
            b"220 x",
            b"250 Ok",
            b"250-x",
            b"250-PIPELINING",
            b"354 go",
            b"421 bye",
            b"450 4.1.1 a",
            b"550 5.1.1 b",
            b"hm",
            b"",
        ]
    ),
    st.binary(max_size=12),
)


@given(st.lists(LINE, max_size=25), st.booleans(), st.booleans(), st.integers(1, 7))
def test_no_server_makes_it_raise(lines: list[bytes], pipelining: bool, keep: bool, size: int) -> None:
    """Whatever a server says: no exception, one outcome at most per recipient, never content without 354."""
    core = ready(EHLO if pipelining else b"250 x\r\n")
    data = b"".join(line + b"\r\n" for line in lines)
    core.start_transaction(MAIL, [RCPT, RCPT], keep=keep)
    answered: list[int] = []
    for at in range(0, len(data), size):
        for event in events(core, data[at : at + size]):
            if event.kind is Kind.RCPT:
                answered.append(event.recipient)
            if event.kind is Kind.CONTENT:
                assert core.content_sent().startswith(b".\r\n")
            if event.kind in (Kind.END, Kind.OVER) and core.idle:
                core.start_transaction(MAIL, [RCPT], keep=keep)
                answered.clear()
        core.data_to_send()
    assert answered in ([], [0], [0, 1])


OFFER = b"250-mx.example\r\n250-SMTPUTF8\r\n250 STARTTLS\r\n"


def greeted(starttls: str, ehlo: bytes = OFFER) -> tuple[SmtpClientProtocol, list[Kind]]:
    core = SmtpClientProtocol("me.example", starttls=starttls)
    assert kinds(core, b"220 mx.example\r\n") == []
    core.data_to_send()
    return core, kinds(core, ehlo)


@pytest.mark.parametrize(
    ("starttls", "ehlo", "found"),
    [
        ("never", OFFER, [Kind.READY]),
        ("may", EHLO, [Kind.READY]),
        ("must", EHLO, [Kind.NO_TLS]),
        ("cannot", OFFER, [Kind.NO_TLS]),
        ("cannot", EHLO, [Kind.NO_TLS]),
        ("may", b"502 no\r\n", []),  # HELO is tried
    ],
)
def test_no_starttls(starttls: str, ehlo: bytes, found: list[Kind]) -> None:
    core, told = greeted(starttls, ehlo)
    assert told == found
    assert b"STARTTLS" not in core.data_to_send()


@pytest.mark.parametrize("starttls", ["may", "must"])
@pytest.mark.parametrize("size", [0, 1])
def test_starttls(starttls: str, size: int) -> None:
    """What comes behind the reply is thrown away, and offers count only if they are made again (RFC 3207 4.2)."""
    core, told = greeted(starttls)
    assert told == []
    assert core.data_to_send() == b"STARTTLS\r\n"
    assert kinds(core, b"220 go\r\n250 injected\r\n250-x\r\n", size) == [Kind.STARTTLS]
    assert core.stage is Stage.TLS
    core.encrypted()
    assert core.data_to_send() == b"EHLO me.example\r\n"
    assert kinds(core, OFFER) == [Kind.READY]  # STARTTLS is not said again
    assert core.idle
    assert core.capabilities.smtputf8


def test_helo_under_tls_has_no_offers() -> None:
    core, _ = greeted("must")
    events(core, b"220 go\r\n")
    core.encrypted()
    assert kinds(core, b"502 no\r\n") == []
    assert core.data_to_send().endswith(b"HELO me.example\r\n")
    assert kinds(core, b"250 mx\r\n") == [Kind.READY]
    assert not core.capabilities.smtputf8


@pytest.mark.parametrize("reply", [b"454 no\r\n", b"354 no\r\n", b"554 no\r\n", b"421 no\r\n"])
def test_starttls_is_refused(reply: bytes) -> None:
    must, _ = greeted("must")
    assert kinds(must, reply) == [Kind.REFUSED]
    assert must.stage is Stage.STARTTLS
    may, _ = greeted("may")
    assert kinds(may, reply) == [Kind.READY]
