"""Certificates and keys in files that the configuration names, read again when they are renewed.

A certificate is renewed by putting new files in the place of the old ones, often one after the other. So what is made
of them (an SSLContext) is made anew once all of them have stood still, and only if it can be made: a key that does not
fit its certificate leaves everything as it was.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.tables.environment import TableEnvironment, error_text
from gatepost.tables.watched import Signature, signature_of
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


PAIRS = (("cert_file", "key_file", "RSA"), ("dcert_file", "dkey_file", "DSA"), ("eccert_file", "eckey_file", "ECDSA"))


class KeyFiles:
    """The files of some parameters. `read` gives their octets, which belong in no log, exception or repr."""

    def __init__(self, env: TableEnvironment, files: Mapping[str, Sequence[str]]) -> None:
        """`files`: the paths by parameter."""
        self.env = env
        self.files = {parameter: tuple(paths) for parameter, paths in files.items() if paths}

    @classmethod
    def of(cls, env: TableEnvironment, settings: Settings, prefix: str) -> "KeyFiles":
        """Those of a listener or transport. `prefix`: `smtpd_tls`, `smtp_tls`, `lmtp_tls`."""
        return cls(env, {f"{prefix}_{suffix}": named(settings.text(f"{prefix}_{suffix}")) for suffix in FILE_SUFFIXES})

    def __bool__(self) -> bool:
        return bool(self.files)

    def read(self, parameter: str) -> bytes:
        """The content of the parameter's files, one after the other; empty if it names none.

        Raises ConfigError with parameter and file.
        """
        return b"".join(self._read(parameter, path) for path in self.files.get(parameter, ()))

    def chains(self, prefix: str) -> tuple[Chain, ...]:
        """Certificates with their keys: those of PREFIX_chain_files, else those of the pairs (tls_certkey.c).

        Raises ConfigError with parameter and file.
        """
        whole = f"{prefix}_chain_files"
        if paths := self.files.get(whole):
            return tuple(Chain(name=path, certificates=self._read(whole, path)) for path in paths)
        return tuple(
            self._pair(f"{prefix}_{certificate}", f"{prefix}_{key}", algorithm)
            for certificate, key, algorithm in PAIRS
            if f"{prefix}_{certificate}" in self.files
        )

    def _pair(self, certificate: str, key: str, algorithm: str) -> Chain:
        paths = self.files[certificate]
        key_paths = self.files.get(key, paths)
        return Chain(
            name=paths[0],
            certificates=self.read(certificate),
            key_name=key_paths[0],
            key=self.read(key) if key in self.files else self.read(certificate),
            algorithm=algorithm,
        )

    def signatures(self) -> tuple[Signature | None, ...]:
        """What tells a file that has changed from one that has not; None for one that cannot be looked at."""
        return tuple(self._signature(path) for paths in self.files.values() for path in paths)

    def _read(self, parameter: str, path: str) -> bytes:
        try:
            data = self.env.read_file(self.env.path(path))
        except (OSError, ValueError) as error:
            why = error_text(error) if isinstance(error, OSError) else str(error)
            raise ConfigError(f"open {path}: {why}", parameter=parameter) from None
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
            files = KeyFiles(self._env, {self._parameter: named(value)})
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


def named(value: str) -> list[str]:
    """The paths in the value of such a parameter; `none` names none."""
    return [] if value.strip().lower() == "none" else split_list(value)
