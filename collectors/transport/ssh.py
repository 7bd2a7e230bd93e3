"""SSH to one device for one visit: a password and an interactive shell; no agent, no keys, no configuration files."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from typing import Final

import asyncssh

from agent.errors import CollectError, LoginBlocked, LoginRefused, Reason
from agent.model import Device, HttpCredential, TlsMode
from agent.ports import Services
from collectors.transport.failures import SOCKET_FAILURES, failure
from collectors.transport.trust import Shown, changed, expected_fingerprint

SHELL_LIMIT: Final = 256 * 1024
TERMINAL: Final = "vt100"
_READ_AT_ONCE: Final = 16 * 1024
_TAIL: Final = 4096  # bytes, more than a prompt and what a terminal makes of it
_WIDE: Final = (512, 100)  # columns and rows: a narrow terminal makes devices wrap their lines
_WAY: Final = "ssh"
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][0-9A-B]|[=>])")
_LEGACY: Final = {
    "kex_algs": "+diffie-hellman-group14-sha1,diffie-hellman-group-exchange-sha1,diffie-hellman-group1-sha1",
    "server_host_key_algs": "+ssh-rsa,ssh-dss",
    "encryption_algs": "+aes256-cbc,aes128-cbc,3des-cbc",
    "mac_algs": "+hmac-sha1",
}


class Shell:
    """An interactive command line on a pty. One command at a time."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes], *, prompt: str, end: str, where: str, timeout: float) -> None:
        self._process = process
        self._prompt = prompt
        self._end = end
        self._where = where
        self._timeout = timeout

    async def command(self, line: str, *, timeout: float | None = None, limit: int = SHELL_LIMIT) -> str:
        """Send one line; the reply up to the next prompt, without echo and prompt, lines ended by a plain newline.

        `limit` in bytes. Raises Unreachable when the device stays silent or hangs up, CollectError(TOO_LARGE). After an error the shell is unusable.
        """
        if not line.isprintable():
            raise ValueError(f"not one line: {line!r}")
        return without_echo(await self._until_prompt(line, send=line + self._end, timeout=timeout, limit=limit), line)

    async def first_prompt(self, ready: str) -> None:
        """The banner is over: `ready` was in it (when given), and the device waits."""
        await self._until_prompt("login banner", ready=ready)

    async def _until_prompt(self, tried: str, *, send: str = "", ready: str = "", timeout: float | None = None, limit: int = SHELL_LIMIT) -> str:
        seconds = self._timeout if timeout is None else timeout
        raw = b""
        loop = asyncio.get_running_loop()
        start = loop.time()
        trouble: CollectError
        try:
            async with asyncio.timeout(seconds):
                if send:
                    self._process.stdin.write(send.encode())
                while True:
                    piece = await self._process.stdout.read(65536)
                    if not piece:
                        raise ConnectionResetError
                    raw += piece
                    if len(raw) > limit:
                        raise CollectError(Reason.TOO_LARGE, f"{self._where}: ssh {tried!r}: more than {limit} bytes")
                    if not plain_text(raw[-_TAIL:]).endswith(self._prompt):
                        continue  # not the whole of it for each piece: it may come a byte at a time
                    text = before_prompt(plain_text(raw), self._prompt)
                    if text is not None and ready in text:
                        return text
        except (*SOCKET_FAILURES, asyncssh.Error) as error:
            trouble = _trouble(error, self._where, f"ssh {tried!r}", loop.time() - start, sent=bool(send))
        raise trouble from None


