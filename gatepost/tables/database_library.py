"""The libraries of database tables, which are optional: what is missing is told with the command that brings it."""

import importlib
from typing import Any

from gatepost.config.errors import ConfigError


def library(module: str, extra: str) -> Any:
    """The module. `extra`: the part of Gatepost's installation that has it. Raises ConfigError."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{extra}: tables need the Python library {module} ({error}); "
            f"install it with: pip install 'gatepost[{extra}]'"
        ) from None
