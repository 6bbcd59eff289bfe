"""From the text of a restriction list to a tuple of checks, once, when the configuration is loaded."""

from collections.abc import Callable, Iterator

from gatepost.config.errors import ConfigError
from gatepost.config.values import split_list
from gatepost.restrictions import (
    client,
    dnsbl,
    generic,
    helo,
    mx_backup,
    recipient,
    relay,
    sasl,
    sender,
    server_access,
    tls_checks,
    unverified,
)
from gatepost.restrictions.check import Check, CheckList, Run
from gatepost.restrictions.context import Context
from gatepost.restrictions.dns_list import BadPattern, DnsList
from gatepost.restrictions.lists import DEPTH_LIMIT, run_list
from gatepost.restrictions.policy_parts import PolicyParts
from gatepost.restrictions.policy_service import policy_service
from gatepost.restrictions.registry import REMOVED, Restriction, find
from gatepost.restrictions.tls_checks import BadSpecification, CertificateTable, certificate_options
from gatepost.restrictions.verdict import DUNNO, ServerConfigurationError, Verdict
from gatepost.tables.braces import split_items
from gatepost.tables.literal import FailTable
from gatepost.tables.maps import Maps

FAMILIES = (
    client,
    dnsbl,
    generic,
    helo,
    mx_backup,
    recipient,
    relay,
    sasl,
    sender,
    server_access,
    tls_checks,
    unverified,
)
"""Importing them is what registers their restrictions."""

_RESULT_LISTS_KEPT = 1000

_ACCESS_NAMES = (
    "check_client_access, check_reverse_client_hostname_access, check_helo_access, check_sender_access, "
    "check_recipient_access, check_etrn_access"
)


Bind = Callable[[Restriction, object, str], Run]
"""What makes a check of a restriction, its argument (None if it takes none) and the parameter that names it (empty:
a result of an access table does). Serving SMTP it is `bound`; questions about a configuration have others."""


def bound(entry: Restriction, argument: object, parameter: str) -> Run:
    """The restriction itself."""
    function = entry.function
    if not entry.argument:
        return function  # type: ignore[return-value]

    def run(ctx: Context):  # type: ignore[no-untyped-def]
        return function(ctx, argument)

    return run


