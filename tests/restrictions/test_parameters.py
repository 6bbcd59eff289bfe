import pytest

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.host_facts import FixedHost
from gatepost.config.parameters import PARAMETERS
from gatepost.restrictions.parameters import AccessParameters, access_parameters


def parameters(main_cf: str) -> AccessParameters:
    return access_parameters(Configuration.parse(main_cf, host=FixedHost()).settings)


def test_defaults_are_those_of_the_registry() -> None:
    found = parameters("compatibility_level = 3.6\nmynetworks =\nmyhostname = h.example\n")
    own = AccessParameters()
    differ = {
        name
        for name in AccessParameters.__struct_fields__
        if name in PARAMETERS and getattr(own, name) != getattr(found, name)
    }
    assert differ <= {
        "local_recipient_maps",
        "virtual_alias_maps",
        "myorigin",
        "address_verify_sender",
        "mynetworks_style",
        "myhostname",
    }


def test_classes_and_values() -> None:
    found = parameters(
        "smtpd_restriction_classes = one, two\none = $two\ntwo = permit\nsoft_bounce = yes\nreject_code = 421"
    )
    assert found.classes == {"one": "permit", "two": "permit"}
    assert found.soft_bounce
    assert found.reject_code == 421


@pytest.mark.parametrize(
    ("main_cf", "unset"),
    [
        ("compatibility_level = 3.6", set()),
        ("compatibility_level = 3.5", {"smtpd_relay_before_recipient_restrictions"}),
        ("compatibility_level = 1", {"smtpd_relay_before_recipient_restrictions", "mynetworks", "relay_domains"}),
        (
            "compatibility_level = 1\nmynetworks_style = host\nrelay_domains =",
            {"smtpd_relay_before_recipient_restrictions"},
        ),
        (
            "",
            {"smtpd_relay_before_recipient_restrictions", "mynetworks", "relay_domains", "smtpd_relay_restrictions"},
        ),
    ],
)
def test_defaults_of_old_versions(main_cf: str, unset: set[str]) -> None:
    assert parameters(main_cf).unset == unset


def test_tempfail_actions() -> None:
    with pytest.raises(ConfigError, match="unknown_address_tempfail_action"):
        parameters("unknown_address_tempfail_action = maybe")
