"""Which lines of master.cf mean what to us (master(5))."""

from gatepost.audit.transports import used_transports
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.master_cf import Service
from gatepost.config.settings import Settings
from gatepost.master.spawn import spawn_service

# Services that are built in; their lines are accepted, their `-o` are not needed for anything yet.
BUILT_IN = frozenset(
    (
        "pickup",
        "cleanup",
        "qmgr",
        "oqmgr",
        "nqmgr",
        "tlsmgr",
        "trivial-rewrite",
        "bounce",
        "verify",
        "flush",
        "proxymap",
        "showq",
        "anvil",
        "scache",
        "postlogd",
        "tlsproxy",
        "dnsblog",
        "postscreen",
    )
)
AGENTS = frozenset(("smtp", "lmtp", "local", "virtual", "error", "discard", "pipe"))
"""Programs of delivery transports."""


def smtpd_services(configuration: Configuration) -> list[Service]:
    """The `inet ... smtpd` lines."""
    return [service for service in configuration.master if service.type == "inet" and service.program == "smtpd"]


def pickup_settings(configuration: Configuration) -> Settings:
    """What holds for mail that pickup(8) takes in: main.cf, and the `-o` of its line."""
    for service in configuration.master:
        if service.program == "pickup":
            return configuration.settings_for(service)
    return configuration.settings


def transports(configuration: Configuration) -> dict[str, Service]:
    """Delivery transports by name: each `unix ... smtp|lmtp|pipe|virtual|local|error|discard` line."""
    return {
        service.name: service
        for service in configuration.master
        if service.type == "unix" and service.program in AGENTS
    }


def service_problems(configuration: Configuration) -> tuple[list[ConfigError], list[ConfigError]]:
    """(errors, warnings) about lines that we cannot serve."""
    errors: list[ConfigError] = []
    warnings: list[ConfigError] = []
    if not smtpd_services(configuration):
        text = "no inet line with the program smtpd: no mail will come in over SMTP"
        warnings.append(ConfigError(text, path=f"{configuration.directory}/master.cf"))
    places = (configuration.settings, *map(configuration.settings_for, smtpd_services(configuration)))
    used = {name for settings in places for name, _ in used_transports(settings)}
    idle: list[Service] = []
    for service in configuration.master:
        name, kind, program = service.name, service.type, service.program

        def remark(text: str, service: Service = service) -> ConfigError:
            return ConfigError(text, path=service.path, line=service.line)

        if program == "spawn" and kind in ("inet", "unix"):
            try:
                spawn_service(configuration, service)
            except ConfigError as error:
                errors.append(error)
        elif kind == "inet" and program != "smtpd":
            errors.append(remark(f"{name} inet {program}: not supported yet; take the line out"))
        elif kind == "unix" and program in ("pipe", "virtual"):
            if name not in used:
                idle.append(service)
                continue
            warnings.append(remark(f"transport {name}: {program} is not supported yet; its mail would be deferred"))
        elif program not in BUILT_IN | AGENTS | {"smtpd"}:
            warnings.append(remark(f"{name} {kind} {program}: not supported yet, ignored"))
    if idle:
        names = ", ".join(service.name for service in idle)
        text = f"not supported yet, and only tables could name them: {names}; their mail would be deferred"
        warnings.append(ConfigError(text, path=idle[0].path))
    return errors, warnings
