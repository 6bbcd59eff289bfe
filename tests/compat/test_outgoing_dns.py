"""Where mail goes by DNS: Gatepost goes where a real Postfix goes, and says the same where it cannot."""

import json
import subprocess

from tests.compat.play_outgoing_dns import command
from tests.compat.real_postfix import need_postfix, without

ALIAS = ("nodns", "d-alias.example")
"""The C library says of an alias without addresses that it is not there; we know it as a name without addresses."""


def test_the_way_is_postfixs() -> None:
    need_postfix()
    if subprocess.run(["unshare", "-n", "-m", "true"], check=False).returncode:
        without("no namespaces of our own")
    done = subprocess.run(command(), capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    played = json.loads(done.stdout)
    assert sum(map(len, played.values())) > 500
    different = [
        f"{setting}, {domain}:\n  {ours}\n  {theirs}"
        for setting, domains in played.items()
        for domain, (theirs, ours) in domains.items()
        if theirs != ours and (setting, domain) != ALIAS
    ]
    assert not different, "\n".join(different)
