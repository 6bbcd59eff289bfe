"""Transports that the configuration sends mail to and master.cf does not have."""

from collections.abc import Container, Iterator

from gatepost.audit.place import place
from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings

PARAMETERS = ("local_transport", "virtual_transport", "relay_transport", "default_transport")


def missing_transports(settings: Settings, known: Container[str]) -> Iterator[ConfigError]:
    """`known`: names of the delivery transports. Mail for one that is missing is deferred."""
    for parameter in PARAMETERS:
        name = settings.text(parameter).partition(":")[0]
        if name and name not in known:
            yield place(
                ConfigError(f"master.cf has no transport {name}; its mail would be deferred"), settings, parameter
            )
