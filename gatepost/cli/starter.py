"""A first configuration to start from, and a relay on it (`make run`)."""

import argparse
import os
import pwd
import socket
import stat
import sys
from pathlib import Path

MAIN_CF = """\
# A relay for a local network. Every line can be changed; `gatepost check` tells what it comes to,
# `gatepost reload` takes changes over. The names are those of Postfix: see postconf(5).
compatibility_level = 3.6

# The name of this host in greetings and Received: lines.
#myhostname = mail.example.com

# Who may send mail to anywhere: these clients and nobody else. `!` makes an exception; the first match counts, so an
# exception stands before the range that it is taken from. For a network at home, for instance:
#mynetworks = 127.0.0.0/8 [::1]/128 !192.168.87.1 192.168.87.0/24
mynetworks = 127.0.0.0/8 [::1]/128

# Where to listen. `loopback-only` keeps everybody else out while you try; `all` opens the door to your network.
inet_interfaces = loopback-only

# Mail for anywhere goes through this host ([...]: no MX lookup). Empty: straight to the MX hosts of each domain.
#relayhost = [smtp.example.com]:587
relayhost =

# Domains that are delivered on this host, to its users. Empty: none, a relay only.
mydestination = $myhostname, localhost
home_mailbox = Maildir/
# Names that stand for other addresses. hash: reads the text file, there is no need for postalias.
#alias_maps = hash:/etc/aliases
alias_maps =

smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination

# The log: a file, /dev/stdout, or empty for syslog.
maillog_file = /dev/stdout

# The queue. Mail is on stable storage here before a client gets `250`.
gatepost_queue_directory = {queue}
{owner}"""

MASTER_CF = """\
# service type private unpriv chroot wakeup maxproc command
{port}      inet  n       -      n      -      -       smtpd
smtp      unix  -       -      n      -      -       smtp
relay     unix  -       -      n      -      -       smtp
local     unix  -       n      n      -      -       local
error     unix  -       -      n      -      -       error
retry     unix  -       -      n      -      -       error
discard   unix  -       -      n      -      -       discard
"""

HINTS = """\
Gatepost: configuration in {folder}, listening on port {port} of this machine only. Ctrl-C ends it.

Send a first message from another terminal:

  python3 -c 'import smtplib; smtplib.SMTP("localhost", {port}).sendmail("me@example.com", "{user}@localhost", \
"Subject: first\\n\\nHello.")'

It arrives in ~/Maildir/new. To relay for a local network, edit {folder}/main.cf:
`mynetworks` (who may), `inet_interfaces = all` (who can reach it) and `relayhost` (where it goes).
See what it comes to, and take it over:

  {program} -c {folder} check
  {program} -c {folder} reload
"""

ROOT_QUEUE = "/var/spool/gatepost-run"
"""The queue of a starter that root runs from a folder that others cannot enter."""


def queue_folder(folder: Path) -> Path:
    """Beside the configuration; as root, where mail_owner gets in."""
    closed = [part for part in folder.parents if not part.stat().st_mode & stat.S_IXOTH]
    return Path(ROOT_QUEUE) if os.geteuid() == 0 and closed else folder / "queue"


def write_configuration(folder: Path, port: int) -> bool:
    """Write main.cf and master.cf into `folder` unless they are there; True if they were written."""
    if (folder / "main.cf").exists():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    owner = (
        "" if os.geteuid() else "\n# Who the mail system runs as once it has opened its ports.\nmail_owner = nobody\n"
    )
    (folder / "main.cf").write_text(MAIN_CF.format(queue=queue_folder(folder.resolve()), owner=owner))
    (folder / "master.cf").write_text(MASTER_CF.format(port=port))
    return True


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Write a starter configuration and run a relay on it.")
    parser.add_argument("--port", type=int, default=2525)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    folder: Path = options.folder.resolve()
    write_configuration(folder, options.port)
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", options.port)) == 0:
            print(
                f"gatepost: fatal: something listens on port {options.port} already (make run PORT=...)",
                file=sys.stderr,
            )
            return 1
    user = pwd.getpwuid(os.geteuid()).pw_name
    program = Path(sys.executable).with_name("gatepost")
    print(HINTS.format(folder=folder, port=options.port, user=user, program=program), flush=True)
    from gatepost.cli.program import run

    return run("gatepost", ["-c", str(folder), "start", "--foreground"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
