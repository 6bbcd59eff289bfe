"""smtpd.conf of Cyrus SASL (SASL_README), as much of it as there is a way to obey: passwords go to saslauthd."""

from pathlib import Path

import msgspec

from gatepost.config.errors import ConfigError

DEFAULT_PATH = "/etc/postfix/sasl:/etc/sasl2:/usr/lib/sasl2"
"""Where Debian's Postfix and its Cyrus SASL look if cyrus_sasl_config_path is empty; first there is our own folder."""

SOCKET = "/var/run/saslauthd/mux"
MECHANISMS = ("PLAIN", "LOGIN")
"""saslauthd sees passwords, so that no others are possible."""

_IGNORED = frozenset(("log_level", "auto_transition", "allow_plaintext"))


class CyrusConfig(msgspec.Struct, frozen=True):
    """`socket` of saslauthd; `path` is the file's."""

    path: str
    socket: str = SOCKET
    mechanisms: tuple[str, ...] = MECHANISMS


def read_config(name: str, search_path: str, directory: str) -> CyrusConfig:
    """The file `name`.conf in the first folder of `search_path` (colons between) that has it.

    `directory` is that of main.cf: its folder `sasl` is looked into if there is no search path. Raises ConfigError.
    """
    folders = [folder for folder in (search_path or f"{directory}/sasl:{DEFAULT_PATH}").split(":") if folder]
    for folder in folders:
        path = Path(folder, f"{name}.conf")
        try:
            text = path.read_text(errors="replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(f"cannot read it: {error.strerror}", path=str(path)) from None
        return parse_config(text, str(path))
    where = ", ".join(folders)
    raise ConfigError(
        f"smtpd_sasl_type = cyrus (the default; others: dovecot, gatepost) needs a {name}.conf"
        f" (with pwcheck_method: saslauthd); there is none in {where}",
        parameter="smtpd_sasl_type",
    )


def parse_config(text: str, path: str) -> CyrusConfig:
    """Raises ConfigError for what would need Cyrus SASL itself."""
    values: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise ConfigError("`name: value' expected", path=path, line=number)
        values[name.strip().lower()] = (value.strip(), number)
    method, number = values.pop("pwcheck_method", ("auxprop", 0))
    if method.split() != ["saslauthd"]:
        raise ConfigError(
            f"pwcheck_method: {method} is not supported, only saslauthd is"
            " (for passwords in a table see gatepost_sasl_users)",
            path=path,
            line=number,
        )
    socket, number = values.pop("saslauthd_path", (SOCKET, 0))
    if not socket.startswith("/"):
        raise ConfigError(f"saslauthd_path: {socket}: not an absolute path", path=path, line=number)
    listed, number = values.pop("mech_list", ("", 0))
    mechanisms = _mechanisms(listed, number, path)
    for name, (_, number) in values.items():
        if name not in _IGNORED:
            raise ConfigError(f"{name}: not supported", path=path, line=number)
    return CyrusConfig(path, socket, mechanisms)


def _mechanisms(text: str, line: int, path: str) -> tuple[str, ...]:
    names = tuple(name.upper() for name in text.replace(",", " ").split())
    for name in names:
        if name not in MECHANISMS:
            raise ConfigError(f"mech_list: saslauthd cannot serve {name}", path=path, line=line)
    return names or MECHANISMS
