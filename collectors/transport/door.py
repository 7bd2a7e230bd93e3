"""What the HTTPS of one visit must see before it sends anything, and what it leaves for the next."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from agent.errors import CollectError, NotTrusted, Reason
from agent.model import Device, TlsMode
from agent.ports import Services
from collectors.transport.failures import LEGACY_REMEDY
from collectors.transport.resumption import TlsSessions
from collectors.transport.tls import PeerCheck, TlsContexts, look
from collectors.transport.trust import Shown, changed, expected_fingerprint, normal_fingerprint

_TOO_WEAK: Final = frozenset({66, 67, 68})  # X509_V_ERR_EE_KEY_TOO_SMALL, _CA_KEY_TOO_SMALL, _CA_MD_TOO_WEAK


@dataclass(slots=True)
class TlsCommons:
    """What the visits of one plugin share. `settled`: devices of which it is noted that they show the accepted certificate."""

    contexts: TlsContexts = field(default_factory=TlsContexts)
    sessions: TlsSessions = field(default_factory=TlsSessions)
    settled: set[str] = field(default_factory=set)


class Door:
    """One visit's TLS. `context` and `peer` are settled by `settle`; `offered` is the TLS session that the next connection may resume."""

    def __init__(self, device: Device, port: int, services: Services, commons: TlsCommons) -> None:
        self.peer = PeerCheck("")
        self.offered: ssl.SSLSession | None = None
        self._device = device
        self._port = port
        self._endpoint = f"https:{port}"
        self._services = services
        self._commons = commons

    async def settle(self, timeout: float) -> ssl.SSLContext:
        """What the device must show, before the first byte of HTTP. A device that is not known yet gets a look that sends nothing.

        Raises NotTrusted, CollectError(TLS) for what the configuration has wrong, and what a connection raises.
        """
        context = self._context()
        self.peer = await self._expected(context, timeout)
        self.offered = self._commons.sessions.offer(self._device.id, self.peer.expected, self._services.clock.monotonic())
        return context

    async def distrust(self, error: aiohttp.ServerFingerprintMismatch | aiohttp.ClientConnectorCertificateError) -> NotTrusted:
        """The error to raise when the device showed something else."""
        if isinstance(error, aiohttp.ServerFingerprintMismatch):
            self._commons.settled.discard(self._device.id)
            self._commons.sessions.drop(self._device.id)
            self.offered = None
            shown = self.peer.shown or Shown(sha256=error.got.hex())
            return await changed(self._services, self._device, self._endpoint, expected=self.peer.expected, shown=shown)
        cause = error.certificate_error
        said = getattr(cause, "verify_message", "") or "it does not verify"
        if getattr(cause, "verify_code", 0) in _TOO_WEAK and not self._device.tls.legacy:
            said = f"{said}; {LEGACY_REMEDY}"
        return NotTrusted(Reason.TLS_NOT_TRUSTED, f"{self._device.host}:{self._port}: certificate not trusted: {said}", fingerprint="")

    def offered_in_vain(self, error: aiohttp.ClientConnectorError) -> bool:
        """Whether it may have been the offer to resume that broke this handshake; none is made again then."""
        if self.offered is None or not isinstance(error.os_error, (ssl.SSLError, ConnectionResetError)):
            return False
        self._commons.sessions.failed(self._device.id)
        self.offered = None
        return True

    def leave(self) -> None:
        """Before the visit's connection is closed: keep its TLS session for the next."""
        mode, connection = self._device.tls.mode, self.peer.connection
        if connection is not None and mode is not TlsMode.CA:
            now = self._services.clock.monotonic()
            self._commons.sessions.keep(self._device.id, self.peer.expected, connection, now, offered=self.offered is not None)
        elif self.offered is not None:
            self._commons.sessions.failed(self._device.id)
        self.offered = None

    async def note(self) -> None:
        """After it: what another certificate left in the store must not stay there for a person to accept."""
        if self.peer.connection is None or self._device.tls.mode not in (TlsMode.TOFU, TlsMode.ENROL) or self._device.id in self._commons.settled:
            return
        self._commons.settled.add(self._device.id)
        await self._services.trust.offered(self._device.id, self._endpoint, self.peer.expected)

    def _context(self) -> ssl.SSLContext:
        policy = self._device.tls
        try:
            return self._commons.contexts.of(policy)
        except OSError as error:
            said = error.strerror or "no certificates in it"
        raise CollectError(Reason.TLS, f"{self._device.id}: the CA file {policy.ca_file} cannot be used: {said}")

    async def _expected(self, context: ssl.SSLContext, timeout: float) -> PeerCheck:
        device, policy = self._device, self._device.tls
        if policy.mode in (TlsMode.CA, TlsMode.INSECURE):
            return PeerCheck("")
        if policy.mode is TlsMode.PIN:
            fingerprint = normal_fingerprint(policy.sha256)
        else:
            fingerprint = await expected_fingerprint(
                self._services, device, self._endpoint, lambda: look(device.host, self._port, context, source=device.source_address, timeout=timeout)
            )
        try:
            if len(fingerprint) != 64:
                raise ValueError
            return PeerCheck(fingerprint)
        except ValueError:
            raise CollectError(Reason.TLS, f"{device.id}: not a sha256 fingerprint (64 hex digits): {fingerprint!r}") from None
