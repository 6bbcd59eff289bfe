"""bounce_template_file (bounce(5)): other texts for notices; what their names of parameters stand for; the preview."""

import re
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from gatepost.bounce.template import ALL, Template
from gatepost.config.errors import ConfigError
from gatepost.config.logical_lines import split_name_value
from gatepost.config.mac_expand import mac_expand
from gatepost.config.parameters import find
from gatepost.config.settings import Settings
from gatepost.mail.hostname import domain_to_utf8
from gatepost.mail.named_address import named_address

Warn = Callable[[str], None]

_HEADER = re.compile(r"([!-9;-~]+)[ \t]*:(.*)", re.ASCII)
_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 7 * 86400}
_TIMES = ("delay_warning_time", "maximal_queue_lifetime")
_LARGEST = 999
"""A larger number of hours, or of a smaller unit, is hard to read."""


class Texts:
    """The templates in use, and their texts with values in the place of names.

    Made anew for each configuration. `warn` hears what is wrong with the file, and, when a text is first used, what is
    odd about it. Raises ConfigError where Postfix's bounce(8) would end.
    """

    def __init__(self, settings: Settings, warn: Warn, path: str | None = None) -> None:
        """`path`: another file than bounce_template_file."""
        self._settings = settings
        self._warn = warn
        self._cautions: dict[str, list[str]] = {}
        self._filled: dict[str, str] = {}
        templates = {template.name: template for template in ALL}
        sender = named_address("Mail Delivery System", "MAILER-DAEMON", settings.header_from_format)
        if sender != ALL[0].sender:
            templates = {name: replace(each, sender=sender) for name, each in templates.items()}
        file = settings.bounce_template_file if path is None else path
        if file:
            templates.update(read_templates(file, templates, warn))
        self.failure, self.delay, self.success, self.verify = templates.values()

    def __iter__(self) -> Iterator[Template]:
        return iter((self.failure, self.delay, self.success, self.verify))

    def check(self) -> None:
        """Raises ConfigError for a name that stands for nothing."""
        for template in self:
            self._fill(template)

    def filled(self, template: Template) -> str:
        """The text with values for names. Raises ConfigError, but not after `check`."""
        text = self._fill(template)
        for caution in self._cautions.pop(template.name, ()):
            self._warn(caution)
        return text

    def _fill(self, template: Template) -> str:
        if template.name not in self._filled:
            expansion = mac_expand(template.text, lambda name: self._value(template, name), recurse=False)
            line = template.text.partition("\n")[0]
            if expansion.error:
                raise ConfigError(f"bad $name syntax in {template.name} template: {line}", path=template.origin)
            if expansion.undefined:
                raise ConfigError(f"undefined $name in {template.name} template: {line}", path=template.origin)
            self._filled[template.name] = expansion.text
        return self._filled[template.name]

    def _value(self, template: Template, name: str) -> str | None:
        settings = self._settings
        for parameter in _TIMES:
            if name.startswith(f"{parameter}_"):
                return self._time(template, name, parameter, name[len(parameter) + 1 :])
        if not settings.defined(name) and find(name) is None:
            return None
        value = settings.text(name)
        if name in ("myhostname", "mydomain") and settings.smtputf8_enable:
            return domain_to_utf8(value)
        return value

    def _time(self, template: Template, name: str, parameter: str, unit: str) -> str:
        if unit not in _UNITS:
            raise ConfigError(f'unrecognized suffix "{unit}" in parameter "{name}"', path=template.origin)
        seconds = int(str(self._settings[parameter]))
        result = seconds // _UNITS[unit]
        what = f'result "{result}"' if result else "result"
        if result > _LARGEST and unit not in ("days", "weeks"):
            self._caution(template, f"excessive {what}", "increase", unit, name)
        elif not result and seconds:
            self._caution(template, f"zero {what}", "reduce", unit, name)
        return str(result)

    def _caution(self, template: Template, what: str, act: str, unit: str, name: str) -> None:
        kind = template.name
        self._cautions.setdefault(kind, []).extend((
            f'{template.origin}: {what} in {kind} template conversion of parameter "{name}"',
            f'please {act} time unit "{unit}" of "{name}" in {kind} template',
            "for instructions see the bounce(5) manual",
        ))  # fmt: skip


