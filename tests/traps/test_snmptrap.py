"""Traps that net-snmp sends."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from tests.traps.traffic import COMMUNITY, USERS, Hints, camera, counted, receiving

SNMPTRAP = shutil.which("snmptrap")
AUTH = {"md5": "MD5", "sha1": "SHA", "sha256": "SHA-256", "sha512": "SHA-512"}
PRIV = {"des": "DES", "aes128": "AES", "aes256": "AES-256"}
ALARM = (".1.3.6.1.4.1.368.4.2.0.1", ".1.3.6.1.4.1.368.4.2.1", "u", "7", ".1.3.6.1.4.1.368.4.2.2", "s", "Fan Operation", ".1.3.6.1.4.1.368.4.2.3", "s", "Check")


async def snmptrap(folder: Path, port: int, *options: str) -> None:
    assert SNMPTRAP, "snmptrap is missing: apt-get install snmp"
    environment = {**os.environ, "SNMP_PERSISTENT_DIR": str(folder), "MIBS": ""}
    process = await asyncio.create_subprocess_exec(
        SNMPTRAP, *options, f"127.0.0.1:{port}", "", *ALARM, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def test_a_trap_of_net_snmp_with_the_right_community_is_taken(tmp_path: Path) -> None:
    hints = Hints()
    async with receiving([camera()], hints) as receiver:
        await snmptrap(tmp_path, receiver.addresses[0][1], "-v", "2c", "-c", COMMUNITY.community.reveal())
        await snmptrap(tmp_path, receiver.addresses[0][1], "-v", "2c", "-c", "public")
        await counted(receiver, 2)
        assert (receiver.counts["taken"], receiver.counts["not_verified"]) == (1, 1)
    assert hints.told == [("gate-2", "alarmNew: Fan Operation")]


@pytest.mark.parametrize("kind", USERS)
async def test_a_trap_of_net_snmp_of_the_right_user_is_taken(kind: str, tmp_path: Path) -> None:
    credential, _ = USERS[kind]
    hints = Hints()
    options = ["-v", "3", "-e", "0x800001700300408c00aa01", "-u", "monitor", "-a", AUTH[credential.auth], "-l", "authPriv" if credential.priv else "authNoPriv"]
    if credential.priv:
        options += ["-x", PRIV[credential.priv], "-X", "privpriv1"]
    async with receiving([camera(credential=credential)], hints) as receiver:
        await snmptrap(tmp_path, receiver.addresses[0][1], *options, "-A", "authauth1")
        await snmptrap(tmp_path, receiver.addresses[0][1], *options, "-A", "authauth2")
        await counted(receiver, 2)
        assert (receiver.counts["taken"], receiver.counts["not_verified"]) == (1, 1)
    assert hints.told == [("gate-2", "alarmNew: Fan Operation")]