class SshConnection:
    """One visit's SSH, connected when the first shell is opened."""

    def __init__(self, device: Device, services: Services) -> None:
        self._device = device
        self._services = services
        host = f"[{device.host}]" if ":" in device.host else device.host
        self._where = f"{host}:{device.ssh_port}"
        self._connection: asyncssh.SSHClientConnection | None = None
        self._refused = False
        self._turn = asyncio.Lock()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()
            try:
                async with asyncio.timeout(2):
                    await connection.wait_closed()
            except TimeoutError:
                connection.abort()

    async def shell(self, *, prompt: str, end: str = "\r\n", ready: str = "") -> Shell:
        """Log in if need be, open a shell and wait for its first prompt (and for `ready` in the banner, when given).

        `prompt` is what stands at the start of a line when the device waits. Raises CollectError and its kinds, and nothing else.
        """
        if not prompt:
            raise ValueError("a shell needs a prompt to wait for")
        async with self._turn:
            connection = self._connection or await self._connect()
        clock = self._services.clock
        start = clock.monotonic()
        trouble: CollectError
        try:
            async with asyncio.timeout(self._services.timeout):
                process = await connection.create_process(term_type=TERMINAL, term_size=_WIDE, encoding=None)
        except (*SOCKET_FAILURES, asyncssh.Error) as error:
            trouble = _trouble(error, self._where, "ssh shell", clock.monotonic() - start)
        else:
            shell = Shell(process, prompt=prompt, end=end, where=self._where, timeout=self._services.timeout)
            await shell.first_prompt(ready)
            return shell
        raise trouble from None

    async def knock(self) -> None:
        """See whether anybody is there, with nothing secret. Raises CollectError and its kinds."""
        await self._shown_key()

    async def _connect(self) -> asyncssh.SSHClientConnection:
        if self._refused:
            raise LoginBlocked(Reason.AUTH_BLOCKED, f"{self._where}: refused earlier in this visit; not tried again")
        credential = self._device.http_credential("ssh") or self._device.http_credential()
        if credential is None:
            raise CollectError(Reason.NO_CREDENTIAL, f"{self._device.id} has no credential for the role 'ssh' or 'http': add it under credentials")
        endpoint = f"ssh:{self._device.ssh_port}"
        expected = ""
        if self._device.tls.mode is not TlsMode.INSECURE:
            expected = await expected_fingerprint(self._services, self._device, endpoint, self._shown_key)
        await self._services.guard.before(self._device.id, credential, _WAY)
        client = _Client(credential, expected)
        clock = self._services.clock
        start = clock.monotonic()
        trouble: CollectError
        try:
            connection = await self._dial(client)
        except asyncssh.PermissionDenied:
            trouble = await self._denied(client, credential)
        except (*SOCKET_FAILURES, asyncssh.Error, ValueError) as error:
            await self._services.guard.unclear(self._device.id, credential, _WAY, sent=client.given)
            if client.shown and expected and client.shown != expected:
                trouble = await changed(self._services, self._device, endpoint, expected=expected, shown=Shown(sha256=client.shown))
            else:
                trouble = _trouble(error, self._where, "ssh login", clock.monotonic() - start, sent=client.given)
        except BaseException:
            await self._services.guard.unclear(self._device.id, credential, _WAY, sent=client.given)
            raise
        else:
            self._connection = connection
            await self._services.guard.accepted(self._device.id, credential, _WAY)
            if expected:
                # What another key left in the store must not stay there for a person to accept.
                await self._services.trust.offered(self._device.id, endpoint, expected)
            return connection
        raise trouble from None

    async def _denied(self, client: _Client, credential: HttpCredential) -> CollectError:
        if not client.given:
            await self._services.guard.unclear(self._device.id, credential, _WAY, sent=False)
            return CollectError(Reason.SSH_ERROR, f"{self._where}: the device offers no login by password over ssh")
        detail = f"ssh {self._where}: account {credential.name} ({credential.username}) was refused"
        self._refused = True
        return LoginRefused(Reason.AUTH, await self._services.guard.refused(self._device.id, credential, _WAY, detail))

    async def _shown_key(self) -> Shown:
        """The SHA-256 of the host key, from a key exchange that we break off before any login."""
        clock = self._services.clock
        start = clock.monotonic()
        client = _Client(None, "none is good")
        trouble: CollectError = CollectError(Reason.SSH_ERROR, f"{self._where}: the device shows no host key")
        try:
            (await self._dial(client)).abort()
        except (*SOCKET_FAILURES, asyncssh.Error, ValueError) as error:
            trouble = _trouble(error, self._where, "ssh host key", clock.monotonic() - start)
        if client.shown:
            return Shown(sha256=client.shown)
        raise trouble from None

    async def _dial(self, client: _Client) -> asyncssh.SSHClientConnection:
        async with asyncio.timeout(self._services.timeout):
            connection, _ = await asyncssh.create_connection(
                lambda: client,
                self._device.host,
                self._device.ssh_port,
                local_addr=(self._device.source_address, 0) if self._device.source_address else None,
                username=client.username,
                known_hosts=([], [], []),
                config=None,
                agent_path=None,
                client_keys=None,
                public_key_auth=False,
                gss_kex=False,
                gss_auth=False,
                host_based_auth=False,
                preferred_auth="password,keyboard-interactive",
                **(_LEGACY if self._device.ssh_legacy else {"server_host_key_algs": "default"}),
            )
        return connection


