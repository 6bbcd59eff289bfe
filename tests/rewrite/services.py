"""The services of gatepost.rewrite for a host of ours.example."""

import time

from gatepost.config.configuration import Configuration
from gatepost.config.settings import Settings
from gatepost.rewrite.assemble import AddressServices, address_services
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables

MAIN_CF = """
compatibility_level = 3.6
myhostname = mail.ours.example
mydomain = ours.example
mydestination = $myhostname localhost.$mydomain localhost
alias_maps =
"""


def settings_for(main_cf: str = "", **changes: str) -> Settings:
    """The settings of the test host, with more lines of main.cf, or parameters as keywords."""
    more = "".join(f"{name} = {value}\n" for name, value in changes.items())
    return Configuration.parse(MAIN_CF + main_cf + "\n" + more).settings


class Services:
    """The services, the warnings they gave, and a clock to be set."""

    def __init__(self, main_cf: str = "", **changes: str) -> None:
        self.warnings: list[str] = []
        self.now = 100.0
        self.settings = settings_for(main_cf, **changes)
        self.tables = Tables(TableEnvironment(clock=time.monotonic, warn=self.warnings.append))
        self.all: AddressServices = address_services(
            self.settings,
            self.tables,
            ("127.0.0.1", "::1", "192.0.2.25"),
            clock=lambda: self.now,
            warn=self.warnings.append,
        )
