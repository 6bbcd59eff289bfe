import errno
import os
import pwd
import tempfile
from pathlib import Path

import pytest

from gatepost.config.configuration import Configuration
from gatepost.master.file_access import FileAccess
from gatepost.master.prove import Proof, prove
from tests.audit.expiring import certificate

MASTER_CF = "127.0.0.1:2525 inet n - n - - smtpd\nsmtp unix - - n - - smtp\nlocal unix - n n - - local\n"


def proof_of(main_cf: str, master_cf: str = MASTER_CF, directory: str = "/etc/gatepost") -> Proof:
    owner = pwd.getpwuid(os.geteuid()).pw_name
    base = f"compatibility_level = 3.6\nmail_owner = {owner}\ninet_interfaces = 127.0.0.1\nalias_maps =\n"
    return prove(Configuration.parse(base + main_cf, master_cf, directory=directory))


def test_a_good_configuration() -> None:
    proof = proof_of("mynetworks = 127.0.0.0/8\n")
    assert (proof.errors, proof.faults, proof.remarks) == ([], [], [])
    (listener,) = proof.listeners
    assert [str(address) for address in listener.addresses] == ["127.0.0.1:2525"]
    assert proof.refusals(strict=True) == []


@pytest.mark.parametrize(
    ("main_cf", "told"),
    [
        ("smtpd_timeout = soon\n", "main.cf, line 5: parameter smtpd_timeout: bad time value or unit: soon"),
        ("mynetworks = !\n", "main.cf, line 5: parameter mynetworks: no pattern after '!'"),
        (
            "transport_maps = nosuch:x\n",
            "main.cf, line 5: parameter transport_maps: unsupported dictionary type: nosuch",
        ),
        ("smtpd_restriction_classes = mine\n", "needs a definition"),
        ("smtpd_relay_restrictions =\n", "master.cf, line 1: in parameter smtpd_relay_restrictions or"),
        (
            "address_verify_map = memcache:/x\n",
            "main.cf, line 5: parameter address_verify_map: the cache cannot be kept in",
        ),
        ("smtp_address_verify_target = mail\n", "main.cf, line 5: parameter smtp_address_verify_target: bad value"),
        ("unverified_sender_tempfail_action = no\n", "parameter unverified_sender_tempfail_action: unexpected value"),
        ("inet_interfaces = 192.0.2.77\n", "main.cf, line 5: parameter inet_interfaces: no local interface found for"),
        (
            "smtp_generic_maps = nosuch:x\n",
            "main.cf, line 5: parameter smtp_generic_maps: unsupported dictionary type: nosuch",
        ),
        (
            "sender_canonical_classes = header_recipient\nsender_canonical_maps = static:x\n",
            "unknown sender_canonical_classes",
        ),
        ("mail_owner = nosuchuser\n", "user nosuchuser does not exist"),
    ],
)
def test_errors_keep_it_from_starting(main_cf: str, told: str) -> None:
    if "mail_owner" in main_cf and os.geteuid() != 0:
        pytest.skip("mail_owner counts for root only")
    proof = proof_of(main_cf)
    assert any(told in error for error in proof.errors)
    assert proof.refusals(strict=False) == proof.errors


@pytest.mark.parametrize(
    ("main_cf", "told"),
    [
        ("mynetworks = 10.0.0.1/8\n", "main.cf, line 5: parameter mynetworks: 10.0.0.1/8: non-null host address bits"),
        (
            "transport_maps = hash:/nonexistent\n",
            "main.cf, line 5: parameter transport_maps: hash:/nonexistent is unavail",
        ),
        (
            "smtpd_helo_restrictions = nosuch\n",
            'parameter smtpd_helo_restrictions: unknown smtpd restriction: "nosuch"',
        ),
    ],
)
def test_faults_keep_a_reload_from_happening(main_cf: str, told: str) -> None:
    proof = proof_of(main_cf)
    assert proof.refusals(strict=False) == []
    (fault,) = proof.refusals(strict=True)
    assert told in fault


