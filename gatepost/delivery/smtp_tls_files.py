"""The certificates that the SMTP and LMTP clients show, from the files that parameters name (tls_certkey.c)."""

from collections.abc import Iterator

from gatepost.config.errors import ConfigError
from gatepost.delivery.interface import Log
from gatepost.tables.key_files import PAIRS, KeyFiles
from gatepost.tls.problem import unopened
from gatepost.tls.values import BadTlsValue, Chain


def client_chains(files: KeyFiles, prefix: str, warn: Log) -> Iterator[Chain]:
    """`prefix`: `smtp_tls` or `lmtp_tls`. Raises BadTlsValue for a certificate or key that cannot be read.

    A file of PREFIX_chain_files that is not there is told of, and passed over, as in Postfix.
    """
    whole = f"{prefix}_chain_files"
    if paths := files.files.get(whole):
        for path in paths:
            octets = _read(files, whole, path)
            if isinstance(octets, str):
                warn(f"error opening chain file: {path}: {octets}")
            else:
                yield Chain(name=path, certificates=octets)
        return
    for suffix, key_suffix, algorithm in PAIRS:
        parameter, key_parameter = f"{prefix}_{suffix}", f"{prefix}_{key_suffix}"
        for path in files.files.get(parameter, ()):
            key_path = next(iter(files.files.get(key_parameter, ())), path)
            octets = _read(files, parameter, path)
            if key_path == path:
                if isinstance(octets, str):
                    raise BadTlsValue(f"error opening chain file: {path}: {octets}")
                yield Chain(name=path, certificates=octets)
                continue
            key = _read(files, key_parameter, key_path)
            if isinstance(octets, str):
                raise _missing(f"{algorithm} certificate", path, octets)
            if isinstance(key, str):
                raise _missing(f"{algorithm} private key", key_path, key)
            yield Chain(name=path, certificates=octets, key_name=key_path, key=key, algorithm=algorithm)


def _read(files: KeyFiles, parameter: str, path: str) -> bytes | str:
    """What is in the file, or why that is not known."""
    try:
        return KeyFiles(files.env, {parameter: (path,)}).read(parameter)
    except ConfigError as error:
        return error.message.removeprefix(f"open {path}: ")


def _missing(what: str, path: str, why: str) -> BadTlsValue:
    problem = f"TLS library problem: {unopened(path, why)[1]}"
    return BadTlsValue(f'cannot get {what} from file "{path}": disabling TLS support', problem)
