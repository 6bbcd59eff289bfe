"""postconf(1): show what main.cf and master.cf say, in the form of Postfix's own command."""

import getopt
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn, TextIO

from gatepost.config.declaration import Type
from gatepost.config.errors import ConfigError
from gatepost.config.host_facts import HostFacts, ThisHost
from gatepost.config.logical_lines import split_name_value
from gatepost.config.mac_expand import references
from gatepost.config.main_cf import MainCf, Setting
from gatepost.config.master_cf import MasterCf, Service
from gatepost.config.parameters import find, service_parameters
from gatepost.config.references import undefined_names, used_names, valid_names
from gatepost.config.settings import Settings

_OPTIONS = "aAbc:C:deEfF#hHlmMno:pPtT:vxX"
_USAGE = (
    "usage: postconf [-b (expanded texts of notices)] [-c config_dir] [-C param_class] [-d (parameter defaults)] "
    "[-f (fold lines)] "
    "[-F (master.cf fields)] [-h (no names)] [-H (no values)] [-M (master.cf)] [-n (non-default parameters)] "
    "[-o name=value (override parameter value)] [-p (main.cf, default)] [-P (master.cf parameters)] "
    "[-t (texts of notices)] [-x (expand parameter values)] [name...]"
)
_CLASSES = ("builtin", "service", "user")
_MASTER_MODES = "MFP"
# Where the fields of a master.cf line begin.
_COLUMNS = (0, 11, 17, 25, 33, 41, 49, 57)
_FIELDS = ("service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command")
_INDENT = 4
_LINE_LIMIT = 80


class _Fatal(Exception):
    """Ends the command with the message and exit status 1."""


@dataclass
class _Options:
    """The command line. `mode` is `p` (main.cf) or one of M, F, P."""

    directory: str
    default_directory: str
    mode: str = "p"
    classes: set[str] = field(default_factory=lambda: set(_CLASSES))
    flags: set[str] = field(default_factory=set)
    overrides: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


class _Files(NamedTuple):
    settings: Mapping[str, Setting]
    master: MasterCf


