from pathlib import Path

import pytest

from gatepost.audit.classes import in_two_classes
from gatepost.audit.lists import DOMAIN_LISTS, compile_list
from gatepost.config.configuration import Configuration
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables


def found(main_cf: str) -> list[tuple[str, str]]:
    settings = Configuration.parse(f"mydestination =\nvirtual_alias_maps =\n{main_cf}").settings
    tables = Tables(TableEnvironment(clock=lambda: 0.0, warn=lambda text: None))
    lists = {name: compile_list(name, settings, tables) for name in DOMAIN_LISTS}
    return [(error.parameter, error.message.split(";")[0]) for error in in_two_classes(lists, settings)]


@pytest.mark.parametrize(
    ("main_cf", "told"),
    [
        ("mydestination = a.example\nrelay_domains = a.example\n", []),
        ("mydestination = a.example\nvirtual_alias_domains = b.example\n", []),
        (
            "mydestination = a.example\nvirtual_alias_domains = b.example, A.example\n",
            [("mydestination", "domain a.example is also in virtual_alias_domains")],
        ),
        (
            "relay_domains = example\nvirtual_mailbox_domains = a.example\n",
            [("virtual_mailbox_domains", "domain a.example is also in relay_domains")],
        ),
        ("mydestination = a.example\nvirtual_alias_domains = fail:x\n", []),
    ],
)
def test_domains_of_two_classes(main_cf: str, told: list[tuple[str, str]]) -> None:
    assert found(f"parent_domain_matches_subdomains = relay_domains\n{main_cf}") == told


def test_a_domain_in_a_table(tmp_path: Path) -> None:
    table = tmp_path / "virtual"
    table.write_text("a.example anything\n")
    main_cf = f"mydestination = a.example\nvirtual_alias_domains = texthash:{table}\n"
    assert found(main_cf) == [("mydestination", "domain a.example is also in virtual_alias_domains")]
