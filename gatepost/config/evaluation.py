"""From the texts of main.cf and `-o` to values: what is set, else the default, expanded, converted and checked."""

from collections.abc import Mapping
from pathlib import Path

from gatepost.config import computed
from gatepost.config.compatibility import checked_level
from gatepost.config.declaration import Parameter, Type
from gatepost.config.errors import ConfigError
from gatepost.config.host_facts import HostFacts
from gatepost.config.mac_expand import mac_expand
from gatepost.config.main_cf import Setting
from gatepost.config.parameters import PARAMETERS, find, transport_parameter
from gatepost.config.values import LONG_MAX, LONG_MIN, parse_bool, parse_int, parse_time, unit_of_default

Value = bool | int | str
_NUMBERS = (Type.NUMBER, Type.SIZE)


def _domain_to_ascii(domain: str) -> str:
    """`${domain_to_ascii{text}}`: the A-label form, for parameters that are compared with it."""
    if domain.isascii():
        return domain
    import idna  # takes a fiftieth of the time of a short command, and hardly anybody needs it

    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError as problem:
        raise ValueError(f"domain_to_ascii: {domain}: {problem}") from None


_FUNCTIONS = {"domain_to_ascii": _domain_to_ascii}


class Evaluation:
    """The parameters as one service sees them. Values are worked out when they are first asked for."""

    host: HostFacts
    settings: Mapping[str, Setting]

    def __init__(self, settings: Mapping[str, Setting], host: HostFacts) -> None:
        vars(self).update(settings=settings, host=host, _busy=set())

    def __reduce__(self) -> tuple[type["Evaluation"], tuple[Mapping[str, Setting], HostFacts]]:
        # Values worked out so far are left behind.
        return type(self), (self.settings, self.host)

    def defined(self, name: str) -> bool:
        """Whether main.cf or an override sets it."""
        return name in self.settings

    def where(self, name: str) -> tuple[str, int] | None:
        """File and line (from 1) that set it; None if it is not set, or not in a file."""
        setting = self.settings.get(name)
        return (setting.path, setting.line) if setting is not None and setting.line else None

    def raw(self, name: str) -> str:
        """The text as written, or the default, not expanded; '' if there is neither. Raises ConfigError."""
        return self._lookup(name) or ""

    def text(self, name: str) -> str:
        """The expanded text (as written if the type is raw) of any name, also of a made up one; '' if undefined.

        Raises ConfigError.
        """
        if name == "myorigin":
            return self._myorigin()
        parameter = PARAMETERS.get(name)
        if parameter is not None and parameter.type is Type.RAW:
            return self.raw(name)
        return self._expanded(self.raw(name), name)

    def expand(self, text: str) -> str:
        """`text` with its `$name`s replaced. Raises ConfigError."""
        return self._expanded(text, "")

    def value(self, name: str) -> Value:
        """The value of a parameter in its own type (times in seconds). KeyError for unknown ones; ConfigError."""
        parameter = find(name)
        if parameter is None:
            raise KeyError(name)
        return self._value(parameter)

    def transport_value(self, transport: str, suffix: str) -> int | str:
        """The value of TRANSPORT_SUFFIX, else its default (mostly `$default_SUFFIX`). KeyError, ConfigError."""
        value = self._value(transport_parameter(transport, suffix))
        assert not isinstance(value, bool)
        return value

    def check(self) -> list[ConfigError]:
        """Work out everything that is set; what is wrong, in the order of the files."""
        errors = []
        for name in self.settings:
            try:
                parameter = find(name)
                if parameter is None:
                    self.text(name)
                else:
                    self._value(parameter)
            except ConfigError as error:
                errors.append(error)
        return errors

    def _error(self, message: str, name: str) -> ConfigError:
        path, line = self.where(name) or ("", 0)
        return ConfigError(message, path=path, line=line, parameter=name)

    def _lookup(self, name: str) -> str | None:
        setting = self.settings.get(name)
        if setting is not None:
            return setting.value
        parameter = find(name)
        if parameter is None:
            return None
        if parameter.computed and name in computed.DEFAULTS:
            return self._computed(name)
        return parameter.default

    def _computed(self, name: str) -> str:
        busy: set[str] = vars(self)["_busy"]
        if name in busy:
            # `mydomain = $myhostname` with neither known: as if it were undefined.
            return ""
        busy.add(name)
        try:
            return computed.DEFAULTS[name](self)
        except ValueError as problem:
            raise self._error(str(problem), name) from None
        finally:
            busy.discard(name)

    def _expanded(self, text: str, name: str) -> str:
        if "$" not in text:
            return text
        expansion = mac_expand(text, self._lookup_for_expansion, functions=_FUNCTIONS)
        if expansion.error:
            raise self._error(expansion.error, name)
        return expansion.text

    def _lookup_for_expansion(self, name: str) -> str | None:
        return self._myorigin() if name == "myorigin" else self._lookup(name)

    def _myorigin(self) -> str:
        """Debian's extension: a pathname stands for the first line of that file."""
        busy: set[str] = vars(self)["_busy"]
        if "myorigin" in busy:
            raise self._error('unreasonable macro call nesting: "myorigin"', "myorigin")
        busy.add("myorigin")
        try:
            text = self._expanded(self.raw("myorigin"), "myorigin")
        finally:
            busy.discard("myorigin")
        return self._first_line(text) if text.startswith("/") else text

    def _first_line(self, path: str) -> str:
        try:
            return Path(path).read_text("utf-8").split("\n", 1)[0].strip()
        except OSError as problem:
            raise self._error(f"{path}: cannot open file: {problem.strerror}", "myorigin") from None
        except ValueError:
            raise self._error(f"{path}: text is not valid UTF-8", "myorigin") from None

    def _value(self, parameter: Parameter) -> Value:
        name = parameter.name
        if parameter.type is Type.RAW:
            return self._checked_text(parameter, self._raw_of(parameter))
        text = self.text(name) if name == "myorigin" else self._expanded(self._raw_of(parameter), name)
        try:
            if parameter.type is Type.BOOLEAN:
                return parse_bool(name, text)
            if parameter.type is Type.TIME:
                return self._checked_time(parameter, parse_time(text, self._unit(parameter)))
            if parameter.type in _NUMBERS:
                return self._number(parameter, text)
        except ValueError as problem:
            raise self._error(str(problem), name) from None
        if name == "compatibility_level":
            path, line = self.where(name) or ("", 0)
            checked_level(text, path, line)
        return self._checked_text(parameter, text)

    def _unit(self, parameter: Parameter) -> str:
        # The queue manager and pipe(8) take their per-transport times in seconds, whatever the fallback says.
        if parameter.name not in PARAMETERS:
            return "s"
        return unit_of_default(self._expanded(parameter.default, parameter.name))

    def _raw_of(self, parameter: Parameter) -> str:
        """As raw(), but by the declaration: a per-transport parameter need not be known by name."""
        setting = self.settings.get(parameter.name)
        if setting is not None:
            return setting.value
        return self.raw(parameter.name) if parameter.computed else parameter.default

    def _number(self, parameter: Parameter, text: str) -> int:
        if parameter.type is Type.SIZE:
            number = parse_int(parameter.name, text, LONG_MIN, LONG_MAX)
        else:
            number = parse_int(parameter.name, text)
        if parameter.minimum and number < parameter.minimum:
            raise ValueError(f"invalid {parameter.name} parameter value {number} < {parameter.minimum}")
        if parameter.maximum and number > parameter.maximum:
            raise ValueError(f"invalid {parameter.name} parameter value {number} > {parameter.maximum}")
        return number

    def _checked_time(self, parameter: Parameter, seconds: int) -> int:
        if parameter.minimum and seconds < parameter.minimum:
            raise ValueError(f"invalid {parameter.name}: {seconds} (min {parameter.minimum})")
        if parameter.maximum and seconds > parameter.maximum:
            raise ValueError(f"invalid {parameter.name}: {seconds} (max {parameter.maximum})")
        return seconds

    def _checked_text(self, parameter: Parameter, text: str) -> str:
        name, length = parameter.name, len(text)
        # A default that is too short (virtual_mailbox_base) is the business of whoever needs the parameter.
        if length < parameter.shortest and name in self.settings:
            raise self._error(f"bad string length {length} < {parameter.shortest}: {name} = {text}", name)
        if parameter.longest and length > parameter.longest:
            raise self._error(f"bad string length {length} > {parameter.longest}: {name} = {text}", name)
        return text
