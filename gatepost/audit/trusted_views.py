"""mynetworks as each listener has it: its value, where that comes from, and what it comes to."""

import msgspec

from gatepost.audit.lint.subject import Place, Subject
from gatepost.audit.networks import TrustedNetworks, trusted_networks
from gatepost.config.errors import ConfigError
from gatepost.config.networks import own_interfaces


class TrustedView(msgspec.Struct, frozen=True):
    """One value of mynetworks.

    where: file and line that set it; None: it is made of `interfaces` (`192.168.87.2/24`) as `style` says. listeners:
    the lines of master.cf that have it; none: no listener does.
    """

    text: str
    where: tuple[str, int] | None
    style: str
    interfaces: tuple[str, ...]
    listeners: tuple[str, ...]
    networks: TrustedNetworks


def trusted_views(subject: Subject) -> list[TrustedView]:
    """Each value that mynetworks has somewhere, that of main.cf first. Raises ConfigError for one that has no sense."""
    places: dict[str, list[Place]] = {}
    for place in (subject.main, *subject.listeners):
        places.setdefault(place.settings.text("mynetworks").strip(), []).append(place)
    return [_view(subject, text, same) for text, same in places.items()]


def _view(subject: Subject, text: str, places: list[Place]) -> TrustedView:
    place = places[0]
    matches = subject.match_list(place, "mynetworks")
    if matches is None:
        raise ConfigError("it cannot be read: is there an item that is only `!`?", parameter="mynetworks")
    listeners = tuple(
        f"{each.service.name} ({each.service.path.rpartition('/')[2]}:{each.service.line})"
        for each in places
        if each.service is not None
    )
    interfaces: tuple[str, ...] = ()
    settings = place.settings
    if not settings.defined("mynetworks"):
        found = own_interfaces(settings.inet_interfaces, settings.inet_protocols, settings.host)
        interfaces = tuple(f"{each.address}/{each.prefix_length}" for each in found)
    return TrustedView(
        text, settings.where("mynetworks"), settings.mynetworks_style, interfaces, listeners, trusted_networks(matches)
    )
