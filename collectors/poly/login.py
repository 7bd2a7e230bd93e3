"""What a device's answer to `POST /rest/session` means. Pure: the session acts on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from http.cookies import CookieError, SimpleCookie

from agent.errors import BadPayload
from collectors.poly.lenient import truth, word
from collectors.transport import HttpAnswer

SESSION_COOKIE = "session_id"
TOKEN_COOKIE = "XSRF-TOKEN"  # noqa: S105 - the cookie's name
TOKEN_HEADER = "X-XSRF-TOKEN"  # noqa: S105 - the header's name

_REASON_SEARCH = 4096


class Verdict(Enum):
    """IN: logged in. REFUSED: wrong user or password, in so many words. FULL: no session left. LOCKED: too many failures, ours or others'.
    HELD: this client has a session already. ODD: a refusal that says nothing, as a device gives that is starting. LATER: not ready.
    """

    IN = auto()
    REFUSED = auto()
    FULL = auto()
    LOCKED = auto()
    HELD = auto()
    ODD = auto()
    LATER = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The verdict with what it brings. `session_id` and `token` belong to IN and never stand in `detail`."""

    verdict: Verdict
    session_id: str = ""
    token: str = ""
    detail: str = ""


# As seen by field clients; the firmware that says SessionRequestInvalid for a wrong password is that of 2021.
_REASONS = {
    "SessionInvalidUserNamePassword": Verdict.REFUSED,
    "SessionMaxActiveSessionsReached": Verdict.FULL,
    "SessionPortLockout": Verdict.LOCKED,
    "SessionAlreadyActive": Verdict.HELD,
    "SessionRequestInvalid": Verdict.REFUSED,
}
_BARE_FORMS = frozenset({403, 412})


def judge(answer: HttpAnswer) -> Entry:
    """Read the answer to a login. Raises nothing."""
    text = answer.text()[:_REASON_SEARCH]
    reason = next((name for name in _REASONS if name in text), "")
    status = answer.status
    if 200 <= status < 300:
        return _welcome(answer)
    if reason:
        return Entry(verdict=_REASONS[reason], detail=f"the device answered {status} {reason}")
    if status == 401:
        return Entry(verdict=Verdict.REFUSED, detail="the device answered 401 to the login")
    if status == 400 or status in _BARE_FORMS:
        return Entry(verdict=Verdict.ODD, detail=f"the device answered {status} to the login and gave no reason")
    return Entry(verdict=Verdict.LATER, detail=f"the device answered {status} to the login")


def _welcome(answer: HttpAnswer) -> Entry:
    try:
        body = answer.json()
    except BadPayload:
        body = None
    body = body if isinstance(body, Mapping) else {}
    login_status = body.get("loginStatus")
    result = word(login_status.get("loginResult")).upper() if isinstance(login_status, Mapping) else ""
    if truth(body.get("success")) is False:
        reason = next((name for name in _REASONS if name == word(body.get("reason"))), "")
        if reason:
            return Entry(verdict=_REASONS[reason], detail=f"the device answered {reason}")
        if "LOCKOUT" in result and result != "NOLOCKOUT":
            return Entry(verdict=Verdict.LOCKED, detail=f"the device answered {result}")
        return Entry(verdict=Verdict.REFUSED, detail="the device answered success: false")
    session = body.get("session")
    told = session.get("sessionId") if isinstance(session, Mapping) else None
    found = cookies(answer)
    identifier = found.get(SESSION_COOKIE) or (told if isinstance(told, str) else "")
    if not sendable(identifier):
        return Entry(verdict=Verdict.ODD, detail=f"the device answered {answer.status} to the login and gave no session")
    return Entry(verdict=Verdict.IN, session_id=identifier, token=token_of(answer))


def token_of(answer: HttpAnswer) -> str:
    """The XSRF token an answer brings: by cookie, on older firmware as a header; '' when it brings none."""
    token = cookies(answer).get(TOKEN_COOKIE) or answer.headers.get(TOKEN_HEADER, "").strip()
    return token if sendable(token) else ""


def cookies(answer: HttpAnswer) -> dict[str, str]:
    """Names and values of Set-Cookie, byte for byte: session ids hold '+', '/' and '='."""
    found: dict[str, str] = {}
    for header in answer.headers.getall("Set-Cookie", []):
        name, equals, rest = header.partition("=")
        value = rest.partition(";")[0].strip()
        if equals and value.startswith('"'):
            value = _unquoted(header, name.strip())
        if equals and name.strip():
            found[name.strip()] = value
    return found


def _unquoted(header: str, name: str) -> str:
    try:
        morsel = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def sendable(value: str) -> bool:
    """Whether a value can stand in a header as it is: not empty, printable ASCII, nothing that ends a cookie."""
    return 0 < len(value) <= 512 and value.isascii() and value.isprintable() and not set(value) & set(' ;,"')
