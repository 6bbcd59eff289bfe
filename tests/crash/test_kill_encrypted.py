"""kill -9 of each process in turn while mail comes and goes with TLS and passwords: nothing is lost, and it goes on.

Keys and passwords are where only root may read (if we are root): who is started anew gets them again.
"""

import asyncio
import base64
import os
import random
import re
import shutil
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.certificates import certificates
from tests.crash.test_kill_at_work import Run, count
from tests.crash.work import CountingSink
from tests.scenarios.server import MASTER_CF, Gatepost, temporary_folder

MAIN_CF = """\
myhostname = mail.ours.example
mydestination =
mynetworks =
inet_protocols = ipv4
smtp_host_lookup = native
relayhost = [localhost]:{sink}
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
smtpd_client_connection_count_limit = 0
smtpd_client_auth_rate_limit = 0
smtpd_peername_lookup = no
notify_classes =
gatepost_smtpd_processes = 2
gatepost_delivery_processes = 2
smtpd_tls_chain_files = {secret}/rsa.chain
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = gatepost
gatepost_sasl_users = texthash:{secret}/users
gatepost_sasl_mechanisms = PLAIN
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtp_tls_security_level = verify
smtp_tls_wrappermode = yes
smtp_tls_CAfile = {secret}/ca.pem
smtp_tls_verify_cert_match = mail.ours.example
smtp_tls_chain_files = {secret}/client.chain
smtp_sasl_auth_enable = yes
smtp_sasl_tls_security_options = noanonymous
smtp_sasl_password_maps = texthash:{secret}/passwords
"""
ROLES = ("smtpd", "qmgr", "delivery", "opener", "master", "single")
USER, PASSWORD = "joe", "Swordfish-77"


@asynccontextmanager
async def running(chance: random.Random, options: list[str]) -> AsyncIterator[Run]:
    login = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode())
    sink = CountingSink(chance)
    sink.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    sink.tls.load_cert_chain(certificates().folder / "rsa.chain")
    sink.tls.load_verify_locations(certificates().folder / "ca.pem")
    sink.tls.verify_mode = ssl.CERT_REQUIRED
    sink.login = login.decode()
    await sink.start()
    with temporary_folder() as folder:
        secret = folder / "secret"
        secret.mkdir(mode=0o700)
        for name in ("rsa.chain", "client.chain", "ca.pem"):
            shutil.copy(certificates().folder / name, secret)
        (secret / "users").write_text(f"{USER} {{PLAIN}}{PASSWORD}\n")
        (secret / "passwords").write_text(f"[localhost]:{sink.port} {USER}:{PASSWORD}\n")
        for file in secret.iterdir():
            file.chmod(0o600)
        server = Gatepost(folder, MAIN_CF.format(sink=sink.port, secret=secret))
        server.write(MAIN_CF.format(sink=sink.port, secret=secret), MASTER_CF.format(listen=server.listen))
        await asyncio.to_thread(server.start, *options)
        run = Run(server, sink, chance, 400)
        for sender in run.senders:
            sender.login = login
        try:
            yield run
        finally:
            await asyncio.to_thread(server.stop)
    sink.stop()


async def _run(chance: random.Random, role: str) -> None:
    options = ["--single-process"] if role == "single" else []
    async with running(chance, options) as run:
        victim = await run.under_load(role, options)
        count(run, role, filtered=False)
        log = run.server.log()
        assert "panic:" not in log and "Traceback" not in log
        assert PASSWORD not in log and run.sink.login not in log
        if victim:
            assert re.search(rf"warning: process {role}\S* pid {victim} killed by signal 9", log)
        assert await run.senders[0].attempt("small"), "the server goes on"
        await run.drained(60)


@pytest.mark.parametrize("role", ROLES)
def test_with_tls_and_passwords(role: str, long_form: bool, request: pytest.FixtureRequest) -> None:
    if role == "opener" and os.geteuid():
        pytest.skip("who is not root opens its files itself")
    base = request.config.getoption("--crash-seed") or int(time.time())
    if not long_form and role != ROLES[base % len(ROLES)]:
        pytest.skip("another one's turn; in the long form (make faults) all")
    for number in range(5 if long_form else 1):
        asyncio.run(_run(random.Random(base + number), role))
