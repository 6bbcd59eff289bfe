"""TLS in the SMTP and LMTP clients: one object per transport, and one per connection.

What the handshake brings is judged here: whether the server is who the policy says, and what the log says of it.
"""

import ssl
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from gatepost.delivery.interface import Log
from gatepost.delivery.smtp_addresses import Target
from gatepost.delivery.smtp_delivery import Failure, SmtpDelivery
from gatepost.delivery.smtp_destination import domain_of
from gatepost.delivery.smtp_session import SmtpSession
from gatepost.delivery.smtp_tls_log import connect_error, established, library_problem, log_features
from gatepost.delivery.smtp_tls_params import SmtpTlsParams
from gatepost.delivery.smtp_tls_policy import Level, Policies, TlsPolicy
from gatepost.maillog import lines
from gatepost.net.tls_patience import PatientTransport
from gatepost.net.tls_pump import TlsFailure, TlsTransport
from gatepost.tls.certificate import Certificate, certificate_facts, fingerprint, fingerprints_match
from gatepost.tls.context import client_context
from gatepost.tls.dane import DaneOffer, matched, peer_name
from gatepost.tls.match import expected_names, matching_name
from gatepost.tls.sessions import ClientSession, take_session
from gatepost.tls.summary import connection_summary, summarize
from gatepost.tls.values import BadTlsValue, Chain, ClientValues
from gatepost.tls.verification import Verification, looked_at, verification

NOT_STARTED = Failure("4.7.5", "Cannot start TLS: handshake failure")
NOT_VERIFIED = Failure("4.7.5", "Server certificate not verified")
TOO_EARLY = Failure("4.7.0", "unexpected server message")
NO_ENGINE = Failure("4.7.5", "TLS is required, but our TLS engine is unavailable")

_PROTOCOLS_OF_ALL, _PROTOCOLS_OF_ONE = ": disabling TLS support", ": aborting TLS session"
_SESSIONS = 1000
_CONTEXTS = 100
_MISMATCH = "server certificate verification failed for {peer}: num=62:hostname mismatch"
_OTHER = "server certificate verification failed for {peer}: num=65:no matching DANE TLSA records"
_UNUSABLE = "server certificate verification failed for {peer}: num=1:unspecified certificate verification error"
_TIMES = ("certificate has expired", "certificate not yet valid")
_DIGEST_SIZES = {"md5": 16, "sha1": 20, "sha224": 28, "sha256": 32, "sha384": 48, "sha512": 64}


class Contexts:
    """SSLContexts by what they are made of, with the client's certificates. Sessions live as long as their context."""

    def __init__(self, params: SmtpTlsParams, chains: tuple[Chain, ...], authorities: bytes = b"") -> None:
        """`authorities`: what is in CAfile; empty: it is read here.

        Raises BadTlsValue if the certificates, or the CAs, are of no use, or the digest is none.
        """
        try:
            fingerprint(b"", params.fingerprint_digest)
        except BadTlsValue as error:
            raise BadTlsValue(*error.lines, "disabling TLS support") from None
        self._params = params
        self._chains = chains
        self._authorities = authorities
        self._telling = "verbose" in log_features(params.loglevel, "", lambda text: None)
        self._made: OrderedDict[tuple[Any, ...], ssl.SSLContext] = OrderedDict()
        self.context(TlsPolicy(protocols=params.mandatory_protocols, ciphers="medium"), lambda text: None, usual=True)

    def context(self, policy: TlsPolicy, warn: Log, *, usual: bool = False) -> ssl.SSLContext:
        """Raises BadTlsValue."""
        key = (policy.protocols, policy.ciphers, policy.exclude, policy.trust_anchors, bool(policy.tlsa))
        made = self._made.get(key)
        if made is None:
            params = self._params
            values = ClientValues(
                library=params.library,
                protocols=">=TLSv1" if usual else policy.protocols,
                ciphers=policy.ciphers,
                exclude_ciphers=policy.exclude,
                CAfile="" if policy.trust_anchors else params.CAfile,
                CA=self._authorities,
                CApath="" if policy.trust_anchors else params.CApath,
                trust_anchors=policy.trust_anchors,
                scert_verifydepth=params.scert_verifydepth,
                chains=self._chains,
                telling=self._telling,
                dane=bool(policy.tlsa),
            )
            made = client_context(values, warn)
            if usual:
                return made
            self._made[key] = made
            if len(self._made) > _CONTEXTS:
                self._made.popitem(last=False)
        return made


