"""The command line over SSH: password login, one interactive shell on a pseudo-terminal, a session of the shared pool."""

from __future__ import annotations

from collections.abc import Callable

import asyncssh

from simulator.poly import commands
from simulator.poly.sessions import Door, PoolFull, Session, SessionPool
from simulator.poly.state import Box

_PROMPT = b"-> "
_CR, _LF = b"\r\n"


class CommandLine(asyncssh.SSHServer):
    """One connection. `opened` and `closed` tell the device of it, so that a reboot can drop it."""

    def __init__(
        self,
        box: Box,
        pool: SessionPool,
        door: Door,
        *,
        reboot: Callable[[], None],
        opened: Callable[[asyncssh.SSHServerConnection], None],
        closed: Callable[[asyncssh.SSHServerConnection], None],
    ) -> None:
        self._box = box
        self._pool = pool
        self._door = door
        self._reboot = reboot
        self._opened = opened
        self._closed = closed
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._opened(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._closed(self._connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def kbdint_auth_supported(self) -> bool:
        return False

    def validate_password(self, username: str, password: str) -> bool:
        return self._door.let_in("ssh", username, password)

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        location = self._connection.get_extra_info("peername")[0] if self._connection else ""
        return _Shell(self._box, self._pool, location=location, reboot=self._reboot)


class _Shell(asyncssh.SSHServerSession[bytes]):
    """Banner, prompt, one answer a line. Typed characters are echoed, as a terminal does."""

    def __init__(self, box: Box, pool: SessionPool, *, location: str, reboot: Callable[[], None]) -> None:
        self._box = box
        self._pool = pool
        self._location = location
        self._reboot = reboot
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._session: Session | None = None
        self._typed = bytearray()
        self._after_return = False
        self._pty = False

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan
        # Bytes: asyncssh's own line editor, which rewrites line ends, is not put between.
        chan.set_encoding(None)

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], term_modes: object) -> bool:
        self._pty = True
        return True

    def shell_requested(self) -> bool:
        return self._pty

    def exec_requested(self, command: str) -> bool:
        return False

    def session_started(self) -> None:
        try:
            self._session = self._pool.open("SSH", self._location, on_end=self._hang_up)
        except PoolFull:
            self._say("error: maximum number of sessions reached")
            self._hang_up()
            return
        self._say(*commands.whoami(self._box))
        self._write(_PROMPT)

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        for byte in data:
            second_half = byte == _LF and self._after_return
            self._after_return = byte == _CR
            if second_half:
                continue
            if byte in (_CR, _LF):
                line = self._typed.decode("utf-8", "replace")
                self._typed.clear()
                self._run(line)
            else:
                self._typed.append(byte)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            self._pool.end(session.id)

    def _run(self, line: str) -> None:
        if self._session is None or self._pool.find(self._session.id) is None:
            return
        self._write(line.encode() + b"\r\n")
        reply = commands.answer(self._box, line)
        if reply.changes:
            self._box.counters.changes.append(f"ssh {line.strip()}")
        self._say(*reply.lines)
        if reply.reboots:
            self._reboot()
        elif reply.ends:
            self._hang_up()
        else:
            self._write(_PROMPT)

    def _say(self, *lines: str) -> None:
        self._write("".join(f"{line}{self._box.firmware.newline}" for line in lines).encode())

    def _write(self, data: bytes) -> None:
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write(data)

    def _hang_up(self) -> None:
        if self._channel is not None and not self._channel.is_closing():
            self._channel.exit(0)
