"""DANE: Gatepost verifies the servers that a real Postfix verifies, and says the same of the others."""

from tests.compat.real_postfix import need_namespaces, need_postfix
from tests.namespaces import played_in_namespaces


def test_dane_is_postfixs() -> None:
    need_postfix()
    need_namespaces()
    played = played_in_namespaces("tests.compat.play_dane", limit=600)
    assert sum(map(len, played.values())) > 500
    different = [
        f"{setting}, {case}:\n  ours: {ours}\n  Postfix's: {theirs}"
        for setting, cases in played.items()
        for case, (theirs, ours) in cases.items()
        if theirs != ours
    ]
    assert not different, "\n".join(different)
