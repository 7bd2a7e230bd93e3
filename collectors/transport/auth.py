"""Logging in over HTTP: the scheme the device offers, never a weaker one than before, and at most one refused attempt.

The rule that keeps accounts from being locked: a credential is only sent to a path that asked for one, so every answer but a 401
(or an overload) proves that it was taken. Before such a proof in this visit a 401 means the credential is refused, and nothing more is sent;
after it, a 401 means this account may not read this path. Such paths are remembered and not asked first again, because there the two
could not be told apart.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field

from agent.errors import CollectError, Forbidden, LoginBlocked, LoginRefused, Reason
from agent.model import Device, HttpCredential
from agent.ports import Services
from collectors.transport.challenge import Challenge, Scheme, parse_challenges, strongest
from collectors.transport.digest import DigestSession, new_session

WAY = "http"
GUARDED_KEPT = 256  # a path may hold an id of the device's making; forgetting one costs one question more
FORBIDDEN_KEPT = 48  # paths an account may not read; a vendor asks about as many in all


@dataclass(slots=True)
class KnownHttp:
    """What this process learned of one device's web server: no secret, gone at a restart, learned anew by one question without a credential a path.

    `guarded`: paths that asked for a credential. `nonces` by account and credential version: kept between visits only for a device that
    has shown that it says `stale`, because with any other a refused old nonce looks like a refused password.
    """

    guarded: set[str] = field(default_factory=set)
    nonces: dict[tuple[str, str], DigestSession] = field(default_factory=dict)


class Login:
    """One account's way in during one visit."""

    def __init__(self, services: Services, device: Device, role: str, credential: HttpCredential, known: KnownHttp) -> None:
        self._services = services
        self._device = device
        self._role = role
        self._credential = credential
        self._known = known
        self._memory: dict[str, str] = {}
        self._digest: DigestSession | None = None
        self._basic = ""
        self._started = False
        self._attempting = False
        self._refused = False
        self.proven = False

    @property
    def _scheme_key(self) -> str:
        return f"http_scheme.{self._device.scheme}"

    @property
    def _may_weaken(self) -> bool:
        return self._device.allow_basic_over_http

    async def start(self) -> None:
        """Read what is remembered of the device, once a visit."""
        if self._started:
            return
        self._memory = await self._services.memory.get(self._device.id)
        self._started = True
        if self._memory.get("digest_stale") == "yes":
            self._digest = self._known.nonces.get((self._role, self._credential.version))
        elif self._seen() is Scheme.BASIC and self._basic_allowed():
            self._take_basic()

    def check(self, asked: str) -> None:
        """Raises LoginBlocked after a refusal in this visit, and Forbidden for what this account was refused before."""
        if self._refused:
            raise LoginBlocked(Reason.AUTH_BLOCKED, f"account {self._credential.name} was refused earlier in this visit; not tried again")
        if not self.proven and asked in self._forbidden():
            raise Forbidden(Reason.FORBIDDEN, f"account {self._credential.name} was not allowed {asked} before; asked again once it was let in elsewhere")

    def authorization(self, path: str, method: str, target: str, body: bytes) -> str:
        """The header to send, '' to ask without a credential first."""
        if path not in self._known.guarded:
            return ""
        return self._digest.authorization(method, target, body) if self._digest else self._basic

    async def begin(self) -> None:
        """Ahead of a request that carries the credential. Raises LoginBlocked."""
        if not self.proven and not self._attempting:
            await self._services.guard.before(self._device.id, self._credential, WAY)
            self._attempting = True

    async def unclear(self, *, sent: bool) -> None:
        """The attempt, if it has not ended yet, brought no answer to the credential. `sent` as for the guard."""
        if self._attempting:
            self._attempting = False
            await self._services.guard.unclear(self._device.id, self._credential, WAY, sent=sent)

    async def passed(self, status: int, asked: str) -> None:
        """A request with the credential was answered with something else than 401."""
        if status >= 500 or status in (408, 429):
            # An overloaded or starting device says this to everybody, without a look at the credential: it counts no refusal, and nor do we.
            await self.unclear(sent=False)
            return
        changes: dict[str, str] = {}
        if not self.proven:
            self.proven, self._attempting = True, False
            await self._services.guard.accepted(self._device.id, self._credential, WAY)
            if self._memory.get(f"accepted_{self._role}") != self._credential.version:
                changes[f"accepted_{self._role}"] = self._credential.version
        forbidden = self._forbidden()
        if asked in forbidden:
            changes |= self._with_forbidden([known for known in forbidden if known != asked])
        if self._digest:
            self._known.nonces[self._role, self._credential.version] = self._digest
        await self._remember(changes)

    async def challenged(self, path: str, headers: list[str]) -> None:
        """A request without a credential was answered 401: take up what is offered. Raises WEAKER_SCHEME, or AUTH when nothing can be used."""
        if len(self._known.guarded) >= GUARDED_KEPT:
            self._known.guarded.clear()
        self._known.guarded.add(path)
        await self._take(parse_challenges(headers))

    async def answered_401(self, asked: str, headers: list[str]) -> None:
        """A request with the credential was answered 401. Returns when it may be sent again; raises LoginRefused, Forbidden or a weaker scheme."""
        offers = parse_challenges(headers)
        used = self._digest
        best = strongest(offers)
        fresh = best is not None and best.scheme is not Scheme.BASIC and (used is None or best.nonce != used.challenge.nonce)
        self._known.nonces.pop((self._role, self._credential.version), None)
        if used and fresh and best and best.stale:
            await self._remember({"digest_stale": "yes"})
            await self._take(offers)
            return
        if used is None and offers and all(offer.scheme is not Scheme.BASIC for offer in offers):
            await self._take(offers)  # the device no longer takes Basic at all: it did not look at the password
            return
        if self.proven and used and used.uses > 1 and fresh:
            await self._take(offers)  # a one-time nonce; this account is known to be good
            return
        if self.proven:
            await self._remember(self._with_forbidden([*self._forbidden(), asked]))
            raise Forbidden(Reason.FORBIDDEN, f"account {self._credential.name} may not read {asked} (401, while it is let in elsewhere)")
        self._refused, self._attempting = True, False
        before = self._memory.get(f"accepted_{self._role}") == self._credential.version
        detail = f"{asked}: account {self._credential.name} ({self._credential.username}) was refused" + (
            "; it was accepted before: its password or its rights were changed on the device" if before else ""
        )
        raise LoginRefused(Reason.AUTH, await self._services.guard.refused(self._device.id, self._credential, WAY, detail))

    def _seen(self) -> Scheme | None:
        return Scheme.of_word(self._memory.get(self._scheme_key, ""))

    def _basic_allowed(self) -> bool:
        return self._device.scheme == "https" or self._device.allow_basic_over_http

    async def _take(self, offers: list[Challenge]) -> None:
        best, seen = strongest(offers), self._seen()
        if best is None:
            raise CollectError(Reason.AUTH, f"{self._device.id} asks for a login but offers no scheme we know (Basic, Digest MD5, Digest SHA-256)")
        if seen and best.scheme < seen and not self._may_weaken:
            raise CollectError(
                Reason.WEAKER_SCHEME,
                f"{self._device.id} offers {best.scheme.word}, earlier it offered {seen.word}: nothing was sent. "
                "If it was changed on purpose, set allow_basic_over_http for this device",
            )
        if best.scheme is Scheme.BASIC and not self._basic_allowed():
            raise CollectError(
                Reason.WEAKER_SCHEME,
                f"{self._device.id} offers only Basic over plain http: nothing was sent. Use https, or set allow_basic_over_http for this device",
            )
        if seen is None or best.scheme > seen:
            await self._remember({self._scheme_key: best.scheme.word})
        if best.scheme is Scheme.BASIC:
            self._digest = None
            self._take_basic()
        else:
            self._digest = new_session(best, self._credential.username, self._credential.password.reveal())

    def _take_basic(self) -> None:
        pair = f"{self._credential.username}:{self._credential.password.reveal()}"
        self._basic = "Basic " + b64encode(pair.encode()).decode()

    def _forbidden(self) -> list[str]:
        version, *asked = self._memory.get(f"forbidden_{self._role}", "").split(" ")
        return asked if version == self._credential.version else []

    def _with_forbidden(self, asked: list[str]) -> dict[str, str]:
        kept = list(dict.fromkeys(asked))[-FORBIDDEN_KEPT:]
        return {f"forbidden_{self._role}": " ".join([self._credential.version, *kept]) if kept else ""}

    async def _remember(self, changes: dict[str, str]) -> None:
        if changes:
            self._memory = {**self._memory, **changes}
            await self._services.memory.put(self._device.id, changes)
