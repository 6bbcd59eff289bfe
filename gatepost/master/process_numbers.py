"""How many workers of a kind there are."""

import os

from gatepost.config.configuration import Configuration
from gatepost.config.settings import Settings
from gatepost.master.services import smtpd_services
from gatepost.smtpd.tls_settings import tls_settings


def smtpd_processes(configuration: Configuration) -> int:
    """For the servers of all listeners: gatepost_smtpd_processes, or one for two processors, or one for each where TLS
    is offered.

    A new TLS session takes the time of some messages, most of it for one signature. Measured on two processors, two
    processes shook hands a fifth more often than one, and took a tenth more messages over TLS, which had left a sixth
    of the processors idle. Raises ConfigError.
    """
    settings = configuration.settings
    if settings.gatepost_smtpd_processes:
        return settings.gatepost_smtpd_processes
    return _processors() if _offers_tls(configuration) else _half_the_processors()


def delivery_processes(settings: Settings) -> int:
    return settings.gatepost_delivery_processes or _half_the_processors()


def _offers_tls(configuration: Configuration) -> bool:
    for service in smtpd_services(configuration):
        tls = tls_settings(configuration.settings_for(service), lambda warning: None)
        if tls is not None and tls.usable:
            return True
    return False


def _half_the_processors() -> int:
    """Servers, delivery workers and the queue manager share the processors. With one of each kind per processor (two
    here) a message in plaintext took a fifth more CPU than with half of that: each process wakes more often, for less
    work.
    """
    return (_processors() + 1) // 2


def _processors() -> int:
    return len(os.sched_getaffinity(0))
