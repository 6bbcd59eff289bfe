"""Defaults that depend on this host or process. Each is a function of what has been set so far."""

from collections.abc import Callable, Mapping
from typing import Protocol

from gatepost.config.host_facts import HostFacts
from gatepost.config.networks import default_mynetworks, own_interfaces

# What $mydomain is where the host's name has no domain.
DEFAULT_DOMAIN = "localdomain"


class Known(Protocol):
    """What a computed default may ask for."""

    @property
    def host(self) -> HostFacts: ...

    def text(self, name: str) -> str: ...

    def defined(self, name: str) -> bool: ...


def _myhostname(known: Known) -> str:
    name = known.host.hostname()
    if "." in name:
        return name
    domain = known.text("mydomain") if known.defined("mydomain") else DEFAULT_DOMAIN
    return f"{name}.{domain}"


def _mydomain(known: Known) -> str:
    _, dot, parent = known.text("myhostname").partition(".")
    return parent if dot else DEFAULT_DOMAIN


def _mynetworks(known: Known) -> str:
    interfaces = own_interfaces(known.text("inet_interfaces"), known.text("inet_protocols"), known.host)
    return default_mynetworks(known.text("mynetworks_style"), interfaces)


def _gatepost_queue_directory(known: Known) -> str:
    state = known.host.state_directory()
    return f"{state}/gatepost/queue" if state else "/var/spool/gatepost"


def _process_id(known: Known) -> str:
    return str(known.host.process_id())


# The others (config_directory, process_name, service_name) are given by whoever reads the configuration.
DEFAULTS: Mapping[str, Callable[[Known], str]] = {
    "gatepost_queue_directory": _gatepost_queue_directory,
    "mydomain": _mydomain,
    "myhostname": _myhostname,
    "mynetworks": _mynetworks,
    "process_id": _process_id,
}
