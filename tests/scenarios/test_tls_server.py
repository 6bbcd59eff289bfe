"""Programs that no one here wrote talk TLS to our ports: 25 (STARTTLS), 587 (TLS required), 465 (TLS first).

The key is in a folder of root's, of mode 0600 (if we are root).
"""

import os
import re
import shutil
import signal
import smtplib
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.certificates import certificates
from tests.scenarios.encrypted import AUTHORITY, World, encrypted
from tests.scenarios.server import WAIT, Gatepost, temporary_folder, until
from tests.scenarios.test_clients import program, run

MAIN_CF = """\
myhostname = mail.ours.example
mydestination =
mynetworks = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
relayhost = [127.0.0.1]:{port}
smtpd_tls_chain_files = {secret}/rsa.chain, {secret}/ec.chain
smtpd_tls_CAfile = {secret}/ca.pem
smtpd_tls_security_level = may
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
smtpd_client_connection_count_limit = 0
gatepost_smtpd_processes = 2
"""
# As in Postfix's stock file, without the number sign.
LISTENERS = """\
127.0.0.1:{submission} inet n - y - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
127.0.0.1:{smtps} inet n - y - - smtpd
  -o syslog_name=postfix/smtps
  -o smtpd_tls_wrappermode=yes
  -o smtpd_tls_ask_ccert=yes
"""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with encrypted(MAIN_CF, LISTENERS) as made:
        made.server.start()
        yield made