def main(
    argv: list[str],
    *,
    config_directory: str,
    host: HostFacts | None = None,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Run postconf with these arguments (without the program's name). The exit status: 0, or 1 after a fatal error."""
    out, err = out or sys.stdout, err or sys.stderr
    try:
        options = _parse(argv, config_directory)
        _Command(options, host or ThisHost(), out, err).run()
    except ConfigError as error:
        print(f"postconf: fatal: {error}", file=err)
    except _Fatal as error:
        print(f"postconf: fatal: {error}", file=err)
    else:
        return 0
    return 1


def _parse(argv: list[str], directory: str) -> _Options:
    options = _Options(directory, directory)
    try:
        pairs, options.names = getopt.gnu_getopt(argv, _OPTIONS)
    except getopt.GetoptError:
        raise _Fatal(_USAGE) from None
    for option, value in pairs:
        _take(options, option[1], value)
    if {"h", "H"} <= options.flags:
        raise _Fatal("specify one of -h -H")
    if {"b", "t"} <= options.flags:
        raise _Fatal("specify one of -b and -t")
    for letter in options.flags & {"b", "t"}:
        _check_notices(options, letter)
    if {"d", "n"} <= options.flags:
        raise _Fatal("specify one of -d -n")
    if "d" in options.flags and options.overrides:
        raise _Fatal("specify one of -d -o")
    if options.mode != "p":
        forbidden = "dnhH" if options.mode == "M" else "dn"
        for flag in forbidden:
            if flag in options.flags:
                raise _Fatal(f"with option -{options.mode}, do not specify -{flag}")
    elif any("=" in name for name in options.names):
        _not_here("name=value")
    return options


def _check_notices(options: _Options, letter: str) -> None:
    given = sorted(options.flags - {letter, "v"}) + ["o"] * bool(options.overrides)
    if options.mode != "p":
        given.append(options.mode)
    for other in given:
        raise _Fatal(f"with option -{letter}, do not specify -{other}")
    if len(options.names) > 1:
        raise _Fatal("options -b and -t require at most one template file")


def _take(options: _Options, letter: str, value: str) -> None:
    if letter == "c":
        options.directory = value
    elif letter == "C":
        wanted = value.replace(",", " ").split()
        for name in wanted:
            if name not in (*_CLASSES, "all"):
                raise _Fatal(f'unknown -C option value "{name}" in "{value}"')
        options.classes = set(_CLASSES) if "all" in wanted else set(wanted)
    elif letter == "o":
        try:
            name, text = split_name_value(value)
        except ValueError as problem:
            raise _Fatal(f"invalid parameter override: {value}: {problem}") from None
        options.overrides[name] = text
    elif letter in _MASTER_MODES:
        if options.mode not in ("p", letter):
            raise _Fatal(f"specify one of -{options.mode} -{letter}")
        options.mode = letter
    elif letter in "bdfhHntxpv":
        options.flags.add(letter)
    else:
        _not_here(f"-{letter}")


def _not_here(what: str) -> NoReturn:
    raise _Fatal(f"{what}: not supported: edit main.cf and master.cf with an editor; this command only shows them")


class _Command:
    """One run: the files as they were read, and where to write."""

    def __init__(self, options: _Options, host: HostFacts, out: TextIO, err: TextIO) -> None:
        self.options = options
        self.host = host
        self.out = out
        self.err = err
        self.fold = "f" in options.flags
        self.expand = "x" in options.flags

    def run(self) -> None:
        """Read the files and show what was asked for."""
        files = self._read()
        if self.options.flags & {"b", "t"}:
            self._show_notices(files)
            return
        if "d" not in self.options.flags:
            self._warn_undefined(files)
        if self.options.mode == "p":
            self._show_parameters(files)
        else:
            self._show_services(files)

    def _warn(self, message: str) -> None:
        print(f"postconf: warning: {message}", file=self.err)

    def _read(self) -> _Files:
        directory = self.options.directory
        settings: dict[str, Setting] = {}
        if "d" not in self.options.flags:
            main_cf = MainCf.read(f"{directory}/main.cf")
            for warning in main_cf.warnings:
                self._warn(warning)
            settings = dict(main_cf.settings)
            settings["config_directory"] = Setting(directory)
        settings.update((name, Setting(value)) for name, value in self.options.overrides.items())
        path = f"{directory}/master.cf"
        try:
            master = MasterCf.read(path)
        except ConfigError as error:
            if self.options.mode != "p" or error.line:
                raise
            self._warn(str(error))
            master = MasterCf(path, [], [])
        return _Files(settings, master)

    def _settings(self, files: _Files, **given: str) -> Settings:
        settings = dict(files.settings)
        # Ours, where main.cf does not say otherwise: what the files are read by.
        given.setdefault("process_name", "postconf")
        given.setdefault("config_directory", self.options.default_directory)
        for name, value in given.items():
            settings.setdefault(name, Setting(value))
        return Settings(settings, self.host)

    def _warn_undefined(self, files: _Files) -> None:
        broken = False
        texts = [setting.value for name, setting in files.settings.items() if not _is_raw(name)]
        texts += [value for service in files.master.entries for value in service.overrides.values()]
        for text in texts:
            error = references(text)[1]
            if error:
                self._warn(error)
                broken = True
        if broken:
            raise _Fatal("macro processing error")
        for file, name in undefined_names(files.settings, files.master.entries):
            self._warn(f"{self.options.directory}/{file}: undefined parameter: {name}")

    def _show_notices(self, files: _Files) -> None:
        from gatepost.bounce.template_file import Texts, previewed, shown  # seldom wanted, and it takes its time

        texts = Texts(self._settings(files), self._warn, self.options.names[0] if self.options.names else None)
        self.out.write(previewed(texts) if "b" in self.options.flags else shown(texts))

    # main.cf

    def _show_parameters(self, files: _Files) -> None:
        settings = self._settings(files)
        services = files.master.entries
        valid = valid_names(services)
        used = used_names(files.settings, services) if "d" not in self.options.flags else valid
        own = {item.name for service in services for item in service_parameters(service.name, service.program)}
        classes = self.options.classes
        known = valid | (used & files.settings.keys())
        shown = {name for name in known if _class(name, valid, own) in classes}
        names = self.options.names or sorted(shown)
        for name in names:
            if name not in known:
                self._warn(f"{name}: unknown parameter")
            elif "n" not in self.options.flags or name in files.settings:
                self._show(name, self._text(settings, name))
        if "d" not in self.options.flags:
            for name, setting in files.settings.items():
                if name not in used:
                    self._warn(f"{self.options.directory}/main.cf: unused parameter: {name}={setting.value}")

    def _text(self, settings: Settings, name: str) -> str:
        if not self.expand:
            return settings.raw(name)
        # Of a file that myorigin names, Postfix's command shows the name.
        return settings.expand(settings.raw(name)) if name == "myorigin" else settings.text(name)

    def _show(self, name: str, value: str) -> None:
        if "H" in self.options.flags:
            line = name
        elif "h" in self.options.flags:
            line = value
        else:
            line = f"{name} = {value}"
        print(_folded(line.split(), self.fold), file=self.out)

    # master.cf

    def _show_services(self, files: _Files) -> None:
        mode = self.options.mode
        patterns = [_pattern(request, mode) for request in self.options.names]
        matched = [False] * len(patterns)
        for service in files.master.entries:
            settings = self._settings(files, service_name=service.name, process_name=service.program)
            for path in self._paths(service):
                wanted = [_matches(path, pattern) for pattern in patterns]
                matched = [old or new for old, new in zip(matched, wanted, strict=True)]
                if patterns and not any(wanted):
                    continue
                self._show_path(service, path, settings)
        for request, found in zip(self.options.names, matched, strict=True):
            if not found:
                self._warn(f'unmatched request: "{request}"')
        self._warn_unused_overrides(files)

    def _paths(self, service: Service) -> list[tuple[str, ...]]:
        """What can be shown of a service: itself, its fields or its parameters."""
        key = (service.name, service.type)
        if self.options.mode == "M":
            return [key]
        names: Iterable[str] = _FIELDS if self.options.mode == "F" else sorted(service.overrides)
        return [(*key, name) for name in names]

    def _show_path(self, service: Service, path: tuple[str, ...], settings: Settings) -> None:
        if self.options.mode == "M":
            line = ""
            for column, text in zip(_COLUMNS, service.fields, strict=True):
                line = f"{line} ".ljust(column) + text if column else text
            print(self._command(service, line, settings), file=self.out)
        elif self.options.mode == "P":
            value = service.overrides[path[2]]
            self._show("/".join(path), settings.expand(value) if self.expand else value)
        else:
            name, text = "/".join(path), service.fields[_FIELDS.index(path[2])]
            if "H" in self.options.flags:
                print(name, file=self.out)
                return
            line = text if "h" in self.options.flags else f"{name} = {text}"
            print(self._command(service, line, settings) if path[2] == "command" else line, file=self.out)

    def _command(self, service: Service, line: str, settings: Settings) -> str:
        """`line`, which ends in the program's name, and the program's arguments."""
        pieces = [line]
        length = len(line)
        for text, has_value in self._arguments(service, settings):
            if has_value:
                # An option with a value stands on a line of its own.
                length = _LINE_LIMIT
            if not self.fold or length + 1 + len(text) < _LINE_LIMIT:
                pieces.append(f" {text}")
                length += 1 + len(text)
            else:
                pieces.append("\n" + " " * _INDENT + text)
                length = _INDENT + len(text)
            if has_value:
                length = _LINE_LIMIT
        return "".join(pieces)

    def _arguments(self, service: Service, settings: Settings) -> Iterable[tuple[str, bool]]:
        words = iter(service.words)
        for word in words:
            if not word.startswith("-") or word == "--":
                yield word, False
                break
            if not word.startswith("-o"):
                yield word, False
                continue
            name, value = split_name_value(word[2:] or next(words))
            if self.expand:
                value = settings.expand(value)
            text = f"{name}={value}"
            yield (f"-o {{{text}}}" if len(text.split()) > 1 else f"-o {text}"), True
        for word in words:
            yield word, False

    def _warn_unused_overrides(self, files: _Files) -> None:
        used = used_names(files.settings, files.master.entries)
        for service in files.master.entries:
            # A service may be given parameters that only its own arguments refer to.
            own = {parameter.name for parameter in service_parameters(service.name, service.program)}
            for name, value in service.overrides.items():
                if name not in used and name not in own:
                    self._warn(f"{self.options.directory}/master.cf: unused parameter: {name}={value}")


def _class(name: str, valid: set[str], own: set[str]) -> str:
    """Built in, brought by a master.cf line, or made up by the administrator."""
    if name in own:
        return "service"
    return "builtin" if name in valid else "user"


def _is_raw(name: str) -> bool:
    parameter = find(name)
    return parameter is not None and parameter.type is Type.RAW


def _pattern(request: str, mode: str) -> tuple[str, ...]:
    parts = tuple(request.split("/"))
    wanted = {"M": "service_name[/type]", "F": "service_name[/type[/field]]", "P": "service_name[/type[/parameter]]"}
    if len(parts) > (2 if mode == "M" else 3):
        raise _Fatal(f"-{mode} option requires {wanted[mode]}")
    if mode == "F" and len(parts) == 3 and parts[2] not in (*_FIELDS, "*"):
        raise _Fatal(f'invalid service attribute name: "{parts[2]}"')
    return parts


def _matches(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    return all(part in ("*", text) for text, part in zip(path, pattern, strict=False))


def _folded(words: list[str], fold: bool) -> str:
    """The words with one blank between; if they are to be folded, lines of 80 characters at most where possible."""
    if not fold:
        return " ".join(words)
    lines: list[str] = []
    line = ""
    for word in words:
        if not line:
            line = word
        elif len(line) + 1 + len(word) <= _LINE_LIMIT:
            line += f" {word}"
        else:
            lines.append(line)
            line = " " * _INDENT + word
    return "\n".join([*lines, line])
