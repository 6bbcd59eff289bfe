"""Where in the configuration a mistake stands."""

from collections.abc import Iterable

from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.tables.braces import split_items


def place(error: ConfigError, settings: Settings, parameter: str = "") -> ConfigError:
    """The same mistake with the parameter's file and line, where it has none of its own."""
    parameter = error.parameter or parameter
    path, line = error.path, error.line
    if not path and parameter:
        path, line = settings.where(parameter) or ("", 0)
    return ConfigError(error.message, path=path, line=line, parameter=parameter)


def where_set(settings: Settings, parameter: str) -> str:
    """Where a parameter is set: `/etc/postfix/main.cf, line 12`; else `its default`."""
    where = settings.where(parameter)
    return f"{where[0]}, line {where[1]}" if where is not None else "its default"


def place_of_table(text: str, places: Iterable[Settings]) -> ConfigError | None:
    """What is wrong with a table, at the parameter that names it; None if none does (it is a default value).

    `text` holds the table's name or the path of its file. `places`: main.cf, and the services with their `-o`.
    """
    for settings in places:
        for parameter in settings.settings:
            try:
                value = settings.text(parameter)
            except ConfigError:
                continue
            if ":" in value and any(_names(word, text) for word in split_items(value)):
                return place(ConfigError(text), settings, parameter)
    return None


def _names(word: str, text: str) -> bool:
    kind, colon, name = word.lstrip("!").removeprefix("proxy:").partition(":")
    return bool(colon) and name.startswith("/") and (f"{kind}:{name} " in text or f" {name}," in text)
