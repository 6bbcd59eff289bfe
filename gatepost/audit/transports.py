"""Transports that the configuration sends mail to and master.cf does not have."""

from collections.abc import Container, Iterator

from gatepost.audit.place import place
from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings

_USED_FOR = {
    "local_transport": "mydestination",
    "virtual_transport": "virtual_mailbox_domains",
    "relay_transport": "relay_domains",
    "default_transport": "",
}
"""Each parameter, and the list of domains without which it is not used."""


def missing_transports(settings: Settings, known: Container[str]) -> Iterator[ConfigError]:
    """`known`: names of the delivery transports. Mail for one that is missing is deferred."""
    for parameter, domains in _USED_FOR.items():
        name = settings.text(parameter).partition(":")[0]
        if name and name not in known and (not domains or settings.text(domains).strip()):
            text = f"master.cf has no transport {name}; its mail would be deferred"
            yield place(ConfigError(text), settings, parameter)
