"""A configuration directory as a whole: main.cf, master.cf, and what they come to."""

from collections.abc import Iterator

from gatepost.config.errors import ConfigError
from gatepost.config.host_facts import HostFacts, ThisHost
from gatepost.config.main_cf import MainCf, Setting
from gatepost.config.master_cf import MasterCf, Service
from gatepost.config.parameters import find
from gatepost.config.references import unused_names
from gatepost.config.settings import Settings
from gatepost.config.values import split_list

_OFF = frozenset(("", "no", "none", "0"))


class Configuration:
    """main.cf and master.cf of one directory. `warnings` holds what Postfix would log while reading them."""

    __slots__ = ("_host", "directory", "main", "master", "master_cf", "settings", "warnings")

    def __init__(self, directory: str, main: MainCf, master_cf: MasterCf, host: HostFacts) -> None:
        self.directory = directory
        self.main = main
        self.master_cf = master_cf
        self.master: list[Service] = master_cf.services
        self.warnings = [*main.warnings, *master_cf.warnings]
        self._host = host
        self.settings = Settings(self._base(), host)

    @classmethod
    def read(cls, directory: str, host: HostFacts | None = None) -> "Configuration":
        """Read both files. Raises ConfigError that names the file, and the line where there is one."""
        main = MainCf.read(f"{directory}/main.cf")
        master = MasterCf.read(f"{directory}/master.cf")
        return cls(directory, main, master, host or ThisHost())

    @classmethod
    def parse(
        cls, main: str, master: str = "", *, directory: str = "/etc/gatepost", host: HostFacts | None = None
    ) -> "Configuration":
        """As read(), from texts."""
        return cls(
            directory,
            MainCf.parse(main.encode("utf-8", "surrogatepass"), f"{directory}/main.cf"),
            MasterCf.parse(master.encode("utf-8", "surrogatepass"), f"{directory}/master.cf"),
            host or ThisHost(),
        )

    def settings_for(self, service: Service, **extra: str) -> Settings:
        """The settings of a master.cf service: main.cf, then its `-o` overrides, then `extra` (e.g. stress)."""
        settings = self._base()
        for name, value in service.overrides.items():
            settings[name] = Setting(value, service.path, service.line)
        given = {"service_name": service.name, "process_name": service.program, **extra}
        settings.update((name, Setting(value)) for name, value in given.items())
        return Settings(settings, self._host)

    def unused(self) -> list[str]:
        """Names that main.cf sets and nothing uses: no parameter, no `$name` anywhere, no restriction class."""
        return unused_names(self.main, self.master)

    def check(self) -> list[ConfigError]:
        """Everything that is wrong with the values, those of `-o` overrides included."""
        errors = self.settings.check()
        seen = {str(error) for error in errors}
        for service in self.master:
            for error in self.settings_for(service).check():
                if str(error) not in seen:
                    seen.add(str(error))
                    errors.append(error)
        return errors

    def not_honoured(self) -> list[ConfigError]:
        """Known parameters that are set but not honoured yet, for `gatepost check`."""
        return [
            ConfigError("not supported yet", path=setting.path, line=setting.line, parameter=name)
            for name, setting, settings in self._neglected()
            if not _is_off(settings, name)
        ]

    def partly_honoured(self) -> list[ConfigError]:
        """Parameters that are set, and what of them is not supported yet."""
        found = []
        for name, setting, settings in self._set():
            parameter = find(name)
            if parameter is not None and parameter.partly and not _is_off(settings, name):
                found.append(ConfigError(parameter.partly, path=setting.path, line=setting.line, parameter=name))
        return found

    def refusals(self) -> list[ConfigError]:
        """Of those, the ones that must keep the service from starting: neglect would accept, leak or skip a filter."""
        errors = []
        for name, setting, settings in self._neglected():
            parameter = find(name)
            if parameter is None or parameter.harmless is None:
                continue
            try:
                value = settings.text(name).lower()
            except ConfigError as error:
                errors.append(error)
                continue
            if value not in parameter.harmless:
                message = f'"{value}" is not supported yet and cannot be ignored safely'
                errors.append(ConfigError(message, path=setting.path, line=setting.line, parameter=name))
        return errors

    def _neglected(self) -> Iterator[tuple[str, Setting, Settings]]:
        return ((name, setting, settings) for name, setting, settings in self._set() if _is_neglected(name))

    def _set(self) -> Iterator[tuple[str, Setting, Settings]]:
        """What is set, in main.cf and by `-o`, with the settings that it belongs to."""
        for name, setting in self.main.settings.items():
            yield name, setting, self.settings
        for service in self.master:
            settings = self.settings_for(service) if service.overrides else self.settings
            for name in service.overrides:
                yield name, settings.settings[name], settings

    def _base(self) -> dict[str, Setting]:
        settings = dict(self.main.settings)
        settings["config_directory"] = Setting(self.directory)
        return settings


def _is_off(settings: Settings, name: str) -> bool:
    """Is it set to what we do anyway, since we lack what it would switch on?"""
    parameter = find(name)
    if parameter is None or (parameter.harmless is None and not parameter.partly):
        return False
    try:
        value = settings.text(name).lower()
    except ConfigError:
        return False
    if parameter.partly and parameter.harmless is not None:
        return all(word in parameter.harmless for word in split_list(value))
    return value in _OFF and (parameter.harmless is None or value in parameter.harmless)


def _is_neglected(name: str) -> bool:
    parameter = find(name)
    return parameter is not None and not parameter.honoured
