"""Which files a configuration names: those that a process without root's rights may ask to have opened.

A worker never names a path. It says which parameter it means, of main.cf or of one line of master.cf, and which of the
files there; whoever opens them knows from the configuration which file that is.
"""

import hashlib
import re
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.parameters import find
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.tables.key_files import FILE_SUFFIXES, named

SNI_MAPS = "tls_server_sni_maps"
"""The one parameter whose tables have the names of key files as values."""

_KEYS = re.compile(rf"(?:smtpd|smtp|lmtp)_tls_(?:{'|'.join(FILE_SUFFIXES)}|dh1024_param_file|trust_anchor_file)")
_SECRETS = re.compile(rf"{_KEYS.pattern}|tls_server_sni_maps|gatepost_sasl_users|\w+_sasl_password_maps")
_TABLE = re.compile(
    r"\b(texthash|hash|btree|dbm|sdbm|lmdb|cdb|cidr|regexp|pcre|ldap|mysql|pgsql|sqlite|memcache):(/[^\s,{}]+)"
)
_VALUE = re.compile(r"(?<=[\s,={:])/[^\s,{}]+")
_INDEX = {"lmdb": ".lmdb", "cdb": ".cdb"}
"""Of the indexes that postmap(1) makes, those that are read where there is no source text."""

_DEFAULTS = ("alias_maps",)
"""Parameters that name tables even if nobody sets them."""

_SERVER = ("smtpd_", "postscreen_", "tls_server_", "gatepost_sasl_")
_CLIENT = ("smtp_", "lmtp_")


class NamedFile(NamedTuple):
    """The file of this number (from 0) of a parameter. `scope`: `name/type` of a master.cf line, empty for main.cf."""

    scope: str
    parameter: str
    number: int
    path: str

    @property
    def is_secret(self) -> bool:
        """Does it hold keys or passwords, so that it may become one that only root may read, if it is not yet?"""
        return _SECRETS.fullmatch(self.parameter) is not None


class NamedFiles:
    """All files that a configuration names, or (`for_role`) those that one kind of worker has any use for."""

    def __init__(self, files: Iterator[NamedFile]) -> None:
        self.files = tuple(files)

    @classmethod
    def of(cls, configuration: Configuration) -> "NamedFiles":
        """Whatever is wrong with the configuration, the rest of it names files."""
        return cls(_all(configuration))

    @cached_property
    def mark(self) -> str:
        """Tells the files of one configuration from those of another."""
        return hashlib.sha256(repr(self.files).encode("utf-8", "surrogatepass")).hexdigest()

    @cached_property
    def _by_path(self) -> dict[str, NamedFile]:
        return {file.path: file for file in reversed(self.files)}

    @cached_property
    def _paths(self) -> dict[tuple[str, str, int], str]:
        return {(file.scope, file.parameter, file.number): file.path for file in self.files}

    def by_path(self, path: str) -> NamedFile | None:
        """How to name this file when asking for it."""
        return self._by_path.get(path)

    def path(self, scope: str, parameter: str, number: int) -> str | None:
        """The file that is meant; None if the configuration names no such file."""
        return self._paths.get((scope, parameter, number))

    def for_role(self, role: str) -> "NamedFiles":
        """What is of the SMTP client only is no business of those who serve clients, and the other way round."""
        return NamedFiles(file for file in self.files if may_ask(role, file.parameter))

    @property
    def server_names(self) -> list[NamedFile]:
        """The tables of SNI_MAPS."""
        return [file for file in self.files if file.parameter == SNI_MAPS]


def may_ask(role: str, parameter: str) -> bool:
    """May a worker (`smtpd`, `delivery`, `qmgr`; `single` does everything) have the files of this parameter?"""
    if role == "single":
        return True
    if parameter.startswith(_SERVER):
        return role == "smtpd"
    return role == "delivery" or not parameter.startswith(_CLIENT)


def _all(configuration: Configuration) -> Iterator[NamedFile]:
    main = configuration.settings
    for name in dict.fromkeys([*main.settings, *_DEFAULTS]):
        yield from _of_parameter("", name, _text(main, name))
    for service in configuration.master:
        if not service.overrides:
            continue
        settings = configuration.settings_for(service)
        for name in dict.fromkeys([*main.settings, *service.overrides]):
            text = _text(settings, name)
            if text != _text(main, name):
                yield from _of_parameter(service.key, name, text)


def _text(settings: Settings, name: str) -> str:
    try:
        return settings.text(name)
    except ConfigError:
        return ""


def _of_parameter(scope: str, name: str, text: str) -> Iterator[NamedFile]:
    paths = dict.fromkeys(_paths_in(name, text)) if "/" in text else ()
    for number, path in enumerate(paths):
        yield NamedFile(scope, name, number, path)


def _paths_in(name: str, text: str) -> Iterator[str]:
    if _KEYS.fullmatch(name):
        yield from named(name, text)
        return
    if name == SNI_MAPS:
        yield from _VALUE.findall(text)  # inline:{www.example.com = /file}
    for kind, path in _TABLE.findall(text):
        yield path
        if kind in _INDEX:
            yield path + _INDEX[kind]
    parameter = find(name)
    if parameter is not None and parameter.kind.endswith("list"):  # mydestination = /file
        yield from (item for item in (word.lstrip("!") for word in split_list(text)) if item.startswith("/"))
