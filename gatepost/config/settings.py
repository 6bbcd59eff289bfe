"""The settings of one service as attributes.

Their types are in settings.pyi, which `python -m gatepost.config.generate_stub` writes.
"""

from typing import NoReturn

from gatepost.config.evaluation import Evaluation, Value


class Settings(Evaluation):
    """An immutable view: `settings.smtpd_timeout` is worked out once and is a plain attribute from then on.

    Times are int seconds, `yes`/`no` bool, numbers int; all else is str, expanded unless the parameter's type is raw.
    Names that are no Python names: `settings["2bounce_notice_recipient"]`. Bad values raise ConfigError.
    """

    def __getattr__(self, name: str) -> Value:
        # Called only for what is not worked out yet.
        try:
            value = self.value(name)
        except KeyError:
            raise AttributeError(name) from None
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"settings are immutable: {name}")

    def __getitem__(self, name: str) -> Value:
        return self.value(name)

    def transport(self, transport: str, suffix: str) -> int | str:
        """The value of TRANSPORT_SUFFIX, else its default. KeyError for an unknown suffix; ConfigError."""
        return self.transport_value(transport, suffix)
