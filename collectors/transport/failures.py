"""What went wrong on a socket, as one of our errors. Nothing of a request or an answer gets into the text."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from agent.errors import BadPayload, CollectError, Reason, Unreachable
from collectors.transport.bounded import FloodedError

SOCKET_FAILURES = (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError, asyncio.IncompleteReadError)

_REASONS = {
    errno.ECONNREFUSED: Reason.REFUSED,
    errno.ECONNRESET: Reason.RESET,
    errno.ECONNABORTED: Reason.RESET,
    errno.EPIPE: Reason.RESET,
    errno.ETIMEDOUT: Reason.TIMEOUT,
}
_WORDS = {
    Reason.TIMEOUT: "no answer in time",
    Reason.REFUSED: "connection refused",
    Reason.RESET: "the device closed the connection",
    Reason.DNS: "the name was not found",
    Reason.TLS: "no TLS connection",
    Reason.UNREACHABLE: "not reachable",
}


# What OpenSSL says when the other end is too old for us; and what an old end says of us.
_LEGACY_TLS = {
    "UNSUPPORTED_PROTOCOL": "the device offers only TLS 1.1 or older",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the device offers only TLS 1.1 or older",
    "WRONG_SSL_VERSION": "the device offers only TLS 1.1 or older",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": "the device offers only the old, unsafe renegotiation",
    "DH_KEY_TOO_SMALL": "the device's Diffie-Hellman key is too short",
    "EE_KEY_TOO_SMALL": "the key of the device's certificate is too short",
    "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED": "the device signs with SHA-1",
    "WRONG_SIGNATURE_TYPE": "the device signs with SHA-1",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the device offers nothing but old ciphers, or refuses us",
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": "the device offers nothing but old ciphers, or refuses us",
}
LEGACY_REMEDY = "if it cannot be updated, set tls.legacy: true for this device"


def failure(error: BaseException, *, where: str, tried: str, seconds: float, sent: bool = False, legacy: bool = False) -> CollectError:
    """`error` as one of ours. `where` is host:port, `tried` what was attempted, `seconds` how long it took.

    `sent`: our request was on the wire. The caller has to know it: a time-out is the same exception before and after.
    `legacy`: old TLS was allowed already, so to allow it is no remedy.
    """
    if isinstance(error, CollectError):
        return error
    if isinstance(error, FloodedError):
        return CollectError(Reason.TOO_LARGE, f"{where}: {tried}: {error}")
    if malformed := _malformed(error):
        return BadPayload(f"{where}: {tried}: {malformed}")
    reason = _reason(error)
    said = _WORDS[reason]
    cause = getattr(error, "os_error", error)
    if isinstance(cause, ssl.SSLError) and cause.reason:
        said = f"{said} ({cause.reason})"
        if not legacy and (old := _LEGACY_TLS.get(cause.reason)):
            said = f"{said}: {old}; {LEGACY_REMEDY}"
    elif isinstance(cause, OSError) and cause.errno == errno.EADDRNOTAVAIL:
        said = "not reachable: source_address is no address of this machine"
    elif reason is Reason.UNREACHABLE and isinstance(cause, OSError) and cause.errno:
        said = f"{said} ({errno.errorcode.get(cause.errno, cause.errno)})"
    return Unreachable(reason, f"{where}: {tried}: {said} ({seconds:.1f} s)", sent=sent)


def _malformed(error: BaseException) -> str:
    if isinstance(error, (aiohttp.ClientResponseError, HttpProcessingError)):
        return "this is not an HTTP answer"
    if isinstance(error, aiohttp.ClientPayloadError) and isinstance(error.__cause__, aiohttp.http_exceptions.ContentEncodingError):
        return "the body does not unpack"
    return ""


def _reason(error: BaseException) -> Reason:
    if isinstance(error, TimeoutError):
        return Reason.TIMEOUT
    if isinstance(error, (aiohttp.ClientConnectorDNSError, socket.gaierror, aiohttp.InvalidURL)):
        return Reason.DNS
    cause = getattr(error, "os_error", error)
    if isinstance(error, aiohttp.ClientSSLError) or isinstance(cause, ssl.SSLError):
        return Reason.TLS
    if isinstance(error, (aiohttp.ServerConnectionError, aiohttp.ClientPayloadError, asyncio.IncompleteReadError)):
        return Reason.RESET
    if isinstance(cause, (ConnectionResetError, BrokenPipeError)):  # also without errno, as the libraries raise them themselves
        return Reason.RESET
    return _REASONS.get(cause.errno or 0, Reason.UNREACHABLE) if isinstance(cause, OSError) else Reason.UNREACHABLE
