"""Where mail goes by DNS: Gatepost goes where a real Postfix goes, and says the same where it cannot."""

from tests.compat.real_postfix import need_namespaces, need_postfix
from tests.namespaces import played_in_namespaces

ALIAS = ("nodns", "d-alias.example")
"""The C library says of an alias without addresses that it is not there; we know it as a name without addresses."""


def test_the_way_is_postfixs() -> None:
    need_postfix()
    need_namespaces()
    played = played_in_namespaces("tests.compat.play_outgoing_dns", limit=600)
    assert sum(map(len, played.values())) > 500
    different = [
        f"{setting}, {domain}:\n  {ours}\n  {theirs}"
        for setting, domains in played.items()
        for domain, (theirs, ours) in domains.items()
        if theirs != ours and (setting, domain) != ALIAS
    ]
    assert not different, "\n".join(different)
