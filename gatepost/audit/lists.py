"""What match lists come to: networks, exceptions without effect, items that cannot be compared."""

from collections.abc import Iterator

from gatepost.audit.place import place
from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.tables.braces import split_items
from gatepost.tables.match_list import MatchList
from gatepost.tables.opening import Tables

ADDRESS_LISTS = (
    "mynetworks",
    "smtpd_authorized_xclient_hosts",
    "smtpd_authorized_xforward_hosts",
    "smtpd_client_event_limit_exceptions",
    "smtpd_forbid_bare_newline_exclusions",
)
DOMAIN_LISTS = ("mydestination", "relay_domains", "virtual_alias_domains", "virtual_mailbox_domains")


def compile_list(parameter: str, settings: Settings, tables: Tables) -> MatchList:
    """The list that a parameter is. Raises ConfigError with file and line."""
    parents = split_items(settings.parent_domain_matches_subdomains)
    text = settings.text(parameter)
    try:
        return MatchList.compile(parameter, text, tables, match_parent=parameter in parents)
    except ConfigError as error:
        raise place(error, settings, parameter) from None


def broken_items(matches: MatchList, settings: Settings) -> Iterator[ConfigError]:
    """Items at which mail is answered 451 4.3.0 as soon as a client or address comes that far."""
    for text in matches.problems():
        yield place(ConfigError(text), settings, matches.parameter)


def useless_exceptions(matches: MatchList, settings: Settings) -> Iterator[ConfigError]:
    """`!` items that come too late, with the remedy."""
    for text in matches.useless_exceptions():
        yield place(ConfigError(f"{text}; put the exception before it"), settings, matches.parameter)


def without_bounds(matches: MatchList, settings: Settings) -> Iterator[ConfigError]:
    """Networks of `mynetworks` that hold every address there is."""
    for item, network in matches.networks():
        if network.prefix == 0 and not item.negated:
            family = "IPv4" if network.bits == 32 else "IPv6"
            text = f'"{item}" is every {family} address: the whole world may relay'
            yield place(ConfigError(text), settings, matches.parameter)


def ranges_in_words(matches: MatchList) -> str:
    """The networks of a list, exceptions as `not NETWORK`, for people; `nobody` if there are none."""
    words = [f"not {text[1:]}" if text.startswith("!") else text for text in matches.ranges()]
    numbers = len(words)
    if len(split_items(matches.text)) > numbers and any(item for item in _others(matches)):
        words += _others(matches)
    return ", ".join(words) or "nobody"


def _others(matches: MatchList) -> list[str]:
    """Items that are no networks, as written: names, tables."""
    addresses = {str(item) for item, _ in matches.networks()}
    plain = [word for word in split_items(matches.text) if not word.lstrip("!").startswith("/")]
    return [word for word in plain if word not in addresses and word.lower() not in addresses]
