"""Certificates of our own making."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import ssl
import warnings
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """`path` holds its key and the certificate; `key` is the same key."""

    path: Path
    sha256: str
    name: x509.Name
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context

    def old_server(self) -> ssl.SSLContext:
        """Speaks TLS 1.0 and nothing newer."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # an old device is the point
            context.maximum_version = ssl.TLSVersion.TLSv1
        context.load_cert_chain(self.path)
        return context


def make_certificate(folder: Path, name: str, *, host: str = "127.0.0.1", days: int = 30, rsa_bits: int = 0, signer: Certificate | None = None) -> Certificate:
    """For this address or host name, valid until so many days from now. Its own authority, unless `signer` signs it. `rsa_bits` 0: an elliptic key."""
    key = rsa.generate_private_key(65537, rsa_bits) if rsa_bits else ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    try:
        known_as: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        known_as = x509.DNSName(host)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.name if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=60))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([known_as]), critical=False)
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .sign(signer.key if signer else key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / f"{name}.pem"
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    return Certificate(path, hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest(), subject, key)