class Sessions:
    """TLS sessions to resume, in memory. `clock`: seconds that only go forward."""

    def __init__(self, lifetime: float, clock: Callable[[], float]) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._kept: OrderedDict[tuple[Any, ...], tuple[ClientSession, float]] = OrderedDict()

    def find(self, key: tuple[Any, ...]) -> ClientSession | None:
        found = self._kept.get(key)
        if found is None:
            return None
        if found[1] > self._clock():
            return found[0]
        del self._kept[key]
        return None

    def keep(self, key: tuple[Any, ...], session: ClientSession) -> None:
        """The newest one counts."""
        self._kept[key] = (session, self._clock() + self._lifetime)
        self._kept.move_to_end(key)
        if len(self._kept) > _SESSIONS:
            self._kept.popitem(last=False)

    def forget(self, key: tuple[Any, ...]) -> None:
        """It has led to no good."""
        self._kept.pop(key, None)


class SmtpTls:
    """What the connections of one transport have in common.

    `contexts` gives the contexts to work with now, None if there are none: then TLS is not to be had. `sessions`: None
    without smtp_tls_session_cache_database. `log`, `warn` write lines of the mail log.
    """

    def __init__(
        self,
        params: SmtpTlsParams,
        policies: Policies,
        contexts: Callable[[], Contexts | None],
        sessions: Sessions | None,
        log: Log,
        warn: Log,
    ) -> None:
        self.params = params
        self.policies = policies
        self.contexts = contexts
        self.sessions = sessions
        self.log = log
        self.warn = warn
        self.features = log_features(params.loglevel, f"{params.prefix}_tls_loglevel", warn)

    @property
    def available(self) -> bool:
        """Is there anything to make a handshake with?"""
        return self.contexts() is not None

    def starttls(self, policy: TlsPolicy) -> str:
        """What SmtpClientProtocol is to do about STARTTLS."""
        if policy.level is Level.NONE or self.params.wrappermode:
            return "never"
        if not self.available:
            return "cannot" if policy.required else "never"
        return "must" if policy.required else "may"

    def look_at(self, session: SmtpSession) -> None:
        """It is past EHLO. Tell of an offer that is not taken; what is said too early is no reply to us."""
        if session.encrypted:
            if self.params.block_early_mail_reply and session.core.ahead:
                session.fault = session.fault or TOO_EARLY
        elif self.params.note_starttls_offer and not session.demand.policy.level and session.core.capabilities.starttls:
            self.log(f"Host offered STARTTLS: [{session.target.host}]")

    def may_give_up(self, session: SmtpSession, delivery: SmtpDelivery) -> None:
        """TLS has failed: mail that has waited before has its next try in plaintext, at the same server, if it may."""
        request, demand = delivery.request, session.demand
        waited = int(request.active) - int(request.arrival)
        if demand.policy.level is Level.MAY and waited >= self.params.minimal_backoff_time:
            delivery.in_plaintext = True
            delivery.final_server = False

    def handshake(self, policy: TlsPolicy, target: Target, nexthop: str) -> "ClientHandshake":
        """For a connection to `target`, which `nexthop` (as the transport has it) has led to."""
        return ClientHandshake(self, policy, target, nexthop)


