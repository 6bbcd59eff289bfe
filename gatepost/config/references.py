"""Which names of main.cf are put to use, as postconf(1) finds out: by `$name`, and as restriction classes."""

import re
from collections.abc import Iterable, Mapping

from gatepost.config.declaration import Type
from gatepost.config.mac_expand import mac_expand, references
from gatepost.config.main_cf import MainCf, Setting
from gatepost.config.master_cf import Service
from gatepost.config.parameters import BUILT_IN_TRANSPORT_PARAMETERS, PARAMETERS, service_parameters
from gatepost.config.values import split_list

DATABASE_TYPES = ("ldap", "mysql", "pgsql", "sqlite", "memcache", "mongodb")
"""Types of tables with settings of their own: in a file, or in main.cf as NAME_query and the like."""

_DATABASE = re.compile(rf"(?:{'|'.join(DATABASE_TYPES)}):(\w+)(?=[,\s]|$)", re.ASCII)


def valid_names(services: Iterable[Service]) -> set[str]:
    """The names of all parameters that exist with these master.cf services."""
    names = set(PARAMETERS) | BUILT_IN_TRANSPORT_PARAMETERS
    for service in services:
        names.update(parameter.name for parameter in service_parameters(service.name, service.program))
    return names


def unused_names(main: MainCf, services: list[Service]) -> list[str]:
    """The names set in main.cf that are neither parameters nor used by one, in the order of the file."""
    used = used_names(main.settings, services)
    return [name for name in main.settings if name not in used]


def used_names(settings: Mapping[str, Setting], services: list[Service]) -> set[str]:
    """All parameters, and the names that any value or `-o` override refers to."""
    used = valid_names(services)
    for text in _texts(settings, services):
        used.update(reference.name for reference in references(text)[0])
        for source in _DATABASE.findall(text):
            used.update(name for name in settings if name.startswith(f"{source}_"))
    return used | restriction_classes(settings)


def undefined_names(settings: Mapping[str, Setting], services: list[Service]) -> list[tuple[str, str]]:
    """Which file (`main.cf`, `master.cf`) refers as `$name` to which name that nothing defines."""
    known = valid_names(services) | settings.keys()
    texts = [("main.cf", setting.value, known) for name, setting in settings.items() if not _is_raw(name)]
    for service in services:
        own = known | service.overrides.keys()
        texts += [("master.cf", value, own) for value in service.overrides.values()]
    found: dict[tuple[str, str], None] = {}
    for file, text, defined in texts:
        for name, tested in references(text)[0]:
            if not tested and name not in defined:
                found[file, name] = None
    return list(found)


def restriction_classes(settings: Mapping[str, Setting]) -> set[str]:
    """The names in `smtpd_restriction_classes`."""
    setting = settings.get("smtpd_restriction_classes")
    if setting is None:
        return set()

    def value(name: str) -> str | None:
        found = settings.get(name)
        return None if found is None else found.value

    return set(split_list(mac_expand(setting.value, value).text))


def _texts(settings: Mapping[str, Setting], services: list[Service]) -> Iterable[str]:
    yield from (setting.value for setting in settings.values())
    yield from (parameter.default for name, parameter in PARAMETERS.items() if name not in settings)
    for service in services:
        yield from service.overrides.values()


def _is_raw(name: str) -> bool:
    """Raw parameters are expanded elsewhere, with names that are known only there."""
    return name in PARAMETERS and PARAMETERS[name].type is Type.RAW
