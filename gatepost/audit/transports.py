"""Transports that the configuration sends mail to, and those of them that master.cf does not have."""

from collections.abc import Container, Iterator

from gatepost.audit.place import place
from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings

_USED_FOR = {
    "local_transport": "mydestination",
    "virtual_transport": "virtual_mailbox_domains",
    "relay_transport": "relay_domains",
    "default_transport": "",
    "content_filter": "",
}
"""Each parameter, and the list of domains without which it is not used."""


def used_transports(settings: Settings) -> Iterator[tuple[str, str]]:
    """(transport, parameter): those that parameters name and mail is sent to. Tables may name others."""
    for parameter, domains in _USED_FOR.items():
        name = settings.text(parameter).partition(":")[0]
        if name and (not domains or _any(domains, settings)):
            yield name, parameter


def missing_transports(settings: Settings, known: Container[str]) -> Iterator[ConfigError]:
    """`known`: names of the delivery transports. Mail for one that is missing is deferred."""
    for name, parameter in used_transports(settings):
        if name not in known:
            text = f"master.cf has no transport {name}; its mail would be deferred"
            yield place(ConfigError(text), settings, parameter)


def _any(domains: str, settings: Settings) -> bool:
    text = settings.text(domains).strip()
    # relay_domains = $mydestination is the default before compatibility_level 2; mydestination counts first.
    return bool(text) and not (domains == "relay_domains" and text == settings.text("mydestination").strip())
