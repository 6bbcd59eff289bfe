"""A listener's TLS, made of real files: what is served, what is told, what is taken up when it is renewed."""

import re
import shutil
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from gatepost.config.configuration import Configuration
from gatepost.config.host_facts import FixedHost
from gatepost.config.settings import Settings
from gatepost.maillog.sink import MailLog, MemoryOutput
from gatepost.smtpd.tls import ListenerTls
from gatepost.smtpd.tls_listener import listener_tls, tls_fault
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables
from tests.certificates import certificates, placed
from tests.smtpd.tls_client import Hands


class Place:
    """A folder with certificates that may be changed, and a clock."""

    def __init__(self, folder: Path, main_cf: str) -> None:
        self.folder = folder
        self.now = 1000.0
        self.output = MemoryOutput()
        self.log = MailLog(self.output, "postfix", 1)
        self.log.wake = lambda: None
        self.program = self.log.program("smtpd")
        env = TableEnvironment(clock=lambda: self.now, warn=self.program.warning)
        self.tables = Tables(replace(env, wall_clock=lambda: 2e9 + self.now))
        text = "compatibility_level = 3.6\nsmtpd_tls_security_level = may\n" + main_cf.replace("HERE", str(folder))
        self.settings: Settings = Configuration.parse(placed(text), host=FixedHost()).settings

    def copy(self, name: str) -> None:
        for suffix in ("pem", "key"):
            shutil.copy(certificates().folder / f"{name}.{suffix}", self.folder / f"my.{suffix}")

    def listener(self) -> ListenerTls:
        made = listener_tls(self.settings, self.tables, self.program, "smtp", b"s" * 32)
        assert made is not None
        return made

    def told(self) -> list[str]:
        self.log.flush()
        lines, self.output.lines = self.output.lines, []
        return lines


MINE = "smtpd_tls_cert_file = HERE/my.pem\nsmtpd_tls_key_file = HERE/my.key\n"


def shown(context: ssl.SSLContext | None, name: str = "") -> ssl.SSLObject:
    """The client's side of a handshake with this server."""
    assert context is not None
    hands = Hands(version="1.2")
    if name:
        hands.tls = certificates().client_context().wrap_bio(hands._in, hands._out, server_hostname=name)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(hands.hello())
    for _ in range(4):
        try:
            server.do_handshake()
        except ssl.SSLWantReadError:
            pass
        incoming.write(hands.answer(outgoing.read()))
    assert hands.ready
    return hands.tls