def read_templates(path: str, defaults: dict[str, Template], warn: Warn) -> dict[str, Template]:
    """The templates in a file, by name. Those that cannot be used are left out, with a warning. Raises ConfigError."""
    try:
        with open(path, "rb") as file:
            lines = file.read().decode("utf-8", "surrogateescape").split("\n")
    except OSError as error:
        raise ConfigError(f"open {path}: {error.strerror}", parameter="bounce_template_file") from None
    if not lines[-1]:
        lines.pop()
    found: dict[str, Template] = {}
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, value = split_name_value(line)
        except ValueError as problem:
            raise ConfigError(f'{problem}: "{line}"', path=path, line=at + 1) from None
        if value.startswith("<<"):
            value, at = _here(path, lines, at, value[2:].strip(), warn)
        kind = name.removesuffix("_template")
        if kind == name or kind not in defaults:
            warn(f"{path}, line {at + 1}: unknown template name: {name} -- ignoring this template")
        elif (template := _template(path, defaults[kind], value, warn)) is not None:
            found[kind] = template
    return found


def _here(path: str, lines: list[str], at: int, marker: str, warn: Warn) -> tuple[str, int]:
    """The lines up to `marker`, and where it goes on behind it."""
    if not marker:
        raise ConfigError("missing end marker after <<", path=path, line=at + 1)
    try:
        end = lines.index(marker, at)
    except ValueError:
        end = len(lines)
        warn(f'{path}, line {end + 1}: missing "{marker}" end marker')
    return "".join(f"{line}\n" for line in lines[at:end]), min(end + 1, len(lines))


def _template(path: str, default: Template, value: str, warn: Warn) -> Template | None:
    kind = default.name
    changes: dict[str, str] = {"origin": path}
    lines = value.split("\n")
    at = 0
    for at, line in enumerate(lines):  # noqa: B007
        if not line.strip():
            continue
        header = _HEADER.match(line)
        if header is None:
            break
        field, problem = _field(default, header[1], header[2].strip())
        if problem:
            warn(f"{path}: {problem} in {kind} template -- ignoring this template")
            return None
        changes[field] = header[2].strip()
    text = "\n".join(lines[at:])
    if not text.strip():
        warn(f"{path}: missing message text in {kind} template -- ignoring this template")
        return None
    template = replace(default, text=text if text.endswith("\n") else f"{text}\n", **changes)
    if not text.isascii() and template.charset.lower() == "us-ascii":
        warn(f"{path}: 8-bit message text in {kind} template")
        warn("please specify a charset value other than us-ascii")
        warn("-- ignoring this template for now")
        return None
    return template


def _field(default: Template, label: str, value: str) -> tuple[str, str]:
    """Which part of the template a header gives, or what is wrong with it."""
    fields = {"charset": "charset", "from": "sender", "subject": "subject", "postmaster-subject": "postmaster_subject"}
    field = fields.get(label.lower(), "")
    if not value:
        return "", f'empty "{label}" header value'
    if not value.isascii():
        return "", f'non-ASCII "{label}" header value'
    if not field:
        return "", f'unknown "{label}" header label'
    if field == "postmaster_subject" and not default.postmaster_subject:
        return "", f'inapplicable "{label}" header label'
    return field, ""


def shown(texts: Texts) -> str:
    """The templates as they may stand in a file (postconf -t)."""
    parts = []
    for template in texts:
        head = f"Charset: {template.charset}\nFrom: {template.sender}\nSubject: {template.subject}\n"
        if template.postmaster_subject:
            head += f"Postmaster-Subject: {template.postmaster_subject}\n"
        parts.append(f"{template.name}_template = <<EOF\n{head}\n{template.text}EOF\n")
    return "\n".join(parts)


def previewed(texts: Texts) -> str:
    """Their texts with values for names (postconf -b). Raises ConfigError."""
    return "\n".join(f"expanded_{each.name}_text = <<EOF\n{texts.filled(each)}EOF\n" for each in texts)
