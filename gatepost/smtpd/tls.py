"""TLS of one listener: its context, what a handshake has come to, and what is told of it."""

import ssl
from collections.abc import Callable

import msgspec

from gatepost.cleanup.received import comment_text
from gatepost.maillog import lines
from gatepost.maillog.sink import ProgramLog
from gatepost.net.client_hello import Prepare
from gatepost.net.tls_patience import PatientTransport
from gatepost.net.tls_pump import TlsFailure, TlsTransport
from gatepost.restrictions.facts import Encryption
from gatepost.smtpd.tls_settings import CERTIFICATE, SUMMARY, UNTRUSTED, VERBOSE, TlsSettings
from gatepost.tls.certificate import Certificate, certificate_facts
from gatepost.tls.sni import sni_name, sni_remark
from gatepost.tls.summary import Summary, connection_summary, negotiated, received_lines, summarize
from gatepost.tls.values import BadTlsValue
from gatepost.tls.verification import Verification, looked_at, status, verification


class Secured(msgspec.Struct, frozen=True):
    """A handshake that has succeeded. `present`, `trusted`: the client's certificate. `received`: for Received:."""

    encryption: Encryption
    present: bool
    trusted: bool
    fingerprints: tuple[str, str] | tuple[()]
    ccert_name: str
    received: str


class ListenerTls:
    """What sessions ask. `context` is to be asked anew for each handshake: certificates are renewed."""

    def __init__(
        self,
        settings: TlsSettings,
        context: Callable[[], ssl.SSLContext | None],
        cipherlist: str,
        log: ProgramLog,
        prepare: Prepare | None = None,
    ) -> None:
        """`cipherlist`: for the log. `context` gives None while it cannot be made. `prepare`: what is to be waited for
        with the name that a client asks for, before the handshake.
        """
        self.prepare = prepare
        self.transport: type[TlsTransport] = PatientTransport if settings.patient else TlsTransport
        self.offered = settings.offered
        self.enforced = settings.enforced
        self.wrapper = settings.wrapper
        self.requires_certificate = settings.requires
        self.context = context
        self._settings = settings
        self._cipherlist = cipherlist
        self._log = log

    def begins(self, namaddr: str) -> None:
        """A handshake with this client."""
        if VERBOSE in self._settings.log:
            self._log.info(lines.tls_begins(namaddr))
            self._log.info(lines.tls_cipherlist(namaddr, self._cipherlist))

    def failed(self, failure: TlsFailure, namaddr: str) -> None:
        """Tell why there is none."""
        library = not (failure.lost or failure.timed_out)
        self._log.info(lines.tls_accept_error(namaddr, "-1" if library else failure.words))
        self.broken(failure)

    def broken(self, failure: TlsFailure) -> None:
        """Tell what OpenSSL has found in a client's records, before or behind the end of its handshake."""
        if not (failure.lost or failure.timed_out):
            self._log.warning(lines.tls_library_problem(failure.words))

    def established(self, transport: TlsTransport, namaddr: str) -> Secured:
        """Read and tell what has been agreed upon."""
        tls, told = transport.ssl_object, self._settings.log
        remark = sni_remark(tls).replace("{peer}", namaddr)
        if remark:
            (self._log.warning if "is invalid" in remark else self._log.info)(remark)
        for looked in looked_at(tls):
            self._log.info(lines.tls_depth(namaddr, *looked))
        checked = verification(tls)
        certificate = self._certificate(transport, namaddr) if checked.present else None
        summary = summarize(tls) if SUMMARY in told or self._settings.received_header else negotiated(tls)
        if certificate is not None and told & {VERBOSE, CERTIFICATE}:
            self._tell_certificate(certificate, namaddr)
        if checked.complaint and (self.requires_certificate or UNTRUSTED in told):
            self._log.info(checked.complaint.replace("{peer}", namaddr))
        if SUMMARY in told:
            words = connection_summary(summary)
            self._log.info(lines.tls_established(status(checked), namaddr, sni_name(tls), words))
        return self._secured(summary, checked, certificate)

    def _certificate(self, transport: TlsTransport, namaddr: str) -> Certificate | None:
        try:
            # Not the chain's first: a resumed session has no chain.
            certificate = certificate_facts(transport.ssl_object.getpeercert(True) or b"", self._settings.digest)
        except BadTlsValue as error:
            self._log.warning(f"a client's certificate cannot be read: {error}")
            return None
        for complaint in certificate.complaints:
            self._log.warning(complaint.replace("{peer}", namaddr))
        return certificate

    def _tell_certificate(self, certificate: Certificate, namaddr: str) -> None:
        self._log.info(
            lines.tls_certificate(
                namaddr,
                certificate.subject_CN,
                certificate.issuer_CN,
                certificate.fingerprint,
                certificate.pkey_fingerprint,
            )
        )

    def _secured(self, summary: Summary, checked: Verification, certificate: Certificate | None) -> Secured:
        subject = issuer = name = ""
        fingerprints: tuple[str, str] | tuple[()] = ()
        if certificate is not None:
            name = certificate.subject_CN
            fingerprints = (certificate.fingerprint, certificate.pkey_fingerprint)
            if checked.trusted:
                subject, issuer = name, certificate.issuer_CN
        return Secured(
            Encryption(summary.protocol, summary.cipher, summary.cipher_usebits, subject, issuer),
            certificate is not None,
            certificate is not None and checked.trusted,
            fingerprints,
            name,
            self._received(summary, checked, certificate) if self._settings.received_header else "",
        )

    def _received(self, summary: Summary, checked: Verification, certificate: Certificate | None) -> str:
        if certificate is not None:
            verified = "verified OK" if checked.trusted else "not verified"
            subject, issuer = comment_text(certificate.subject_CN), comment_text(certificate.issuer_CN)
            about = f'(Client CN "{subject}", Issuer "{issuer}" ({verified}))'
        elif self._settings.asks:
            about = "(Client did not present a certificate)"
        else:
            about = "(No client certificate requested)"
        return "".join(f"\t{line}\n" for line in (*received_lines(summary), about))