def s_client(world: World, port: int, *options: str, text: str = "") -> str:
    """What openssl shows of a session; STARTTLS where it is not the port of TLS."""
    starttls = () if port == world.smtps else ("-starttls", "smtp")
    command = [program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", AUTHORITY, *starttls]
    done = subprocess.run(
        [*command, "-verify_hostname", "mail.ours.example", *options],
        input=text, capture_output=True, text=True, timeout=WAIT, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.parametrize("port", ["port", "submission", "smtps"])
def test_openssl(world: World, port: str) -> None:
    shown = s_client(world, getattr(world, port), text="QUIT\n")
    assert "Verify return code: 0 (ok)" in shown
    assert "New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384" in shown


@pytest.mark.parametrize(
    ("algorithms", "kind"), [("rsa_pss_rsae_sha256", "RSA-PSS"), ("ecdsa_secp256r1_sha256", "ECDSA")]
)
def test_clients_are_shown_the_certificate_that_they_can_use(world: World, algorithms: str, kind: str) -> None:
    assert f"Peer signature type: {kind}" in s_client(world, world.port, "-sigalgs", algorithms, text="QUIT\n")


def test_clients_certificates_are_judged_by_authorities_that_only_root_may_read(world: World) -> None:
    own = str(certificates().folder / "client.chain")
    s_client(world, world.smtps, "-cert", own, "-key", own, text="QUIT\n")
    world.server.wait_log(r"smtps/smtpd.*: Trusted TLS connection established")


def test_renegotiation_is_refused(world: World) -> None:
    shown = s_client(world, world.port, "-tls1_2", text="R\nEHLO x\nQUIT\n")  # where we say nothing of our own accord
    assert "RENEGOTIATING" in shown and "no renegotiation" in shown
    assert "Verify return code: 0 (ok)" in s_client(world, world.smtps, text="QUIT\n")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_sessions_are_resumed(world: World, version: str) -> None:
    path = world.server.folder / f"session{version}"
    first = s_client(world, world.smtps, version, "-sess_out", str(path), "-ign_eof", text="QUIT\n")
    assert "Verify return code: 0 (ok)" in first
    resumed = [s_client(world, world.smtps, version, "-sess_in", str(path), text="QUIT\n") for _ in range(8)]
    assert all("Reused, TLSv1" in shown for shown in resumed)


def test_every_worker_resumes(world: World) -> None:
    context = certificates().client_context(version="1.2")
    session = None
    before = len(world.server.log_lines(r"smtps/smtpd.*TLS connection established"))
    for _ in range(24):
        with socket.create_connection(("127.0.0.1", world.smtps), WAIT) as sock:
            tls = context.wrap_socket(sock, session=session)
            assert tls.session_reused is (session is not None)
            session = session or tls.session
            tls.recv(100)
            tls.close()
    until(lambda: len(world.server.log_lines(r"smtps/smtpd.*TLS connection established")) >= before + 24, "24 lines")
    lines = world.server.log_lines(r"smtps/smtpd.*TLS connection established")[before:]
    assert len({re.search(r"\[(\d+)\]", line)[1] for line in lines}) == 2  # type: ignore[index]


def test_swaks(world: World) -> None:
    run(program("swaks"), "--server", "127.0.0.1", "--port", str(world.port), "--tls", "--ehlo", "swaks.example",
        "--from", "swaks@home.example", "--to", "bob@far.example", "--body", "Text of swaks.")  # fmt: skip
    message = world.arrived("swaks@home.example").content
    assert "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\n" in message
    assert "\t(No client certificate requested)\n\tby mail.ours.example (Postfix) with ESMTPS id " in message


def test_swaks_where_tls_comes_first(world: World) -> None:
    run(program("swaks"), "--server", "127.0.0.1", "--port", str(world.smtps), "--tlsc",
        "--from", "swaks465@home.example", "--to", "bob@far.example")  # fmt: skip
    assert "with ESMTPS id" in world.arrived("swaks465@home.example").content


def test_swaks_without_tls_where_it_is_required(world: World) -> None:
    command = [program("swaks"), "--server", "127.0.0.1", "--port", str(world.submission)]
    addresses = ["--from", "swaks587@home.example", "--to", "bob@far.example"]
    done = subprocess.run([*command, *addresses], capture_output=True, text=True, timeout=WAIT, check=False)
    assert "530 5.7.0 Must issue a STARTTLS command first" in done.stdout
    run(*command, "--tls", *addresses)
    world.arrived("swaks587@home.example")


@pytest.mark.parametrize(("scheme", "port"), [("smtp", "port"), ("smtp", "submission"), ("smtps", "smtps")])
def test_curl(world: World, scheme: str, port: str) -> None:
    number, sender = getattr(world, port), f"curl-{port}@home.example"
    path = world.server.folder / "letter"
    path.write_text("Subject: from curl\r\n\r\nText of curl.\r\n")
    run(program("curl"), "--silent", "--show-error", "--ssl-reqd", "--cacert", AUTHORITY,
        "--resolve", f"mail.ours.example:{number}:127.0.0.1", f"{scheme}://mail.ours.example:{number}/curl.example",
        "--mail-from", sender, "--mail-rcpt", "bob@far.example", "--upload-file", str(path))  # fmt: skip
    assert world.arrived(sender).content.endswith("\nText of curl.\n")


@pytest.mark.parametrize(("port", "starttls"), [("port", "on"), ("smtps", "off")])
def test_msmtp(world: World, port: str, starttls: str) -> None:
    sender = f"msmtp-{port}@home.example"
    run(program("msmtp"), "--file=/dev/null", "--host=127.0.0.1", f"--port={getattr(world, port)}", f"--from={sender}",
        "--auth=off", "--tls=on", f"--tls-starttls={starttls}", "--tls-certcheck=off", "bob@far.example",
        text="Subject: from msmtp\n\nText of msmtp.\n")  # fmt: skip
    assert "Text of msmtp.\n" in world.arrived(sender).content


def test_smtplib_checks_our_certificate(world: World) -> None:
    context = ssl.create_default_context(cafile=AUTHORITY)
    context.check_hostname = False
    with smtplib.SMTP("127.0.0.1", world.submission, timeout=WAIT) as client:
        client.starttls(context=context)
        client.sendmail("smtplib@home.example", "bob@far.example", "Subject: x\r\n\r\nText\r\n")
    assert "Text" in world.arrived("smtplib@home.example").content


def test_posttls_finger(world: World) -> None:
    """Postfix's own client."""
    command = [program("posttls-finger"), "-c", "-l", "secure", "-F", AUTHORITY, "-L", "summary"]
    shown = run(*command, f"[127.0.0.1]:{world.port}", "mail.ours.example")
    assert "Verified TLS connection established to 127.0.0.1[127.0.0.1]" in shown


def test_sslscan(world: World) -> None:
    shown = run(program("sslscan"), "--no-colour", "--starttls-smtp", f"127.0.0.1:{world.port}")
    assert re.search(r"SSLv2 +disabled\nSSLv3 +disabled\nTLSv1.0 +enabled\n", shown)
    assert re.search(r"Preferred +TLSv1.3 ", shown) and re.search(r"Accepted +TLSv1.2 ", shown)
    assert shown.count("not vulnerable to heartbleed") >= 3
    assert not re.search(r"(Accepted|Preferred) .*(NULL|EXP|RC4|DES)", shown)


def test_check_reads_the_key_and_a_reload_with_another_is_refused(world: World) -> None:
    server = world.server
    assert "tls" not in server.command("check", "-q", check=False).stdout.lower()
    shutil.copy(certificates().folder / "client.key", world.secret / "other.key")
    other = f"smtpd_tls_cert_file = {world.secret}/rsa.chain\nsmtpd_tls_key_file = {world.secret}/other.key\n"
    server.write(world.main_cf + "smtpd_tls_chain_files =\n" + other)
    try:
        checked = server.command("check", check=False).stdout
        assert re.search(r"main\.cf, line \d+: parameter smtpd_tls_cert_file: .*other\.key", checked)
        os.kill(server.master_pid(), signal.SIGHUP)
        server.wait_log(r"reload: .*smtpd_tls_cert_file: .*; the old configuration goes on")
        assert "Verify return code: 0 (ok)" in s_client(world, world.port, text="QUIT\n")
    finally:
        server.write(world.main_cf)


def test_a_single_process_serves_tls_too() -> None:
    with encrypted(MAIN_CF, LISTENERS) as world:
        world.server.start("--single-process")
        for port in (world.port, world.submission, world.smtps):
            assert "Verify return code: 0 (ok)" in s_client(world, port, text="QUIT\n")


class _Names(socketserver.StreamRequestHandler):
    """tcp_table(5): one name is known, another cannot be told now."""

    def handle(self) -> None:
        for line in self.rfile:
            name = line.decode().split()[1]
            known = {"sni.ours.example": f"200 {certificates().folder}/sni.chain", "down.example": "400 down"}
            self.wfile.write(f"{known.get(name, '500 unknown')}\n".encode())


def test_certificates_by_names_that_another_server_knows() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Names) as names:
        names.daemon_threads = True
        threading.Thread(target=names.serve_forever, daemon=True).start()
        maps = f"tls_server_sni_maps = tcp:127.0.0.1:{names.server_address[1]}\n"
        with encrypted(MAIN_CF + maps, LISTENERS) as world:
            world.server.start()
            for port in (world.port, world.smtps):
                for name, shown in (("sni.ours.example", "sni"), ("www.example", "mail")):
                    told = s_client(
                        world, port, "-servername", name, "-verify_hostname", f"{shown}.ours.example", text="QUIT\n"
                    )
                    assert "Verify return code: 0 (ok)" in told
                assert "no peer certificate available" in s_client(
                    world, port, "-servername", "down.example", text="QUIT\n"
                )
            world.server.wait_log("smtpd.*warning: tls_server_sni_maps: down.example map lookup problem")
            assert "Verify return code: 0 (ok)" in s_client(world, world.port, "-noservername", text="QUIT\n")
        names.shutdown()


def test_a_start_and_a_reload_without_the_certificate_serve_without_tls() -> None:
    with temporary_folder() as folder:
        main_cf = (
            "myhostname = mail.ours.example\ninet_protocols = ipv4\nsmtpd_peername_lookup = no\n"
            "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = /nonexistent/chain.pem\n"
        )
        server = Gatepost(folder, main_cf).start()
        try:
            client = server.client()
            assert client.say("STARTTLS") == "454 4.7.0 TLS not available due to local problem"
            assert client.say("NOOP") == "250 2.0.0 Ok"
            client.close()
            server.wait_log(r"warning: error opening chain file: /nonexistent/chain\.pem: No such file or directory")
            server.write(main_cf.replace("nonexistent/", "nonexistent/another-"))
            server.command("reload")
            server.wait_log(r"warning: error opening chain file: /nonexistent/another-chain\.pem: No such file")
            client = server.client()
            assert client.say("STARTTLS") == "454 4.7.0 TLS not available due to local problem"
            client.close()
        finally:
            server.stop()