class _Client(asyncssh.SSHClient):
    """Checks the host key, then gives the password once, by whichever of the two ways the device asks for it first."""

    def __init__(self, credential: HttpCredential | None, expected: str) -> None:
        self._credential = credential
        self.username = credential.username if credential else "nobody"
        self._expected = expected
        self.shown = ""
        self.given = False

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Read less at a time than asyncio's 256 kB: on so much, in packets of one byte each, asyncssh would work for a third of a second."""
        conn._transport.max_size = _READ_AT_ONCE  # type: ignore[union-attr] # noqa: SLF001 - has no public name; a test holds it

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        del host, addr, port
        self.shown = key_sha256(key)
        return not self._expected or self.shown == self._expected

    def password_auth_requested(self) -> str | None:
        return self._give()

    def kbdint_auth_requested(self) -> str | None:
        return None if self.given else ""

    def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]) -> list[str] | None:
        del name, instructions, lang
        if not prompts:
            return []
        password = self._give() if len(prompts) == 1 else None
        return None if password is None else [password]

    def _give(self) -> str | None:
        if self.given or self._credential is None:
            return None
        self.given = True
        return self._credential.password.reveal()


def key_sha256(key: asyncssh.SSHKey) -> str:
    """The SHA-256 (hex) of a host key's public data."""
    return hashlib.sha256(key.public_data).hexdigest()


def plain_text(raw: bytes) -> str:
    """Terminal output as lines: escape sequences gone, any run of carriage returns and a newline made one newline."""
    text = _ESCAPES.sub("", raw.decode("utf-8", "replace"))
    return re.sub(r"\r+\n", "\n", text).replace("\r", "")


def before_prompt(text: str, prompt: str) -> str | None:
    """What stands before a prompt at the end, alone on its line; None when the device has not come to its prompt."""
    if not text.endswith(prompt):
        return None
    rest = text[: -len(prompt)]
    return rest if not rest or rest.endswith("\n") else None


def without_echo(reply: str, line: str) -> str:
    """The reply without the repeated command line ahead of it, if the device repeats it."""
    body = reply.lstrip("\n")
    if body == line or body.startswith(line + "\n"):
        body = body[len(line) :]
    return body.strip("\n")


def _trouble(error: BaseException, where: str, tried: str, seconds: float, *, sent: bool = False) -> CollectError:
    if isinstance(error, CollectError):
        return error
    if isinstance(error, (asyncssh.ConnectionLost, asyncssh.Error)) and not isinstance(error, OSError):
        if isinstance(error, asyncssh.ConnectionLost):
            return failure(ConnectionResetError(), where=where, tried=tried, seconds=seconds, sent=sent)
        if isinstance(error, asyncssh.KeyExchangeFailed):
            return CollectError(Reason.SSH_ERROR, f"{where}: {tried}: no common algorithms: if the device cannot be updated, set ssh_legacy: true for it")
        return CollectError(Reason.SSH_ERROR, f"{where}: {tried}: {type(error).__name__}")
    return failure(error, where=where, tried=tried, seconds=seconds, sent=sent)
