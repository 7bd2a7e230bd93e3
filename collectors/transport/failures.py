"""What went wrong on a socket, as one of our errors. Nothing of a request or an answer gets into the text."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl

import aiohttp

from agent.errors import BadPayload, CollectError, Reason, Unreachable

SOCKET_FAILURES = (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError)

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


def failure(error: BaseException, *, where: str, tried: str, seconds: float, sent: bool = False) -> CollectError:
    """`error` as one of ours. `where` is host:port, `tried` what was attempted, `seconds` how long it took.

    `sent`: our request was on the wire. The caller has to know it: a time-out is the same exception before and after.
    """
    if isinstance(error, CollectError):
        return error
    if malformed := _malformed(error):
        return BadPayload(f"{where}: {tried}: {malformed}")
    reason = _reason(error)
    said = _WORDS[reason]
    cause = getattr(error, "os_error", error)
    if isinstance(cause, ssl.SSLError) and cause.reason:
        said = f"{said} ({cause.reason})"
    elif reason is Reason.UNREACHABLE and isinstance(cause, OSError) and cause.errno:
        said = f"{said} ({errno.errorcode.get(cause.errno, cause.errno)})"
    return Unreachable(reason, f"{where}: {tried}: {said} ({seconds:.1f} s)", sent=sent)


def _malformed(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
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