class ClientHandshake:
    """TLS on one connection. `status` is the log's word for how far we trust the server, once that is known."""

    def __init__(self, tls: SmtpTls, policy: TlsPolicy, target: Target, nexthop: str) -> None:
        self.policy = policy
        self.status = ""
        self.certificate: Certificate | None = None
        self.transport: type[TlsTransport] = TlsTransport if tls.params.fast_shutdown else PatientTransport
        self._tls = tls
        self._target = target
        self._nexthop = nexthop
        self._domain = domain_of(nexthop) if target.port else target.host  # a Unix socket is on this host
        self._session_key: tuple[Any, ...] = ()
        self._dane: DaneOffer | None = None
        self._name = ""  # of the certificate, which is one of those that were wanted
        features = tls.features
        self._features = features | {"untrusted"} if policy.verified else features

    @property
    def server_name(self) -> str | None:
        """What SNI says. An address is no name (RFC 6066 3)."""
        name = self.policy.servername
        if self.policy.tlsa:
            return name
        if name == "hostname":
            name = self._target.host
        elif name == "nexthop":
            name = self._domain
        return name if name and not name.replace(".", "").isdigit() and ":" not in name else None

    def context(self) -> ssl.SSLContext | None:
        """What to shake hands with; None if there is none, which is in the log then."""
        where = self._target.namaddrport
        if "verbose" in self._features:
            self._tls.log(f"setting up TLS connection to {where}")
        contexts = self._tls.contexts()
        if contexts is None:
            return None
        try:
            return contexts.context(self.policy, lambda text: self._warn(f"{where}: {text}"))
        except BadTlsValue as error:
            first = error.lines[0].replace(_PROTOCOLS_OF_ALL, _PROTOCOLS_OF_ONE)
            self._warn(f"{where}: {first}")
            for line in error.lines[1:]:
                self._warn(line)
            return None

    def session(self, context: ssl.SSLContext, helo: str) -> ClientSession | DaneOffer | None:
        """The session to resume, and what else there is to do to the connection before its handshake. `helo`: what the
        server has called itself: several may share an address.
        """
        session = None
        if self._tls.sessions is not None:
            where = self._target.namaddrport
            self._session_key = (context, self.policy.key, self._nexthop, self._target.host, where, helo)
            session = self._tls.sessions.find(self._session_key)
        if not self.policy.tlsa:
            return session
        where, policy = self._target.namaddrport, self.policy
        multiple = self._tls.params.wildcard_matches_multiple_labels
        self._dane = DaneOffer(
            policy.tlsa, policy.match, session, lambda text: self._warn(f"{where}: {text}"),
            multiple_labels=multiple, only=policy.level is Level.DANE_ONLY,
        )  # fmt: skip
        return self._dane

    def keep_session(self, transport: TlsTransport) -> None:
        """The server has spoken: what it gave us to come back with is here by now."""
        if self._tls.sessions is None or not self._session_key:
            return
        session = take_session(transport.ssl_object)
        if session is not None:
            self._tls.sessions.keep(self._session_key, session)

    def failed(self, failure: TlsFailure) -> None:
        """There is no TLS."""
        where, log = self._target.namaddrport, self._tls.log
        if failure.lost or failure.timed_out:
            log(connect_error(where, failure.words))
        else:
            log(connect_error(where, "-1"))
            self._warn(library_problem(failure.words))
        if self._tls.sessions is not None and self._session_key:
            self._tls.sessions.forget(self._session_key)

    def judge(self, transport: TlsTransport) -> Failure | None:
        """The handshake is done: log what it has brought; why this server is not the right one, or None."""
        ssl_object: ssl.SSLObject = transport.get_extra_info("ssl_object")
        for looked in looked_at(ssl_object):
            self._tls.log(lines.tls_depth(self._target.namaddrport, *looked))
        checked = verification(ssl_object)
        chain = transport.peer_chain if checked.present else ()
        certificate = self._certificate(chain)
        good, complaint = self._verdict(checked, certificate, ssl_object)
        where, features, log = self._target.namaddrport, self._features, self._tls.log
        if transport.reused and "cache" in features:
            log(f"{where}: Reusing old session")
        if not good and checked.present and "untrusted" in features:
            again = "re-using session with untrusted certificate, look for details earlier in the log"
            log(f"{where}: {again}" if transport.reused else complaint.replace("{peer}", where))
        if self._dane is not None and "certmatch" in features and (line := matched(ssl_object)):
            log(f"{where}: {line}")
        if certificate is not None and features & {"peercert", "certmatch", "verbose"}:
            log(_facts_line(where, certificate, self._name))
        must_match = self.policy.verified and not self._fallen_back
        self.status = _status(checked, good, named=must_match and self.policy.level is not Level.HALF_DANE)
        if "summary" in features:
            log(established(self.status, where, connection_summary(summarize(ssl_object))))
        return NOT_VERIFIED if must_match and not good else None

    @property
    def _fallen_back(self) -> bool:
        """Is no record of DANE's of any use? Then `dane` does as `encrypt`."""
        return self._dane is not None and not self._dane.usable and self.policy.level is not Level.DANE_ONLY

    def _certificate(self, chain: tuple[bytes, ...]) -> Certificate | None:
        """Reading a certificate takes its time, so only where somebody wants to know."""
        compared = self.policy.verified and self._dane is None
        wanted = compared or self._features & {"peercert", "certmatch", "verbose"}
        if not chain or not wanted:
            return None
        try:
            self.certificate = certificate_facts(chain[0], self._tls.params.fingerprint_digest)
        except BadTlsValue as error:
            self._warn(f"{self._target.namaddrport}: {error}")
        else:
            for complaint in self.certificate.complaints:
                self._warn(complaint.replace("{peer}", self._target.namaddrport))
        return self.certificate

    def _verdict(
        self, checked: Verification, certificate: Certificate | None, ssl_object: ssl.SSLObject
    ) -> tuple[bool, str]:
        """(is it the right server, what the log says if it is not)"""
        policy = self.policy
        if policy.level is Level.FINGERPRINT:
            usable = self._usable_fingerprints()
            matched = certificate is not None and fingerprints_match(certificate, usable)
            return matched, _OTHER if usable else _UNUSABLE
        complaint = checked.complaint
        if self._dane is not None:
            return self._verdict_of_dane(self._dane, checked, ssl_object)
        if policy.trust_anchors and not checked.trusted and not any(time in complaint for time in _TIMES):
            complaint = _OTHER
        if not policy.verified:
            return checked.trusted, complaint
        name = self._name = self._matching_name(certificate)
        self._tell_of_name(checked)
        if not name and (checked.trusted or any(time in complaint for time in _TIMES)):
            complaint = _MISMATCH
        return checked.trusted and bool(name), complaint

    def _verdict_of_dane(self, dane: DaneOffer, checked: Verification, ssl_object: ssl.SSLObject) -> tuple[bool, str]:
        """OpenSSL has judged by the records, if there are any: names and all."""
        self._name = peer_name(ssl_object)
        self._tell_of_name(checked)
        if not dane.usable and self.policy.level is Level.DANE_ONLY:
            return False, _UNUSABLE
        return checked.trusted, checked.complaint

    def _tell_of_name(self, checked: Verification) -> None:
        if self._name and "certmatch" in self._features and checked.trusted:
            self._tls.log(f"{self._target.namaddrport}: matched peername: {self._name}")

    def _matching_name(self, certificate: Certificate | None) -> str:
        if certificate is None:
            return ""
        wanted = expected_names(self.policy.match, nexthop=self._domain, hostname=self._target.host)
        return matching_name(certificate, wanted, multiple_labels=self._tls.params.wildcard_matches_multiple_labels)

    def _usable_fingerprints(self) -> list[str]:
        """Those that the digest can yield at all."""
        size = _DIGEST_SIZES.get(self._tls.params.fingerprint_digest.lower())
        listed, where = self.policy.fingerprints, self._target.namaddrport
        usable = [digits for digits in listed if size is None or len(digits) == 2 * size]
        for digits in reversed(listed):
            if digits not in usable:
                for selector in (1, 0):
                    self._warn(f"{where}: unusable TLSA RR: 3 {selector} 255 {digits.lower()}")
        if not usable:
            self._warn(f"{where}: all fingerprints unusable")
        return [":".join(digits[at : at + 2] for at in range(0, len(digits), 2)) for digits in usable]

    def _warn(self, text: str) -> None:
        self._tls.warn(text)


def _facts_line(where: str, certificate: Certificate, name: str) -> str:
    return (
        f"{where}: subject_CN={certificate.subject_CN or name}, issuer_CN={certificate.issuer_CN}, "
        f"fingerprint={certificate.fingerprint}, pkey_fingerprint={certificate.pkey_fingerprint}"
    )


def _status(checked: Verification, good: bool, *, named: bool) -> str:
    """`named`: it was to be known who the server is."""
    if not checked.present:
        return "Anonymous"
    if named:
        return "Verified" if good else "Untrusted"
    return "Trusted" if checked.trusted else "Untrusted"
