"""Every error of the agent, and whether trying again can help.

    LatarnikError
    ├── CollectError(reason, detail)          one facet of one device could not be read
    │   ├── Unreachable                       no connection: refused, timeout, dns, unreachable, reset
    │   ├── NotTrusted                        TLS certificate or SSH host key is not (or no longer) accepted; nothing secret was sent
    │   ├── LoginRefused                      the device refused our credential; never tried again by itself
    │   ├── LoginBlocked                      we do not log in: an earlier refusal is remembered, or an attempt's end is unknown (AUTH_BLOCKED);
    │   │                                     or another device refused this credential and none accepted it (AUTH_WAITS, no fault of this one)
    │   ├── Forbidden                         this account may not read this; others things it may
    │   ├── NotSupported                      the device does not have this interface: not a fault, and never "OK"
    │   ├── Busy                              the device asks us to come later: session table full, lockout running, still booting
    │   └── BadPayload                        an answer that makes no sense
    ├── DeskError(reason, retryable, unknown) a ticket desk did not take a step
    ├── StartError                            the agent could not open what it needs: database, address to listen on, a vendor's part
    ├── StoreError                            the database is damaged, newer than we are, or not writable
    └── PluginError                           a vendor or desk folder is not what it must be

Bad configuration is `config.errors.ConfigError`: config stands below the agent.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why something failed: a closed set, because it becomes a metric label."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    DNS = "dns"
    TLS = "tls"
    TLS_NOT_TRUSTED = "tls_not_trusted"
    TLS_CHANGED = "tls_changed"
    HOST_KEY = "host_key"
    AUTH = "auth"
    AUTH_BLOCKED = "auth_blocked"
    AUTH_WAITS = "auth_waits"
    NO_CREDENTIAL = "no_credential"
    WEAKER_SCHEME = "weaker_scheme"
    FORBIDDEN = "forbidden"
    NOT_SUPPORTED = "not_supported"
    HTTP_STATUS = "http_status"
    PARSE = "parse"
    TOO_LARGE = "too_large"
    SESSIONS_FULL = "sessions_full"
    LOCKOUT = "lockout"
    BOOTING = "booting"
    SNMP_ERROR = "snmp_error"
    SSH_ERROR = "ssh_error"
    BUG = "bug"


class LatarnikError(Exception):
    """Base of all errors that are ours."""


class CollectError(LatarnikError):
    """One facet of one device could not be read.

    `detail` is for a person: what was tried, what came back, what would help. It never holds a secret or a whole body.
    `retry_after` in seconds, when the device told us.
    """

    def __init__(self, reason: Reason, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after


class Unreachable(CollectError):
    """No connection to the device, or it went away.

    `sent`: it went wrong after our request was on the wire, so the device may have acted on it; False for what failed while connecting.
    """

    def __init__(self, reason: Reason, detail: str, *, retry_after: float | None = None, sent: bool = False) -> None:
        super().__init__(reason, detail, retry_after=retry_after)
        self.sent = sent


class NotTrusted(CollectError):
    """The device's certificate or host key is not accepted. Nothing secret was sent."""

    def __init__(self, reason: Reason, detail: str, *, fingerprint: str) -> None:
        super().__init__(reason, detail)
        self.fingerprint = fingerprint


class LoginRefused(CollectError):
    """The device refused our credential, in so many words."""


class LoginBlocked(CollectError):
    """We did not try to log in, because we must not: see `agent.polling.guard`."""


class Forbidden(CollectError):
    """The account is known but may not read this."""


class NotSupported(CollectError):
    """The device does not have this interface."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.NOT_SUPPORTED, detail)


class Busy(CollectError):
    """The device asks us to come later."""


class BadPayload(CollectError):
    """An answer that makes no sense: the one error a parser raises."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.PARSE, detail)


class DeskError(LatarnikError):
    """A ticket desk did not take a step.

    `retryable`: trying again later can help. `unknown`: the desk may have taken it (the connection broke after we sent it).
    """

    def __init__(self, reason: str, detail: str, *, retryable: bool, unknown: bool = False) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retryable = retryable
        self.unknown = unknown


class StartError(LatarnikError):
    """The agent could not start with this configuration, though it reads well."""


class StoreError(LatarnikError):
    """The database cannot be used; it was left as it was."""


class PluginError(LatarnikError):
    """A vendor or desk folder is not what it must be."""
