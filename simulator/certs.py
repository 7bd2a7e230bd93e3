"""Certificates and host keys of simulated devices.

Both come out of a seed, so a device shows the same fingerprint after the simulator was started again, as a real device does.
"""

from __future__ import annotations

import hashlib
import ssl
import tempfile
from datetime import UTC, datetime, timedelta

import asyncssh
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_CURVE = ec.SECP256R1()
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256: a private key is 1 .. order-1
_NOT_BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(2046, 1, 1, tzinfo=UTC)


def private_key(seed: str) -> ec.EllipticCurvePrivateKey:
    """The P-256 key of this seed."""
    number = int.from_bytes(hashlib.sha512(b"latarnik simulator " + seed.encode()).digest(), "big")
    return ec.derive_private_key(number % (_ORDER - 1) + 1, _CURVE)


def certificate(seed: str, common_name: str, organization: str, *, ends: datetime = NOT_AFTER) -> tuple[bytes, bytes]:
    """A self-signed certificate and its key, both PEM; the same bytes for the same arguments."""
    key = private_key(seed)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(hashlib.sha256(f"{seed} {common_name}".encode()).digest()[:8], "big") | 1)
        .not_valid_before(min(_NOT_BEFORE, ends - timedelta(days=365)))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False)
        .sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    )
    pem_key = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return signed.public_bytes(serialization.Encoding.PEM), pem_key


def server_context(
    seed: str, common_name: str, organization: str, *, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, ends: datetime = NOT_AFTER
) -> ssl.SSLContext:
    """A server context with the certificate of this seed. `newest` is the newest TLS version the device knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    pem, key = certificate(seed, common_name, organization, ends=ends)
    with tempfile.NamedTemporaryFile() as file:  # load_cert_chain takes a path only
        file.write(key + pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def fingerprint(seed: str, common_name: str, organization: str, *, ends: datetime = NOT_AFTER) -> str:
    """SHA-256 of the certificate, hex without colons, as it is pinned."""
    pem, _ = certificate(seed, common_name, organization, ends=ends)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).hexdigest()


def host_key(seed: str) -> asyncssh.SSHKey:
    """The SSH host key of this seed."""
    pem = private_key(seed + " ssh").private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return asyncssh.import_private_key(pem)
