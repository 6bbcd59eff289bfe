from gatepost.audit.lint.nearest import nearest

NAMES = ["mydestination", "mynetworks", "hash", "cidr", "relayhost"]


def test_nearest() -> None:
    assert nearest("mydestinations", NAMES) == "mydestination"
    assert nearest("hsah", NAMES) == "hash"
    assert nearest("something_else", NAMES) == ""
