"""Namespaces (unshare -n -m) in which a test's DNS server is the resolver of all programs."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path


def prepare_namespaces() -> None:
    """Loopback up, and name service from it. Only in namespaces of our own: this would cut the machine off."""
    for kind in ("net", "mnt"):
        if os.readlink(f"/proc/self/ns/{kind}") == os.readlink(f"/proc/1/ns/{kind}"):
            sys.exit("to be run by unshare -n -m")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as conf:
        conf.write("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
    Path(conf.name).chmod(0o644)
    subprocess.run(["mount", "--bind", conf.name, str(Path("/etc/resolv.conf").resolve())], check=True)
