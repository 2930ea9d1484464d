"""A throw-away certificate authority and a server certificate, made when the simulator first starts with TLS.

The authority's key is never written: nothing else can be signed by it. A directory that already holds a
certificate with days to live is used as it is, so that clients keep their trust over a restart.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cdc.errors import SettingsError

LIFETIME_DAYS = 30
REUSED_DAYS_MIN = 2
BACKDATED_MINUTES = 10  # for clients whose clocks run behind

CA_FILE = "ca.pem"
CERTIFICATE_FILE = "server.pem"
KEY_FILE = "server.key"


@dataclass(frozen=True, slots=True)
class Tls:
    """What both servers speak TLS with; clients trust `ca_file`."""

    ca_file: Path
    certificate: bytes
    key: bytes
    ca: bytes

    @classmethod
    def in_directory(cls, directory: str | Path) -> Tls:
        """Made there, or found there. Errors: SettingsError when it cannot be written."""
        folder = Path(directory)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not _usable(folder):
                _make(folder)
            return cls(
                folder / CA_FILE,
                (folder / CERTIFICATE_FILE).read_bytes(),
                (folder / KEY_FILE).read_bytes(),
                (folder / CA_FILE).read_bytes(),
            )
        except OSError as error:
            raise SettingsError(
                f"certificates cannot be kept there: {error.strerror}",
                where=f"--tls {folder}",
                do="name a directory that can be written",
            ) from None

    def http_context(self) -> ssl.SSLContext:
        """For the HTTP server."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.ca_file.parent / CERTIFICATE_FILE, self.ca_file.parent / KEY_FILE)
        return context


def _usable(folder: Path) -> bool:
    files = [folder / name for name in (CA_FILE, CERTIFICATE_FILE, KEY_FILE)]
    if not all(file.is_file() for file in files):
        return False
    try:
        certificate = x509.load_pem_x509_certificate(files[1].read_bytes())
        authority = x509.load_pem_x509_certificate(files[0].read_bytes())
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=REUSED_DAYS_MIN)


def _make(folder: Path) -> None:
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(authority_key)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _server(key, authority, authority_key)
    pem = serialization.Encoding.PEM
    (folder / CA_FILE).write_bytes(authority.public_bytes(pem))
    (folder / CERTIFICATE_FILE).write_bytes(certificate.public_bytes(pem))
    key_file = folder / KEY_FILE
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name("Simulated org, throw-away authority")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _server(
    key: ec.EllipticCurvePrivateKey, authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
    )
    return (
        _builder(_name("localhost"), authority.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=BACKDATED_MINUTES))
        .not_valid_after(now + timedelta(days=LIFETIME_DAYS))
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
