"""Notices to senders: what cannot be delivered, what is late, what was asked for."""

import email
import re
from collections.abc import Iterator

import pytest

from tests.scenarios.peers import Peer, Received
from tests.scenarios.server import Gatepost, temporary_folder, until

MAIN_CF = """\
myhostname = relay.home.example
mydestination =
mynetworks = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
transport_maps = inline:{{ far.example=smtp:[127.0.0.1]:{far} }}
relayhost = [127.0.0.1]:{home}
minimal_backoff_time = 1s
queue_run_delay = 1s
"""
REFUSAL = "550 5.7.1 <nosuch@far.example>... We do not want this"


class World:
    """`far` is where mail goes; notices come back to `home`."""

    def __init__(self, main_cf: str = "", *options: str) -> None:
        self._folder = temporary_folder()
        folder = self._folder.__enter__()
        self.far = Peer(**{"RCPT TO:<nosuch@": REFUSAL, "RCPT TO:<later@": "451 4.2.0 Not now"})
        self.home = Peer(EHLO="250 peer.example")  # it offers no DSN: we are the last who can tell of success
        self.server = Gatepost(folder, MAIN_CF.format(far=self.far.port, home=self.home.port) + main_cf)
        self.server.start(*options)

    def notices(self, to: str) -> list[Received]:
        return [message for message in self.home.messages if message.recipients == [to]]

    def notice(self, to: str) -> Received:
        until(lambda: bool(self.notices(to)), f"a notice to {to}")
        return self.notices(to)[0]

    def stop(self) -> None:
        try:
            self.server.stop()
        finally:
            self.far.stop()
            self.home.stop()
            self._folder.__exit__(None, None, None)


