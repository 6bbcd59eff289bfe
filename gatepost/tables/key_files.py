"""Certificates and keys in files that the configuration names, read again when they are renewed.

A certificate is renewed by putting new files in the place of the old ones, often one after the other. So what is made
of them (an SSLContext) is made anew once all of them have stood still, and only if it can be made: a key that does not
fit its certificate leaves everything as it was.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.tables.environment import TableEnvironment, error_text
from gatepost.tables.watched import Signature, signature_of
from gatepost.tls.problem import unopened
from gatepost.tls.values import Chain

T = TypeVar("T")

LOOK_INTERVAL = 5.0
"""Seconds between two looks at files in use: a renewal counts within ten seconds."""

STILL = 2.0
"""Seconds that all the files must have stood still: certificate and key are rarely replaced in one moment."""

FILE_SUFFIXES = (
    "chain_files", "cert_file", "key_file", "eccert_file", "eckey_file", "dcert_file", "dkey_file", "CAfile",
)  # fmt: skip
"""What follows `smtpd_tls_`, `smtp_tls_` or `lmtp_tls_` in the names of parameters that name such files."""

_PAIRS = (("cert_file", "key_file", "RSA"), ("dcert_file", "dkey_file", "DSA"), ("eccert_file", "eckey_file", "ECDSA"))

_LISTS = ("_chain_files", "_trust_anchor_file")
_MAY_LACK = ("smtpd_tls_chain_files", "smtpd_tls_cert_file")

_CHAIN = "chain"


class UnreadableFile(ConfigError):
    """A file that cannot be read. `kind`: what would be in it, `chain` or, say, `ECDSA private key`. `errno`: the
    system's number, 0 for a name that no file can have. `lines`: Postfix's for the log.
    """

    def __init__(self, parameter: str, file: str, kind: str, error: OSError | ValueError) -> None:
        why = error_text(error) if isinstance(error, OSError) else str(error)
        super().__init__(f"open {file}: {why}", parameter=parameter)
        self.file = file
        self.kind = kind
        self.errno = getattr(error, "errno", None) or 0
        if kind == _CHAIN:
            self.lines: tuple[str, ...] = (f"error opening chain file: {file}: {why}",)
        else:
            failed = f'cannot get {kind} from file "{file}": disabling TLS support'
            self.lines = (failed, *unopened(file, self.errno, why))


class KeyFiles:
    """The files of some parameters. `read` gives their octets, which belong in no log, exception or repr."""

    def __init__(self, env: TableEnvironment, files: Mapping[str, Sequence[str]]) -> None:
        """`files`: the paths by parameter."""
        self.env = env
        self.files = {parameter: tuple(paths) for parameter, paths in files.items() if paths}

    @classmethod
    def of(cls, env: TableEnvironment, settings: Settings, prefix: str) -> "KeyFiles":
        """Those of a listener or transport. `prefix`: `smtpd_tls`, `smtp_tls`, `lmtp_tls`."""
        names = (f"{prefix}_{suffix}" for suffix in FILE_SUFFIXES)
        return cls(env, {name: named(name, settings.text(name)) for name in names})

    def __bool__(self) -> bool:
        return bool(self.files)

    def read(self, parameter: str) -> bytes:
        """The content of the parameter's files, one after the other; empty if it names none.

        Raises UnreadableFile.
        """
        return b"".join(self._read(parameter, path, _CHAIN) for path in self.files.get(parameter, ()))

    def chains(self, prefix: str) -> Iterator[Chain]:
        """Certificates with their keys: those of PREFIX_chain_files, else those of the pairs (tls_certkey.c).

        Raises UnreadableFile.
        """
        whole = f"{prefix}_chain_files"
        if paths := self.files.get(whole):
            for path in paths:
                yield Chain(name=path, certificates=self._read(whole, path, _CHAIN))
            return
        for certificate, key, algorithm in _PAIRS:
            for path in self.files.get(f"{prefix}_{certificate}", ()):
                yield self._pair(path, f"{prefix}_{certificate}", f"{prefix}_{key}", algorithm)

    def authorities(self, prefix: str) -> bytes:
        """What is in PREFIX_CAfile; empty if it is not to be had: OpenSSL, asked for the file, tells why."""
        try:
            return self.read(f"{prefix}_CAfile")
        except UnreadableFile:
            return b""

    def _pair(self, path: str, parameter: str, key_parameter: str, algorithm: str) -> Chain:
        key_path = next(iter(self.files.get(key_parameter, ())), "")
        same = key_path == path
        octets = self._read(parameter, path, _CHAIN if same else f"{algorithm} certificate")
        key = octets if same else self._read(key_parameter, key_path, f"{algorithm} private key")
        return Chain(name=path, certificates=octets, key_name=key_path, key=key, algorithm=algorithm)

    def signatures(self) -> tuple[Signature | None, ...]:
        """What tells a file that has changed from one that has not; None for one that cannot be looked at."""
        return tuple(self._signature(path) for paths in self.files.values() for path in paths)

    def _read(self, parameter: str, path: str, kind: str) -> bytes:
        try:
            data = self.env.read_file(self.env.path(path))
        except (OSError, ValueError) as error:
            raise UnreadableFile(parameter, path, kind, error) from None
        return data if data.endswith(b"\n") else data + b"\n"

    def _signature(self, path: str) -> Signature | None:
        try:
            return signature_of(self.env.stat_file(self.env.path(path)))
        except (OSError, ValueError):
            return None


class Renewed(Generic[T]):
    """What is made of key files; made anew when they change. `current` costs one look at the clock."""

    def __init__(
        self,
        files: KeyFiles,
        make: Callable[[KeyFiles], T],
        name: str,
        *,
        failures: tuple[type[Exception], ...] = (),
        renewed: Callable[[T], None] = lambda made: None,
    ) -> None:
        """`make` raises ConfigError, or one of `failures`, and is called once here, where they go to the caller.

        `name`: whose files they are, for the log. `renewed` is told of what takes the place of what was there.
        """
        self._files = files
        self._make = make
        self._name = name
        self._failures: tuple[type[Exception], ...] = (ConfigError, *failures)
        self._renewed = renewed
        self._env = files.env
        self._taken = files.signatures()
        self._pending: tuple[Signature | None, ...] | None = None
        self._pending_since = 0.0
        self._complaint = ""
        self._made = make(files)
        self._next_look = self._env.clock() + LOOK_INTERVAL

    def current(self) -> T:
        """What to work with now."""
        if self._env.clock() >= self._next_look:
            self._look()
        return self._made

    def _look(self) -> None:
        now = self._env.clock()
        self._next_look = now + LOOK_INTERVAL
        signatures = self._files.signatures()
        if signatures == self._taken:
            self._pending, self._complaint = None, ""
        elif self._stand_still(signatures, now):
            self._take(signatures)
        else:
            self._next_look = self._pending_since + STILL

    def _stand_still(self, signatures: tuple[Signature | None, ...], now: float) -> bool:
        if signatures != self._pending:
            self._pending, self._pending_since = signatures, now
            if None in signatures:  # perhaps between its removal and its successor
                return False
            last = max(max(each[1], each[2]) for each in signatures if each is not None) / 1e9
            return self._env.wall_clock() - last >= STILL
        return now - self._pending_since >= STILL

    def _take(self, signatures: tuple[Signature | None, ...]) -> None:
        try:
            made = self._make(self._files)
        except self._failures as error:
            # Tried again at each look, for what is wrong may be on the way to the file and not in it; told once.
            if str(error) != self._complaint:
                self._complaint = str(error)
                self._env.warn(f"{self._name}: {error}, using the certificate and key it had before")
            return
        if self._files.signatures() != signatures:  # written while we read them
            self._next_look = self._env.clock() + STILL
            return
        self._pending, self._taken, self._complaint = None, signatures, ""
        self._made = made
        self._renewed(made)


class NamedChains:
    """Chains whose files are values of a table: each is read when it is first asked for, then when its files change."""

    def __init__(
        self,
        env: TableEnvironment,
        parameter: str,
        check: Callable[[bytes], object],
        failures: tuple[type[Exception], ...],
        kept: int = 1000,
    ) -> None:
        """`check` raises one of `failures` for a chain that cannot serve: one that was good before stays then. Where
        there was none, who asked gets it as it is, and will tell what is wrong.
        """
        self._env = env
        self._parameter = parameter
        self._check = check
        self._failures = failures
        self._kept = kept
        self._chains: dict[str, Renewed[bytes]] = {}

    def current(self, value: str) -> bytes:
        """The octets of the files that a value names. Raises ConfigError."""
        chain = self._chains.pop(value, None)
        if chain is None:
            files = KeyFiles(self._env, {self._parameter: split_list(value)})
            try:
                chain = Renewed(files, self._read, f"{self._parameter}: {value}", failures=self._failures)
            except self._failures:
                return files.read(self._parameter)
            if len(self._chains) >= self._kept:
                del self._chains[next(iter(self._chains))]
        self._chains[value] = chain  # the last one used is the last to go
        return chain.current()

    def _read(self, files: KeyFiles) -> bytes:
        octets = files.read(self._parameter)
        self._check(octets)
        return octets


def named(parameter: str, value: str) -> list[str]:
    """The paths in the value of such a parameter. Only a server may say `none`; for a client that is a file's name, as
    in Postfix.
    """
    if parameter in _MAY_LACK and value.lower() == "none":
        return []
    if parameter.endswith(_LISTS):
        return split_list(value)
    return [value] if value else []
