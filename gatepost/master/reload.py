"""A changed configuration in the place of the old one: proved in full before anything of it is used."""

import os
import time
import traceback

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.master.command_listeners import close_others, open_command_listeners
from gatepost.master.file_access import asked_access
from gatepost.master.listeners import open_listeners
from gatepost.master.named_files import NamedFiles
from gatepost.master.plan import Plan
from gatepost.master.prove import prove
from gatepost.master.services import smtpd_services

RESTART_ONLY = ("gatepost_queue_directory", "mail_owner", "gatepost_smtpd_processes", "gatepost_delivery_processes")
"""Parameters whose change needs stop and start."""


def renewed(old: Plan) -> Plan:
    """The plan of what the configuration says by now. Listening sockets that are still wanted are taken over from
    `old`, the others are closed.

    Raises ConfigError and OSError; then nothing has changed.
    """
    configuration = Configuration.read(old.configuration.directory)
    files = None
    if old.opener is not None and os.geteuid() != 0:  # the only process, which has given up root
        files = asked_access(old.opener, NamedFiles.of(configuration), "single", time.monotonic)
        files.announce()
    problems = prove(configuration, files).refusals(strict=True)
    if problems:
        raise ConfigError(problems[0])
    for name in RESTART_ONLY:
        if configuration.settings.text(name) != old.settings.text(name):
            raise ConfigError("a change of this parameter needs stop and start", parameter=name)
    commands = None
    if old.commands is not None:
        commands = open_command_listeners(configuration, old.owner, old.commands)
    try:
        listeners = open_listeners(
            smtpd_services(configuration),
            configuration.settings,
            old.smtpd_processes(),
            f"{configuration.directory}/master.cf",
            old.listeners,
        )
    except BaseException:
        close_others(commands or (), old.commands or ())
        raise
    close_others(old.commands or (), commands or ())
    plan = Plan(configuration, old.owner, old.output, old.log_descriptor)
    plan.queue_socket, plan.control_socket = old.queue_socket, old.control_socket
    plan.opener = old.opener
    plan.smtpd_count = old.smtpd_count
    plan.commands = commands
    plan.prepare_files()
    plan.listen(listeners)
    return plan


def reason(error: Exception) -> str:
    """Why a reload failed, for the log. What is neither ConfigError nor OSError is a fault of ours."""
    if isinstance(error, (ConfigError, OSError)):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"panic: {type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