@pytest.fixture(scope="module", params=["processes", "single-process"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made = World("", *(["--single-process"] if request.param == "single-process" else []))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def impatient() -> Iterator[World]:
    made = World("delay_warning_time = 1s\nmaximal_queue_lifetime = 4s\nnotify_classes = resource, software\n")
    yield made
    made.stop()


def parts(notice: Received) -> list[str]:
    message = email.message_from_string(notice.content)
    assert message.get_content_type() == "multipart/report" and message.get_param("report-type") == "delivery-status"
    payload = message.get_payload()
    assert isinstance(payload, list)
    return [str(part) for part in payload]


def test_what_the_next_host_refuses_comes_back(world: World) -> None:
    queue_id = world.server.send("ann@home.example", "nosuch@far.example")
    line = world.server.wait_log(f"{queue_id}: to=")
    said = rf"host 127.0.0.1[127.0.0.1] said: {REFUSAL} (in reply to RCPT TO command)"
    assert line.endswith(f"dsn=5.7.1, status=bounced ({said})"), line
    line = world.server.wait_log(f"{queue_id}: sender non-delivery notification: ")
    notice_id = line.rsplit(" ", 1)[1]
    assert re.fullmatch(rf"postfix/bounce\[\d+\]: {queue_id}: sender non-delivery notification: {notice_id}", line)
    world.server.wait_log(f"{queue_id}: removed")
    world.server.wait_log(rf"postfix/qmgr\[\d+\]: {notice_id}: from=<>, size=\d+, nrcpt=1 \(queue active\)")
    notice = world.notice("ann@home.example")
    assert notice.sender == ""
    text, report, original = parts(notice)
    assert f"<nosuch@far.example>: {said.split(':')[0]}" in " ".join(text.split())
    assert (
        "Final-Recipient: rfc822; nosuch@far.example\nOriginal-Recipient: rfc822;nosuch@far.example\n"
        "Action: failed\nStatus: 5.7.1\n" in report
    )
    assert "Reporting-MTA: dns; relay.home.example\nX-Postfix-Queue-ID: " + queue_id in report
    assert "Subject: test" in original and "Hello." in original
    assert "Subject: Undelivered Mail Returned to Sender\n" in notice.content
    assert "\nFrom: Mail Delivery System <MAILER-DAEMON@relay.home.example>\n" in notice.content


def test_one_recipient_of_two(world: World) -> None:
    client = world.server.client()
    for line in ("MAIL FROM:<two@home.example>", "RCPT TO:<nosuch@far.example>", "RCPT TO:<good@far.example>", "DATA"):
        assert client.say(line)[0] in "23"
    client.say("Subject: both\r\n\r\nText.\r\n.")
    client.close()
    _, report, _ = parts(world.notice("two@home.example"))
    assert "good@far.example" not in report
    until(lambda: any(m.recipients == ["good@far.example"] for m in world.far.messages), "the other copy")


def test_a_notice_that_cannot_be_delivered_goes_to_nobody(world: World) -> None:
    """The null sender gets no notice; 2bounce is not in notify_classes, so postmaster hears nothing either."""
    queue_id = world.server.send("", "nosuch@far.example")
    world.server.wait_log(f"{queue_id}: to=<nosuch@far.example>.* status=bounced")
    world.server.wait_log(f"{queue_id}: removed")
    assert not world.server.log_lines(f"{queue_id}: .*notification")


def test_postmaster_gets_double_bounces_if_asked_for() -> None:
    world = World("notify_classes = 2bounce\n2bounce_notice_recipient = boss@home.example\n")
    try:
        queue_id = world.server.send("", "nosuch@far.example")
        line = world.server.wait_log(f"{queue_id}: .*notification: ")
        assert f"{queue_id}: postmaster non-delivery notification: " in line
        notice = world.notice("boss@home.example")
        assert notice.sender == "double-bounce@relay.home.example"
        assert "Subject: Postmaster Copy: Undelivered Mail" in notice.content
        # A notice that bounces itself becomes a double bounce; and a double bounce that fails ends there.
        world.home.replies["RCPT TO:<ann@"] = "550 5.1.1 No such user"
        world.home.replies["RCPT TO:<boss@"] = "550 5.1.1 No such boss"
        world.server.send("ann@home.example", "nosuch@far.example")
        line = world.server.wait_log("to=<boss@home.example>.* status=bounced|double-bounce@.*undeliverable")
        world.server.wait_log("undeliverable postmaster notification discarded")
        until(lambda: world.server.command("mailq").stdout == "Mail queue is empty\n", "an empty queue")
    finally:
        world.stop()


def test_late_mail_is_told_once_and_expires(impatient: World) -> None:
    queue_id = impatient.server.send("late@home.example", "later@far.example")
    impatient.server.wait_log(f"{queue_id}: to=<later@far.example>.*status=deferred")
    impatient.server.wait_log(f"{queue_id}: sender delay notification: ")
    impatient.server.wait_log(f"{queue_id}: from=<late@home.example>, status=expired, returned to sender")
    impatient.server.wait_log(f"{queue_id}: sender non-delivery notification: ")
    until(lambda: len(impatient.notices("late@home.example")) == 2, "two notices")
    late, failed = impatient.notices("late@home.example")
    assert "Subject: Delayed Mail (still being retried)" in late.content
    _, report, _ = parts(late)
    assert "Action: delayed\nStatus: 4.2.0\n" in report and "Will-Retry-Until: " in report
    _, report, _ = parts(failed)
    assert "Action: failed\nStatus: 4.2.0\n" in report
    impatient.server.wait_log(f"{queue_id}: removed")
    assert len(impatient.server.log_lines(f"{queue_id}: sender delay notification")) == 1


@pytest.mark.parametrize(
    ("who", "notify", "recipient", "subject"),
    [
        ("never", "NEVER", "nosuch@far.example", ""),
        ("nofail", "SUCCESS", "nosuch@far.example", ""),
        ("relayed", "SUCCESS,FAILURE", "good@home.example", "Successful Mail Delivery Report"),
        ("hdrs", "FAILURE", "nosuch@far.example", "Undelivered Mail Returned to Sender"),
    ],
)
def test_the_client_says_of_what_it_wants_to_hear(
    world: World, who: str, notify: str, recipient: str, subject: str
) -> None:
    client = world.server.client()
    client.say(f"MAIL FROM:<{who}@home.example> RET=HDRS ENVID=a+2Bb")
    assert client.say(f"RCPT TO:<{recipient}> NOTIFY={notify} ORCPT=rfc822;first@x.example") == "250 2.1.5 Ok"
    client.say("DATA")
    queue_id = client.say("Subject: dsn\r\n\r\nSecret text.\r\n.").rsplit(" ", 1)[1]
    client.close()
    world.server.wait_log(f"{queue_id}: removed")
    if not subject:
        assert not world.server.log_lines(f"{queue_id}: .*notification")
        return
    notice = world.notice(f"{who}@home.example")
    assert f"Subject: {subject}\n" in notice.content
    _, report, original = parts(notice)
    assert "Original-Envelope-Id: a+b\n" in report and "Original-Recipient: rfc822;first@x.example\n" in report
    assert "Subject: dsn" in original and "Secret text." not in original


def test_success_is_for_the_next_host_to_tell_if_it_can(world: World) -> None:
    client = world.server.client()
    client.say("MAIL FROM:<passed@home.example> ENVID=q+2Bq")
    client.say("RCPT TO:<good@far.example> NOTIFY=SUCCESS")
    client.say("DATA")
    queue_id = client.say("Subject: dsn\r\n\r\nText.\r\n.").rsplit(" ", 1)[1]
    client.close()
    world.server.wait_log(f"{queue_id}: removed")
    assert not world.server.log_lines(f"{queue_id}: .*notification")
    assert "RCPT TO:<good@far.example> ORCPT=rfc822;good@far.example NOTIFY=SUCCESS" in world.far.commands
    assert any(re.match("MAIL FROM:<passed@home.example> .*ENVID=q[+]2Bq", command) for command in world.far.commands)
