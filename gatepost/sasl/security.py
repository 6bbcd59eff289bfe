"""What smtpd_sasl_security_options and its kin ask of a mechanism (postconf(5))."""

import enum

from gatepost.config.errors import ConfigError
from gatepost.config.values import split_list


class SecurityOptions(enum.Flag):
    """Properties that a mechanism must not have (`NO...`), or must have."""

    NONE = 0
    NOPLAINTEXT = enum.auto()
    NOACTIVE = enum.auto()
    NODICTIONARY = enum.auto()
    NOANONYMOUS = enum.auto()
    FORWARD_SECRECY = enum.auto()
    MUTUAL_AUTH = enum.auto()


class Properties(enum.Flag):
    """What a mechanism is: open to (`PLAINTEXT`, `ACTIVE`, `DICTIONARY`, `ANONYMOUS`), or good for."""

    NONE = 0
    PLAINTEXT = enum.auto()
    ACTIVE = enum.auto()
    DICTIONARY = enum.auto()
    ANONYMOUS = enum.auto()
    FORWARD_SECRECY = enum.auto()
    MUTUAL_AUTH = enum.auto()


_UNWANTED = (
    (SecurityOptions.NOPLAINTEXT, Properties.PLAINTEXT),
    (SecurityOptions.NOACTIVE, Properties.ACTIVE),
    (SecurityOptions.NODICTIONARY, Properties.DICTIONARY),
    (SecurityOptions.NOANONYMOUS, Properties.ANONYMOUS),
)
_WANTED = (
    (SecurityOptions.FORWARD_SECRECY, Properties.FORWARD_SECRECY),
    (SecurityOptions.MUTUAL_AUTH, Properties.MUTUAL_AUTH),
)
_NAMES = {str(option.name).lower(): option for option in SecurityOptions if option.name}


def security_options(text: str, parameter: str) -> SecurityOptions:
    """Raises ConfigError for words that are none, as Postfix ends there. `parameter` is where the text stands."""
    found = SecurityOptions.NONE
    for word in split_list(text):
        option = _NAMES.get(word.lower())
        if option is None:
            raise ConfigError(f'unknown SASL security option: "{word}"', parameter=parameter)
        found |= option
    return found


def allowed(properties: Properties, options: SecurityOptions) -> bool:
    """May a mechanism with these properties be used?"""
    return not any(option in options and what in properties for option, what in _UNWANTED) and all(
        what in properties for option, what in _WANTED if option in options
    )


MECHANISMS = {
    "PLAIN": Properties.PLAINTEXT,
    "LOGIN": Properties.PLAINTEXT,
    "CRAM-MD5": Properties.DICTIONARY | Properties.ACTIVE,
    "SCRAM-SHA-1": Properties.DICTIONARY | Properties.ACTIVE | Properties.MUTUAL_AUTH,
    "SCRAM-SHA-256": Properties.DICTIONARY | Properties.ACTIVE | Properties.MUTUAL_AUTH,
    "SCRAM-SHA-1-PLUS": Properties.DICTIONARY | Properties.MUTUAL_AUTH,
    "SCRAM-SHA-256-PLUS": Properties.DICTIONARY | Properties.MUTUAL_AUTH,
    "EXTERNAL": Properties.NONE,
}
"""Those of ours. That a dictionary may be tried on what was overheard is true of SCRAM, too."""