def certificate_of(name: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert((certificates().folder / f"{name}.pem").read_text().partition("-----END")[0] + END)


END = "-----END CERTIFICATE-----\n"


def test_a_renewed_certificate_is_taken_up(tmp_path: Path) -> None:
    place = Place(tmp_path, MINE)
    place.copy("rsa")
    tls = place.listener()
    assert shown(tls.context()).getpeercert(True) == certificate_of("rsa")
    place.copy("ec")
    for _ in range(60):
        place.now += 1
        tls.context()
    assert shown(tls.context()).getpeercert(True) == certificate_of("ec")
    assert place.told() == []


def test_certificate_and_key_may_be_in_one_file_in_any_order(tmp_path: Path) -> None:
    place = Place(tmp_path, "smtpd_tls_cert_file = HERE/both.pem\n")
    certificate, key = (certificates().folder / f"rsa.{suffix}" for suffix in ("pem", "key"))
    (tmp_path / "both.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
    assert shown(place.listener().context()).getpeercert(True) == certificate_of("rsa")


def test_what_does_not_fit_leaves_the_old_pair_in_service(tmp_path: Path) -> None:
    place = Place(tmp_path, MINE)
    place.copy("rsa")
    tls = place.listener()
    shutil.copy(certificates().folder / "ec.key", tmp_path / "my.key")
    for _ in range(60):
        place.now += 1
        tls.context()
    assert shown(tls.context()).getpeercert(True) == certificate_of("rsa")
    [warning] = place.told()
    assert warning.startswith(f"warning: smtp: RSA private key in {tmp_path}/my.key does not match")


def test_files_that_come_later_are_found(tmp_path: Path) -> None:
    place = Place(tmp_path, MINE)
    tls = place.listener()
    assert tls.context() is None
    assert (
        place.told()[0] == f'warning: cannot get RSA certificate from file "{tmp_path}/my.pem": disabling TLS support'
    )
    place.copy("rsa")
    place.now += 60
    assert shown(tls.context()).getpeercert(True) == certificate_of("rsa")
    assert place.told() == []


def test_a_missing_file_is_told_once(tmp_path: Path) -> None:
    place = Place(tmp_path, MINE)
    tls = place.listener()
    place.told()
    for _ in range(100):
        place.now += 5
        assert tls.context() is None
    assert place.told() == []


@pytest.mark.parametrize(
    ("main_cf", "parameter", "text"),
    [
        (
            "smtpd_tls_cert_file = /none.pem\nsmtpd_tls_key_file = CERTS/rsa.key\n",
            "cert_file",
            "open /none.pem: No such",
        ),
        (
            "smtpd_tls_cert_file = CERTS/rsa.pem\nsmtpd_tls_key_file = /none.key\n",
            "key_file",
            "open /none.key: No such",
        ),
        (
            "smtpd_tls_cert_file = CERTS/rsa.pem\nsmtpd_tls_key_file = CERTS/client.key\n",
            "cert_file",
            "cannot get RSA private key",
        ),
        ("smtpd_tls_eccert_file = /none.pem\n", "eccert_file", "open /none.pem: No such file"),
        ("smtpd_tls_chain_files = CERTS/rsa.chain, /none.pem\n", "chain_files", "open /none.pem: No such file"),
        ("smtpd_tls_chain_files = CERTS/rsa.pem\n", "chain_files", "error loading chain from .*: key not first"),
        ("smtpd_tls_chain_files = CERTS/rsa.chain\nsmtpd_tls_ciphers = foo\n", "ciphers", "invalid cipher grade"),
        (
            "smtpd_tls_chain_files = CERTS/rsa.chain\nsmtpd_tls_protocols = foo\n",
            "protocols",
            "Invalid TLS protocol list",
        ),
        (
            "smtpd_tls_chain_files = CERTS/rsa.chain\nsmtpd_tls_CAfile = /none.ca\n",
            "CAfile",
            "cannot load Certification",
        ),
        (
            "smtpd_tls_chain_files = CERTS/rsa.chain\nsmtpd_tls_fingerprint_digest = foo\n",
            "fingerprint_digest",
            'Digest algorithm "foo" not found; disabling TLS support',
        ),
        (
            "smtpd_tls_wrappermode = yes\nsmtpd_tls_chain_files = CERTS/rsa.chain\nsmtpd_tls_mandatory_ciphers = x\n",
            "mandatory_ciphers",
            "invalid cipher grade",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_parameter(tmp_path: Path, main_cf: str, parameter: str, text: str) -> None:
    place = Place(tmp_path, main_cf)
    found = tls_fault(place.settings, place.tables, place.program)
    assert found is not None
    fault, required = found
    assert required is ("wrappermode" in main_cf)
    assert fault.parameter == f"smtpd_tls_{parameter}"
    assert re.match(text, fault.message)
    assert place.listener().context() is None
    assert place.told()


def test_nothing_is_wrong(tmp_path: Path) -> None:
    place = Place(tmp_path, "smtpd_tls_chain_files = CERTS/rsa.chain\n")
    assert tls_fault(place.settings, place.tables, place.program) is None
    without = Place(tmp_path, "smtpd_tls_security_level = none\nsmtpd_tls_chain_files = /none\n")
    assert tls_fault(without.settings, without.tables, without.program) is None
    assert listener_tls(without.settings, without.tables, without.program, "smtp") is None


def test_dh_parameters_that_cannot_be_read_are_not_needed(tmp_path: Path) -> None:
    place = Place(tmp_path, "smtpd_tls_chain_files = CERTS/rsa.chain\nsmtpd_tls_dh1024_param_file = /none\n")
    assert place.listener().context() is not None
    assert place.told() == [
        'warning: error opening DH parameter file "/none": No such file or directory -- using compiled-in defaults'
    ]


def test_what_is_told_of_a_handshake_at_level_two(tmp_path: Path) -> None:
    place = Place(
        tmp_path, "smtpd_tls_chain_files = CERTS/rsa.chain\nsmtpd_tls_loglevel = 2\nsmtpd_tls_ask_ccert = yes\n"
    )
    place.listener().begins("name[192.0.2.1]")
    assert place.told() == [
        "initializing the server-side TLS engine",
        "setting up TLS connection from name[192.0.2.1]",
        'name[192.0.2.1]: TLS cipher list "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH:!aNULL"',
    ]


def test_workers_resume_each_others_sessions_and_keys_change(tmp_path: Path) -> None:
    place = Place(tmp_path, "smtpd_tls_chain_files = CERTS/rsa.chain\n")
    one, two = place.listener(), place.listener()
    context = certificates().client_context(version="1.2")
    session = _resumed(one.context(), context, None)[1]
    assert _resumed(two.context(), context, session)[0]
    other = listener_tls(place.settings, place.tables, place.program, "submission", b"s" * 32)
    assert other is not None and not _resumed(other.context(), context, session)[0]


def test_whom_an_authority_vouched_for_does_not_outlive_it_in_a_ticket(tmp_path: Path) -> None:
    """Who resumes a session is not verified anew."""
    shutil.copy(certificates().folder / "ca.pem", tmp_path / "ca.pem")
    chains = "smtpd_tls_chain_files = CERTS/rsa.chain\n"
    place = Place(tmp_path, f"{chains}smtpd_tls_ask_ccert = yes\nsmtpd_tls_CAfile = HERE/ca.pem\n")
    listener = place.listener()
    client = certificates().client_context("client", "1.2")
    _, session = _resumed(listener.context(), client, None)
    assert _resumed(listener.context(), client, session)[0]
    shutil.copy(certificates().folder / "rsa.pem", tmp_path / "ca.pem")
    for _ in range(60):
        place.now += 1
        listener.context()
    assert not _resumed(listener.context(), client, session)[0]
    # Another worker, and one that begins now, agree.
    _, session = _resumed(listener.context(), client, None)
    assert _resumed(place.listener().context(), client, session)[0]


def test_clients_without_tickets_get_a_session_id(tmp_path: Path) -> None:
    place = Place(tmp_path, "smtpd_tls_chain_files = CERTS/rsa.chain\n")
    context = certificates().client_context(version="1.2")
    context.options |= ssl.OP_NO_TICKET
    listener = place.listener()
    _, session = _resumed(listener.context(), context, None)
    assert session is not None and len(session.id) == 32 and not session.has_ticket
    assert not _resumed(listener.context(), context, session)[0]  # and nothing is kept of it


def _resumed(
    server_context: ssl.SSLContext | None, client_context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[bool, ssl.SSLSession | None]:
    assert server_context is not None
    hands = Hands(context=client_context)
    if session is not None:
        hands.tls.session = session
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(hands.hello())
    for _ in range(4):
        try:
            server.do_handshake()
        except ssl.SSLWantReadError:
            pass
        incoming.write(hands.answer(outgoing.read()))
    return bool(hands.tls.session_reused), hands.tls.session


@pytest.mark.parametrize(
    ("value", "shows"),
    [("CERTS/sni.chain", "sni"), ("/nonexistent", ""), ("Zm9v", "")],
)
def test_names_lead_to_certificates(tmp_path: Path, value: str, shows: str) -> None:
    more = f"tls_server_sni_maps = inline:{{sni.ours.example={value}}}\nsmtpd_tls_chain_files = CERTS/rsa.chain\n"
    place = Place(tmp_path, more)
    context = place.listener().context()
    if shows:
        assert shown(context, "sni.ours.example").getpeercert(True) == certificate_of("sni")
    else:
        with pytest.raises(ssl.SSLError):
            shown(context, "sni.ours.example")
        assert place.told()
    assert shown(context, "mail.ours.example").getpeercert(True) == certificate_of("rsa")
