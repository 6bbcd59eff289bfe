"""SSLContexts of a listener, of its parameters and of the files that these name."""

import hashlib
import re
import ssl

from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.maillog.sink import ProgramLog
from gatepost.smtpd.tls_settings import VERBOSE, TlsSettings
from gatepost.tables.database_tables import SERVER_TYPES
from gatepost.tables.key_files import KeyFiles, NamedChains
from gatepost.tables.maps import Hit, Maps
from gatepost.tables.opening import Tables
from gatepost.tables.table import LookupTemporaryFailure
from gatepost.tls import sni
from gatepost.tls.certificate import fingerprint
from gatepost.tls.ciphers import cipher_list
from gatepost.tls.context import server_context
from gatepost.tls.values import BadTlsValue, Chain, LibraryValues, ServerValues

_SNI_MAPS = "tls_server_sni_maps"
_SERVERS = rf"\b(?:{'|'.join(SERVER_TYPES)}):"

_PREPARED = 10_000
"""Keys whose answers are at hand: each is used at once, but there are many sessions."""

_UNASKED = LookupTemporaryFailure("nobody was asked")
_LEVEL = "@SECLEVEL=0:"


class ContextMaker:
    """Makes them, whenever there are new files."""

    def __init__(self, settings: Settings, tls: TlsSettings, tables: Tables, log: ProgramLog) -> None:
        """Raises ConfigError for a table of tls_server_sni_maps that is none."""
        self._settings = settings
        self._tls = tls
        self._env = tables.env
        self._log = log
        self._names: Maps | None = tables.maps(_SNI_MAPS, settings.tls_server_sni_maps) or None
        self._prepared: dict[str, Hit | LookupTemporaryFailure | None] = {}
        self.asks_servers = re.search(_SERVERS, settings.tls_server_sni_maps) is not None
        """Must somebody else be asked for the certificates of a name? Then `prepare` comes before each handshake."""
        self._chains = NamedChains(tables.env, _SNI_MAPS, self._check, (BadTlsValue,))
        self._authorities = b""  # a digest of those of the context made last
        self.lifetime = max(settings.smtpd_tls_session_cache_timeout, 0)
        """Seconds for which a session may be resumed; 0: not at all."""

    @property
    def cipherlist(self) -> str:
        """In OpenSSL's words, for the log; empty if there is none."""
        values = self._values()
        try:
            return cipher_list(values.ciphers, values.exclude_ciphers, values.library).removeprefix(_LEVEL)
        except BadTlsValue:
            return ""

    @property
    def trust(self) -> tuple[object, ...]:
        """What decides whether a client's certificate is trusted."""
        settings = self._settings
        return (
            self._tls.asks,
            settings.smtpd_tls_CAfile,
            settings.smtpd_tls_CApath,
            settings.tls_append_default_CA,
            settings.smtpd_tls_ccert_verifydepth,
            self._authorities,
        )

    def make(self, files: KeyFiles) -> ssl.SSLContext:
        """Raises UnreadableFile or BadTlsValue."""
        try:
            fingerprint(b"", self._tls.digest)
        except BadTlsValue as bad:
            raise BadTlsValue(*bad.lines, "disabling TLS support") from None
        chains, authorities = tuple(files.chains("smtpd_tls")), files.authorities("smtpd_tls")
        values = self._values(chains, authorities, self._dh_parameters())
        context = server_context(values, self._log.warning)
        if self._names is not None:
            sni.serve_names(context, values, self._find, self._log.warning)
        self._authorities = hashlib.sha256(authorities).digest()
        return context

    def _values(
        self, chains: tuple[Chain, ...] = (), authorities: bytes = b"", dh_parameters: bytes = b""
    ) -> ServerValues:
        settings, tls = self._settings, self._tls
        excluded = [settings.smtpd_tls_exclude_ciphers]
        if tls.enforced:
            excluded.append(settings.smtpd_tls_mandatory_exclude_ciphers)
        if tls.asks:
            excluded.append("aNULL")  # or nobody would have to show a certificate
        return ServerValues(
            library=LibraryValues.of(settings),
            protocols=settings.smtpd_tls_mandatory_protocols if tls.enforced else settings.smtpd_tls_protocols,
            ciphers=settings.smtpd_tls_mandatory_ciphers if tls.enforced else settings.smtpd_tls_ciphers,
            exclude_ciphers=" ".join(filter(None, excluded)),
            CAfile=settings.smtpd_tls_CAfile,
            CA=authorities,
            CApath=settings.smtpd_tls_CApath,
            ask_ccert=tls.asks,
            # Who has none is told so in SMTP, after the handshake.
            req_ccert=False,
            ccert_verifydepth=settings.smtpd_tls_ccert_verifydepth,
            dh1024_param_file=settings.smtpd_tls_dh1024_param_file,
            dh1024_param=dh_parameters,
            session_cache_timeout=self.lifetime,
            chains=chains,
            telling=VERBOSE in tls.log,
        )

    def _dh_parameters(self) -> bytes:
        path = self._settings.smtpd_tls_dh1024_param_file
        if not path or path.lower() == "auto":
            return b""
        try:
            return self._env.read_file(self._env.path(path))
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            self._log.warning(f'error opening DH parameter file "{path}": {why} -- using compiled-in defaults')
            return b""

    def _find(self, name: str) -> bytes | None:
        """The certificates for a name that a client asks for, as tls_server_sni_maps has them."""
        hit = self._prepared.get(name, _UNASKED) if self.asks_servers else self._ask(name)
        if isinstance(hit, LookupTemporaryFailure):
            raise self._unavailable(name)
        if hit is None:
            return None
        try:
            if hit.value.startswith("/"):
                return self._chains.current(hit.value)
            return sni.map_value(hit.value.encode())
        except (ConfigError, BadTlsValue) as error:
            why = error.message if isinstance(error, ConfigError) else str(error)
            self._log.warning(f"{hit.table}: key {name}: {why}")
            raise self._unavailable(name) from None

    def _ask(self, name: str) -> Hit | LookupTemporaryFailure | None:
        assert self._names is not None
        asking = self._names.find(name)
        try:
            # OpenSSL waits for the answer: these tables need nobody else for it.
            asking.send(None)
        except StopIteration as found:
            hit: Hit | None = found.value
            return hit
        except LookupTemporaryFailure as failure:
            return failure
        asking.close()
        return _UNASKED

    async def prepare(self, name: str) -> None:
        """Ask for the certificates of a server name before OpenSSL does."""
        assert self._names is not None
        for key in sni.keys_of(name):
            try:
                hit: Hit | LookupTemporaryFailure | None = await self._names.find(key)
            except LookupTemporaryFailure as failure:
                hit = failure
            self._prepared.pop(key, None)
            self._prepared[key] = hit
            if len(self._prepared) > _PREPARED:
                del self._prepared[next(iter(self._prepared))]
            if hit is not None:
                break

    def _check(self, pem: bytes) -> None:
        sni.check_chain(pem, self._values(()))

    def _unavailable(self, name: str) -> sni.SniUnavailable:
        self._log.warning(f"{_SNI_MAPS}: {name} map lookup problem")
        return sni.SniUnavailable(name)