class Compiler:
    """Compiles the lists of one listener. `problems` is what an operator should know of them: (parameter, text)."""

    def __init__(self, parts: PolicyParts, bind: Bind = bound) -> None:
        self._parts = parts
        self._bind = bind
        self._log = parts.ports.log
        self._results: dict[tuple[str, str], CheckList] = {}
        self._class_names: frozenset[str] = frozenset()
        self._class_texts: dict[str, str] = {}
        self._parameter = ""
        self.problems: list[tuple[str, str]] = []
        parts.compile_result = self.result_list

    def define_classes(self) -> None:
        """smtpd_restriction_classes: names that stand for lists. Raises ConfigError for one without a definition."""
        params = self._parts.params
        names = split_list(params.smtpd_restriction_classes)
        for name in names:
            text = params.classes.get(name, "")
            if not text.strip():
                raise ConfigError(
                    f"restriction class `{name}' needs a definition", parameter="smtpd_restriction_classes"
                )
            self._class_texts[name] = text
        self._class_names = frozenset(names)
        for name, text in self._class_texts.items():
            # In a class a bare table means what it means in the list that names the class: compiled for each.
            self._report_items(name, split_items(text))
            if "check_policy_service" in text.lower():
                # It may be named by no list but by a table, whose word comes when it is too late for errors.
                self._parameter = name
                self._compile(split_items(text), "")

    def parameter_list(self, parameter: str, text: str, default_access: str) -> CheckList:
        """Compile the value of a parameter."""
        items = split_items(text)
        self._parameter = parameter
        self._report_items(parameter, items)
        return self._compile(items, default_access)

    def result_list(self, value: str, default_access: str) -> CheckList:
        """The list that an access table has for a result."""
        key = (value, default_access)
        known = self._results.get(key)
        if known is None:
            if len(self._results) >= _RESULT_LISTS_KEPT:
                self._results.clear()
            self._parameter = ""
            known = self._results[key] = self._compile(split_items(value), default_access)
        return known

    def _compile(self, items: list[str], default_access: str) -> CheckList:
        return tuple(self._checks(items, default_access))

    def _checks(self, items: list[str], default_access: str) -> Iterator[Check]:
        position, warn = 0, False
        while position < len(items):
            name = items[position]
            position += 1
            if name.lower() == "warn_if_reject":
                warn = True
                continue
            if ":" in name:
                check = self._bare_table(name, default_access)
            else:
                argument = items[position] if position < len(items) else None
                check, used = self._named(name, argument, default_access)
                position += used
            check.warn = warn
            warn = False
            yield check

    def _bare_table(self, name: str, default_access: str) -> Check:
        if not default_access:
            return Check(name, self._no_default_access(name))
        entry = find(default_access)
        assert entry is not None
        return self._with_table(entry, name)

    def _named(self, name: str, argument: str | None, default_access: str) -> tuple[Check, bool]:
        """The check of this name, and whether it takes the next item."""
        entry = find(name)
        if entry is not None:
            if entry.argument == "table":
                if argument is None or ":" not in argument:
                    shown = argument if argument is not None else name
                    text = f'restriction {entry.name}: bad argument "{shown}": need maptype:mapname'
                    return Check(name, self._misconfigured(text)), argument is not None
                return self._with_table(entry, argument), True
            if entry.argument == "endpoint":
                return self._with_policy_service(entry, argument), argument is not None
            if entry.argument == "certificates":
                return self._with_certificates(entry, argument), argument is not None
            if entry.argument == "domain":
                return self._with_dns_list(entry, name, argument), argument is not None
            if entry.argument == "number":
                if argument is None or not (argument.isascii() and argument.isdigit()):
                    return Check(
                        name, self._misconfigured(f"restriction {entry.name} must be followed by number")
                    ), False
                return Check(name, self._bind(entry, int(argument), self._parameter)), True
            ignored = argument if entry.final and argument is not None else ""
            run = self._bind(entry, None, self._parameter)
            return Check(name, run, permits=entry.permits, ignored=ignored), False
        folded = name.lower()
        if folded in REMOVED:
            instead = REMOVED[folded]
            text = f'support for restriction "{folded}" has been removed in Postfix 3.9; instead, specify {instead}'
            return Check(name, self._misconfigured(text)), False
        if name in self._class_names:
            return Check(name, self._class_run(name, default_access)), False
        return Check(name, self._misconfigured(f'unknown smtpd restriction: "{name}"')), False

    def _with_table(self, entry: Restriction, spec: str) -> Check:
        return Check(entry.name, self._bind(entry, self._open(spec), self._parameter))

    def _with_policy_service(self, entry: Restriction, argument: str | None) -> Check:
        if argument is None:
            return Check(
                entry.name, self._misconfigured(f"restriction {entry.name} must be followed by transport:server")
            )
        pools = self._parts.ports.policy
        if pools is None:
            return Check(
                entry.name, self._misconfigured(f"restriction {entry.name}: no policy service can be asked here")
            )
        try:
            service = policy_service(argument, self._parts.params, pools)
        except ConfigError as error:
            raise ConfigError(error.message, parameter=self._parameter) from None
        self._parts.policy_services += 1
        return Check(entry.name, self._bind(entry, service, self._parameter))

    def _with_certificates(self, entry: Restriction, argument: str | None) -> Check:
        if argument is None or not (":" in argument or argument.startswith("{")):
            text = f'restriction {entry.name}: bad argument "{argument or entry.name}": need maptype:mapname'
            return Check(entry.name, self._misconfigured(text))
        try:
            table, order = certificate_options(argument)
        except BadSpecification as bad:
            for words in bad.at_load:
                self._log.warning(words)
                self.problems.append((self._parameter, words))
            return Check(entry.name, self._misconfigured(bad.when_met))
        return Check(entry.name, self._bind(entry, CertificateTable(self._open(table), order), self._parameter))

    def _with_dns_list(self, entry: Restriction, name: str, argument: str | None) -> Check:
        if argument is None:
            return Check(name, self._without_domain(name))
        try:
            dns_list = DnsList.parse(argument)
        except BadPattern as bad:
            return Check(name, self._misconfigured(f"RBL reply error: {bad}"))
        return Check(name, self._bind(entry, dns_list, self._parameter), permits=entry.permits)

    def _open(self, spec: str) -> Maps:
        """The table of that name. One that cannot be opened is no reason not to start: as in Postfix, it fails when it
        is asked (`451 4.3.5`), and `gatepost check` tells of it."""
        tables = self._parts.ports.tables
        try:
            return tables.maps(spec, spec)
        except ConfigError as error:
            self.problems.append((self._parameter, f"{spec} is unavailable: {error.message}"))
            self._log.error(error.message)
            return Maps(spec, (FailTable(tables.env, spec, error.message),), tables.env.warn)

    def _class_run(self, name: str, default_access: str) -> Run:
        """Runs a class. It is compiled when it is first met for this kind of list: a class may name itself."""
        key = f"{default_access} {name}"
        classes = self._parts.classes
        if key not in classes:
            classes[key] = ()
            classes[key] = self._compile(split_items(self._class_texts[name]), default_access)

        async def run(ctx: Context) -> Verdict:
            if ctx.depth > 2 * DEPTH_LIMIT:  # where a table is in the round, that one is to be told of
                self._log.warning(f"restriction class {name} causes unreasonable recursion")
                raise ServerConfigurationError
            return await run_list(ctx, classes[key])

        return run

    def _misconfigured(self, text: str) -> Run:
        log = self._log

        async def run(ctx: Context) -> Verdict:
            log.warning(text)
            raise ServerConfigurationError

        return run

    def _without_domain(self, name: str) -> Run:
        log = self._log

        async def run(ctx: Context) -> Verdict:
            log.warning(f"restriction {name} requires domain name argument")
            return DUNNO

        return run

    def _no_default_access(self, item: str) -> Run:
        log = self._log

        async def run(ctx: Context) -> Verdict:
            log.warning(f'specify one of ({_ACCESS_NAMES}) before {ctx.reply_class} restriction "{item}"')
            raise ServerConfigurationError

        return run

    def _report_items(self, parameter: str, items: list[str]) -> None:
        """What will answer 451 4.3.5, or never be reached, told at load already."""
        position = 0
        while position < len(items):
            name = items[position]
            folded = name.lower()
            position += 1
            entry = find(name)
            after = items[position] if position < len(items) else None
            if entry is not None and entry.argument and after is not None:
                position += 1
            if entry is not None:
                warned = position >= 2 and items[position - 2].lower() == "warn_if_reject"
                if entry.argument == "domain":
                    self._report_domain(parameter, entry.name, after)
                if entry.final and after is not None and (entry.permits or not warned):
                    self.problems.append((parameter, f"restriction `{after}' after `{entry.name}' is ignored"))
            elif folded in REMOVED:
                self.problems.append((parameter, f"{folded} was removed from Postfix; specify {REMOVED[folded]}"))
            elif ":" not in name and folded != "warn_if_reject" and name not in self._class_names:
                self.problems.append((parameter, f'unknown smtpd restriction: "{name}"'))

    def _report_domain(self, parameter: str, name: str, argument: str | None) -> None:
        if argument is None:
            self.problems.append((parameter, f"restriction {name} requires domain name argument"))
            return
        try:
            DnsList.parse(argument)
        except BadPattern as bad:
            self.problems.append((parameter, f"{name} {argument}: {bad}"))


_RELAY_PROTECTION = (
    "reject_unauth_destination",
    "defer_unauth_destination",
    "reject",
    "defer",
    "defer_if_permit",
    "check_relay_domains",
)


def require_relay_protection(parts: PolicyParts) -> None:
    """Refuse a configuration under which everybody may send anywhere. Raises ConfigError with Postfix's words."""
    params = parts.params
    classes = {name: split_items(text) for name, text in params.classes.items()}
    for text in (params.smtpd_recipient_restrictions, params.smtpd_relay_restrictions):
        if _protects(split_items(text), classes, frozenset()):
            return
    *first, last = _RELAY_PROTECTION
    raise ConfigError(
        "in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, "
        f"specify at least one working instance of: {', '.join(first)} or {last}"
    )


def _protects(items: list[str], classes: dict[str, list[str]], within: frozenset[str]) -> bool:
    """Does the list hold one of the names, before a permit and not as a mere warning? As in Postfix, case counts."""
    skip = False
    for item in items:
        if skip:
            skip = False
        elif item == "warn_if_reject":
            skip = True
        elif item == "permit":
            return False
        elif item in _RELAY_PROTECTION or (
            item not in within and _protects(classes.get(item, []), classes, within | {item})
        ):
            return True
    return False
