"""What a restriction answers. Values only: the evaluator decides what becomes of them.

Restrictions return PERMIT, DUNNO, Reject, DeferIfPermit or DeferIfReject. A whole list comes out as PERMIT, DUNNO or
Refused: a rejection that is final, has its last form and has been logged.
"""

from typing import Literal

from gatepost.mail.reply import Reply

ErrorClass = Literal["policy", "bounce", "protocol", "resource", "software", "data"]
"""As in notify_classes (postconf(5))."""

# warn_if_reject turns no failure of our own into a warning (smtpd_check_reject).
_OUR_OWN = frozenset({"resource", "software", "data"})


class Verdict:
    """One answer of a restriction."""

    __slots__ = ()


class _Word(Verdict):
    __slots__ = ("_word",)

    def __init__(self, word: str) -> None:
        self._word = word

    def __repr__(self) -> str:
        return self._word


PERMIT: Verdict = _Word("PERMIT")
"""Allowed as far as this list is concerned: the rest of it is skipped."""
DUNNO: Verdict = _Word("DUNNO")
"""No opinion: the next restriction is asked."""


class Reject(Verdict):
    """Refuse with `reply`; `error_class` tells whose fault it is."""

    __slots__ = ("error_class", "reply")

    def __init__(self, reply: Reply, error_class: ErrorClass = "policy") -> None:
        self.reply = reply
        self.error_class = error_class

    @property
    def convertible(self) -> bool:
        """May warn_if_reject turn it into a warning?"""
        return self.error_class not in _OUR_OWN

    def __repr__(self) -> str:
        return f"Reject({self.reply.line()!r})"


class DeferIfPermit(Verdict):
    """If the command would be permitted in the end, answer `reply` instead; until then DUNNO."""

    __slots__ = ("reply",)

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


class DeferIfReject(Verdict):
    """If the list would refuse for good later, answer `reply` instead; until then DUNNO."""

    __slots__ = ("reply",)

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


class Refused(Verdict):
    """The end of the evaluation: this is what the client gets."""

    __slots__ = ("reply",)

    def __init__(self, reply: Reply) -> None:
        self.reply = reply

    def __repr__(self) -> str:
        return f"Refused({self.reply.line()!r})"


class ServerConfigurationError(Exception):
    """The list cannot be evaluated as it is written: 451 4.3.5. The reason has been logged."""


class CannotTell(Exception):
    """Something that had to be looked up cannot be known now: `451 4.3.0 <name>: Temporary lookup failure`."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)
