"""SSH against real servers on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import CollectError, LoginBlocked, LoginRefused, NotTrusted, Reason, Unreachable
from agent.model import TlsMode, TlsPolicy
from collectors.transport import open_transports
from collectors.transport.ssh import before_prompt, key_sha256, plain_text, without_echo
from tests.transport.fakes import SERVICE, WRONG, Fakes, device
from tests.transport.web import ACCOUNTS

PROMPT = "-> "
KEY, OTHER_KEY = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
Process = asyncssh.SSHServerProcess[bytes]


@dataclass
class Seen:
    port: int = 0
    attempts: list[str] = field(default_factory=list)
    terminals: list[str | None] = field(default_factory=list)
    connections: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)


class Server(asyncssh.SSHServer):
    def __init__(self, seen: Seen, ways: str, delay: float) -> None:
        self.seen, self.ways, self.delay = seen, ways, delay

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.seen.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.seen.gone.set()

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return "password" in self.ways

    def kbdint_auth_supported(self) -> bool:
        return "keyboard" in self.ways

    def public_key_auth_supported(self) -> bool:
        return "key" in self.ways.split()

    async def validate_password(self, username: str, password: str) -> bool:  # asyncssh awaits what it is given
        self.seen.attempts.append(f"password {username}")
        self.seen.asked.set()
        await asyncio.sleep(self.delay)
        return ACCOUNTS.get(username) == password

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
        self.seen.attempts.append(f"keyboard {username}")
        return list(responses) == [ACCOUNTS.get(username)]


async def console(process: Process) -> None:
    """Repeats what it is sent, ends lines as old firmware does, and wraps nothing."""
    process.stdout.write(b"\r\r\nHi, my name is : gate-2\r\r\nSNMP Enabled: False\r\r\n" + PROMPT.encode())
    async for line in process.stdin:
        command = line.strip().decode()
        process.stdout.write(f"{command}\r\r\n".encode())
        if command == "status":
            process.stdout.write(b"\x1b[1minacall\x1b[0m offline\r\r\n")
            await asyncio.sleep(0.05)
            process.stdout.write(b"a -> b\r\r\nstatus end\r\r\n-")
            await asyncio.sleep(0.02)
            process.stdout.write(b"> ")
            continue
        if command == "long":
            process.stdout.write(b"x" * 300_000)
        if command == "hang":
            await asyncio.sleep(30)
        if command == "exit":
            break
        process.stdout.write(PROMPT.encode())
    process.exit(0)


@asynccontextmanager
async def served(
    shell: Callable[[Process], Awaitable[None]] = console,
    *,
    ways: str = "password",
    key: asyncssh.SSHKey = KEY,
    port: int = 0,
    delay: float = 0.0,
    **options: object,
) -> AsyncIterator[Seen]:
    seen = Seen()

    async def process(one: Process) -> None:
        seen.terminals.append(one.get_terminal_type())
        await shell(one)

    server = await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=lambda: Server(seen, ways, delay),
        process_factory=process,
        server_host_keys=[key],
        encoding=None,
        line_editor=False,
        **options,
    )
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        await server.wait_closed()


async def test_a_shell_gives_replies_without_echo_and_prompt(fakes: Fakes) -> None:
    async with served() as seen, open_transports(fakes.services()) as transports:
        async with transports.ssh(device(seen.port)) as ssh:
            assert seen.connections == 0
            shell = await ssh.shell(prompt=PROMPT, ready="SNMP Enabled:")
            assert await shell.command("status") == "inacall offline\na -> b\nstatus end"
            assert await shell.command("whoami") == ""
            second = await ssh.shell(prompt=PROMPT)
            assert await second.command("whoami") == ""
            assert seen.connections == 1
        async with asyncio.timeout(2):
            await seen.gone.wait()  # leaving the visit closed it
        assert seen.terminals == ["vt100", "vt100"]
    assert seen.attempts == ["password operator"]
    assert fakes.guard.calls == [("before", "cameras", "ssh"), ("accepted", "cameras", "ssh")]


async def test_the_password_is_given_where_only_the_keyboard_is_asked(fakes: Fakes) -> None:
    async with served(ways="keyboard") as seen, open_transports(fakes.services()) as transports, transports.ssh(device(seen.port)) as ssh:
        await ssh.shell(prompt=PROMPT)
    assert seen.attempts == ["keyboard operator"]


@pytest.mark.parametrize("ways", ["password", "keyboard", "password keyboard"])
async def test_a_wrong_password_is_given_exactly_once(fakes: Fakes, ways: str) -> None:
    async with served(ways=ways) as seen, open_transports(fakes.services()) as transports:
        codec = device(seen.port, credential=WRONG)
        async with transports.ssh(codec) as ssh:
            with pytest.raises(LoginRefused):
                await ssh.shell(prompt=PROMPT)
            with pytest.raises(LoginBlocked):
                await ssh.shell(prompt=PROMPT)
        async with transports.ssh(codec) as ssh:
            with pytest.raises(LoginBlocked):
                await ssh.shell(prompt=PROMPT)
    assert len(seen.attempts) == 1
    assert fakes.guard.words == ["before", "refused"]


async def test_a_device_that_takes_no_password_is_not_a_refusal(fakes: Fakes) -> None:
    async with (
        served(ways="key", authorized_client_keys=asyncssh.SSHAuthorizedKeys()) as seen,
        open_transports(fakes.services()) as transports,
        transports.ssh(device(seen.port)) as ssh,
    ):
        with pytest.raises(CollectError) as caught:
            await ssh.shell(prompt=PROMPT)
    assert caught.value.reason is Reason.SSH_ERROR
    assert (fakes.guard.words, fakes.guard.sent) == (["before", "unclear"], [False])


async def test_a_password_that_was_given_and_got_no_answer_is_told_as_sent(fakes: Fakes) -> None:
    async with served(delay=30.0) as seen, open_transports(fakes.services(timeout=0.5)) as transports:
        async with transports.ssh(device(seen.port, credential=WRONG)) as ssh:
            with pytest.raises(Unreachable) as caught:
                await ssh.shell(prompt=PROMPT)
        assert (caught.value.reason, caught.value.sent) == (Reason.TIMEOUT, True)
    async with served(delay=30.0) as seen, open_transports(fakes.services()) as transports, transports.ssh(device(seen.port)) as ssh:
        task = asyncio.create_task(ssh.shell(prompt=PROMPT))
        await seen.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (fakes.guard.words, fakes.guard.sent) == (["before", "unclear"] * 2, [True] * 2)


async def test_the_role_ssh_goes_before_the_role_http(fakes: Fakes) -> None:
    async with served() as seen, open_transports(fakes.services()) as transports:
        async with transports.ssh(device(seen.port, credentials={"http": WRONG, "ssh": SERVICE})) as ssh:
            await ssh.shell(prompt=PROMPT)
        async with transports.ssh(device(seen.port, credential=None)) as ssh:
            with pytest.raises(CollectError) as caught:
                await ssh.shell(prompt=PROMPT)
    assert caught.value.reason is Reason.NO_CREDENTIAL
    assert seen.attempts == ["password root"]


@pytest.mark.parametrize("mode", [TlsMode.ENROL, TlsMode.CA, TlsMode.PIN])
async def test_no_password_before_a_person_accepted_the_host_key(fakes: Fakes, mode: TlsMode) -> None:
    async with served() as seen, open_transports(fakes.services()) as transports:
        codec, endpoint = device(seen.port, tls=TlsPolicy(mode=mode, sha256="0" * 64)), f"ssh:{seen.port}"
        async with transports.ssh(codec) as ssh:
            with pytest.raises(NotTrusted) as caught:
                await ssh.shell(prompt=PROMPT)
        assert caught.value.reason is Reason.HOST_KEY
        assert caught.value.fingerprint == key_sha256(KEY)
        assert fakes.trust.shown == [("gate-2", endpoint, key_sha256(KEY))]
        assert seen.attempts == []
        assert fakes.guard.calls == []
        await fakes.trust.accept("gate-2", endpoint, key_sha256(KEY), "person")
        async with transports.ssh(codec) as ssh:
            await ssh.shell(prompt=PROMPT)
    assert seen.attempts == ["password operator"]


async def test_tofu_keeps_to_the_first_host_key(fakes: Fakes) -> None:
    async with open_transports(fakes.services()) as transports:
        async with served() as seen, transports.ssh(device(seen.port, mode=TlsMode.TOFU)) as ssh:
            await ssh.shell(prompt=PROMPT)
        async with served(key=OTHER_KEY, port=seen.port) as seen, transports.ssh(device(seen.port, mode=TlsMode.TOFU)) as ssh:
            with pytest.raises(NotTrusted) as caught:
                await ssh.shell(prompt=PROMPT)
        assert seen.attempts == []
    assert caught.value.reason is Reason.HOST_KEY
    assert caught.value.fingerprint == key_sha256(OTHER_KEY)
    assert fakes.trust.by == ["tofu"]
    assert fakes.guard.words[-1] == "unclear"


async def test_a_silent_command_times_out(fakes: Fakes) -> None:
    async with served() as seen, open_transports(fakes.services()) as transports, transports.ssh(device(seen.port)) as ssh:
        shell = await ssh.shell(prompt=PROMPT)
        with pytest.raises(Unreachable) as caught:
            await shell.command("hang", timeout=0.2)
    assert caught.value.reason is Reason.TIMEOUT


async def test_too_much_output_is_refused(fakes: Fakes) -> None:
    async with served() as seen, open_transports(fakes.services()) as transports, transports.ssh(device(seen.port)) as ssh:
        shell = await ssh.shell(prompt=PROMPT)
        with pytest.raises(CollectError) as caught:
            await shell.command("long", limit=100_000)
    assert caught.value.reason is Reason.TOO_LARGE


async def test_a_device_that_hangs_up_is_a_reset(fakes: Fakes) -> None:
    async with served() as seen, open_transports(fakes.services()) as transports, transports.ssh(device(seen.port)) as ssh:
        shell = await ssh.shell(prompt=PROMPT)
        for command in ("exit", "status"):
            with pytest.raises(Unreachable) as caught:
                await shell.command(command)
            assert caught.value.reason is Reason.RESET


async def test_a_command_is_one_line(fakes: Fakes) -> None:
    async with served() as seen, open_transports(fakes.services()) as transports, transports.ssh(device(seen.port)) as ssh:
        shell = await ssh.shell(prompt=PROMPT)
        with pytest.raises(ValueError):
            await shell.command("status\r\nreboot now")
        with pytest.raises(ValueError):
            await ssh.shell(prompt="")


@pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")  # the old algorithm is the point
async def test_old_algorithms_only_for_a_device_that_asks_for_them(fakes: Fakes) -> None:
    old = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    options: dict[str, Any] = {
        "kex_algs": ["diffie-hellman-group14-sha1"],
        "signature_algs": ["ssh-rsa"],
        "encryption_algs": ["aes128-cbc"],
        "mac_algs": ["hmac-sha1"],
    }
    async with served(key=old, **options) as seen, open_transports(fakes.services()) as transports:
        for mode in (TlsMode.INSECURE, TlsMode.TOFU):
            async with transports.ssh(device(seen.port, mode=mode)) as ssh:
                with pytest.raises(CollectError, match="set ssh_legacy: true") as caught:
                    await ssh.shell(prompt=PROMPT)
            assert caught.value.reason is Reason.SSH_ERROR
            async with transports.ssh(device(seen.port, mode=mode, ssh_legacy=True)) as ssh:
                await ssh.shell(prompt=PROMPT)


async def test_a_closed_port_is_refused_and_a_stranger_is_no_ssh(fakes: Fakes, unused_tcp_port: int) -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with open_transports(fakes.services()) as transports:
        for mode in (TlsMode.INSECURE, TlsMode.ENROL):
            async with transports.ssh(device(unused_tcp_port, mode=mode)) as ssh:
                with pytest.raises(Unreachable) as caught:
                    await ssh.shell(prompt=PROMPT)
            assert caught.value.reason is Reason.REFUSED
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        async with server, transports.ssh(device(server.sockets[0].getsockname()[1])) as ssh:
            with pytest.raises(CollectError):
                await ssh.shell(prompt=PROMPT)
    assert set(fakes.guard.words) == {"before", "unclear"}
    assert not any(fakes.guard.sent)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("-> ", ""), ("a\n-> ", "a\n"), ("a\n-> b", None), ("a -> ", None), ("", None), ("a\n->", None)],
)
def test_a_prompt_counts_at_the_end_alone_on_its_line(text: str, expected: str | None) -> None:
    assert before_prompt(text, PROMPT) == expected


@given(st.binary(max_size=300))
def test_any_output_becomes_lines(raw: bytes) -> None:
    assert "\r" not in plain_text(raw)


@given(st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), max_size=5), st.sampled_from(["\n", "\r\n", "\r\r\n"]), st.booleans())
def test_a_reply_is_the_same_with_and_without_echo(lines: list[str], end: str, echo: bool) -> None:
    raw = end.join([*(["get it all"] if echo else []), *lines, PROMPT]).encode()
    text = before_prompt(plain_text(raw), PROMPT)
    assert text is not None
    assert without_echo(text, "get it all") == "\n".join(lines)
