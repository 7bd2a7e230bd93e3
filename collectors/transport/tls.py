"""TLS contexts, what a device must show before anything is sent to it, and a look at a certificate without sending anything."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path

import aiohttp
from cryptography import x509

from agent.model import TlsMode, TlsPolicy
from collectors.transport.resumption import ResumingContext
from collectors.transport.trust import Shown

_LEGACY_SERVER_CONNECT = getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)  # named from Python 3.12 on


class TlsContexts:
    """The contexts of all visits: building one is dear, and they hold nothing of a device."""

    def __init__(self) -> None:
        self._made: dict[tuple[bool, Path | None, bool], ssl.SSLContext] = {}

    def of(self, policy: TlsPolicy) -> ssl.SSLContext:
        """The context of this policy.

        With CA it verifies the chain (against `ca_file`, or the system's authorities) and the host name or address; otherwise it takes any
        certificate: the fingerprint decides, or (insecure) nothing does. Raises OSError for a CA file it cannot use.
        """
        verifies = policy.mode is TlsMode.CA
        key = (verifies, policy.ca_file if verifies else None, policy.legacy)
        if key not in self._made:
            context = _new_context(legacy=policy.legacy)
            if not verifies:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            elif policy.ca_file is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(policy.ca_file)
            self._made[key] = context
        return self._made[key]


def _new_context(*, legacy: bool) -> ssl.SSLContext:
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if legacy:
        # SSL 3.0 stays off by Python's own options. Level 0 lets in short keys, SHA-1 and the signatures of TLS 1.0.
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.options |= _LEGACY_SERVER_CONNECT
    context.set_alpn_protocols(["http/1.1"])
    return context


class PeerCheck(aiohttp.Fingerprint):
    """Whether the other end is the one we expect: aiohttp asks it about each new connection, before the first byte of HTTP.

    `expected` is a SHA-256 in hex (ValueError if it is none), or '' where the context has decided already.
    `shown` is the certificate of a connection that was not the expected one; `connection` the TLS of the newest one that was let pass.
    """

    def __init__(self, expected: str) -> None:
        super().__init__(bytes.fromhex(expected) if expected else bytes(32))
        self.expected = expected
        self.shown: Shown | None = None
        self.connection: ssl.SSLObject | None = None

    def check(self, transport: asyncio.Transport) -> None:
        if self.expected:
            certificate = _certificate(transport)
            got = hashlib.sha256(certificate).digest()
            if got != self.fingerprint:
                self.shown = shown_certificate(certificate)
                host, port, *_ = transport.get_extra_info("peername")
                raise aiohttp.ServerFingerprintMismatch(self.fingerprint, got, host, port)
        self.connection = transport.get_extra_info("ssl_object")


def _certificate(transport: asyncio.BaseTransport) -> bytes:
    """The certificate of this connection in DER; b'' where there is none, whose fingerprint nobody expects."""
    tls = transport.get_extra_info("ssl_object")
    return (tls.getpeercert(binary_form=True) if tls else None) or b""


def shown_certificate(der: bytes) -> Shown:
    """What is noted of a certificate. It is a stranger's: one that cannot be read has no known end."""
    try:
        until = x509.load_der_x509_certificate(der).not_valid_after_utc.date().isoformat()
    except ValueError:
        until = ""
    return Shown(sha256=hashlib.sha256(der).hexdigest(), until=until)


async def look(host: str, port: int, context: ssl.SSLContext, *, source: str, timeout: float) -> Shown:
    """The certificate shown at host:port. Only a handshake; raises OSError, ssl.SSLError, TimeoutError."""
    async with asyncio.timeout(timeout):
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, host, port, ssl=context, server_hostname=host, local_addr=(source, 0) if source else None
        )
    try:
        certificate = _certificate(transport)
    finally:
        if not transport.is_closing():  # Python 3.11.2 breaks at the abort of one that is closed
            transport.abort()
    return shown_certificate(certificate)
