"""Where DANE is asked for: in main.cf, by `-o` in master.cf, and in tables of policies."""

from collections.abc import Iterator
from typing import NamedTuple

from gatepost.audit.lint.finding import Remark
from gatepost.audit.lint.subject import Place, Subject
from gatepost.audit.lint.table_rows import Row, split_spec

_LEVELS = ("dane", "dane-only")


class DaneLevel(NamedTuple):
    """A level of a transport: that of a parameter (`row` None), or of a row of the table `spec`. `prefix`: whose
    parameters count there, `smtp` or `lmtp`.
    """

    place: Place
    prefix: str
    level: str
    parameter: str
    spec: str = ""
    row: Row | None = None

    def remark(self, message: str, remedy: str, missing: str) -> Remark:
        """At the level; at the parameter that is `missing`, if it is that which the line of the transport sets."""
        if self.place.service is not None and self.place.sets(missing) and not self.place.sets(self.parameter):
            return self.place.remark(missing, message, remedy)
        if self.row is None or not self.row.line:
            return self.place.remark(self.parameter, message, remedy)
        return Remark(split_spec(self.spec)[1], self.row.line, self.parameter, f"{self.row.key}: {message}", remedy)


def dane_levels(subject: Subject) -> Iterator[DaneLevel]:
    """Of all transports that speak SMTP or LMTP."""
    for prefix in ("smtp", "lmtp"):
        for place in _clients(subject, prefix):
            parameter = f"{prefix}_tls_security_level"
            level = place.text(parameter).lower()
            if level in _LEVELS:
                yield DaneLevel(place, prefix, level, parameter)
            yield from _of_tables(subject, place, prefix)


def _clients(subject: Subject, prefix: str) -> list[Place]:
    """The lines of the program; main.cf, if master.cf has none."""
    lines = [each for each in subject.transports.values() if each.service and each.service.program == prefix]
    return lines or [subject.main]


def _of_tables(subject: Subject, place: Place, prefix: str) -> Iterator[DaneLevel]:
    parameter = f"{prefix}_tls_policy_maps"
    for spec in place.items(parameter):
        for row in subject.rows(spec) or ():
            level = row.value.replace(",", " ").partition(" ")[0].lower()
            if level in _LEVELS:
                yield DaneLevel(place, prefix, level, parameter, spec, row)
