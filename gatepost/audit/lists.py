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
    "smtpd_authorized_verp_clients",
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


def ranges_in_words(matches: MatchList) -> str:
    """What a list stands for, item by item: networks in their usual form, exceptions as `not`; `nobody` if empty."""
    named = {str(item): str(network) for item, network in matches.networks()}
    wrong = {text.partition(": ")[0] for text in matches.problems()}
    words = split_items(matches.text)
    from_files = [item for item in named if item not in {word.lower() for word in words}]
    told: list[str] = []
    for word in words:
        item = word.lower()
        if item in wrong or word in wrong:
            told.append(f"{word} (an error)")
        elif item.lstrip("!").startswith("/"):
            told += [_in_words(each, named[each]) for each in from_files]
            from_files = []
        else:
            told.append(_in_words(word, named.get(item, word.lstrip("!"))))
    return ", ".join(told) or "nobody"


def _in_words(item: str, meaning: str) -> str:
    return f"not {meaning}" if item.startswith("!") else meaning
