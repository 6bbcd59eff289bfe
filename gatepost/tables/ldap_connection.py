"""A connection to a directory: python-ldap, and so OpenLDAP's own library, in a thread.

That library waits in the middle of its calls: for a name, for a TLS handshake, for a bind. Nobody else must.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from gatepost.tables.asking import WorkerThread
from gatepost.tables.connection_pool import ConnectionFailure, QuestionFailure
from gatepost.tables.database_library import library
from gatepost.tables.ldap_search import Entries, Request, Search


class LdapLogin(NamedTuple):
    """All that makes two connections the same, but for the host. Times in seconds."""

    timeout: int
    version: int
    bind: str
    bind_dn: str
    bind_pw: str
    sasl_mechs: str
    sasl_realm: str
    sasl_authz_id: str
    sasl_minssf: int
    start_tls: bool
    tls_ca_cert_file: str
    tls_ca_cert_dir: str
    tls_cert: str
    tls_key: str
    tls_cipher_suite: str
    tls_require_cert: bool
    dereference: int
    chase_referrals: bool
    debuglevel: int


class LdapConnection:
    """One connection and its thread."""

    __slots__ = ("_directory", "_ldap", "_login", "_thread", "_url")

    def __init__(self, ldap: Any, url: str, login: LdapLogin) -> None:
        self._ldap = ldap
        self._url = url
        self._login = login
        self._thread = WorkerThread(f"ldap {url}")
        self._directory: Any = None

    async def open(self) -> "LdapConnection":
        """Connect and bind. Raises ConnectionFailure."""
        try:
            await self._thread.call(self._open)
        except self._ldap.LDAPError as error:
            self.close()
            raise ConnectionFailure(_words(error)) from None
        except BaseException:
            self.close()
            raise
        return self

    async def ask(self, lookup: Callable[[Search], None], size_limit: int) -> None:
        """Carry out a lookup, `size_limit` entries for each search (0: any number).

        `lookup` gets this connection's way to search, and runs in the thread. Raises ConnectionFailure,
        QuestionFailure, and what the lookup raises.
        """
        ldap = self._ldap
        try:
            await self._thread.call(lookup, partial(self._search, size_limit))
        except (ldap.SERVER_DOWN, ldap.CONNECT_ERROR, ldap.UNAVAILABLE, ldap.BUSY, ldap.TIMEOUT) as error:
            raise ConnectionFailure(_words(error)) from None
        except ldap.LDAPError as error:
            raise QuestionFailure(f"search error: {_words(error)}") from None

    def close(self) -> None:
        """Also while the thread is busy: then it ends when it is done with that."""
        self._thread.leave(self._unbind)

    def _unbind(self) -> None:
        if self._directory is not None:
            self._directory.unbind_ext_s()

    def _open(self) -> None:
        ldap, login = self._ldap, self._login
        if login.debuglevel:
            ldap.set_option(ldap.OPT_DEBUG_LEVEL, login.debuglevel)  # of the whole library; there is no other
        directory = self._directory = ldap.initialize(self._url)
        directory.set_option(ldap.OPT_PROTOCOL_VERSION, login.version)
        directory.set_option(ldap.OPT_NETWORK_TIMEOUT, login.timeout)
        directory.set_option(ldap.OPT_TIMEOUT, login.timeout)
        directory.set_option(ldap.OPT_DEREF, login.dereference)
        directory.set_option(ldap.OPT_REFERRALS, int(login.chase_referrals))
        directory.set_option(ldap.OPT_RESTART, 1)
        if login.start_tls or self._url.lower().startswith("ldaps:"):
            self._set_tls()
        if login.start_tls:
            directory.start_tls_s()
        if login.bind == "sasl":
            self._bind_sasl()
        elif login.bind == "simple":
            directory.simple_bind_s(login.bind_dn, login.bind_pw)

    def _set_tls(self) -> None:
        ldap, login, directory = self._ldap, self._login, self._directory
        directory.set_option(
            ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND if login.tls_require_cert else ldap.OPT_X_TLS_NEVER
        )
        for option, value in (
            (ldap.OPT_X_TLS_CACERTFILE, login.tls_ca_cert_file),
            (ldap.OPT_X_TLS_CACERTDIR, "" if login.tls_ca_cert_file else login.tls_ca_cert_dir),
            (ldap.OPT_X_TLS_CERTFILE, login.tls_cert),
            (ldap.OPT_X_TLS_KEYFILE, login.tls_key),
            (ldap.OPT_X_TLS_CIPHER_SUITE, login.tls_cipher_suite),
        ):
            if value:
                directory.set_option(option, value)
        directory.set_option(ldap.OPT_X_TLS_NEWCTX, 0)  # what was set counts from here on

    def _bind_sasl(self) -> None:
        login = self._login
        sasl = library("ldap.sasl", "ldap")
        if login.sasl_minssf:
            self._directory.set_option(self._ldap.OPT_X_SASL_SECPROPS, f"minssf={login.sasl_minssf}")
        answers = {
            sasl.CB_USER: login.sasl_authz_id,
            sasl.CB_AUTHNAME: login.bind_dn,
            sasl.CB_PASS: login.bind_pw,
            sasl.CB_GETREALM: login.sasl_realm,
        }
        self._directory.sasl_interactive_bind_s("", sasl.sasl(answers, login.sasl_mechs))

    def _search(self, size_limit: int, request: Request) -> Entries:
        try:
            found = self._directory.search_ext_s(
                request.base,
                request.scope,
                request.filter,
                list(request.attributes) or None,
                timeout=self._login.timeout,
                sizelimit=size_limit,
            )
        except self._ldap.NO_SUCH_OBJECT:
            return None
        # What has no DN is a referral to another server.
        return [attributes for name, attributes in found if name is not None]


def _words(error: Exception) -> str:
    """What the library and the server say."""
    details = error.args[0] if error.args else {}
    if not isinstance(details, dict):
        return str(error) or type(error).__name__
    said = [str(details[name]) for name in ("desc", "info") if details.get(name)]
    return ": ".join(said) or type(error).__name__
