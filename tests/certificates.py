"""Certificates for tests, made anew by each process: an authority of our own, and one that nobody trusts.

`CERTS/` in parameters is their folder:

    ca.pem, other.pem         the two authorities
    rsa.pem, rsa.key, rsa.chain     mail.ours.example; `.chain` has key and certificates
    ec.*                      the same name, another kind of key
    sni.*                     sni.ours.example
    client.*, deep.*          clients' (laptop.ours.example; deep.ours.example, by way of another authority)
    stranger.*                a client's, by the authority that nobody trusts
    unprintable.*             likewise; its common name is no text
"""

import functools
import re
import ssl
import tempfile
from pathlib import Path

import trustme

_PLACE = "CERTS"
_FOLDER = re.compile(r"/var/tmp/gatepost-certificates-\w+/")
_FINGERPRINT = re.compile(r"(?:[0-9A-F]{2}:){15,}[0-9A-F]{2}")
_NUMBER = re.compile(r" #[\w-]{16}")


class Certificates:
    """In a folder of their own, which anybody may read: there is nothing to protect."""

    def __init__(self) -> None:
        self._kept = tempfile.TemporaryDirectory(prefix="gatepost-certificates-", dir="/var/tmp")
        self.folder = Path(self._kept.name)
        self.folder.chmod(0o755)
        authority = trustme.CA(organization_name="Test CA")
        other = trustme.CA(organization_name="Other CA")
        authority.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        other.cert_pem.write_to_path(str(self.folder / "other.pem"))
        rsa, ec = trustme.KeyType.RSA, trustme.KeyType.ECDSA
        self._write("rsa", authority.issue_cert("mail.ours.example", key_type=rsa))
        self._write("ec", authority.issue_cert("mail.ours.example", key_type=ec))
        self._write("sni", authority.issue_cert("sni.ours.example", key_type=ec))
        laptop = "laptop.ours.example"
        self._write("client", authority.issue_cert(laptop, common_name=laptop, key_type=rsa))
        deep = "deep.ours.example"
        self._write("deep", authority.create_child_ca().issue_cert(deep, common_name=deep, key_type=ec))
        self._write("stranger", other.issue_cert("stranger.example", common_name="stranger.example", key_type=rsa))
        self._write("unprintable", other.issue_cert("odd.example", common_name="odd\x1b[31m.example"))

    def _write(self, name: str, made: trustme.LeafCert) -> None:
        key = made.private_key_pem.bytes()
        chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
        (self.folder / f"{name}.key").write_bytes(key)
        (self.folder / f"{name}.pem").write_bytes(chain)
        (self.folder / f"{name}.chain").write_bytes(key + chain)

    def client_context(self, certificate: str = "", version: str = "") -> ssl.SSLContext:
        """For a client that trusts anybody. `version`: the highest of TLS, as `1.2`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(self.folder / f"{certificate}.pem", self.folder / f"{certificate}.key")
        if version:
            context.maximum_version = ssl.TLSVersion[f"TLSv{version.replace('.', '_')}"]
        return context


@functools.cache
def certificates() -> Certificates:
    """Those of this process."""
    return Certificates()


def placed(value: str) -> str:
    """A parameter's value with the real folder."""
    return value.replace(f"{_PLACE}/", f"{certificates().folder}/") if f"{_PLACE}/" in value else value


def unplaced(line: str) -> str:
    """A line of a log without what differs from run to run: folder, fingerprints, trustme's numbers."""
    return _NUMBER.sub("", _FINGERPRINT.sub("FINGERPRINT", _FOLDER.sub(f"{_PLACE}/", line)))
