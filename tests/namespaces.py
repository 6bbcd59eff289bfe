"""Namespaces (unshare -n -m) in which a test's DNS server is the resolver of all programs."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
IN_NAMESPACES = ["unshare", "-n", "-m"]


def played_in_namespaces(module: str, *arguments: str, limit: float) -> Any:
    """What a module prints as JSON that is run in namespaces of its own. It has `limit` seconds."""
    command = [*IN_NAMESPACES, sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=limit, check=False)
    assert done.returncode == 0, done.stderr[-8000:]
    return json.loads(done.stdout)


def prepare_namespaces() -> None:
    """Loopback up, and name service from it. Only in namespaces of our own: this would cut the machine off."""
    if len(Path("/proc/self/net/route").read_text().splitlines()) > 1:
        sys.exit("there is a network here: to be run by unshare -n -m")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as conf:
        conf.write("nameserver 127.0.0.1\noptions timeout:2 attempts:2\n")
    Path(conf.name).chmod(0o644)
    subprocess.run(["mount", "--bind", conf.name, str(Path("/etc/resolv.conf").resolve())], check=True)
