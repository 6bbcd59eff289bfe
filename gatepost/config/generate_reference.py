"""Writes the parameter reference: `python -m gatepost.config.generate_reference docs/parameters.md`."""

import sys
from pathlib import Path

from gatepost.config.declaration import Parameter
from gatepost.config.parameters import PARAMETERS, TRANSPORT_SUFFIXES

_HEAD = """\
# Parameters

Generated from the parameter registry by `python -m gatepost.config.generate_reference docs/parameters.md`. Do not edit.

What a parameter means is in Postfix's postconf(5); `gatepost postconf` shows the values in force.
[configuration.md](configuration.md) says how the files are read.

*Default* is as written, before `$name` expansion; *(computed)* depends on the host or the process.
*Honoured*: **yes**; **in part**, with what is missing; **no**; **refused**, where neglect would accept, leak or skip a
filter: the service does not start with another value than those given. `gatepost check` points out all but the first.

| name | type | default | honoured |
|---|---|---|---|
"""

_TRANSPORTS = """
## For each transport

For every master.cf service that runs a delivery program, with the service's name in the place of TRANSPORT.

| name | type | default | honoured |
|---|---|---|---|
"""


def reference() -> str:
    """The text of docs/parameters.md."""
    parameters = "".join(_row(parameter.name, parameter) for _, parameter in sorted(PARAMETERS.items()))
    transports = "".join(_row(f"TRANSPORT_{suffix}", item) for suffix, item in sorted(TRANSPORT_SUFFIXES.items()))
    return _HEAD + parameters + _TRANSPORTS + transports


def _row(name: str, parameter: Parameter) -> str:
    default = "(computed)" if parameter.computed else _code(parameter.default)
    if parameter.partly:
        honoured = f"in part: {parameter.partly}"
    elif parameter.honoured:
        honoured = "yes"
    elif parameter.harmless is None:
        honoured = "no"
    else:
        honoured = "refused, except " + ", ".join(_code(value) or "empty" for value in parameter.harmless)
    return f"| {name} | {parameter.kind} | {default} | {honoured} |\n"


def _code(text: str) -> str:
    """Text for a table's cell, to be shown as it is."""
    if not text:
        return ""
    fence = "``" if "`" in text else "`"
    blank = " " if "`" in text else ""
    return f"{fence}{blank}{text}{blank}{fence}".replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), "utf-8")
