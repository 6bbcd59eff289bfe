from gatepost.mail.envelope import NOTIFY_DELAY, NOTIFY_SUCCESS
from gatepost.protocol.smtp_capabilities import NOTHING, Capabilities
from gatepost.protocol.smtp_commands import mail_command, rcpt_command

ALL = Capabilities(size=True, eightbitmime=True, dsn=True, smtputf8=True)


def test_mail() -> None:
    assert mail_command("", 1, NOTHING) == b"MAIL FROM:<>\r\n"
    assert mail_command("a b@x.example", 7, NOTHING, body="8bitmime", ret="HDRS", envid="e", smtputf8=True) == (
        b'MAIL FROM:<"a b"@x.example>\r\n'
    )
    assert mail_command("a@x.example", 7, ALL, body="8bitmime", ret="HDRS", envid="a+b", smtputf8=True) == (
        b"MAIL FROM:<a@x.example> SIZE=7 BODY=8BITMIME ENVID=a+2Bb RET=HDRS SMTPUTF8\r\n"
    )


def test_rcpt() -> None:
    assert rcpt_command("a@x.example", NOTHING, notify=NOTIFY_DELAY) == b"RCPT TO:<a@x.example>\r\n"
    assert rcpt_command("a b@x.example", ALL) == b'RCPT TO:<"a b"@x.example> ORCPT=rfc822;"a+20b"@x.example\r\n'
    assert rcpt_command("ü@x.example", ALL) == "RCPT TO:<ü@x.example> ORCPT=rfc822;+C3+BC@x.example\r\n".encode()
    assert rcpt_command("a@x.example", ALL, original="o@y.example", notify=NOTIFY_SUCCESS | NOTIFY_DELAY) == (
        b"RCPT TO:<a@x.example> ORCPT=rfc822;o@y.example NOTIFY=SUCCESS,DELAY\r\n"
    )
    assert rcpt_command("a@x.example", ALL, original="o@y.example", orcpt="rfc822;orig+x@z.example") == (
        b"RCPT TO:<a@x.example> ORCPT=rfc822;orig+2Bx@z.example\r\n"
    )
    assert rcpt_command("a@x.example", ALL, orcpt='utf-8;"ö+ =\\"@z.example') == (
        b'RCPT TO:<a@x.example> ORCPT=utf-8;"\\x{F6}\\x{2B}\\x{20}\\x{3D}\\x{5C}"@z.example\r\n'
    )
