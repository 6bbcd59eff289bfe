import ssl

from gatepost.tls.problem import library_problem, system_problem, unopened


def fault() -> ssl.SSLError:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations("/dev/null")
    except ssl.SSLError as exc:
        return exc
    raise AssertionError


def test_a_fault_of_the_library() -> None:
    words = "TLS library problem: error:05800088:x509 certificate routines::no certificate or crl found"
    assert library_problem(fault()) == words


def test_a_reason_that_python_does_not_know() -> None:
    assert (
        library_problem(ssl.SSLError(1, "[FOO: BAR] the words (_ssl.c:1)"))
        == "TLS library problem: SSL routines::the words"
    )
    assert library_problem(ssl.SSLError("just that")) == "TLS library problem: SSL routines::just that"


def test_a_fault_of_the_system() -> None:
    words = "TLS library problem: error:80000002:system library::No such file or directory"
    assert system_problem(FileNotFoundError(2, "No such file or directory")) == words


def test_a_file_that_openssl_could_not_open() -> None:
    assert unopened("/none.pem", 2, "No such file or directory") == (
        "TLS library problem: error:80000002:system library::No such file or directory:calling fopen(/none.pem, r)",
        "TLS library problem: error:10080002:BIO routines::system lib",
        "TLS library problem: error:0A080002:SSL routines::system lib",
    )
