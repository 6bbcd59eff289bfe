"""Parameters of the SMTP client that need more than its own settings."""

import pytest

from gatepost.config.configuration import Configuration
from gatepost.dns.search import SearchingResolver
from gatepost.maillog.sink import MailLog, MemoryOutput
from gatepost.master.foundation import Foundation
from gatepost.master.smtp_delivery import smtp_agent


@pytest.mark.parametrize("program", ["smtp", "lmtp"])
async def test_addresses_are_searched_for_where_main_cf_says_so(program: str) -> None:
    log = MailLog(MemoryOutput(), "postfix", 1)
    for main_cf, searches in (("", False), (f"{program}_dns_resolver_options = res_dnsrch\n", True)):
        configuration = Configuration.parse(main_cf)
        foundation = Foundation(configuration, log)
        agent = smtp_agent(foundation, configuration.settings, program, log.program(program))
        assert agent._opener._connector._writes is foundation.writes
        assert isinstance(agent._finder._resolver, SearchingResolver) == searches
        await agent.close()
