"""Small configurations written as text, and what lint says of them."""

import os
import time
from pathlib import Path

from gatepost.audit.lint.finding import Finding
from gatepost.audit.lint.run import lint
from gatepost.audit.lint.subject import Subject
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.host_facts import FixedHost
from gatepost.config.values import split_list
from gatepost.tables.environment import TableEnvironment, read_file
from gatepost.tables.opening import Tables

MASTER_CF = """\
smtp inet n - n - - smtpd
smtp unix - - n - - smtp
relay unix - - n - - smtp
local unix - n n - - local
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
"""
HOST = FixedHost("mail.example.com", ("127.0.0.1/8", "192.168.87.2/24", "::1/128"))


class Folder:
    """A root folder of its own: `/etc/...` of the configuration is a file below `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def below(self, name: str) -> str:
        return str(self.path / name.lstrip("/"))

    def write(self, name: str, text: str, *, mode: int = 0o640, age: int = 0) -> None:
        """`age`: seconds since its last change."""
        path = Path(self.below(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        changed = time.time() - 10 - age
        os.utime(path, (changed, changed))

    def environment(self, configuration: Configuration) -> TableEnvironment:
        settings = configuration.settings
        try:
            aliases = frozenset(split_list(settings.alias_maps) + split_list(settings.alias_database))
        except ConfigError:
            aliases = frozenset()
        return TableEnvironment(
            clock=time.monotonic,
            warn=lambda text: None,
            alias_tables=aliases,
            stat_file=lambda path: Path(self.below(path)).stat(),
            read_file=lambda path: read_file(self.below(path)),
        )

    def lint(self, main_cf: str, master_cf: str = MASTER_CF) -> list[Finding]:
        """Everything that is found. Missing settings without which everything is strange are added at the end."""
        for name, value in (("compatibility_level", "3.6"), ("myhostname", "mail.example.com"), ("alias_maps", "")):
            if f"{name} =" not in main_cf:
                main_cf = f"{main_cf.rstrip()}\n{name} = {value}\n"
        configuration = Configuration.parse(main_cf, master_cf, directory="/etc/postfix", host=HOST)
        self.write("/etc/postfix/main.cf", main_cf)
        self.write("/etc/postfix/master.cf", master_cf)
        return lint(Subject(configuration, Tables(self.environment(configuration))))