def test_a_fault_in_a_file_has_the_line_of_that_file(tmp_path: Path) -> None:
    file = tmp_path / "networks"
    file.write_text("127.0.0.1\n\n10.0.0.1/8\n")
    proof = proof_of(f"mynetworks = {file}\n")
    (fault,) = proof.faults
    assert fault.startswith(f'{file}, line 3: parameter mynetworks: non-null host address bits in "10.0.0.1/8"')
    assert proof.remarks == []


@pytest.mark.parametrize(
    ("main_cf", "told"),
    [
        ("mynetworks = 192.168.87.0/24 !192.168.87.1\n", "has no effect"),
        ("mydestination = a.example\nvirtual_alias_domains = a.example\n", "one address class only"),
        ("relay_domains = a.example\n", "master.cf has no transport relay"),
        ("smtpd_helo_restrictions = reject, permit\n", "is ignored"),
        ("smtpd_client_restrictions = check_client_access pcre:{{/(?<=a)b/ OK}}\n", "RE2 takes no such pattern"),
    ],
)
def test_remarks_keep_nothing_from_happening(main_cf: str, told: str) -> None:
    proof = proof_of(main_cf)
    assert proof.refusals(strict=True) == []
    (remark,) = proof.remarks
    assert told in remark


@pytest.mark.parametrize("more", ["", "smtpd_tls_wrappermode = yes\n"])
def test_a_certificate_that_is_not_there_is_a_fault_where_tls_is_required(more: str) -> None:
    """Elsewhere there is plaintext, as with Postfix, and a reload goes on as a start does."""
    proof = proof_of(f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = /nonexistent/chain.pem\n{more}")
    told = "parameter smtpd_tls_chain_files: open /nonexistent/chain.pem: No such file"
    assert proof.errors == []
    assert [told in fault for fault in proof.faults] == [True] * bool(more)
    assert [told in remark for remark in proof.remarks].count(True) == (not more)


def test_a_missing_file_of_a_default_value_is_a_remark() -> None:
    owner = pwd.getpwuid(os.geteuid()).pw_name
    text = f"compatibility_level = 3.6\nmail_owner = {owner}\ninet_interfaces = 127.0.0.1\n"
    proof = prove(Configuration.parse(text, MASTER_CF))
    assert proof.faults == []
    assert all("aliases" in remark for remark in proof.remarks)


def test_overrides_of_a_listener_count() -> None:
    master_cf = MASTER_CF + "127.0.0.1:2526 inet n - n - - smtpd\n -o mynetworks=10.0.0.1/8\n -o smtpd_timeout=5\n"
    proof = proof_of("", master_cf)
    (fault,) = proof.faults
    assert fault.startswith("/etc/gatepost/master.cf, line 4: parameter mynetworks: 10.0.0.1/8: ")
    assert len(proof.listeners) == 2


def test_one_bad_listener_hides_nothing_of_the_others() -> None:
    master_cf = "nosuchport inet n - n - - smtpd\n127.0.0.1:port inet n - n - - smtpd\nsmtp unix - - n - - smtp\n"
    proof = proof_of("", master_cf + "local unix - n n - - local\n")
    assert [error.partition(": ")[0] for error in proof.errors] == [
        "/etc/gatepost/master.cf, line 1",
        "/etc/gatepost/master.cf, line 2",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="root only")
def test_root_sees_the_tables_as_mail_owner_will() -> None:
    """Only root may read it: it is opened for the workers. Who could replace it could have any file opened."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o700)
        table = Path(folder) / "transport"
        table.write_text("a.example smtp:\n")
        table.chmod(0o600)
        main_cf = f"transport_maps = hash:{table}\nmail_owner = nobody\n"
        proof = proof_of(main_cf)
        assert (proof.errors, proof.faults) == ([], [])
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
        proof = proof_of(main_cf, directory=folder)
    assert proof.errors == [
        f"{folder}/main.cf, line 5: parameter transport_maps: open {table}: in a folder that nobody can write in"
    ]
    assert proof.faults == []
    assert os.geteuid() == 0


def test_without_root_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """At start, and not when mail comes: with file, line and parameter."""
    key = tmp_path / "key.pem"
    key.write_bytes(b"".join(certificate(300)))
    key.chmod(0)
    table = tmp_path / "table"
    table.write_text("a b\n")
    table.chmod(0)
    main_cf = f"compatibility_level = 3.6\ntransport_maps = hash:{table}\ninet_interfaces = 127.0.0.1\nalias_maps =\n"
    main_cf += f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {key}\n"
    configuration = Configuration.parse(main_cf, MASTER_CF, directory="/etc/gatepost")

    def refused(path: str) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    class Without(FileAccess):
        """The rights of an ordinary user, whoever runs the test."""

        def open(self, path: str) -> int:
            return os.open(path, os.O_RDONLY) if Path(path).stat().st_mode & 0o444 else refused(path)

    proof = prove(configuration, Without())
    named = [error for error in proof.errors if "mail_owner" not in error]
    assert f"/etc/gatepost/main.cf, line 2: parameter transport_maps: open {table}: Permission denied" in named
    assert f"/etc/gatepost/main.cf, line 6: parameter smtpd_tls_chain_files: open {key}: Permission denied" in named
    assert len(named) == 2
    assert not any("Permission" in text for text in (*proof.faults, *proof.remarks))


def test_certificates_that_end_soon_have_ended_or_are_not_there(tmp_path: Path) -> None:
    for name, days in (("good", 300), ("soon", 3.5), ("old", -2)):
        (tmp_path / f"{name}.pem").write_bytes(b"".join(certificate(days, f"{name}.example")))
    proof = proof_of(
        f"smtpd_tls_chain_files = {tmp_path}/good.pem\nsmtp_tls_cert_file = {tmp_path}/soon.pem\n"
        f"smtp_tls_eccert_file = {tmp_path}/old.pem\nsmtp_tls_dcert_file = {tmp_path}/gone.pem\n"
    )
    assert proof.errors == []
    place = "/etc/gatepost/main.cf, line {}: parameter smtp_tls_{}: "
    soon, old, gone = (text for text in proof.remarks if text.startswith("/etc/gatepost/main.cf"))
    assert soon.startswith(
        f"{place.format(6, 'cert_file')}{tmp_path}/soon.pem: the certificate of soon.example expires in 3 days, on 2"
    )
    assert old.startswith(
        f"{place.format(7, 'eccert_file')}{tmp_path}/old.pem: the certificate of old.example expired on 2"
    )
    assert gone == f"{place.format(8, 'dcert_file')}open {tmp_path}/gone.pem: No such file or directory"


LOGINS = "smtpd_sasl_auth_enable = yes\n"


@pytest.mark.parametrize(
    ("main_cf", "told"),
    [
        ("smtpd_sasl_type = foo\n", "main.cf, line 6: parameter smtpd_sasl_type: unsupported SASL server"),
        ("cyrus_sasl_config_path = /nonexistent\n", "parameter smtpd_sasl_type: smtpd_sasl_type = cyrus (the default"),
        ("smtpd_sasl_type = gatepost\n", "parameter gatepost_sasl_users: smtpd_sasl_type = gatepost needs it"),
        (
            "smtpd_sasl_type = dovecot\nsmtpd_sasl_security_options = nofoo\n",
            'main.cf, line 7: parameter smtpd_sasl_security_options: unknown SASL security option: "nofoo"',
        ),
    ],
)
def test_logins_that_cannot_be(main_cf: str, told: str) -> None:
    proof = proof_of(LOGINS + main_cf)
    assert len(proof.errors) == 1 and told in proof.errors[0], proof.errors


def test_a_back_end_that_is_not_there_yet() -> None:
    proof = proof_of(f"{LOGINS}smtpd_sasl_type = dovecot\nsmtpd_sasl_path = /nonexistent/auth\n")
    told = "main.cf, line 7: parameter smtpd_sasl_path: cannot connect to Dovecot's /nonexistent/auth: No such file"
    assert proof.errors == [] and any(told in text for text in proof.remarks), proof.remarks
