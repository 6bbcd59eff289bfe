import pytest

from gatepost.audit.transports import missing_transports
from gatepost.config.configuration import Configuration

KNOWN = {"smtp", "local"}


@pytest.mark.parametrize(
    ("main_cf", "told"),
    [
        ("", []),
        ("virtual_mailbox_domains = v.example\n", ["virtual_transport"]),
        ("relay_domains = r.example\n", ["relay_transport"]),
        ("relay_domains = r.example\nrelay_transport = smtp:[10.0.0.1]\n", []),
        ("default_transport = uucp:host\n", ["default_transport"]),
        ("content_filter = scan:localhost:10025\n", ["content_filter"]),
        ("mydestination =\nlocal_transport = error:no local mail\n", []),
    ],
)
def test_transports_that_master_cf_does_not_have(main_cf: str, told: list[str]) -> None:
    settings = Configuration.parse(main_cf).settings
    assert [error.parameter for error in missing_transports(settings, KNOWN)] == told
