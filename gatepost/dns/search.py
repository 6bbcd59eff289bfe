"""Names of hosts looked up in other domains, too, as the C library does it (res_search(3), resolv.conf(5)).

For smtp_dns_resolver_options. As with Postfix only addresses are searched for; MX records are those of the very name.
"""

from collections.abc import Callable

from gatepost.config.errors import ConfigError
from gatepost.config.values import split_list
from gatepost.dns.answers import Answer, Resolver, RRType
from gatepost.dns.servers import ServerSettings

OPTIONS = frozenset(("res_defnames", "res_dnsrch"))


def search_options(text: str, parameter: str) -> frozenset[str]:
    """Those of smtp_dns_resolver_options. Raises ConfigError."""
    options = frozenset(split_list(text.lower()))
    if unknown := options - OPTIONS:
        raise ConfigError(f'unknown value "{min(unknown)}" in "{text}"', parameter=parameter)
    return options


class SearchingResolver:
    """With `res_defnames` a name without dots gets the first domain of the list appended, with `res_dnsrch` as well
    each of them; with that alone, names with dots do. `lists` gives the domains and when they come first; without any,
    `own_domain` counts.
    """

    def __init__(
        self, resolver: Resolver, options: frozenset[str], lists: Callable[[], ServerSettings], own_domain: str
    ) -> None:
        self._resolver = resolver
        self._options = options
        self._lists = lists
        self._own_domain = own_domain

    async def query(self, name: str, rrtype: RRType) -> Answer:
        """As Resolver's. Of failures, the one that says most about the name counts."""
        ask = self._resolver.query
        if rrtype not in ("A", "AAAA"):
            return await ask(name, rrtype)
        settings = self._lists()
        domains = settings.search or ((self._own_domain,) if self._own_domain else ())
        dots = name.count(".")
        as_is = await ask(name, rrtype) if dots >= settings.ndots else None
        if as_is is not None and as_is.outcome == "found":
            return as_is
        failures: dict[str, Answer] = {}
        if ("res_dnsrch" if dots else "res_defnames") in self._options:
            for domain in domains if "res_dnsrch" in self._options else domains[:1]:
                answer = await ask(f"{name}.{domain}".rstrip("."), rrtype)
                if answer.outcome == "found":
                    return answer
                failures.setdefault(answer.outcome, answer)
        if as_is is not None:
            return as_is
        answer = await ask(name, rrtype)
        if answer.outcome == "found":
            return answer
        return failures.get("no_data") or failures.get("try_again") or answer
