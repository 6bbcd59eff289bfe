"""What is said about a parameter once: its name, type, default, bounds, and what Gatepost does with it."""

import enum
from typing import NamedTuple


class Type(enum.Enum):
    """How the text of a parameter becomes a value. All but RAW are `$name`-expanded first."""

    BOOLEAN = "boolean"
    NUMBER = "number"
    SIZE = "size"  # a number that may exceed 32 bits
    TIME = "time"  # seconds
    TEXT = "text"  # lists and lookup tables too: what they mean is known where they are used
    RAW = "raw"


class Parameter(NamedTuple):
    """One parameter of main.cf.

    kind: what a text holds (`lookup tables`, `list`, ...), for the documentation.
    minimum, maximum: bounds of numbers and times (seconds); 0 = none, as in Postfix.
    shortest, longest: bounds of texts, in characters.
    since: the Postfix version that introduced it. owner: the daemons that use it, blank separated.
    computed: the default depends on this host or process (gatepost/config/computed.py).
    honoured: Gatepost does what it says. To flip it, change the declaration.
    harmless: None if neglecting the parameter does no harm; else the only values whose neglect accepts nothing that
    should be refused, leaks nothing and skips no filter. Another value of a parameter that is not honoured keeps the
    service from starting.
    partly: of a parameter that is honoured: what of it is not, as a sentence for `gatepost check`. With `harmless` it
    is said of other values only.
    """

    name: str
    type: Type
    default: str
    kind: str
    since: str = ""
    owner: str = ""
    minimum: int = 0
    maximum: int = 0
    shortest: int = 0
    longest: int = 0
    computed: bool = False
    honoured: bool = False
    harmless: tuple[str, ...] | None = None
    partly: str = ""


def boolean(
    name: str,
    default: str,
    *,
    since: str = "",
    owner: str = "",
    honoured: bool = False,
    harmless: tuple[str, ...] | None = None,
    partly: str = "",
) -> Parameter:
    """`yes` or `no`."""
    return Parameter(
        name, Type.BOOLEAN, default, "boolean", since, owner, honoured=honoured, harmless=harmless, partly=partly
    )


def number(
    name: str,
    default: str,
    *,
    since: str = "",
    owner: str = "",
    minimum: int = 0,
    maximum: int = 0,
    computed: bool = False,
    honoured: bool = False,
    harmless: tuple[str, ...] | None = None,
    partly: str = "",
) -> Parameter:
    """A number of 32 bits."""
    return Parameter(
        name, Type.NUMBER, default, "number", since, owner, minimum, maximum, 0, 0, computed, honoured, harmless, partly
    )


def size(
    name: str, default: str, *, since: str = "", owner: str = "", minimum: int = 0, honoured: bool = False
) -> Parameter:
    """A number of 64 bits, mostly octets."""
    return Parameter(name, Type.SIZE, default, "size", since, owner, minimum, honoured=honoured)


def time(
    name: str,
    default: str,
    *,
    since: str = "",
    owner: str = "",
    minimum: int = 0,
    maximum: int = 0,
    honoured: bool = False,
) -> Parameter:
    """A time; without a unit in main.cf, that of the default is meant."""
    return Parameter(name, Type.TIME, default, "time", since, owner, minimum, maximum, honoured=honoured)


def text(
    name: str,
    default: str,
    *,
    kind: str = "string",
    since: str = "",
    owner: str = "",
    shortest: int = 0,
    longest: int = 0,
    computed: bool = False,
    honoured: bool = False,
    harmless: tuple[str, ...] | None = None,
    partly: str = "",
) -> Parameter:
    """Text of any kind, `$name`-expanded."""
    return Parameter(
        name, Type.TEXT, default, kind, since, owner, 0, 0, shortest, longest, computed, honoured, harmless, partly
    )


def raw(
    name: str,
    default: str,
    *,
    since: str = "",
    owner: str = "",
    shortest: int = 0,
    honoured: bool = False,
    harmless: tuple[str, ...] | None = None,
) -> Parameter:
    """Text that is expanded where it is used, with macros that are known only there."""
    return Parameter(
        name, Type.RAW, default, "raw string", since, owner, shortest=shortest, honoured=honoured, harmless=harmless
    )
