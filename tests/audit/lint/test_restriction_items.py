from gatepost.audit.lint.restriction_items import flat, list_items
from gatepost.audit.lint.subject import Place
from gatepost.config.configuration import Configuration


def shown(text: str) -> list[str]:
    return [f"{'?' * item.warned}{item}" for item in list_items(text)]


def test_arguments_are_taken_as_the_server_does() -> None:
    assert shown("permit_mynetworks, check_sender_access hash:/etc/s reject") == [
        "permit_mynetworks",
        "check_sender_access hash:/etc/s",
        "reject",
    ]
    assert shown("reject_rbl_client a.b reject_rbl_client") == ["reject_rbl_client a.b", "reject_rbl_client"]
    assert shown("sleep 5, sleep permit") == ["sleep 5", "sleep", "permit"]
    assert shown("check_policy_service { unix:private/p, timeout = 5 } reject")[1] == "reject"


def test_warnings_and_bare_tables() -> None:
    items = list_items("warn_if_reject reject_unknown_client hash:/etc/c, WARN_IF_REJECT")
    assert [(item.name, item.warned, item.table) for item in items] == [
        ("reject_unknown_client_hostname", True, ""),
        ("", False, "hash:/etc/c"),
    ]


def test_classes_are_laid_flat_once() -> None:
    main = "smtpd_restriction_classes = a, b\na = permit_mynetworks, b\nb = a, reject\n"
    place = Place(Configuration.parse(main).settings, None, "/etc/postfix/main.cf")
    names = [item.name for item in flat(place, list_items("a, permit"))]
    assert names == ["permit_mynetworks", "a", "reject", "permit"]
