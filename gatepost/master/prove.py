"""The proof before a start or a reload: everything is read, compiled and opened once, and what is wrong is told.

Three degrees. An error keeps the mail system from starting. A fault is what Postfix finds at lookup time only: mail
that comes that far is answered 451; a start tells of it and goes on, a reload is refused. A remark changes nothing.
"""

import os
import pwd
import re
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address

from gatepost.audit.certificates import certificate_files
from gatepost.audit.classes import in_two_classes
from gatepost.audit.destinations import bad_values, unknown_transports
from gatepost.audit.gateways import trusted_gateways
from gatepost.audit.lists import ADDRESS_LISTS, DOMAIN_LISTS, broken_items, compile_list, useless_exceptions
from gatepost.audit.networks import trusted_networks
from gatepost.audit.place import place, place_of_table
from gatepost.audit.strangers.inquiry import Answer, Listener, inquire_now
from gatepost.audit.strangers.report import in_a_sentence
from gatepost.audit.transports import missing_transports
from gatepost.bounce.template_file import Texts
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.gateways import Surroundings, surroundings
from gatepost.config.master_cf import Service
from gatepost.config.parameters import find
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.control.acting_as import acting_as
from gatepost.maillog.sink import MailLog, MemoryOutput
from gatepost.master.file_access import FileAccess, refusal
from gatepost.master.foundation import Foundation
from gatepost.master.listeners import Address, addresses_of
from gatepost.master.named_files import NamedFiles
from gatepost.master.privileges import owner_of
from gatepost.master.servers import listener_sasl, unprotected_policy
from gatepost.master.services import service_problems, smtpd_services, transports
from gatepost.master.smtp_delivery import smtp_agent
from gatepost.master.smtp_sasl import readable_passwords
from gatepost.restrictions.compile import require_relay_protection
from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.sasl.back_ends import unreachable
from gatepost.smtpd.environment import SessionLists
from gatepost.smtpd.footer import RejectFooter
from gatepost.smtpd.parameters import Parameters
from gatepost.smtpd.tls_listener import tls_fault
from gatepost.tables.match_list import MatchList
from gatepost.verify.cache import cache_place

_IN_FILE = re.compile(r"(\w+): (/.*, line \d+): (.*)")


@dataclass(slots=True)
class ProvedListener:
    """One `inet ... smtpd` line and what it comes to; the lists by parameter.

    answer: whether strangers can relay; None if that was not looked into, or somebody would have to be asked.
    """

    service: Service
    settings: Settings
    addresses: list[Address]
    policy: AccessPolicy
    lists: dict[str, MatchList]
    answer: Answer | None = None


@dataclass(slots=True)
class Proof:
    """What is wrong (texts with file, line and parameter), and the parts that could be made."""

    errors: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    listeners: list[ProvedListener] = field(default_factory=list)
    foundation: Foundation | None = None

    def refusals(self, *, strict: bool) -> list[str]:
        """What keeps a start, or (strict) a reload, from happening."""
        return [*self.errors, *self.faults] if strict else self.errors


def inquired(listener: ProvedListener) -> Listener:
    """The listener as an inquiry about strangers sees it."""
    addresses = listener.addresses
    return Listener(
        listener.service.name,
        listener.policy.params,
        listener.policy.parts.ports,
        {parameter: listener.lists[parameter] for parameter in DOMAIN_LISTS},
        listener.lists["smtpd_authorized_xclient_hosts"],
        helo_required=listener.settings.smtpd_helo_required,
        local_only=bool(addresses) and all(_is_loopback(address.host) for address in addresses),
    )


def _is_loopback(host: str) -> bool:
    return ip_address(host.partition("%")[0]).is_loopback


def prove(configuration: Configuration, files: FileAccess | None = None, *, strangers: bool = True) -> Proof:
    """Try everything that a start would do, but for binding ports and writing files. Raises nothing.

    `files`: how tables and keys are opened, if not as this process can. `strangers`: look into whether they can relay.
    """
    return _Prover(configuration, files, strangers=strangers).run()


