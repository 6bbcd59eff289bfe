"""Which names of main.cf are put to use, as postconf(1) finds out: by `$name`, and as restriction classes."""

from collections.abc import Iterable, Mapping

from gatepost.config.mac_expand import mac_expand, names_used
from gatepost.config.main_cf import MainCf, Setting
from gatepost.config.master_cf import Service
from gatepost.config.parameters import BUILT_IN_TRANSPORT_PARAMETERS, PARAMETERS, service_parameters
from gatepost.config.values import split_list


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
    """All parameters, and the names that the values of used ones and the `-o` overrides refer to, in any depth."""
    used = valid_names(services)
    texts = [setting.value for name, setting in settings.items() if name in used]
    texts += [parameter.default for name, parameter in PARAMETERS.items() if name not in settings]
    for service in services:
        texts += service.overrides.values()
    classes = restriction_classes(settings)
    used |= classes
    texts += [settings[name].value for name in classes if name in settings]
    while texts:
        for name in names_used(texts.pop()):
            if name not in used:
                used.add(name)
                if name in settings:
                    texts.append(settings[name].value)
    return used


def restriction_classes(settings: Mapping[str, Setting]) -> set[str]:
    """The names in `smtpd_restriction_classes`."""
    setting = settings.get("smtpd_restriction_classes")
    if setting is None:
        return set()

    def value(name: str) -> str | None:
        found = settings.get(name)
        return None if found is None else found.value

    return set(split_list(mac_expand(setting.value, value).text))
