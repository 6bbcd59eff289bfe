import pytest

from gatepost.audit.relay import end_of_list

CLASSES = {"trusted": "permit_mynetworks", "closing": "reject", "open": "permit", "circle": "circle"}


@pytest.mark.parametrize(
    ("text", "open_to_all", "closed"),
    [
        ("permit_mynetworks, reject_unauth_destination", False, True),
        ("permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination", False, True),
        ("reject", False, True),
        ("permit", True, False),
        ("reject_unauth_destination, permit", False, True),
        ("warn_if_reject reject_unauth_destination, permit_mynetworks, reject", False, True),
        ("warn_if_reject reject_unauth_destination, permit_mynetworks", False, False),
        ("check_client_access permit, reject", False, True),
        ("hash:/rcpt, reject", False, True),
        ("reject_rbl_client permit, reject_unknown_client_hostname", False, False),
        ("trusted, reject", False, True),
        ("closing, permit", False, True),
        ("open, reject", True, False),
        ("circle, reject", False, True),
        ("", False, False),
    ],
)
def test_how_a_list_ends(text: str, open_to_all: bool, closed: bool) -> None:
    assert end_of_list(text, CLASSES) == (open_to_all, closed)