class _Prover:
    def __init__(self, configuration: Configuration, files: FileAccess | None, *, strangers: bool) -> None:
        self.configuration = configuration
        self.files = files
        self.strangers = strangers
        self.settings = configuration.settings
        self.output = MemoryOutput()
        self.log = MailLog(self.output, "postfix", os.getpid())
        self.proof = Proof()
        self._refused: tuple[str, ...] = ()

    def run(self) -> Proof:
        proof, configuration = self.proof, self.configuration
        self._tell(proof.errors, configuration.check())
        if proof.errors:
            return self._ordered()  # what follows would only trip over the same values
        self._tell(proof.errors, configuration.refusals())
        errors, remarks = service_problems(configuration)
        self._tell(proof.errors, errors)
        self._tell(proof.remarks, [*configuration.warnings, *remarks])
        owner: pwd.struct_passwd | None = None
        if os.geteuid() == 0:
            try:
                owner = owner_of(self.settings)
            except ConfigError as error:
                proof.errors.append(str(error))
        with acting_as(owner):  # as the workers will be, when they open tables
            self._parts()
        return self._ordered()

    def _parts(self) -> None:
        self._try(self._foundation)
        foundation = self.proof.foundation
        if foundation is not None:
            self._lists(self.settings, foundation, {})
            for service in smtpd_services(self.configuration):
                self._listener(service, foundation)
            for service in transports(self.configuration).values():
                self._transport(service)
            self._try(lambda: cache_place(self.settings))
            self._try(lambda: Texts(self.settings, self.proof.remarks.append).check())
            self._try(lambda: self._destinations(foundation))
            self._secrets(foundation)
            self._certificates(foundation)
            self._tables(foundation)
            around = surroundings()
            for listener in self.proof.listeners:
                self._try(partial(self._gateways, listener, around), listener.settings, listener.service)
                if self.strangers:
                    self._try(partial(self._strangers, listener), listener.settings, listener.service)

    def _destinations(self, foundation: Foundation) -> None:
        """What Gatepost has beyond Postfix for single destinations. Raises ConfigError."""
        services = transports(self.configuration).items()
        smtp = {name for name, service in services if service.program in ("smtp", "lmtp")}
        foundation.tables.maps("gatepost_provider_maps", self.settings.gatepost_provider_maps)
        self._tell(self.proof.faults, bad_values(self.settings, foundation.tables))
        self._tell(self.proof.remarks, unknown_transports(self.settings, smtp))

    def _ordered(self) -> Proof:
        """Each text once, under its gravest heading."""
        proof = self.proof
        proof.errors = list(dict.fromkeys(proof.errors))
        proof.faults = [text for text in dict.fromkeys(proof.faults) if text not in proof.errors]
        told = {*proof.errors, *proof.faults}
        proof.remarks = [text for text in dict.fromkeys(proof.remarks) if text not in told]
        return proof

    def _tell(self, heading: list[str], problems: Iterable[ConfigError | str]) -> None:
        heading.extend(str(problem) for problem in problems)

    def _try(
        self, part: Callable[[], object], settings: Settings | None = None, service: Service | None = None
    ) -> None:
        try:
            part()
        except OSError as error:  # a folder that mail_owner may not look into
            self.proof.errors.append(str(error))
        except ConfigError as error:
            placed = place(error, settings or self.settings)
            if service is not None and not placed.path:
                placed = ConfigError(placed.message, path=service.path, line=service.line, parameter=placed.parameter)
            self.proof.errors.append(str(placed))

    def _foundation(self) -> None:
        self.proof.foundation = Foundation(self.configuration, self.log, files=self.files)

    def _transport(self, service: Service) -> None:
        foundation = self.proof.foundation
        if service.program in ("smtp", "lmtp") and foundation is not None:
            settings = self.configuration.settings_for(service)
            log = self.log.program(service.program)
            self._try(lambda: smtp_agent(foundation, settings, service.program, log), settings, service)
            readable = readable_passwords(settings, foundation.tables, service.program)
            self._tell(self.proof.remarks, [place(error, settings) for error in readable])

    def _listener(self, service: Service, foundation: Foundation) -> None:
        settings = self.configuration.settings_for(service)

        def compiled() -> None:
            policy = unprotected_policy(foundation, service)
            self._policy(policy, settings)
            Parameters.of(settings)
            Parameters.of(self.configuration.settings_for(service, stress="yes"))
            if fault := tls_fault(settings, foundation.tables, self.log.program("smtpd")):
                error, required = fault
                (self.proof.faults if required else self.proof.remarks).append(str(place(error, settings)))
            SessionLists.of(settings, foundation.tables)
            RejectFooter(settings, foundation.tables, policy.parts.ports.log, time.time)
            addresses = addresses_of(service, settings, f"{self.configuration.directory}/master.cf")
            lists: dict[str, MatchList] = {}
            self._lists(settings, foundation, lists)
            self.proof.listeners.append(ProvedListener(service, settings, addresses, policy, lists))
            require_relay_protection(policy.parts)

        self._try(compiled, settings, service)
        self._try(lambda: self._sasl(settings, foundation), settings, service)

    def _sasl(self, settings: Settings, foundation: Foundation) -> None:
        """Who knows the passwords, and whether that can be asked. Raises ConfigError."""
        sasl = listener_sasl(settings, foundation.tables, foundation.sasl)
        if sasl is not None and (why := unreachable(sasl.server)):
            self.proof.remarks.append(str(place(ConfigError(why), settings, "smtpd_sasl_path")))

    def _gateways(self, listener: ProvedListener, around: Surroundings) -> None:
        """Refuse to trust the gateway of a container; warn of the router of a network."""
        settings = listener.settings
        if inquired(listener).local_only:
            return
        allowed = split_list(settings.gatepost_trusted_gateways)
        for gateway in trusted_gateways(around, trusted_networks(listener.lists["mynetworks"]), allowed):
            error = place(ConfigError(gateway.text), settings, "mynetworks")
            heading = self.proof.errors if gateway.grave else self.proof.remarks
            heading.append(str(error))

    def _strangers(self, listener: ProvedListener) -> None:
        """Refuse an open relay, as far as nobody else has to be asked (`gatepost prove` asks)."""
        answer = listener.answer = inquire_now(inquired(listener))
        if answer is None or answer.outcome != "refuted":
            return
        parameter, text = in_a_sentence(answer)
        if listener.settings.gatepost_allow_open_relay:
            self.proof.remarks.append(str(place(ConfigError(text), listener.settings, parameter)))
            return
        text += "; `gatepost prove` tells more, and gatepost_allow_open_relay = yes allows it"
        raise ConfigError(text, parameter=parameter)

    def _policy(self, policy: AccessPolicy, settings: Settings) -> None:
        for parameter, text in policy.problems():
            heading = self.proof.remarks if text.endswith("is ignored") else self.proof.faults
            heading.append(str(place(ConfigError(text), settings, parameter)))

    def _lists(self, settings: Settings, foundation: Foundation, lists: dict[str, MatchList]) -> None:
        proof = self.proof

        def compiled() -> None:
            for parameter in (*ADDRESS_LISTS, *DOMAIN_LISTS):
                lists[parameter] = matches = compile_list(parameter, settings, foundation.tables)
                if matches.text == lists["mynetworks"].text and parameter != "mynetworks":
                    continue  # its default: what is wrong with it is told already
                self._tell(proof.faults, broken_items(matches, settings))
                self._tell(proof.remarks, useless_exceptions(matches, settings))
            self._tell(proof.remarks, in_two_classes(lists, settings))
            self._tell(proof.remarks, missing_transports(settings, transports(self.configuration)))

        self._try(compiled, settings)

    def _certificates(self, foundation: Foundation) -> None:
        """Those that are not there, have expired or soon will."""
        now = time.time()
        for file in certificate_files(self.configuration, foundation.tables):
            if file.problem and file.problem not in self._refused:
                self.proof.remarks.append(str(place(ConfigError(file.problem), file.settings, file.parameter)))
            for certificate in file.certificates:
                if trouble := certificate.trouble(now):
                    text = f"{file.path}: the certificate of {certificate.name} {trouble}"
                    self.proof.remarks.append(str(place(ConfigError(text), file.settings, file.parameter)))

    def _secrets(self, foundation: Foundation) -> None:
        """Files that not even who opens them for the workers may read, or may open for them: nobody will ever."""
        services = {service.key: service for service in self.configuration.master}
        for file in NamedFiles.of(self.configuration).files:
            settings = self.settings
            if file.scope:
                settings = self.configuration.settings_for(services[file.scope])
            parameter = find(file.parameter)
            if not settings.defined(file.parameter) or (parameter is not None and not parameter.honoured):
                continue
            if why := refusal(foundation.files, file.path):
                text = f"open {file.path}: {why}"
                self._refused += (text,)
                error = place(ConfigError(text), settings, file.parameter)
                self.proof.errors.append(str(error))

    def _tables(self, foundation: Foundation) -> None:
        """What was wrong with the tables that all these parts have opened, and what they said meanwhile."""
        proof = self.proof
        places = [self.settings, *map(self.configuration.settings_for, self.configuration.master)]
        told = set()
        for problem in foundation.tables.problems():
            told.add(_subject(problem.text))
            if problem.text.endswith(self._refused):
                continue  # told already, as an error
            placed = place_of_table(problem.text, places)
            # Nobody chose a default value: that its file is missing must not stand in the way of a reload.
            heading = proof.faults if problem.skipped and placed is not None else proof.remarks
            heading.append(str(placed or problem.text))
        for fallback in foundation.tables.fallbacks():
            proof.remarks.append(
                f"{fallback.path}, line {fallback.line}: the pattern {fallback.pattern} needs the engine "
                f"{fallback.engine}, which a chosen text can keep busy for long; RE2 takes no such pattern"
            )
        self.log.flush()
        for line in self.output.lines:
            if not line.startswith("error: open "):  # of a table, which is among the problems
                self._said(line.removeprefix("warning: "), told)

    def _said(self, text: str, told: Container[str]) -> None:
        """A line that would have gone to the log. One about an item in a file gives a fault its line."""
        found = _IN_FILE.fullmatch(text)
        if found is None:
            if _subject(text) not in told:
                self.proof.remarks.append(text)
            return
        parameter, where, what = found.groups()
        faults = self.proof.faults
        for number, fault in enumerate(faults):
            if f"parameter {parameter}: " in fault and fault.endswith(what) and where not in fault:
                faults[number] = f"{where}: parameter {parameter}: {what}"


def _subject(text: str) -> str:
    """What a line is about: of a table that cannot be opened its name, for the log says it otherwise."""
    return text.partition(" is unavailable. ")[0]
