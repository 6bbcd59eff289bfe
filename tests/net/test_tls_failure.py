import errno
import ssl

from gatepost.net.tls_failure import library_failure, lost_connection, too_slow


def fault() -> ssl.SSLError:
    incoming = ssl.MemoryBIO()
    incoming.write(b"EHLO there is no TLS\r\n")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_bio(incoming, ssl.MemoryBIO(), server_side=True)
    try:
        tls.do_handshake()
    except ssl.SSLError as exc:
        return exc
    raise AssertionError


def test_a_fault_has_openssls_number_and_words() -> None:
    failure = library_failure(fault())
    assert failure.words == "error:0A00010B:SSL routines::wrong version number"
    assert not failure.lost and not failure.timed_out and str(failure) == failure.words


def test_a_reason_that_python_does_not_know() -> None:
    assert library_failure(ssl.SSLError("odd")).words == "error:00000000:SSL routines::odd"


def test_peers_that_are_gone() -> None:
    assert lost_connection(None).words == "lost connection"
    assert lost_connection(ValueError()).words == "lost connection"
    assert lost_connection(OSError(errno.EPIPE, "x")).words == "Broken pipe"
    assert lost_connection(None).lost


def test_peers_that_are_slow() -> None:
    assert too_slow().words == "Connection timed out" and too_slow().timed_out and not too_slow().lost
