"""Lines reach their output whole, in order, in few writes; a failing log blocks nobody."""

import os
import re
import resource
import socket
from pathlib import Path

from gatepost.maillog.sink import FileOutput, MailLog, MemoryOutput, SyslogOutput


def test_lines_wait_for_flush_and_wake_is_called_once() -> None:
    output = MemoryOutput()
    log = MailLog(output, "postfix", 42, clock=lambda: 0.0)
    woken: list[int] = []
    log.wake = lambda: woken.append(1)
    program = log.program("smtpd")
    program.info("one")
    program.warning("two")
    assert output.lines == []
    assert woken == [1]
    log.flush()
    assert output.lines == ["one", "warning: two"]
    program.error("three")
    program.fatal("four")
    assert woken == [1, 1]
    program.flush()
    assert output.lines[2:] == ["error: three", "fatal: four"]


def test_a_file_line_has_time_host_tag_and_pid(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    log = MailLog(FileOutput(descriptor, "mail.example.com"), "postfix", 42)
    log.program("smtpd").info("connect from a[192.0.2.1]")
    log.program("smtpd", "postfix/submission").info("x")
    log.flush()
    os.close(descriptor)
    first, second = path.read_text().splitlines()
    assert re.fullmatch(
        r"[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d mail postfix/smtpd\[42\]: connect from a\[192\.0\.2\.1\]", first
    )
    assert second.endswith(" mail postfix/submission/smtpd[42]: x")


def test_text_is_one_line_of_bounded_length(tmp_path: Path) -> None:
    output = MemoryOutput()
    log = MailLog(output, "postfix", 1)
    log.program("smtpd").info("a\nb" + "x" * 5000)
    log.flush()
    assert output.lines[0].startswith("a?bx")
    assert len(output.lines[0]) == 2000


def test_a_closed_file_blocks_nobody() -> None:
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    log = MailLog(FileOutput(write, "h"), "postfix", 1)
    log.program("smtpd").info("lost")
    log.flush()


def test_syslog_gets_one_datagram_a_line_and_comes_back(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    output = SyslogOutput(path)
    log = MailLog(output, "postfix", 7)
    log.program("qmgr").info("nobody listens")
    log.flush()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        log.program("qmgr").info("first")
        log.program("qmgr").warning("second")
        log.flush()
        assert re.fullmatch(rb"<22>\w{3} [ \d]\d [\d:]{8} postfix/qmgr\[7\]: first", server.recv(500))
        assert server.recv(500).endswith(b"postfix/qmgr[7]: warning: second")
    log.program("qmgr").info("gone again")
    log.flush()
    log.flush()
    assert output._socket is None


def test_syslog_facility(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        log = MailLog(SyslogOutput(path, "local0"), "postfix", 7)
        log.program("qmgr").info("x")
        log.flush()
        assert server.recv(500).startswith(b"<134>")
    log.program("qmgr").info("nobody listens: the socket is closed")
    log.flush()


def test_lines_that_were_lost_are_told_of(tmp_path: Path) -> None:
    """The disk is full in the middle of a line; then there is space again."""
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    output = FileOutput(descriptor, "h")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    output.write([(0.0, 6, "postfix/qmgr[1]: ", "one")])
    size = path.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + size // 2, usual[1]))
    try:
        output.write([(0.0, 6, "postfix/qmgr[1]: ", "two"), (0.0, 6, "postfix/qmgr[1]: ", "three")])
        output.write([(0.0, 6, "postfix/qmgr[1]: ", "four")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    output.write([(0.0, 6, "postfix/qmgr[1]: ", "five")])
    output.write([(0.0, 6, "postfix/qmgr[1]: ", "six")])
    os.close(descriptor)
    written = path.read_text().splitlines()
    assert "two" not in written[1] and len(written) == 5
    texts = [line.partition("]: ")[2] for line in written]
    assert texts[0] == "one" and texts[3:] == ["five", "six"]
    assert texts[2] == "warning: 3 lines of the log were lost: File too large"
