"""TLS contexts, and a look at a certificate without sending anything."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path


class TlsContexts:
    """The contexts of all visits: building one is dear, and they hold nothing of a device."""

    def __init__(self) -> None:
        self._unverified: ssl.SSLContext | None = None
        self._verified: dict[Path | None, ssl.SSLContext] = {}

    def unverified(self) -> ssl.SSLContext:
        """Takes any certificate: the fingerprint decides, or (insecure) nothing does."""
        if self._unverified is None:
            context = _new_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._unverified = context
        return self._unverified

    def verified(self, ca_file: Path | None) -> ssl.SSLContext:
        """Verifies the chain against this file (None: the system's authorities) and the host name or address. Raises OSError for a file it cannot use."""
        if ca_file not in self._verified:
            context = _new_context()
            if ca_file is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(ca_file)
            self._verified[ca_file] = context
        return self._verified[ca_file]


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


async def certificate_sha256(host: str, port: int, context: ssl.SSLContext, timeout: float) -> str:
    """The SHA-256 (hex) of the certificate shown at host:port. Only a handshake; raises OSError, ssl.SSLError, TimeoutError."""
    async with asyncio.timeout(timeout):
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, host, port, ssl=context, server_hostname=host)
    try:
        certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        if not transport.is_closing():  # Python 3.11.2 breaks at the abort of one that is closed
            transport.abort()
    return hashlib.sha256(certificate).hexdigest()
